package layers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"
	ocidigest "github.com/opencontainers/go-digest"

	"github.com/conjuring/conjured/progress"
)

func TestWatcher(t *testing.T) {
	var got []progress.Event
	w := newWatcher(solve{stage: "core"}, map[string]float64{"core: [core 1/2] RUN a": 10, "core: [core 2/2] RUN b": 20},
		progress.Func(func(e progress.Event) { got = append(got, e) }))
	now := time.Now()
	later := now.Add(3 * time.Second)
	a := &client.Vertex{Digest: "sha256:a", Name: "[core 1/2] RUN a"}
	b := &client.Vertex{Digest: "sha256:b", Name: "[core 2/2] RUN b"}
	hidden := &client.Vertex{Digest: "sha256:c", Name: "[internal] load build definition"}
	w.take(&client.SolveStatus{Vertexes: []*client.Vertex{a, b, hidden}})
	if e := got[0]; e.Done != 0 || e.Total != 2 || e.Eta != 30 || e.Unit != "steps" || e.Step != "preparing the build of core" {
		t.Errorf("before the start: %+v", e)
	}
	started := *a
	started.Started = &now
	w.take(&client.SolveStatus{Vertexes: []*client.Vertex{&started}})
	done := started
	done.Completed = &later
	w.take(&client.SolveStatus{Vertexes: []*client.Vertex{&done}})
	if e := got[2]; e.Done != 1 || e.Total != 2 || e.Eta != 20 {
		t.Errorf("after one: %+v", e)
	}
	if d := cmp.Diff(map[string]float64{"core: [core 1/2] RUN a": 3}, w.took); d != "" {
		t.Error(d)
	}
}

// BuildKit cuts output where it likes, and mixes that of several steps and streams.
func TestWatcherLines(t *testing.T) {
	w := newWatcher(solve{stage: "core"}, nil, progress.Discard)
	send := func(v ocidigest.Digest, stream int, text string) {
		w.take(&client.SolveStatus{Logs: []*client.VertexLog{{Vertex: v, Stream: stream, Data: []byte(text)}}})
	}
	send("a", 2, "E: Unable to loc")
	send("b", 2, "other\n")
	send("a", 1, "Building dependency tree...\n")
	send("a", 2, "ate package x\nE: Version")
	send("a", 2, " '1' for 'y' was not found")
	want := []string{"other", "Building dependency tree...", "E: Unable to locate package x", "E: Version '1' for 'y' was not found"}
	if d := cmp.Diff(want, w.tail()); d != "" {
		t.Error(d)
	}
}

func TestDurations(t *testing.T) {
	b := &Builder{dir: t.TempDir()}
	if d := b.readDurations(); len(d) != 0 {
		t.Errorf("without a file: %v", d)
	}
	b.saveDurations(map[string]float64{"a": 1, "b": 2})
	b.saveDurations(map[string]float64{"b": 3})
	if d := cmp.Diff(map[string]float64{"a": 1, "b": 3}, b.readDurations()); d != "" {
		t.Error(d)
	}
	if err := writeFile(b.dir, "durations.json", []byte(`{"a":`)); err != nil {
		t.Fatal(err)
	}
	if d := b.readDurations(); len(d) != 0 {
		t.Errorf("a torn file: %v", d)
	}
}
