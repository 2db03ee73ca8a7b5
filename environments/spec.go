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
	Name       string   // normalised as PEP 503 says; for a local wheel its distribution's name
	Spec       string   // the line without comments, continuations and hashes
	File       string   // relative to the teacher's folder
	Line       int      // 1-based
	Constraint bool     // limits a version, installs nothing
	Hashes     []string // such as sha256:9f86...; a file of the package has to have one of them; nil: any file
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
	Hash string // sha256: or md5: and hex, of the package's archive; "" for any
}

// Spec is what was asked for. The zero Spec with an Env, Core and Image asks for the
// locked Lab set and nothing else. One without Core is a kernel only: ipykernel is
// added when the environment has a Python and no kernel of its own.
type Spec struct {
	Env          Name
	Display      string             // as the teacher wrote the name; "" is Env
	Python       string             // "3.12" for a version asked for; "" for any
	Channels     []string           // of conda, the most important first: names such as conda-forge, or addresses
	ChannelLines []int              // of as many of them, 1-based, in the first file that asks for conda's packages; 0 when not known
	Conda        []CondaRequirement // in order; the channels' packages come before those of the index
	Requirements []Requirement      // in order; checked by whoever read the folder
	Wheels       []Wheel            // the local wheels among them
	Variables    []Variable         // that kernels are to have, sorted by name, each once
	AllowBuild   bool               // packages that exist as source only may be built, once, without network
	Pre          bool               // unfinished versions (PEP 440) will do
	Strict       bool               // of pip's packages only those with checksums, and what the class itself needs
	Files        fs.FS              // the teacher's folder, opened for Wheels only; may be nil without any
	Core         []byte             // the Lab set's lock: requirements.txt syntax, name==version with hashes
	Image        string             // id of the system image, in which everything runs
}

// digest is what the packages of a manifest depend on, apart from the state of the
// package index. Variables choose no package: see [Spec.with].
func (s Spec) digest(index string) string {
	h := sha256.New()
	fmt.Fprintf(h, "conjured spec 1\n%q %q %q %x\n", s.Env, s.Image, index, sha256.Sum256(s.Core))
	for _, r := range s.Requirements {
		fmt.Fprintf(h, "requirement %q %q %t\n", r.Name, r.Spec, r.Constraint)
	}
	for _, w := range s.Wheels {
		fmt.Fprintf(h, "wheel %q %q\n", w.Path, w.SHA256)
	}
	// What follows writes nothing when it is not asked for: what was resolved before
	// there was any of it stays known.
	if s.Python != "" {
		fmt.Fprintf(h, "python %q\n", s.Python)
	}
	for _, c := range s.Channels {
		fmt.Fprintf(h, "channel %q\n", c)
	}
	for _, c := range s.Conda {
		fmt.Fprintf(h, "conda %q\n", c.Spec)
	}
	if s.AllowBuild {
		fmt.Fprintf(h, "build\n")
	}
	s.digestHashes(h)
	if s.Pre {
		fmt.Fprintf(h, "pre\n")
	}
	if s.Strict {
		fmt.Fprintf(h, "strict\n")
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
	for _, c := range s.Conda {
		if !condaSpecForm.MatchString(c.Spec) {
			l = append(l, notice.Notice{
				Code: "environment-line", Severity: notice.SeverityError, File: c.File, Line: c.Line,
				What:  fmt.Sprintf("%.80q is not a package and a version", c.Spec),
				Means: "the class keeps the packages it has",
				Do:    "write the name of one package on the line, such as numpy or numpy=2",
			})
		}
	}
	for _, c := range s.Channels {
		if !channelForm.MatchString(c) {
			l = append(l, notice.Notice{
				Code: "environment-channel", Severity: notice.SeverityError, File: s.condaFile(),
				What:  fmt.Sprintf("%.80q is not a channel of packages", c),
				Means: "the class keeps the packages it has",
				Do:    "write the name of a channel, such as conda-forge",
			})
		}
	}
	l = append(l, s.checkVariables()...)
	if s.Python != "" && !pythonVersionForm.MatchString(s.Python) {
		l = append(l, notice.Notice{
			Code: "environment-python-form", Severity: notice.SeverityError, File: "runtime.txt",
			What:  fmt.Sprintf("%.40q is not a version of Python", s.Python),
			Means: "the class keeps the packages it has",
			Do:    "write a version such as python-3.12",
		})
	}
	return l.Err()
}

// condaFile is the file that asks for packages of conda, "" if none does.
func (s Spec) condaFile() string {
	if len(s.Conda) == 0 {
		return ""
	}
	return s.Conda[0].File
}

var (
	// condaSpecForm is a match spec, as far as a hostile one must be kept out: it begins
	// with a name or a channel, and is one line of printable characters.
	condaSpecForm     = regexp.MustCompile(`^[A-Za-z0-9_][\x20-\x7e]{0,400}$`)
	channelForm       = regexp.MustCompile(`^(?:https?://|file:///)?[A-Za-z0-9_][A-Za-z0-9._/:%~-]{0,300}$`)
	pythonVersionForm = regexp.MustCompile(`^[0-9]{1,2}\.[0-9]{1,3}(?:\.[0-9]{1,3})?$`)
	condaNameForm     = regexp.MustCompile(`^(?:[^:]*::)?\s*([A-Za-z0-9_][A-Za-z0-9._-]*)`)
)

// Name is the package that a line asks for, in lower case; "" when it names none.
func (c CondaRequirement) Name() string {
	m := condaNameForm.FindStringSubmatch(c.Spec)
	if m == nil {
		return ""
	}
	return strings.ToLower(m[1])
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
	for _, c := range s.Conda {
		out = append(out, c.Name())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// kernelOnly tells that the students' servers do not run in the environment.
func (s Spec) kernelOnly() bool { return len(s.Core) == 0 && s.Env != Base }

// asks tells whether a line asks for a distribution of the Python index.
func (s Spec) asks(name string) bool {
	return slices.ContainsFunc(s.Requirements, func(r Requirement) bool { return r.Name == name && !r.Constraint })
}

// line is the teacher's line that asks for a package.
func (s Spec) line(name string) (Requirement, bool) {
	i := slices.IndexFunc(s.Requirements, func(r Requirement) bool { return r.Name == name })
	if i < 0 {
		return Requirement{}, false
	}
	return s.Requirements[i], true
}

// check refuses also what is a matter of the school's policy.
func (b *Builder) check(s Spec) error {
	if err := s.check(); err != nil {
		return err
	}
	for _, c := range s.Channels {
		if !b.c.AllowDefaults && anacondaForm.MatchString(c) {
			return notice.List{{
				Code: "environment-channel-licence", Severity: notice.SeverityError, File: s.condaFile(),
				What:  fmt.Sprintf("the channel %s belongs to Anaconda, which asks larger schools for a licence", c),
				Means: unchanged,
				Do:    "write conda-forge instead, which has the same packages and is free",
			}}
		}
	}
	return nil
}

// anacondaForm is Anaconda's own channels, by name and by address.
var anacondaForm = regexp.MustCompile(`^(?:defaults|main|(?:pkgs/|https?://(?:[^/]*\.)?anaconda\.(?:com|org)/(?:pkgs/|repo/)?(?:main|r|free|msys2|pkgs)\b).*|https?://repo\.(?:anaconda|continuum)\.(?:com|io)/.*)$`)
