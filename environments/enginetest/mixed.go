package enginetest

import (
	"bytes"
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

	for name, ask := range map[string]Ask{
		"clashes":    {Conda: []string{"tinydep"}, Pip: []string{"clashes"}},
		"tinydep==7": {Conda: []string{"tinydep"}, Pip: []string{"tinydep==7"}},
	} {
		_, err := e.Resolve(t.Context(), ask)
		t.Run(name, func(t *testing.T) { fails(t, err, Conflict, name) })
	}
}
