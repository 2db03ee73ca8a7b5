package custom

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/conjuring/conjured/notice"
)

// fuzzFile reads a folder with one hostile file: whatever is in it, reading ends,
// and every notice can be shown to a person.
func fuzzFile(f *testing.F, name string, check func(t *testing.T, folder *Folder, l notice.List), seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		folder, l := Read(t.Context(), files{name: string(data)}.write(t, t.TempDir()), Options{})
		if folder == nil {
			t.Fatal("no folder")
		}
		for _, n := range l {
			if n.Code == "" || n.What == "" || n.Means == "" || n.Do == "" || n.Line < 0 || !utf8.ValidString(n.String()) || printable(n.What) != n.What {
				t.Errorf("cannot be shown: %+v", n)
			}
		}
		if check != nil {
			check(t, folder, l)
		}
	})
}

func FuzzApt(f *testing.F) {
	fuzzFile(f, AptTXT, func(t *testing.T, folder *Folder, _ notice.List) {
		for _, p := range folder.AptPackages() {
			if !aptWord.MatchString(p.Spec()) || p.Name[0] == '-' {
				t.Errorf("taken: %q", p.Spec())
			}
		}
	}, "tree vim=1\n# c\n", "\xef\xbb\xbfvim;id\r\n", "a- b+ -o x")
}

func FuzzRequirements(f *testing.F) {
	fuzzFile(f, RequirementsTXT, func(t *testing.T, folder *Folder, _ notice.List) {
		for _, q := range folder.Requirements().Items {
			if q.Name == "" || q.Spec == "" || q.Line < 1 || q.Spec[0] == '-' || strings.Contains(q.Spec, "--hash") || !checksums(q.Hashes...) {
				t.Errorf("taken: %+v", q)
			}
		}
	}, "numpy==1 ; python_version<'3'\n-r x\n", "a\\\nb \\", "-e .\n./x.whl\n--hash=sha256:00\n", "x[a,b]>=1,<2 --hash=sha256:aa", "x==1 --hash="+sumA+" --hash\tsha512:0\n./x-1-py3-none-any.whl --hash="+sumB+"\n")
}

func FuzzEnvironment(f *testing.F) {
	fuzzFile(f, "environment.yml", func(t *testing.T, folder *Folder, _ notice.List) {
		for _, e := range folder.EnvironmentFiles() {
			if !envName.MatchString(e.Name) {
				t.Errorf("taken: %q", e.Name)
			}
		}
		checkSpecs(t, folder)
	}, "name: base # x\nchannels: [a]\ndependencies:\n- a\n- pip: [b]\n", "a: &a [*a]", "? x\n: y", "name: 'q'\nname: b")
}

func FuzzOverride(f *testing.F) {
	fuzzFile(f, OverrideYML, func(t *testing.T, folder *Folder, l notice.List) {
		for _, s := range append(folder.Services(), folder.Override()) {
			for _, m := range s.Mounts {
				if !l.HasErrors() && (m.Host != "" || s.Privileged || s.NetworkHost || s.HostPID || s.HostIPC || len(s.Devices) > 0) {
					t.Errorf("reaches the machine: %+v", s)
				}
			}
		}
	}, conjuringWith("shm_size: 1g", "ports: [\"80:80\"]"), conjuringWith("privileged: true"), "services: {a: {image: b, volumes: [/:/x]}}", "version: '3'\nservices:\n  conjuring:\n    ports: !reset []\n", conjuringWith("environment: [\"A=${B:-c}\"]"))
}

func FuzzDockerfile(f *testing.F) {
	fuzzFile(f, BaseDockerfile, nil, "FROM a AS base\nRUN <<EOF\nx\nEOF\n", "# escape=`\nFROM a `\n AS base", "ARG X\nFROM $X")
}

// checkSpecs tells whether anything was taken that an engine would read as something else.
func checkSpecs(t *testing.T, folder *Folder) {
	t.Helper()
	for _, s := range folder.Environments() {
		if len(s.Name) > MaxEnvName || mapName(s.Display) != s.Name {
			t.Errorf("name taken: %q %q", s.Name, s.Display)
		}
		for _, c := range s.Channels {
			if strings.ContainsAny(c, "@ \t\n") || c[0] == '-' || c == "defaults" || anaconda(strings.TrimPrefix(c, "https://")) {
				t.Errorf("channel taken: %q", c)
			}
		}
		for _, c := range s.Conda {
			if again, do := parseConda(c.Spec); do != "" || again.String() != c.Spec || c.Line < 1 || strings.ContainsAny(c.Spec, ";&$`\\\n") || c.Spec[0] == '-' || c.Hash != "" && !checksums(c.Hash) {
				t.Errorf("conda taken: %+v", c)
			}
		}
		for _, p := range s.Pip {
			if p.Name == "" || p.Spec == "" || p.Line < 1 || p.Spec[0] == '-' || strings.ContainsAny(p.Spec, "\n\r\x00") || !checksums(p.Hashes...) {
				t.Errorf("pip taken: %+v", p)
			}
		}
	}
}

// checksums tells whether all are in the one form.
func checksums(all ...string) bool {
	return !slices.ContainsFunc(all, func(h string) bool { same, ok := checksum(h); return !ok || same != h })
}

func FuzzLocks(f *testing.F) {
	for name, text := range lockFiles(f) {
		f.Add(name, []byte(text))
	}
	f.Add(CoursesCSV, []byte("course,student\nc,*\n\"x"))
	f.Add("runtime.txt", []byte("r-4.4-2024-01-01"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if !courseFile(name) && name != CoursesCSV {
			return
		}
		folder, l := Read(t.Context(), files{"c/" + name: string(data), name: string(data), "c/requirements.txt": "a\n"}.write(t, t.TempDir()), Options{})
		for _, n := range l {
			if n.Code == "" || n.What == "" || n.Means == "" || n.Do == "" || n.Line < 0 || printable(n.What) != n.What {
				t.Errorf("cannot be shown: %+v", n)
			}
		}
		checkSpecs(t, folder)
	})
}

func FuzzConda(f *testing.F) {
	for _, s := range []string{"numpy>=2,<3", "a::b=1=c", "x 1.2 py_0", "a = 1 , 2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, do := parseConda(line)
		if do != "" {
			return
		}
		if again, do := parseConda(c.String()); do != "" || again != c {
			t.Errorf("%q: %q reads differently the second time: %q (%s)", line, c, again, do)
		}
	})
}
