package environments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

const pypi = "https://pypi.org/simple"

// maxSources is how many packages of one environment are built from source.
const maxSources = 8

var (
	exactForm = regexp.MustCompile(`===?\s*([^\s,;]+)`)
	builtForm = regexp.MustCompile(`^[A-Za-z0-9_.]+-[A-Za-z0-9_.+!]+(-[A-Za-z0-9_.]+){3,4}\.whl$`)
)

// fromSource makes a wheel of the package that err says has none, and has uv take it.
// It tells whether it did: then the attempt is worth another try.
//
// The wheel is built once: it is in the store by its own hash, as a teacher's own is, and
// in the manifest. Its code runs without network, and sees nothing but its own source.
func (b *Builder) fromSource(ctx context.Context, s Spec, w work, err error, sink progress.Sink) (bool, error) {
	var f *buildFailure
	if !s.AllowBuild || b.c.Offline || w.offline || !errors.As(err, &f) || len(f.notices) == 0 || f.notices[0].Code != "environment-no-wheel" {
		return false, nil
	}
	m := wheelForm.FindStringSubmatch(strings.Join(strings.Fields(f.output), " "))
	if m == nil {
		return false, nil
	}
	name, version := normalise(m[1]), ""
	if r, ok := s.line(name); ok {
		if v := exactForm.FindStringSubmatch(r.Spec); v != nil {
			version = v[1]
		}
	}
	url := "file://" + b.c.Store.mount + "/"
	hashes, _ := s.allowed(name, version) // of what a wheel was built is not known later
	if wheel, ok := b.builtBefore(w.prev.Manifest, name, version); ok && hashes == nil {
		url = wheel
	} else {
		sink.Progress(progress.Event{Job: "environment", Step: "building " + name + " from its source"})
		wheel, err := b.buildSource(ctx, s, w, name, version, hashes, sink)
		if err != nil {
			return false, err
		}
		url += wheel
	}
	path := filepath.Join(w.host, "constraints.txt")
	old, err := readSmall(path)
	if err != nil {
		return false, err
	}
	return true, w.put("constraints.txt", append(old, fmt.Sprintf("%s @ %s\n", name, url)...))
}

// builtBefore is the wheel that the generation in use has, where the line allows it.
func (b *Builder) builtBefore(prev Manifest, name, version string) (url string, ok bool) {
	p, ok := prev.Find(name)
	if !ok || !strings.HasPrefix(p.URL, "file://") {
		return "", false
	}
	have, err := b.c.Store.holds(p)
	fits := version == "" || strings.Contains(filepath.Base(p.URL), "-"+version+"-")
	return p.URL, err == nil && have && fits
}

// buildSource gives the path of the wheel, relative to the store's root.
func (b *Builder) buildSource(ctx context.Context, s Spec, w work, name, version string, hashes []string, sink progress.Sink) (string, error) {
	dir := filepath.Join(w.host, "source")
	index := pypi
	if b.c.Index != "" {
		index = b.c.Index
	}
	job, err := json.Marshal(map[string]any{"name": name, "version": version, "index": index, "uv": b.c.UV, "hashes": hashes, "options": b.options(false)})
	if err != nil {
		return "", err
	}
	script, err := scripts.ReadFile("build/source.py")
	if err = errors.Join(err, os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
		return "", err
	}
	if err := errors.Join(w.put("source/source.json", job), w.put("source/source.py", script), os.Chmod(filepath.Join(dir, "source.py"), 0o644)); err != nil {
		return "", err
	}
	err = b.source(ctx, s, w, "fetch", name, sink)
	if err == nil {
		err = b.give(filepath.Join(dir, "src"), filepath.Join(dir, "out"))
	}
	if err == nil {
		err = b.source(ctx, s, w, "build", name, sink)
	}
	if err != nil {
		return "", err
	}
	made, err := filepath.Glob(filepath.Join(dir, "out", "*.whl"))
	if err != nil || len(made) != 1 || !builtForm.MatchString(filepath.Base(made[0])) {
		return "", notBuilt(s, name, "it made no wheel")
	}
	data, err := readSmall(made[0])
	if err != nil {
		return "", notBuilt(s, name, "its wheel cannot be read")
	}
	rel := filepath.Join("store", "wheel", digest(data), filepath.Base(made[0]))
	if err := mkdir(filepath.Dir(filepath.Join(b.c.Store.root, rel)), 0o700); err != nil {
		return "", fmt.Errorf("cannot keep a wheel: %w", err)
	}
	return rel, b.c.Store.write(filepath.Join(b.c.Store.root, rel), data, 0o444)
}

// give lets who runs packages' code write to what is in src, and to out, a new directory.
// What builds the package lies beside, and stays ours: it is linked from the cache, and
// whoever owned it could change what all environments get from there.
func (b *Builder) give(src, out string) error {
	uid, gid, err := ids(b.c.Verifier)
	if err := errors.Join(err, os.Mkdir(out, 0o755)); err != nil {
		return fmt.Errorf("cannot build from source: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return errors.Join(os.Lchown(out, uid, gid), filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); !d.IsDir() && (!ok || st.Nlink > 1) {
			return nil
		}
		return os.Lchown(path, uid, gid)
	}))
}

// source runs source.py. What builds is nobody, and sees its own directory and no network.
func (b *Builder) source(ctx context.Context, s Spec, w work, verb, name string, sink progress.Sink) error {
	inside := filepath.Join(b.c.Store.mount, w.rel, "source")
	mounts, user := []Mount{{Host: filepath.Join(w.host, "source"), Container: inside}}, b.c.Verifier
	if verb == "fetch" {
		mounts, user = b.mounts(), b.c.Builder
	}
	read := newReader(sink, "")
	exit, err := b.c.Runner.Run(ctx, Command{
		Image: s.Image, Args: []string{b.c.Python, "-I", "-S", filepath.Join(inside, "source.py"), verb},
		Env: b.environment(), Mounts: mounts, User: user, Network: verb == "fetch", Output: read,
	})
	read.flush()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("cannot build %s: %w", name, err)
	case exit == otherSource:
		return s.otherSource(name)
	case exit != 0:
		return notBuilt(s, name, lastError(read.text(), exit))
	}
	return nil
}

// otherSource is how source.py ends when the source is not one that the lines allow.
const otherSource = 3

func (s Spec) otherSource(name string) error {
	_, at := s.allowed(name, "")
	return &notice.Error{Notice: notice.Notice{
		Code: "environment-hash-other", Severity: notice.SeverityError, File: at.File, Line: at.Line, Means: unchanged,
		What: fmt.Sprintf("%s is only published as source code, and that source is not what the checksums on its line were made of", name),
		Do:   askMaker,
	}}
}

func notBuilt(s Spec, name, why string) error {
	return &notice.Error{Notice: s.at(name, notice.Notice{
		Code: "environment-not-built", Severity: notice.SeverityError,
		What:  fmt.Sprintf("%s is only published as source code, and could not be built from it: %s", name, why),
		Means: unchanged,
		Do:    "name another version of it, or put a finished file (.whl) of it into the folder and name it on that line as ./FILE.whl",
	})}
}
