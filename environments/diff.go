package environments

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Class says how much a change touches people who are at work.
type Class string

// The classes, from mildest to worst.
const (
	None    Class = "none"     // the same packages
	AddOnly Class = "add-only" // nothing that is there changes: running kernels may get it
	Patch   Class = "patch"    // small changes of version or build, and variables: a new kernel gets it
	Major   Class = "major"    // another Python, a package gone, a big step of a version
	Restart Class = "system"   // the system's own packages: everything restarts
)

// Change is what happens to one package. From is "" for one that is added, To for one
// that is removed.
type Change struct {
	Kind Kind   `json:"kind,omitempty"` // the engine that brings it, or brought it
	Name string `json:"name"`
	From string `json:"from,omitempty"` // version
	To   string `json:"to,omitempty"`
	Size int64  `json:"size,omitempty"` // bytes of the archive that comes; 0 when not known, or none comes
}

// Changes is the way from one manifest to another, each list sorted by name. The zero
// Changes is none.
type Changes struct {
	Added      []Change `json:"added,omitempty"`
	Removed    []Change `json:"removed,omitempty"`
	Upgraded   []Change `json:"upgraded,omitempty"`
	Downgraded []Change `json:"downgraded,omitempty"`
	Rebuilt    []Change `json:"rebuilt,omitempty"`  // the same version in other files, or from another engine
	Python     *Change  `json:"python,omitempty"`   // nil: the same interpreter
	Platform   *Change  `json:"platform,omitempty"` // nil: the same

	// Variables are those of the teacher's files whose value differs, by name.
	Variables []Change `json:"variables,omitempty"`
}

// Diff compares two manifests. A package that goes from one engine to another is one
// change, not two; a package of the system is never the same as one of Python's.
func Diff(from, to Manifest) Changes {
	var c Changes
	old, arriving := byKey(from), byKey(to)
	for k, p := range old {
		q, ok := arriving[k]
		if !ok {
			if q, ok = moved(p, arriving, old); !ok {
				c.Removed = append(c.Removed, Change{Kind: p.Kind, Name: p.Name, From: p.version()})
				continue
			}
		}
		c.compare(p, q)
	}
	for k, q := range arriving {
		if _, ok := old[k]; ok {
			continue
		}
		if _, ok := moved(q, old, arriving); !ok {
			c.Added = append(c.Added, Change{Kind: q.Kind, Name: q.Name, To: q.version(), Size: q.Size})
		}
	}
	if from.Python != to.Python {
		c.Python = &Change{Name: "python", From: from.Python, To: to.Python}
	}
	if from.Platform != to.Platform {
		c.Platform = &Change{Name: "platform", From: from.Platform, To: to.Platform}
	}
	c.Variables = differing(from.Variables, to.Variables)
	for _, l := range [][]Change{c.Added, c.Removed, c.Upgraded, c.Downgraded, c.Rebuilt} {
		slices.SortFunc(l, func(a, b Change) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind)) })
	}
	return c
}

type packageKey struct {
	kind Kind
	name string
}

func byKey(m Manifest) map[packageKey]Package {
	out := make(map[packageKey]Package, len(m.Packages))
	for _, p := range m.Packages {
		out[packageKey{p.Kind, p.Name}] = p
	}
	return out
}

// moved finds p under the other engine in there, unless here has that one too.
func moved(p Package, there, here map[packageKey]Package) (Package, bool) {
	other := packageKey{Conda, p.Name}
	switch p.Kind {
	case Conda:
		other.kind = Pip
	case Pip:
	default:
		return Package{}, false
	}
	_, both := here[other]
	q, ok := there[other]
	return q, ok && !both
}

func (c *Changes) compare(p, q Package) {
	ch := Change{Kind: q.Kind, Name: q.Name, From: p.version(), To: q.version(), Size: q.Size}
	switch n := compareVersions(ch.From, ch.To); {
	case n < 0:
		c.Upgraded = append(c.Upgraded, ch)
	case n > 0:
		c.Downgraded = append(c.Downgraded, ch)
	case p.Kind != q.Kind || p.Build != q.Build || ch.From != ch.To || !shareHash(p, q):
		c.Rebuilt = append(c.Rebuilt, ch)
	}
}

// shareHash tells whether two packages can be the same file. The index may list more
// files of one version as time goes by.
func shareHash(p, q Package) bool {
	if len(p.Hashes) == 0 && len(q.Hashes) == 0 {
		return p.URL == q.URL
	}
	return slices.ContainsFunc(p.Hashes, func(h string) bool { return slices.Contains(q.Hashes, h) })
}

// version is p's version, from the file's name when it comes from an address.
func (p Package) version() string {
	if p.Version != "" || p.URL == "" {
		return p.Version
	}
	address, _, _ := strings.Cut(p.URL, "#")
	if f := strings.Split(path.Base(address), "-"); len(f) >= 2 && strings.HasSuffix(address, ".whl") {
		return f[1]
	}
	return ""
}

// Class is how much c touches people who are at work.
func (c Changes) Class() Class {
	all := slices.Concat(c.Added, c.Removed, c.Upgraded, c.Downgraded, c.Rebuilt)
	big := func(ch Change) bool { return major(ch.From) != major(ch.To) }
	switch {
	case slices.ContainsFunc(all, func(ch Change) bool { return ch.Kind == Apt }):
		return Restart
	case c.Python != nil, c.Platform != nil, len(c.Removed) > 0,
		slices.ContainsFunc(c.Upgraded, big), slices.ContainsFunc(c.Downgraded, big):
		return Major
	case len(c.Upgraded) > 0, len(c.Downgraded) > 0, len(c.Rebuilt) > 0, len(c.Variables) > 0:
		return Patch
	case len(c.Added) > 0:
		return AddOnly
	}
	return None
}

// Sentence is c for a teacher, without a full stop: "Geo gets 2 new packages; nothing
// else changes", "Geo gets a newer version of numpy; ...". Display is the environment's name as the teacher wrote it.
func (c Changes) Sentence(display string) string {
	var did []string
	say := func(l []Change, format string) {
		if len(l) > 0 {
			did = append(did, fmt.Sprintf(format, nameOrCount(l)))
		}
	}
	if c.Python != nil {
		did = append(did, fmt.Sprintf("moves from Python %s to %s", c.Python.From, c.Python.To))
	}
	if c.Platform != nil {
		did = append(did, "moves to another kind of machine")
	}
	switch n := len(c.Added); {
	case n == 1:
		did = append(did, "gets the new package "+c.Added[0].Name)
	case n > 1:
		did = append(did, fmt.Sprintf("gets %d new packages", n))
	}
	say(c.Removed, "loses %s")
	say(c.Upgraded, "gets a newer version of %s")
	say(c.Downgraded, "gets an older version of %s")
	say(c.Rebuilt, "gets another build of %s")
	if n := len(c.Variables); n == 1 {
		did = append(did, "gets another value of the variable "+c.Variables[0].Name)
	} else if n > 1 {
		did = append(did, fmt.Sprintf("gets other values of %d variables", n))
	}
	switch c.Class() {
	case None:
		return "nothing changes in " + display
	case AddOnly:
		return title(display) + " " + did[0] + "; nothing else changes"
	case Restart:
		return title(display) + " " + listed(did) + "; servers that start from now on have it"
	}
	return title(display) + " " + listed(did) + "; kernels that run keep what they have until they are restarted"
}

// nameOrCount is a package by its name, or how many there are.
func nameOrCount(l []Change) string {
	if len(l) == 1 {
		return l[0].Name
	}
	return fmt.Sprintf("%d packages", len(l))
}

// listed joins parts of a sentence: "a, b and c".
func listed(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

// title begins a sentence with a name.
func title(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
