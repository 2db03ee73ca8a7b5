package enginetest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// need is one wish: a name, and the versions that will do, such as ">=1.2,<2".
type need struct{ name, versions, line string }

var needForm = regexp.MustCompile(`^([A-Za-z0-9._-]+)\s*(.*)$`)

func parseNeed(line string) need {
	m := needForm.FindStringSubmatch(line)
	return need{m[1], m[2], line}
}

// takes tells whether a version will do. A single = means that the version begins so.
func (n need) takes(version string) bool {
	if n.versions == "" {
		return true
	}
	return !slices.ContainsFunc(strings.Split(n.versions, ","), func(c string) bool {
		op := c[:len(c)-len(strings.TrimLeft(c, "=<>!"))]
		want := strings.TrimSpace(c[len(op):])
		by := compare(version, want)
		return !map[string]bool{">=": by >= 0, "<=": by <= 0, ">": by > 0, "<": by < 0, "==": by == 0, "=": strings.HasPrefix(version+".", want+".")}[op]
	})
}

func compare(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		var n, m int
		if i < len(x) {
			n, _ = strconv.Atoi(x[i])
		}
		if i < len(y) {
			m, _ = strconv.Atoi(y[i])
		}
		if n != m {
			return n - m
		}
	}
	return 0
}

// candidate is a file that could be installed.
type candidate struct {
	Name, Version, URL, SHA256 string
	Conda, Fixed, Noarch       bool
	needs, limits              []need
}

// source gives what there is of a name, the best first.
type source func(context.Context, string) ([]candidate, error)

var errClash = errors.New("these do not go together")

// search picks one candidate for every name that is needed.
func search(ctx context.Context, from source, open, limits []need, got map[string]candidate) (map[string]candidate, error) {
	if len(open) == 0 {
		return got, nil
	}
	n, rest := open[0], open[1:]
	if c, ok := got[n.name]; ok {
		if !n.takes(c.Version) {
			return nil, errClash
		}
		return search(ctx, from, rest, limits, got)
	}
	all, err := from(ctx, n.name)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		held := slices.Concat(limits, c.limits)
		ok := func(name, version string) bool {
			return !slices.ContainsFunc(held, func(l need) bool { return l.name == name && !l.takes(version) })
		}
		fits := n.takes(c.Version) && ok(c.Name, c.Version)
		for _, g := range got {
			fits = fits && ok(g.Name, g.Version)
		}
		if !fits {
			continue
		}
		more := map[string]candidate{c.Name: c}
		for k, v := range got {
			more[k] = v
		}
		out, err := search(ctx, from, slices.Concat(rest, c.needs), held, more)
		if err == nil || !errors.Is(err, errClash) {
			return out, err
		}
	}
	return nil, errClash
}

// solve searches, and says which lines are at fault.
func solve(ctx context.Context, from source, asks []need) (map[string]candidate, error) {
	for _, n := range asks {
		all, err := from(ctx, n.name)
		if err != nil {
			var f *Failure
			if errors.As(err, &f) {
				f.Names = append(f.Names, n.line)
			}
			return nil, err
		}
		if !slices.ContainsFunc(all, func(c candidate) bool { return c.Fixed || n.takes(c.Version) }) {
			return nil, &Failure{Missing, []string{n.line}, errors.New("no such version")}
		}
	}
	got, err := search(ctx, from, asks, nil, nil)
	if !errors.Is(err, errClash) {
		return got, err
	}
	for i := 0; i < len(asks); {
		less := slices.Concat(asks[:i], asks[i+1:])
		if _, err := search(ctx, from, less, nil, nil); errors.Is(err, errClash) {
			asks = less
		} else {
			i++
		}
	}
	f := &Failure{Kind: Conflict, Err: fmt.Errorf("%w: %v", errClash, asks)}
	for _, n := range asks {
		f.Names = append(f.Names, n.line)
	}
	return nil, f
}
