package custom

import (
	"fmt"
	"strings"
	"testing"
)

// Lists that are too long, too deep or too big are refused, and reading them ends.
func TestHostileLists(t *testing.T) {
	var uv, conda, pipfile strings.Builder
	conda.WriteString("package:\n")
	pipfile.WriteString("{\"default\": {\n")
	for i := range MaxPackages + 1 {
		fmt.Fprintf(&uv, "[[package]]\nname = \"p%d\"\nversion = \"1\"\nsource = { registry = \"x\" }\n", i)
		fmt.Fprintf(&conda, "- {platform: %s, url: 'https://conda.anaconda.org/c/%s/p%d-1-0.conda'}\n", subdir(), subdir(), i)
		fmt.Fprintf(&pipfile, "\"p%d\": {\n\"version\": \"==1\"},\n", i)
	}
	pipfile.WriteString("\"x\": {}}}")
	many := MaxTotalLocks/MaxLock + 1
	all := files{}
	for i := range many {
		all[fmt.Sprintf("c%d/uv.lock", i)] = strings.Repeat("#", MaxLock)
	}
	_, l := read(t, all, Options{})
	wantNotice(t, l, sevError, "lock-total", fmt.Sprintf("c%d/uv.lock", many-1), 0)
	for code, f := range map[string]files{
		"too-many-packages": {"uv.lock": uv.String(), "a/conda-lock.yml": conda.String(), "b/Pipfile.lock": pipfile.String()},
		"yaml-syntax":       {"pixi.lock": strings.Repeat("[", 100_000), "a/conda-lock.yml": strings.Repeat("- ", 100_000)},
		"json-syntax":       {"Pipfile.lock": strings.Repeat("[", MaxLock), "a/Pipfile.lock": "{} {}", "b/Pipfile.lock": "[]"},
		"toml-syntax":       {"uv.lock": "a=" + strings.Repeat("{a=", 100_000), "a/pylock.toml": "packages = 1", "b/uv.lock": "a = 1\na = 2\n"},
		"yaml-too-large":    {"pixi.lock": "a: [" + strings.Repeat("1,", MaxLockNodes) + "]"},
		"courses-too-many":  {"courses.csv": strings.Repeat("a,b\n", MaxMembers+2)},
		"courses-row":       {"courses.csv": "course,student\n\"a" + strings.Repeat("\n", 100)},
	} {
		_, l := read(t, f, Options{})
		for name := range f {
			if !strings.Contains(dump(l), "error "+code+" "+name) {
				t.Errorf("%s: want %s:\n%.3000s", name, code, dump(l))
			}
		}
	}
}
