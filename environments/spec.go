package environments

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
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

// CondaRequirement is one line of the teacher's files that asks for a conda package.
type CondaRequirement struct {
	Spec string // a match spec: numpy, numpy=2.3, conda-forge::numpy>=2
	File string // relative to the teacher's folder
	Line int    // 1-based
}

// Spec is what was asked for. The zero Spec with an Env, Core and Image asks for the
// locked Lab set and nothing else. One without Core is a kernel only: ipykernel is
// added when the environment has a Python and no kernel of its own.
type Spec struct {
	Env          Name
	Display      string             // as the teacher wrote the name; "" is Env
	Python       string             // "3.12" for a version asked for; "" for any
	Channels     []string           // of conda, the most important first: names such as conda-forge, or addresses
	Conda        []CondaRequirement // in order; the channels' packages come before those of the index
	Requirements []Requirement      // in order; checked by whoever read the folder
	Wheels       []Wheel            // the local wheels among them
	AllowBuild   bool               // packages that exist as source only may be built, once, without network
	Files        fs.FS              // the teacher's folder, opened for Wheels only; may be nil without any
	Core         []byte             // the Lab set's lock: requirements.txt syntax, name==version with hashes
	Image        string             // id of the system image, in which everything runs
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

// check refuses what no reader of a teacher's folder should let through: a line that uv
// would take for an option, for another file, or for two lines.
func (s Spec) check() error {
	if err := s.Env.Check(); err != nil {
		return err
	}
	if s.Image == "" {
		return errors.New("cannot make an environment: no image")
	}
	var l notice.List
	for _, r := range s.Requirements {
		if !requirementForm.MatchString(r.Spec) && !isWheelPath(r.Spec) || strings.HasPrefix(r.Spec, "-") {
			l = append(l, notice.Notice{
				Code: "environment-line", Severity: notice.SeverityError, File: r.File, Line: r.Line,
				What:  fmt.Sprintf("%.80q is not a package and a version", r.Spec),
				Means: "the class keeps the packages it has",
				Do:    "write the name of one package on the line, such as numpy or numpy>=2",
			})
		}
	}
	return l.Err()
}

// requirementForm is a name, extras, versions and a marker, or a name and the https
// address of a wheel (PEP 508, without control characters and variables).
var requirementForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*[ \t]*(\[[A-Za-z0-9,._ -]*\])?[ \t]*(@[ \t]*https://[^\x00-\x20$]+\.whl(#[^\x00-\x20$]*)?|[^\x00-\x1f@$\\]*)([ \t];[^\x00-\x1f$\\]*)?$`)

// asked is the names that the teacher's lines ask for, sorted.
func (s Spec) asked() []string {
	var out []string
	for _, r := range s.Requirements {
		if !r.Constraint {
			out = append(out, r.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// line is the teacher's line that asks for a package.
func (s Spec) line(name string) (Requirement, bool) {
	i := slices.IndexFunc(s.Requirements, func(r Requirement) bool { return r.Name == name })
	if i < 0 {
		return Requirement{}, false
	}
	return s.Requirements[i], true
}
