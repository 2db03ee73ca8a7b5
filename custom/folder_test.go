package custom

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/conjuring/conjured/notice"
)

// files is a folder to be: contents by path. A path that ends in "/" is a directory.
type files map[string]string

func (f files) with(more files) files {
	out := maps.Clone(f)
	maps.Copy(out, more)
	return out
}

func (f files) write(t testing.TB, dir string) string {
	t.Helper()
	for rel, data := range f {
		name := filepath.Join(dir, rel)
		if rel[len(rel)-1] == '/' {
			must(t, os.MkdirAll(name, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Join(dir, path.Dir(rel)), 0o755))
		must(t, os.WriteFile(name, []byte(data), 0o644))
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read reads a folder made of f.
func read(t testing.TB, f files, opt Options) (*Folder, notice.List) {
	t.Helper()
	folder, l := Read(t.Context(), f.write(t, t.TempDir()), opt)
	if folder == nil {
		t.Fatalf("no folder: %v", l)
	}
	return folder, l
}

// has tells whether l holds a notice of that code, severity, file and line.
func has(l notice.List, sev notice.Severity, code, file string, line int) bool {
	return slices.ContainsFunc(l, func(n notice.Notice) bool {
		return n.Code == code && n.Severity == sev && n.File == file && n.Line == line
	})
}

func wantNotice(t testing.TB, l notice.List, sev notice.Severity, code, file string, line int) {
	t.Helper()
	if !has(l, sev, code, file, line) {
		t.Errorf("want %s %s at %s:%d; have:\n%s", sev, code, file, line, dump(l))
	}
}

func wantNoErrors(t testing.TB, l notice.List) {
	t.Helper()
	if l.HasErrors() {
		t.Errorf("want no errors; have:\n%s", dump(l))
	}
}

func dump(l notice.List) string {
	var out []byte
	for _, n := range l {
		out = append(out, string(n.Severity)+" "+n.Code+" "+n.String()+"\n"...)
	}
	return string(out)
}

// original is the folder of the old project, as its main branch has it.
func original() files {
	return files{
		"users.csv":                "name,password,admin (first row is header)\njohn,aBadPswd\njane,0zSndTSHd,true\n",
		"environment.yml":          "name: base  # create a new file called environment-<name>.yml for alternative kernels\nchannels:\n- conda-forge\ndependencies:\n- python=3\n- pip\n- numpy\n- pip:\n  - tqdm\n  #- nbgitpuller\n",
		"apt.txt":                  "",
		"requirements.txt":         "",
		"base.Dockerfile":          "FROM ubuntu:18.04 as base\nENV DEBIAN_FRONTEND=noninteractive\nENV LANG=C.UTF-8\n",
		"srv/jupyterhub_config.py": "# c.JupyterHub.ssl_key = '/srv/jupyterhub/key.pem'\n",
		"home_default/.bashrc":     "export PS1='$ '\n",
		"home_default/.profile":    "\n",
		"shared/hello.sh":          "#!/bin/sh\necho hello\n",
		"home/.gitignore":          "*\n",
	}
}
