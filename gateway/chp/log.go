package chp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// lines is a slog.Handler that writes the original's lines, without their colours:
//
//	2026-11-21T07:00:00.000Z [ConfigProxy] info: Route added / -> http://127.0.0.1:8081
//
// Attributes follow the message as name=value.
type lines struct {
	mu    *sync.Mutex
	out   io.Writer
	level slog.Level
	attrs string
}

func newLog(out io.Writer, level string) (*slog.Logger, error) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[strings.ToLower(level)]
	if !ok {
		return nil, fmt.Errorf("error: the log level %q is none of debug, info, warn, error", level)
	}
	return slog.New(&lines{mu: &sync.Mutex{}, out: out, level: l}), nil
}

// Enabled tells whether a level is written.
func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= l.level }

// Handle writes a line.
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s [ConfigProxy] %s: %s%s", r.Time.UTC().Format("2006-01-02T15:04:05.000Z"), strings.ToLower(r.Level.String()), oneLine(r.Message), l.attrs)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(shown(a))
		return true
	})
	b.WriteByte('\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := io.WriteString(l.out, b.String())
	return err
}

// WithAttrs puts attributes behind every later message.
func (l *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	for _, a := range attrs {
		c.attrs += shown(a)
	}
	return &c
}

// WithGroup is without effect: these lines have no groups.
func (l *lines) WithGroup(string) slog.Handler { return l }

func shown(a slog.Attr) string { return " " + a.Key + "=" + oneLine(a.Value.String()) }

// oneLine keeps what others sent from looking like a line of ours.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
