package registry

import (
	"github.com/conjuring/conjured/environments"
)

// Move is news: new kernels of an environment get other packages.
type Move struct {
	Env     environments.Name
	From    environments.Generation // its Number is 0 when the environment is new
	To      environments.Generation
	Changes environments.Changes
	Heated  environments.Heated // what running kernels got at once; empty: they keep what they have
}

// heater adds a generation's new packages to older ones whose kernels run.
type heater interface {
	Heat(to environments.Generation) (environments.Heated, error)
}

// move queues the news that env's kernels start from another generation. Running kernels
// get what is only added at once.
func (r *Registry) move(from, to environments.Generation) {
	if from.Number == to.Number {
		return
	}
	m := Move{Env: to.Env, From: from, To: to, Changes: environments.Diff(from.Manifest, to.Manifest)}
	switch {
	case from.Number == 0: // the first one changes no interpreter
		m.Changes.Python, m.Changes.Platform = nil, nil
	case m.Changes.Class() == environments.AddOnly:
		h, err := r.heat(to)
		if err != nil {
			r.c.Log.Warn("cannot add packages to running kernels", "env", to.Env, "number", to.Number, "error", err)
		}
		m.Heated = h
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moves = append(r.moves, m)
}

func (r *Registry) heat(to environments.Generation) (environments.Heated, error) {
	h, ok := any(r.c.Store).(heater)
	if !ok {
		return environments.Heated{}, nil
	}
	return h.Heat(to)
}

// tell hands the queued moves on, in order. Who is in the middle of it, or is called by
// it, leaves the rest to it. No turn is held, so that whoever is told may use the verbs.
func (r *Registry) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.telling {
		return
	}
	r.telling = true
	defer func() { r.telling = false }()
	for len(r.moves) > 0 {
		m := r.moves[0]
		r.moves = r.moves[1:]
		if r.c.Moved == nil {
			continue
		}
		r.mu.Unlock()
		r.c.Moved(m)
		r.mu.Lock()
	}
}

// notify tells what nobody asked about.
func (r *Registry) notify(code, what, means, do string) {
	if r.c.Notify != nil {
		r.c.Notify(warning(code, what, means, do))
	}
}
