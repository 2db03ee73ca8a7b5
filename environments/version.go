package environments

import (
	"cmp"
	"slices"
	"strings"
)

// compareVersions orders two versions of one package as PEP 440 and conda do where the
// two agree: epochs, then numbers by value, with 1.0 equal to 1, and dev < a < b < rc <
// nothing < post. It is total on any text: what it cannot read it compares as text.
func compareVersions(a, b string) int {
	ea, ra := epoch(a)
	eb, rb := epoch(b)
	if c := compareNumbers(ea, eb); c != 0 {
		return c
	}
	return slices.CompareFunc(pad(parts(ra), parts(rb)), pad(parts(rb), parts(ra)), comparePart)
}

// epoch splits "1!2.0".
func epoch(v string) (e, rest string) {
	if e, rest, ok := strings.Cut(v, "!"); ok {
		return e, rest
	}
	return "0", v
}

// parts cuts a version into runs of digits and runs of letters. What follows a "+" is a
// local version and comes after everything else.
func parts(v string) []string {
	v = strings.TrimPrefix(strings.ToLower(v), "v")
	var out []string
	last := 0
	for _, c := range v {
		kind := 0
		switch {
		case c >= '0' && c <= '9':
			kind = 1
		case c == '+':
			out, last = append(out, "+"), 0
			continue
		case c == '.' || c == '-' || c == '_':
			last = 0
			continue
		default:
			kind = 2
		}
		if kind == last {
			out[len(out)-1] += string(c)
		} else {
			out = append(out, string(c))
		}
		last = kind
	}
	return out
}

// pad lets 1 be compared with 1.0 and with 1.0rc1, number by number.
func pad(a, b []string) []string {
	n := release(a)
	m := release(b)
	out := slices.Concat(a[:n], slices.Repeat([]string{"0"}, max(m-n, 0)), a[n:])
	for len(out) < len(b)+max(n-m, 0) {
		out = append(out, "")
	}
	return out
}

// release is how many parts at the beginning are numbers.
func release(p []string) int {
	n := slices.IndexFunc(p, func(s string) bool { return !isNumber(s) })
	if n < 0 {
		return len(p)
	}
	return n
}

func isNumber(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

// rank orders what may stand at one place of a version.
func rank(p string) int {
	switch p {
	case "dev":
		return 0
	case "a", "alpha":
		return 1
	case "b", "beta":
		return 2
	case "c", "rc", "pre", "preview":
		return 3
	case "":
		return 5
	case "+":
		return 6
	case "post", "r", "rev":
		return 7
	}
	if isNumber(p) {
		return 8
	}
	return 4
}

func comparePart(a, b string) int {
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch {
	case isNumber(a):
		return compareNumbers(a, b)
	case rank(a) == 4:
		return strings.Compare(a, b)
	}
	return 0
}

// compareNumbers compares digits of any length by value.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// major is what must stay for a change of version to be a small one: epoch and first
// number, and of 0.x the second number too, since before 1 anything may change there.
func major(v string) string {
	e, rest := epoch(v)
	p := parts(rest)
	switch {
	case len(p) == 0:
		return e
	case strings.Trim(p[0], "0") == "" && len(p) > 1:
		return e + "!0." + p[1]
	}
	return e + "!" + p[0]
}
