package environments

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// Requirement is one line of the teacher's files that asks for a package.
// It has the fields of custom.Requirement, so that one converts to the other.
type Requirement struct {
	Name       string // normalised as PEP 503 says; for a local wheel its distribution's name
	Spec       string // the line without comments, continuations and hashes
	File       string // relative to the teacher's folder
	Line       int    // 1-based
	Constraint bool   // limits a version, installs nothing
}

// Wheel is a wheel in the teacher's folder, named by a line such as ./x-1-py3-none-any.whl.
type Wheel struct {
	Path   string // relative to the folder, slash-separated
	SHA256 string // hex, of its content
}

// Spec is what was asked for. The zero Spec with an Env, Core and Image asks for the
// locked Lab set and nothing else.
type Spec struct {
	Env          Name
	Requirements []Requirement // in order; checked by whoever read the folder
	Wheels       []Wheel       // the local wheels among them
	Files        fs.FS         // the teacher's folder, opened for Wheels only; may be nil without any
	Core         []byte        // the Lab set's lock: requirements.txt syntax, name==version with hashes
	Image        string        // id of the system image, in which everything runs
}

// digest is what a manifest depends on, apart from the state of the package index.
func (s Spec) digest(index string) string {
	h := sha256.New()
	fmt.Fprintf(h, "conjured spec 1\n%q %q %q %x\n", s.Env, s.Image, index, sha256.Sum256(s.Core))
	for _, r := range s.Requirements {
		fmt.Fprintf(h, "requirement %q %q %t\n", r.Name, r.Spec, r.Constraint)
	}
	for _, w := range s.Wheels {
		fmt.Fprintf(h, "wheel %q %q\n", w.Path, w.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}
