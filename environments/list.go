package environments

import (
	"maps"
	"slices"
	"time"
)

// Listed is one environment, for people and scripts.
type Listed struct {
	Env         Name               `json:"env"`
	Retired     bool               `json:"retired,omitempty"` // nobody asks for it any more
	Held        string             `json:"held,omitempty"`    // the manifest that somebody rolled back from
	Bytes       int64              `json:"bytes,omitempty"`   // on the disk; what is shared with base or with one before it by name counts there
	Generations []ListedGeneration `json:"generations"`       // oldest first, also incomplete ones
}

// ListedGeneration is one line of a list of generations.
type ListedGeneration struct {
	Number   int       `json:"number"`
	State    State     `json:"state"`
	Labels   []Label   `json:"labels"`
	Pinned   bool      `json:"pinned,omitempty"`
	ID       string    `json:"id,omitempty"`
	Python   string    `json:"python,omitempty"`
	Packages int       `json:"packages"`
	Built    time.Time `json:"built,omitzero"`
	Bytes    int64     `json:"bytes,omitempty"` // on the disk, without what older ones have too; 0 when not counted yet
}

// Shown is one generation with its packages, for people and scripts.
type Shown struct {
	Generation
	Labels   []Label   `json:"labels"`
	Python   string    `json:"python"`
	Packages []Package `json:"packages"`
}

// Environments lists the names that have generations or labels, or once had.
func (s *Store) Environments() ([]Name, error) { return s.names() }

// List gives every environment of the store that has a generation; never nil.
func (s *Store) List() ([]Listed, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	costs, err := s.costs()
	if err != nil {
		return nil, err
	}
	out := []Listed{}
	for _, env := range names {
		l, err := s.list(env)
		if err != nil {
			return nil, err
		}
		for i, g := range l.Generations {
			l.Generations[i].Bytes = costs[cost{env, g.Number}]
			l.Bytes += l.Generations[i].Bytes
		}
		if len(l.Generations) > 0 { // else only its last number is left
			out = append(out, l)
		}
	}
	return out, nil
}

func (s *Store) list(env Name) (Listed, error) {
	out := Listed{Env: env, Retired: s.Retired(env), Held: s.Held(env), Generations: []ListedGeneration{}}
	numbers, err := s.numbers(env)
	if err != nil {
		return out, err
	}
	labels, err := s.Labels(env)
	if err != nil {
		return out, err
	}
	pins, err := s.Pins(env)
	if err != nil {
		return out, err
	}
	for _, n := range numbers {
		e := ListedGeneration{Number: n, State: Building, Labels: labelsOf(labels, n), Pinned: slices.Contains(pins, n)}
		if g, err := s.Generation(env, n); err == nil {
			e.State, e.ID, e.Python, e.Packages, e.Built = g.State, g.ID, g.Manifest.Python, len(g.Manifest.Packages), g.Built
		}
		out.Generations = append(out.Generations, e)
	}
	return out, nil
}

// Show gives what a label points at; ErrNoGeneration if that is nothing.
func (s *Store) Show(env Name, l Label) (Shown, error) {
	g, err := s.Label(env, l)
	if err != nil {
		return Shown{}, err
	}
	labels, err := s.Labels(env)
	if err != nil {
		return Shown{}, err
	}
	return Shown{Generation: g, Labels: labelsOf(labels, g.Number), Python: g.Manifest.Python, Packages: g.Manifest.Packages}, nil
}

// labelsOf gives the labels that point at n, in order; never nil.
func labelsOf(labels map[Label]int, n int) []Label {
	out := []Label{}
	for _, l := range slices.Sorted(maps.Keys(labels)) {
		if labels[l] == n {
			out = append(out, l)
		}
	}
	return out
}
