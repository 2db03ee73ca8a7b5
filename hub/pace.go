package hub

import (
	"fmt"
	"slices"
	"time"
)

// pace is how long the last starts took.
type pace struct{ last []time.Duration }

const (
	paceOf    = 9               // starts that are remembered
	firstPace = 8 * time.Second // before anything was measured: a cold server on two cores
)

func (p *pace) took(d time.Duration) {
	p.last = append(p.last, d)
	if len(p.last) > paceOf {
		p.last = p.last[1:]
	}
}

// one is how long the next start will take: the median, which one stuck server does
// not move.
func (p *pace) one() time.Duration {
	if len(p.last) == 0 {
		return firstPace
	}
	l := slices.Sorted(slices.Values(p.last))
	return l[len(l)/2]
}

// waits is how long each of n that wait has until it is ready, when slots start at
// once and those that have begun have run for running.
func (p *pace) waits(slots int, running []time.Duration, n int) []time.Duration {
	one := p.one()
	free := make([]time.Duration, slots) // when each slot is free
	for i, r := range running {
		// One that is late will take a while longer; nobody knows how long.
		free[i%slots] = max(one-r, one/4)
	}
	out := make([]time.Duration, n)
	for i := range out {
		slices.Sort(free)
		free[0] += one
		out[i] = free[0]
	}
	return out
}

// about says a duration as people do: "about 40 seconds".
func about(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	switch {
	case s < 8:
		return "a few seconds"
	case s < 55:
		return fmt.Sprintf("about %d seconds", (s+4)/5*5)
	case s < 90:
		return "about a minute"
	}
	return fmt.Sprintf("about %d minutes", (s+30)/60)
}
