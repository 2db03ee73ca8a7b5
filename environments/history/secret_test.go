package history

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/environments/secret"
	"github.com/conjuring/conjured/notice"
)

// K7: no key reaches the history: one in an address goes to a file that only the box
// reads, under the same name each time; any other is refused with file and line.
func TestK7_credentials(t *testing.T) {
	r := open(t)
	var told notice.List
	r.c.Notify = func(n notice.Notice) { told = append(told, n) }
	put := func(data string) error {
		_, err := r.PutSpec(t.Context(), "geo", []File{file("env.spec", "env: []\n"), file("requirements.txt", data)}, "x")
		return err
	}
	text := "--index-url https://ada:s3:cr@t@pypi.school.example:8443/simple # ours\n" +
		"--extra-index-url=https://abcdefghij0123456789@pypi.school.example/x\nnumpy\n" +
		"# https://conda.example/t/xx-0123456789/chan https://ada:s3:cr@t@pypi.school.example/y\n"
	if err := put(text); err != nil {
		t.Fatal(err)
	}
	want := "--index-url https://${CONJURED_PYPI_SCHOOL_EXAMPLE_1}@pypi.school.example:8443/simple # ours\n" +
		"--extra-index-url=https://${CONJURED_PYPI_SCHOOL_EXAMPLE_2}@pypi.school.example/x\nnumpy\n" +
		"# https://conda.example/t/${CONJURED_CONDA_EXAMPLE_1}/chan https://${CONJURED_PYPI_SCHOOL_EXAMPLE_1}@pypi.school.example/y\n"
	fs, err := r.Spec(t.Context(), "geo")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(fs[1].Data)); d != "" {
		t.Error(d)
	}
	if len(told) != 4 || told[0].Line != 1 || told[2].Line != 4 || told[0].Severity != notice.SeverityInfo {
		t.Errorf("%+v", told)
	}
	creds, err := r.Credentials(t.Context())
	if err != nil || creds["CONJURED_PYPI_SCHOOL_EXAMPLE_1"] != "ada:s3:cr@t" || len(creds) != 3 {
		t.Errorf("%v, %v", creds, err)
	}
	if fi, err := os.Stat(r.c.Dir + ".credentials"); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	before := stamps(t, r.c.Dir)
	if err := put(text); err != nil || cmp.Diff(before, stamps(t, r.c.Dir)) != "" {
		t.Errorf("the same again wrote: %v", err)
	}
	err = put("numpy\n\nAKIA" + strings.Repeat("A", 16) + "\n-----BEGIN OPENSSH PRIVATE KEY-----\n")
	if l := notice.For(err); len(l) != 2 || l[0].Where() != "requirements.txt:3" || l[1].Where() != "requirements.txt:4" || l[0].Code != "history-refused" {
		t.Errorf("%+v", l)
	}
	if strings.Contains(err.Error(), "AKIA") {
		t.Errorf("the key is in the message: %v", err)
	}
}

func TestSecretForms(t *testing.T) {
	long := strings.Repeat("aB3", 14)
	for _, bad := range []string{
		"ghp_" + long, "github_pat_" + long, "glpat-" + long, "ASIA" + strings.Repeat("7", 16), "xoxb-1234567890-abc", "pypi-AgEIcHlwaS5vcmc" + long,
		"hf_" + long, "AIza" + long, "sk-ant-" + long, "machine x login y password z", "export API_KEY=abcdef1234", "password: 'hunter2hunter2'",
		"http://a:b@h", "ssh://x:y@h/z", "https://ada:${X}y@h", "AGE-SECRET-KEY-1ABC", "PuTTY-User-Key-File-3: x",
	} {
		if len(secret.Find("a\n"+bad+"\n")) == 0 {
			t.Errorf("%q went through", bad)
		}
	}
	for _, good := range []string{
		"https://${USER}:${PASS}@host/simple", "https://ada:$PASS@host", "https://${TOKEN}@host", "git+ssh://git@github.com/a/b", "https://host:8080/a@b",
		"pool/main/t/texlive-base/x.deb", "https://deb.debian.org/debian/pool/main/t/texlive-base/x.deb", "tokenizers==0.15.2", "secretstorage==3.3.3.1.1",
		"token=1.2.3=py_0", "name==1 --hash=sha256:" + strings.Repeat("0123456789abcdef", 4), "scikit-learn", "ada@example.org", "password=$PASSWORD_OF_THE_SCHOOL",
		"https://conda.anaconda.org/conda-forge/linux-64/python-3.13.1-ha99a958_105_cp313.conda#sha256:" + strings.Repeat("ab", 32),
	} {
		if s := secret.Find(good); len(s) > 0 {
			t.Errorf("%q is taken for %s", good, s[0].What)
		}
	}
}

// Scrubbing ends, keeps every line, and leaves nothing that it would take out again.
func FuzzScrub(f *testing.F) {
	f.Add("https://ada:x@h/t/abcdefgh12/ https://:@:@x\n")
	f.Add("a://b:c@d@e:f@g\n\nhttps://abcdefghijklmnop@q@r")
	f.Fuzz(func(t *testing.T, text string) {
		v := &vault{byName: map[string]string{}}
		out, told := v.scrub(file("requirements.txt", text))
		if told.HasErrors() {
			return
		}
		if strings.Count(string(out), "\n") != strings.Count(text, "\n") {
			t.Errorf("lines: %q", out)
		}
		if left := secret.Find(string(out)); len(left) > 0 {
			t.Errorf("%q left %+v", out, left)
		}
	})
}

// Names are the fence: what is not on the list has no way in.
func TestAllowed(t *testing.T) {
	for _, good := range []string{"env.spec", "environment-geo.yml", "environment.yaml", "requirements.txt", "requirements-dev.txt", "grove-requirements.txt", "apt.txt", "runtime.txt", "uv.lock", "pylock.toml", "conda-lock.yml", "postBuild", "binder/apt.txt", ".binder/environment.yml", "geo101/binder/requirements.txt", "conda.lock", "generation.json", "labels/exam.2026.txt", "environment-Größe 2.yml", "requirements (copy).txt"} {
		if !Allowed(good) {
			t.Errorf("%s is refused", good)
		}
	}
	for _, bad := range []string{"users.csv", "courses.csv", "srv/jupyterhub_config.py", "docker-compose.override.yml", "../env.spec", "/env.spec", "binder/../apt.txt", ".git/apt.txt", ".GIT/apt.txt", "a/b/c/apt.txt", "", "labels/x", "labels/a/b.txt", "labels/.x.txt", "x\napt.txt", "env.spec\n", "requirements.txt\x00", ".netrc", "a..b/apt.txt", "labels/../env.spec", "environment\xff.yml", "requirements\n.txt", "environment\\x.yml"} {
		if Allowed(bad) {
			t.Errorf("%q is allowed", bad)
		}
	}
}

func TestRefusedFiles(t *testing.T) {
	r := open(t)
	for name, fs := range map[string][]File{
		"account": {file("users.csv", "x")}, "label": {file("labels/current.txt", "x")}, "twice": {file("apt.txt", "x"), file("apt.txt", "y")},
		"large": {file("apt.txt", strings.Repeat("x", maxFile+1))}, "binary": {file("apt.txt", "a\x00b")},
	} {
		if _, err := r.PutSpec(t.Context(), "geo", fs, "x"); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for _, env := range []string{"manifest", "my-env", "Geo", "", "../x", "--upload-pack=x", "a b"} {
		if _, err := r.PutSpec(t.Context(), env, nil, "x"); err == nil {
			t.Errorf("%q was taken", env)
		}
	}
	if envs, err := r.Environments(t.Context()); err != nil || len(envs) != 0 {
		t.Errorf("%v, %v", envs, err)
	}
}
