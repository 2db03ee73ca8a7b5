package environments

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
)

// rehearsal is a container in which a generation is going to be tried. It starts while the
// generation is being made, with what tries and not with what is tried: its Python is that
// of the generation in use, with what speaks to a kernel loaded. It waits for one line.
type rehearsal struct {
	g     Generation // the one to be tried
	input *os.File   // what it reads
	out   *watched
	ended chan struct{} // closed when the container is gone
}

// rehearse starts a container for trying g, which is being made beside prev. Nil when the
// trial has to begin with another environment than prev's, or cannot begin at all.
func (b *Builder) rehearse(ctx context.Context, s Spec, prev, g Generation) *rehearsal {
	if prev.Set != "" || prev.Tried == 0 {
		return nil
	}
	j := b.verifyJob(g, trial{})
	j.Wait = true
	text, err := json.Marshal(j)
	if err != nil {
		return nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil
	}
	r := &rehearsal{g: g, input: write, out: &watched{seen: make(chan struct{})}, ended: make(chan struct{})}
	c := b.verifyCommand(s, filepath.Join(b.c.Store.mount, prev.Path(), "bin/python"), string(text), VariableSet{}, g)
	c.Input, c.Output = read, r.out
	b.trailing.Go(func() {
		defer close(r.ended)
		defer read.Close()
		if _, err := b.c.Runner.Run(ctx, c); err != nil && ctx.Err() == nil {
			b.c.Log.Info("a trial could not wait for its packages", "error", err)
		}
	})
	return r
}

// drop ends a rehearsal that is not wanted any more, or that has said all.
func (r *rehearsal) drop() {
	if r != nil {
		r.input.Close()
	}
}

// try has names imported, requirements compared and a kernel compute, all in the finished
// generation. Only a yes counts: whatever else comes of it, the usual trial decides.
func (r *rehearsal) try(ctx context.Context, j verifyJob) bool {
	defer r.drop()
	line, err := json.Marshal(j)
	if err != nil {
		return false
	}
	if _, err := r.input.Write(append(line, '\n')); err != nil {
		return false
	}
	select {
	case <-r.out.seen:
	case <-r.ended:
	case <-ctx.Done():
		return false
	}
	done := map[string]bool{}
	for _, t := range r.out.lines() {
		if !t.OK {
			return false
		}
		done[t.Check] = true
	}
	return done["consistent"] && done["kernel"] && done["done"]
}

// rehearsed tries g in the container that waits for it. False: there is none, or it was
// not content.
func (b *Builder) rehearsed(ctx context.Context, g Generation, t trial) bool {
	r := b.waiting
	b.waiting = nil
	if r == nil || r.g.Path() != g.Path() || g.Set != "" || t.lab || t.files || t.server == g.Number {
		r.drop()
		return false
	}
	return r.try(ctx, b.verifyJob(g, t))
}

// watched keeps what a container writes, and tells when it has said that it is done.
type watched struct {
	mu   sync.Mutex
	kept tail
	over bool
	seen chan struct{} // closed then
}

// Write keeps p. It never fails.
func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.kept.Write(p)
	if !w.over && bytes.Contains(w.kept.b, []byte(`conjured: {"check": "done"`)) && bytes.HasSuffix(w.kept.b, []byte("\n")) {
		w.over = true
		close(w.seen)
	}
	return len(p), nil
}

func (w *watched) lines() []tried {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kept.lines()
}
