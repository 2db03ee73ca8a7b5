package enginetest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Mixed runs what an engine has to do for both kinds in one environment.
func Mixed(t *testing.T, engine func(*testing.T, *World) Engine) {
	w := NewWorld(t, "")
	e := engine(t, w)
	both := Ask{Conda: []string{"app"}, Pip: []string{"uses-tinydep", "two"}}
	p := plan(t, e, both)
	for name, version := range map[string]string{"app": "1.0", "tinydep": "0.4", "uses-tinydep": "1", "one": "1", "python": w.Python} {
		if p.Version(name) != version {
			t.Errorf("%s is %q, want %s: %+v", name, p.Version(name), version, p.Packages)
		}
	}
	if again := plan(t, e, both); !bytes.Equal(p.Bytes, again.Bytes) {
		t.Errorf("the same question was answered differently:\n%s\n%s", p.Bytes, again.Bytes)
	}
	first, second := install(t, e, p), install(t, e, p)
	if out, err := run(first, "bin/python", "-B", "-I", "-c", "import app, tinydep, uses_tinydep, two; app.main()"); err != nil || out != "app with 0.4\n" {
		t.Errorf("%s %v", out, err)
	}
	same(t, first, second)

	t.Run("on another box", func(t *testing.T) {
		other := *w
		other.Root = roomLike(t, w.Root)
		e := engine(t, &other)
		q := plan(t, e, both)
		if !bytes.Equal(p.Bytes, q.Bytes) {
			t.Errorf("the same question was answered differently:\n%s\n%s", p.Bytes, q.Bytes)
		}
		same(t, first, install(t, e, q), w.Root, other.Root)
	})
	t.Run("beside another", func(t *testing.T) { mixedBeside(t, e, p) })
	for name, ask := range map[string]Ask{
		"clashes":    {Conda: []string{"tinydep"}, Pip: []string{"clashes"}},
		"tinydep==7": {Conda: []string{"tinydep"}, Pip: []string{"tinydep==7"}},
	} {
		_, err := e.Resolve(t.Context(), ask)
		t.Run(name, func(t *testing.T) { fails(t, err, Conflict, name) })
	}
}

// mixedBeside makes a plan beside the one in use, whose files it may share, and from
// nothing: how it was made is not to be seen.
func mixedBeside(t *testing.T, e Engine, before Plan) {
	p := plan(t, e, Ask{Conda: []string{"app", "data"}, Pip: []string{"uses-tinydep", "two", "my-pack-age"}, Locked: before})
	for _, b := range before.Packages {
		if p.Version(b.Name) != b.Version {
			t.Errorf("a package more changed %s to %q", b.Name, p.Version(b.Name))
		}
	}
	same(t, install(t, e, p), install(t, e, p))
}

// roomLike is a new directory whose path is as long as that of another, so that what
// names its prefix can be compared.
func roomLike(t *testing.T, root string) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(root), "9"+filepath.Base(root)[1:])
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
