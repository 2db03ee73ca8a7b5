package environments

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
)

//go:embed build/*.py
var scripts embed.FS

// maxWheel bounds a teacher's own wheel: 1 GiB.
const maxWheel = 1 << 30

// work is the scratch directory of one build, below the environment mount so that the
// container sees it.
type work struct {
	host string     // on the host
	rel  string     // relative to the store's root
	prev Generation // the one in use; its Number is 0 when there is none
	base Generation // of Base, for another environment of the same image; else its Number is 0

	// narrow means that the Lab set's versions are given, and only what the teacher's
	// lines ask for needs a choice. See build.py.
	narrow bool

	offline bool // only what is stored may be used
	sure    bool // nothing is supposed before it is known
	check   bool // and what is stored is looked at before
}

// job is what build.py reads.
type job struct {
	Mode       string   `json:"mode"` // resolve, build or both
	Python     string   `json:"python"`
	UV         string   `json:"uv"`
	Gen        string   `json:"gen"`
	Prev       string   `json:"prev"`
	PrevPython string   `json:"prev_python"`
	Base       string   `json:"base"`
	Lab        string   `json:"lab"`
	Hot        string   `json:"hot"`
	Asked      string   `json:"asked"` // version of Python, or ""
	Implicit   []string `json:"implicit"`
	Check      bool     `json:"check"`
	Ahead      bool     `json:"ahead"` // a guess fills Gen
	Token      string   `json:"token"` // what it says in the end, which nobody else can say
	Conda      condaJob `json:"conda"`
	Narrow     bool     `json:"narrow"`
	Options    []string `json:"options"`
}

// built is what build.py says of a generation it installed.
type built struct {
	Alone  bool     `json:"alone"`  // the generation in use, and beside it New, which nothing in it looks for
	New    []string `json:"new"`    // distributions
	Reason string   `json:"reason"` // why not Alone
	Added  []string `json:"added"`  // the files that are not in the generation in use; null: it was not linked ahead
	Kernel []string `json:"kernel"` // how a kernel of its own is started; nil: as one of Python
}

// ipykernel is what makes a kernel of a Python. Every environment has it.
const ipykernel = "ipykernel"

// implicit is what nobody asks for and a kernel needs.
func (s Spec) implicit() []string {
	if !s.kernelOnly() || s.asks(ipykernel) || slices.ContainsFunc(s.Conda, func(c CondaRequirement) bool { return c.Name() == ipykernel }) {
		return []string{}
	}
	return []string{ipykernel}
}

// prepare writes what uv reads: in.txt and constraints.txt from the teacher's lines,
// core.txt and lab.txt from the image's lock, and the current manifest twice: as lock.txt
// and locked.json, what had best stay (uv overwrites the former), and as previous.*.
func (b *Builder) prepare(s Spec, o ResolveOptions) (work, error) {
	host, err := os.MkdirTemp(filepath.Join(b.c.Store.root, "store", "work"), "build-")
	if err != nil {
		return work{}, fmt.Errorf("cannot prepare a build: %w", err)
	}
	rel, _ := filepath.Rel(b.c.Store.root, host)
	w := work{host: host, rel: rel, narrow: len(s.Core) > 0 && !s.limitsCore(), offline: o.Offline, sure: o.sure}
	in, constraints, err := b.lines(s)
	if err == nil {
		err = errors.Join(w.put("in.txt", in), w.put("constraints.txt", constraints),
			w.put("core.txt", s.Core), w.put("lab.txt", b.lab(s)), w.putScripts())
	}
	if g, cErr := b.c.Store.Current(s.Env); cErr == nil {
		w.prev = g
		err = errors.Join(err, w.put("previous.txt", g.Manifest.body()), w.putConda("previous.json", g.Manifest), w.putConda("locked.json", locked(g.Manifest, o)))
	}
	if g, cErr := b.c.Store.Current(Base); cErr == nil && s.Env != Base && g.Image == s.Image {
		w.base = g
		err = errors.Join(err, w.put("base.txt", g.Manifest.body()))
	}
	if pref := b.preferred(s, w.prev.Manifest, o); err == nil && len(pref) > 0 {
		err = w.put("lock.txt", pref)
	}
	if err != nil {
		w.drop(b.c.Log)
	}
	return w, err
}

// lab is the lock of the Lab set that the image has installed.
func (b *Builder) lab(s Spec) []byte {
	if len(s.Core) > 0 {
		return s.Core
	}
	return b.c.LabLock
}

// locked is the packages of conda that stay as they are if the lines allow it.
func locked(prev Manifest, o ResolveOptions) Manifest {
	var out Manifest
	for _, p := range prev.of(Conda) {
		if !o.moves(p.Name) {
			out.Packages = append(out.Packages, p)
		}
	}
	return out
}

// preferred is the versions to take where the lines leave a choice: those of the
// generation in use, and for a kernel those of the Lab set, which the image has.
func (b *Builder) preferred(s Spec, prev Manifest, o ResolveOptions) []byte {
	var stay Manifest
	for _, p := range prev.of(Pip) {
		if !o.moves(p.Name) {
			stay.Packages = append(stay.Packages, s.pinned(p))
		}
	}
	out := stay.body()
	if !s.kernelOnly() {
		return out
	}
	// A package may have a line for each of some Pythons: they stay as they are written.
	text := strings.ReplaceAll(string(b.c.LabLock), "\\\n", "\x00")
	for line := range strings.Lines(text) {
		p, err := parsePin(strings.TrimSpace(strings.ReplaceAll(line, "\x00", " ")))
		if err != nil {
			continue // a comment
		}
		if _, ok := stay.Find(p.Name); !ok && !(o.moves(p.Name) && s.asks(p.Name)) {
			out = append(out, s.withoutHashes(p, strings.ReplaceAll(line, "\x00", "\\\n"))...)
		}
	}
	return out
}

// lines gives the teacher's lines for uv. Local wheels become files of the store.
func (b *Builder) lines(s Spec) (in, constraints []byte, err error) {
	wheels := map[string]Wheel{}
	for _, w := range s.Wheels {
		wheels[filepath.Clean(w.Path)] = w
	}
	for _, r := range s.Requirements {
		line := r.Spec
		if isWheelPath(line) {
			w, ok := wheels[filepath.Join(filepath.Dir(r.File), line)]
			if !ok {
				w, ok = wheels[filepath.Clean(line)]
			}
			if !ok {
				return nil, nil, fmt.Errorf("cannot find wheel %q of %s line %d", line, r.File, r.Line)
			}
			rel, err := b.c.Store.takeWheel(s, w)
			if err != nil {
				return nil, nil, err
			}
			line = fmt.Sprintf("%s @ file://%s --hash=sha256:%s", r.Name, filepath.Join(b.c.Store.mount, rel), w.SHA256)
		}
		if r.Constraint {
			constraints = append(constraints, line+"\n"...)
		} else {
			in = append(in, line+"\n"...)
		}
	}
	return in, constraints, nil
}

// relax lets the core set move: its roots stay required, the hub's own version stays
// exact, and the lock becomes a preference.
func (w *work) relax(s Spec) error {
	w.narrow = false
	core, err := parseLock(s.Core)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, p := range core {
		for _, r := range roots {
			switch {
			case p.Name != r:
			case r == "jupyterhub":
				fmt.Fprintln(&b, p)
			default:
				fmt.Fprintln(&b, p.Name)
			}
		}
	}
	return errors.Join(w.put("core.txt", b.Bytes()), w.put("lock.txt", s.Core))
}

// limitsCore tells whether a constraint names a package of the Lab set. Then all must be
// looked at, since nothing in the teacher's lines may ask for that package.
func (s Spec) limitsCore() bool {
	core := coreNames(s)
	return slices.ContainsFunc(s.Requirements, func(r Requirement) bool {
		_, ok := core[r.Name]
		return ok && r.Constraint
	})
}

func (w work) putScripts() error {
	return fs.WalkDir(scripts, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := scripts.ReadFile(path)
		return errors.Join(err, w.put(filepath.Base(path), data))
	})
}

// putJob writes what build.py is to do.
func (w work) putJob(j job) error {
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return w.put("job.json", data)
}

// built reads what build.py said. Nothing, when it did not get that far.
func (w work) built() built {
	var out built
	data, err := readSmall(filepath.Join(w.host, "result.json"))
	if err != nil || json.Unmarshal(data, &out) != nil {
		return built{Reason: "no result"}
	}
	return out
}

func (w work) put(name string, data []byte) error {
	if err := os.WriteFile(filepath.Join(w.host, name), data, 0o600); err != nil {
		return fmt.Errorf("cannot prepare a build: %w", err)
	}
	return nil
}

func (w work) drop(log *slog.Logger) {
	if err := os.RemoveAll(w.host); err != nil {
		log.Warn("cannot remove scratch", "path", w.host, "error", err)
	}
}

func isWheelPath(line string) bool {
	return strings.HasSuffix(line, ".whl") && !strings.ContainsAny(line, " @:")
}

// readWheel reads a wheel and insists on the hash that was announced.
func readWheel(files fs.FS, w Wheel) ([]byte, error) {
	if files == nil {
		return nil, fmt.Errorf("cannot read wheel %s: no folder given", w.Path)
	}
	f, err := files.Open(w.Path)
	if err != nil {
		return nil, fmt.Errorf("cannot read wheel: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxWheel+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read wheel: %w", err)
	}
	if len(data) > maxWheel || digest(data) != w.SHA256 {
		return nil, &notice.Error{Notice: notice.Notice{
			Code: "environment-wheel-changed", Severity: notice.SeverityError, File: w.Path,
			What:  "the file " + w.Path + " changed while it was being read, or is larger than 1 GiB",
			Means: "the class keeps the packages it has",
			Do:    "copy the file into the folder again and wait until the copy is finished",
		}}
	}
	return data, nil
}
