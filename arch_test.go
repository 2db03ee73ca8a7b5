package conjured

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/conjuring/conjured"

// allowed is the map of the house: for every package, the packages of this module
// that it may import. A new edge is a design decision: change this table, and say
// why, in the commit that needs it.
var allowed = map[string][]string{
	".":                           {},
	"notice":                      {},
	"progress":                    {},
	"engine":                      {"notice", "progress"},
	"users":                       {"notice"},
	"custom":                      {"notice", "users", "environments/variables"}, // one rule for what is read and what is built
	"usbwatch":                    {"notice", "progress"},
	"homes":                       {"notice", "progress"},
	"layers":                      {"notice", "progress", "custom", "engine", "."},
	"environments":                {"notice", "progress", "environments/variables"},
	"environments/variables":      {"environments/secret"}, // what the history refuses is not set: it could not be recorded
	"environments/secret":         {},
	"environments/history":        {"notice", "environments/secret"},
	"environments/registry":       {"notice", "progress", "environments", "environments/history"},
	"hub":                         {"notice", "progress", "users", "homes", "engine"},
	"gateway":                     {"notice", "progress", "api"},
	"gateway/desk":                {"notice", "progress", "gateway/session"},
	"gateway/session":             {},
	"gateway/session/sessiontest": {},
	"gateway/chp":                 {"gateway"},
	"gateway/statics":             {},
	"appliance":                   {"notice", "progress", "custom", "users"},
	"api":                         {"notice", "progress"},
	"client":                      {"api", "notice", "progress"},
	"internal/needs":              {},
	"internal/wheeltest":          {"internal/roughnet"},
	"environments/enginetest":     {"internal/condatest", "internal/needs", "internal/roughnet", "internal/wheeltest"},
	"internal/dockertest":         {},
	"internal/condatest":          {"internal/roughnet"},
	"internal/roughnet":           {},
	"internal/gitenvtest":         {},
	"systemd":                     {},
	"cmd/conjured":                {"*"},
}

// owners confines each foreign library to the packages that wrap it.
var owners = map[string][]string{
	"github.com/moby/moby":                  {"engine", "layers"},
	"github.com/moby/buildkit":              {"layers", "engine"},
	"github.com/tonistiigi/fsutil":          {"layers"},
	"github.com/compose-spec/compose-go/v2": {"custom"},
	"go.yaml.in/yaml/v4":                    {"custom", "cmd/conjured"},
	"github.com/pelletier/go-toml/v2":       {"custom"},
	"github.com/gocarina/gocsv":             {"users"},
	"golang.org/x/crypto":                   {"users"},
	"github.com/fsnotify/fsnotify":          {"usbwatch"},
	"github.com/coreos/go-systemd/v22":      {"systemd"},
	"github.com/spf13/cobra":                {"cmd/conjured"},
	"github.com/spf13/pflag":                {"cmd/conjured", "gateway/chp"}, // the original's flags are no subcommands
	"github.com/VictoriaMetrics/metrics":    {"gateway/chp"},
	"github.com/klauspost/compress":         {"gateway/statics", "internal/condatest"},
	"github.com/andybalholm/brotli":         {"gateway/statics"},
	"github.com/cespare/xxhash":             {"gateway/statics"},
}

type pkg struct {
	imports []string
	docs    int // files with a package comment
}

// packages reads the tree in this process. Asking "go list" would let the test
// cache keep a stale "ok": it tracks the files that the test itself opens.
func packages(t *testing.T) map[string]*pkg {
	t.Helper()
	found := map[string]*pkg{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(path, d.Name()):
			return filepath.SkipDir
		case d.IsDir(), !strings.HasSuffix(path, ".go"), strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if found[dir] == nil {
			found[dir] = &pkg{}
		}
		if f.Doc != nil {
			found[dir].docs++
		}
		for _, im := range f.Imports {
			found[dir].imports = append(found[dir].imports, strings.Trim(im.Path.Value, `"`))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func skipped(path, name string) bool {
	return name == "testdata" || path != "." && strings.HasPrefix(name, ".") || path == "state" || path == "bin"
}

func TestImports(t *testing.T) {
	for from, p := range packages(t) {
		ours, known := allowed[from]
		if !known {
			t.Errorf("package %s is not on the map: add it to allowed with the packages it may import", from)
			continue
		}
		for _, imp := range p.imports {
			to, ok := strings.CutPrefix(imp, module)
			if ok {
				to = strings.TrimPrefix(to, "/")
				if to == "" {
					to = "."
				}
				if !slices.Contains(ours, to) && !slices.Contains(ours, "*") {
					t.Errorf("%s must not import %s (allowed: %s)", from, to, strings.Join(ours, ", "))
				}
			}
			for lib, own := range owners {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !slices.Contains(own, from) {
					t.Errorf("%s must not import %s: only %s may", from, imp, strings.Join(own, ", "))
				}
			}
		}
	}
}

func TestOnePackageComment(t *testing.T) {
	for dir, p := range packages(t) {
		if p.docs != 1 {
			t.Errorf("package %s has %d package comments, want 1", dir, p.docs)
		}
	}
}

// The table must not promise packages that are gone.
func TestMapIsCurrent(t *testing.T) {
	found := packages(t)
	for dir := range allowed {
		if found[dir] == nil {
			t.Errorf("package %s is on the map and not in the tree", dir)
		}
	}
}
