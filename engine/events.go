package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/moby/client"
)

// Event is something that happened to a container of ours.
type Event struct {
	ID     string
	Action string            // start, die, oom, kill, stop, destroy ...
	Labels map[string]string // the container's labels, with image, name and (for die) exitCode among them
	Time   time.Time
}

// Events gives what happens to this instance's containers from now on: it returns
// once the engine is listening, so a List made afterwards misses nothing. The channel
// closes when ctx ends or the engine goes away. Nothing is dropped: read it.
func (e *Engine) Events(ctx context.Context) (<-chan Event, error) {
	f := client.Filters{}.Add("type", "container").Add("label", LabelInstance+"="+e.instance)
	if _, err := e.cli.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, e.wrap(ctx, "cannot follow docker's events", err)
	}
	// The engine answers before it listens (20.10): "since" has it replay what fell between.
	now := time.Now()
	since := fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond())
	r := e.cli.Events(ctx, client.EventsListOptions{Filters: f, Since: since})
	out := make(chan Event)
	go func() {
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.Err: // what ended the stream is found out by the next call
				return
			case m := <-r.Messages:
				ev := Event{ID: m.Actor.ID, Action: string(m.Action), Labels: m.Actor.Attributes, Time: time.Unix(0, m.TimeNano)}
				select {
				case out <- ev:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out, nil
}
