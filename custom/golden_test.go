package custom

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/notice"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write testdata/*.txtar anew")

// Each archive is a folder and, as its last file, the notices and the plan that it gives.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(filepath.Base(name), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			must(t, err)
			dir, wantText := filepath.Join(t.TempDir(), "class"), ""
			must(t, os.Mkdir(dir, 0o755))
			folder, last := files{}, -1
			for i, f := range a.Files {
				if f.Name == "WANT" {
					wantText, last = string(f.Data), i
					continue
				}
				folder[f.Name] = string(f.Data)
			}
			f, l := Read(t.Context(), folder.write(t, dir), Options{})
			got := plan(f, l)
			if *update {
				if last < 0 {
					a.Files = append(a.Files, txtar.File{Name: "WANT"})
					last = len(a.Files) - 1
				}
				a.Files[last].Data = []byte(got)
				must(t, os.WriteFile(name, txtar.Format(a), 0o644))
				return
			}
			if d := cmp.Diff(wantText, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// plan is what a folder comes to, for a person who reviews a change.
func plan(f *Folder, l notice.List) string {
	var b strings.Builder
	for _, n := range l {
		fmt.Fprintf(&b, "%s %s %s\n\t%s\n\t%s\n\t%s\n", n.Severity, n.Code, n.Where(), n.What, n.Means, n.Do)
	}
	if f == nil {
		return b.String()
	}
	apt, req, env, srv := names(f)
	fmt.Fprintf(&b, "class %s\napt %q\nrequirements %q\nenvironments %q\nsrv %q\nstages %+v\n", f.Name(), apt, req, env, srv, f.Stages())
	for _, s := range f.Environments() {
		fmt.Fprintf(&b, "%s", planned(s))
	}
	for _, s := range append([]Service{f.Override()}, f.Services()...) {
		data, _ := json.Marshal(s)
		var m map[string]any
		_ = json.Unmarshal(data, &m)
		for k, v := range m {
			if v == nil || v == "" || v == false || v == float64(0) || fmt.Sprint(v) == "[]" || fmt.Sprint(v) == "map[]" {
				delete(m, k)
			}
		}
		data, _ = json.Marshal(m)
		fmt.Fprintf(&b, "service %s\n", data)
	}
	return b.String()
}

// planned is one environment: a line for each thing that is not empty.
func planned(s Spec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "environment %s %q\n", s.Name, s.Display)
	if s.Course != "" || s.Students != nil {
		fmt.Fprintf(&b, "\tcourse %q students %q\n", s.Course, s.Students)
	}
	if s.Python != "" || s.AllowBuild {
		fmt.Fprintf(&b, "\tpython %q build %t\n", s.Python, s.AllowBuild)
	}
	if len(s.Channels) > 0 {
		fmt.Fprintf(&b, "\tchannels %q\n", s.Channels)
	}
	for _, c := range s.Conda {
		fmt.Fprintf(&b, "\tconda %s:%d %s\n", c.File, c.Line, c.Spec)
	}
	for _, p := range s.Pip {
		fmt.Fprintf(&b, "\tpip %s:%d %s %s constraint=%t\n", p.File, p.Line, p.Name, p.Spec, p.Constraint)
	}
	for _, w := range s.Wheels {
		fmt.Fprintf(&b, "\twheel %s\n", w.Path)
	}
	for _, f := range s.Files {
		fmt.Fprintf(&b, "\thistory %s from %s\n", f.Name, f.Path)
	}
	return b.String()
}

func TestReport(t *testing.T) {
	dir := original().write(t, t.TempDir())
	before, err := os.ReadDir(dir)
	must(t, err)
	data, err := json.Marshal(Check(t.Context(), dir, Policy{}))
	must(t, err)
	var got struct {
		Notices []struct{ Code, Severity, File, What, Means, Do string }
		Roster  []struct {
			User  string
			Admin bool
			Row   int
		}
		Environments []struct{ Name, File string }
	}
	must(t, json.Unmarshal(data, &got))
	if len(got.Roster) != 2 || got.Roster[1].User != "jane" || !got.Roster[1].Admin || got.Roster[1].Row != 3 {
		t.Errorf("roster: %+v", got.Roster)
	}
	if len(got.Environments) != 1 || got.Environments[0].Name != "base" || got.Environments[0].File != "environment.yml" {
		t.Errorf("report: %+v", got)
	}
	if strings.Contains(string(data), "aBadPswd") || strings.Contains(string(data), "0zSndTSHd") {
		t.Error("the report holds a password")
	}
	empty, _ := json.Marshal(Check(t.Context(), dir+"/gone", Policy{}))
	if !strings.Contains(string(empty), `"roster":[]`) || !strings.Contains(string(empty), `"environments":[]`) {
		t.Errorf("lists should never be null: %s", empty)
	}
	after, err := os.ReadDir(dir)
	must(t, err)
	want(t, "the folder after check", len(after), len(before))
}
