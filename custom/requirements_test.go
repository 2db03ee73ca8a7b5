package custom

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

func TestRequirements(t *testing.T) {
	wheel := "humanize-4.0-py3-none-any.whl"
	f, l := read(t, files{
		"requirements.txt": "# packages\nnumpy==2.3.1  # fast\npandas[excel] >=2,<3 ; python_version >= '3.9' and (os_name == \"posix\")\n-r more/extra.txt\n-c limits.txt\n./wheels/" + wheel + "\nrequests==2.1 \\\n  --hash=sha256:" + strings.Repeat("a", 64) + " \\\n  --hash=sha256:" + strings.Repeat("b", 64) + "\n--prefer-binary\nscikit_Learn\n",
		"more/extra.txt":   "tqdm\n-r ../last.txt\n", "last.txt": "rich\n", "limits.txt": "numpy<3\n", "wheels/" + wheel: "PK",
	}, Options{})
	wantNoErrors(t, l)
	_, req, _, _ := names(f)
	want(t, "requirements", req, []string{"numpy==2.3.1", "pandas[excel] >=2,<3 ; python_version >= '3.9' and (os_name == \"posix\")", "tqdm", "rich", "numpy<3", "./wheels/" + wheel, "requests==2.1", "scikit_Learn"})
	r := f.Requirements()
	want(t, "name", r.Items[7], Requirement{Name: "scikit-learn", Spec: "scikit_Learn", File: "requirements.txt", Line: 11})
	if !r.Items[4].Constraint || r.Items[5].Name != "humanize" || r.Items[3].File != "last.txt" {
		t.Errorf("constraint, wheel or file wrong: %+v", r.Items)
	}
	if len(r.Wheels) != 1 || r.Wheels[0].SHA256 == "" || len(r.Files) != 4 {
		t.Errorf("wheels %v files %d", r.Wheels, len(r.Files))
	}
}

// A checksum is part of what is asked for, however it is written; what is none is refused.
func TestRequirementsHashes(t *testing.T) {
	wheel := "humanize-4.0-py3-none-any.whl"
	own := "sha256:" + fmt.Sprintf("%x", sha256.Sum256([]byte("PK")))
	folder := files{wheel: "PK", "c.txt": "rich==1 --hash=" + sumC + "\n"}
	folder["requirements.txt"] = "click==8.5.0 \\\n    --hash=" + sumB + " \\\n    --hash " + sumA + " --hash=" + sumB + "\nrich\n-c c.txt\n./" + wheel + " --hash=" + own + "\nclick==8.5.0\nclick==8.5.0 --hash=" + sumC + "\n"
	f, l := read(t, folder, Options{})
	wantNoErrors(t, l)
	want(t, "lines", f.Requirements().Items, []Requirement{
		{Name: "click", Spec: "click==8.5.0", File: "requirements.txt", Line: 1, Hashes: []string{sumA, sumB}},
		{Name: "rich", Spec: "rich", File: "requirements.txt", Line: 4},
		{Name: "rich", Spec: "rich==1", File: "c.txt", Line: 1, Constraint: true, Hashes: []string{sumC}},
		{Name: "humanize", Spec: "./" + wheel, File: "requirements.txt", Line: 6},
		{Name: "click", Spec: "click==8.5.0", File: "requirements.txt", Line: 8, Hashes: []string{sumC}},
	})
	wantNotice(t, l, sevInfo, "requirements-hash", "requirements.txt", 1)
	before := f.Fingerprints()
	folder["c.txt"] = "rich==1 --hash=" + sumA + "\n"
	f, _ = read(t, folder, Options{})
	if now := f.Fingerprints(); now.Environment == before.Environment || now.Kernels != before.Kernels {
		t.Errorf("the fingerprint of a folder with another checksum: %+v, was %+v", now, before)
	}
	for text, code := range map[string]string{
		"x==1 --hash=md5:" + strings.Repeat("a", 32): "requirements-hash-form", "x==1 --hash=sha256:" + strings.Repeat("a", 63): "requirements-hash-form", "x==1 --hash=sha256:" + strings.Repeat("g", 64): "requirements-hash-form",
		"x==1 --hash=" + strings.Repeat("a", 64): "requirements-hash-form", "x==1 --hash=": "requirements-line", "./" + wheel + " --hash=" + sumA: "requirements-wheel-hash",
	} {
		_, l := read(t, files{"requirements.txt": text + "\n", wheel: "PK"}, Options{})
		wantNotice(t, l, sevError, code, "requirements.txt", 1)
	}
}

func TestRequirementsOptions(t *testing.T) {
	f, l := read(t, files{"requirements.txt": "--pre\n--require-hashes\nclick==8.5.0 --hash=" + sumA + "\n"}, Options{})
	wantNoErrors(t, l)
	wantNotice(t, l, sevInfo, "requirements-pre", "requirements.txt", 1)
	s := spec(t, f, "base")
	want(t, "options", []bool{s.Pre, s.Strict}, []bool{true, true})
	plain, l := read(t, files{"requirements.txt": "--no-binary :all:\nclick==8.5.0 --hash=" + sumA + "\n"}, Options{})
	wantNotice(t, l, sevWarn, "requirements-option", "requirements.txt", 1)
	if plain.Fingerprints().Environment == f.Fingerprints().Environment {
		t.Error("options move no fingerprint")
	}
	_, l = read(t, files{"requirements.txt": "--require-hashes\nrich\nclick==8.5.0 --hash=" + sumA + "\n-c c.txt\n", "c.txt": "rich==2\n"}, Options{})
	wantNotice(t, l, sevError, "requirements-no-hash", "requirements.txt", 2)
	many := "click==8.5.0" + strings.Repeat(" --hash="+sumA, 300)
	_, l = read(t, files{"requirements.txt": many + "\n"}, Options{})
	wantNoErrors(t, l)
	_, l = read(t, files{"requirements.txt": many + strings.Repeat(" --hash="+sumB, 600) + "\n"}, Options{})
	wantNotice(t, l, sevError, "line-too-long", "requirements.txt", 1)
}

// An index is followed only when it is the box's own anyway: on another one anybody could
// offer a package under a known name.
func TestRequirementsIndex(t *testing.T) {
	own := Options{Policy: Policy{Index: "http://mirror.example.org/pypi/simple/"}}
	for text, warned := range map[string]bool{
		"--index-url https://pypi.org/simple/": false, "-i https://pypi.org/simple": false, "--extra-index-url http://mirror.example.org/pypi/simple": false,
		"--extra-index-url https://mirror.example.org/other/simple": true, "--index-url=https://pypi.org.example.com/simple": true,
	} {
		_, l := read(t, files{"requirements.txt": text + "\nrich\n"}, own)
		wantNoErrors(t, l)
		if has(l, sevWarn, "requirements-index", "requirements.txt", 1) != warned {
			t.Errorf("%s: %s", text, dump(l))
		}
	}
	_, l := read(t, files{"requirements.txt": "-i http://mirror.example.org/pypi/simple\n"}, Options{})
	wantNotice(t, l, sevError, "requirements-index", "requirements.txt", 1)
}

func TestRequirementsRefused(t *testing.T) {
	for text, code := range map[string]string{
		"numpy; rm -rf /": "requirements-line", "numpy=1.26": "requirements-line", "numpy 1.26": "requirements-line", "pip install numpy": "requirements-line",
		"import numpy": "requirements-line", "numpy && reboot": "requirements-line", "$(id)": "requirements-line", "numpy ; python_version > 3 or os.system": "requirements-line",
		"git+https://example.org/x": "requirements-line", "https://example.org/x-1-py3-none-any.whl": "requirements-line",
		"x @ https://example.org/x.whl": "requirements-url", "x @ file:///etc/passwd": "requirements-url",
		"-e .": "requirements-editable", "--editable=git+https://x": "requirements-editable", "--find-links=/tmp": "requirements-find-links", "-f http://x": "requirements-find-links",
		"--index-url https://user:geheim@example.org/simple": "requirements-credentials", "--extra-index-url http://example.org": "requirements-index",
		"--trusted-host x": "requirements-option", "--target=/etc": "requirements-option", "--log /etc/x": "requirements-option", "--global-option=x": "requirements-option",
		"--prefix /": "requirements-option", "--config-settings x": "requirements-option",
		"-r /etc/passwd": "requirements-outside", "-r ../x.txt": "requirements-outside", "-r a/../../x": "requirements-outside", "-c ~/x": "requirements-outside",
		"-r http://example.org/x": "requirements-url", "-r gone.txt": "requirements-include", "-r": "requirements-include", "-r home/x": "requirements-outside", "-r users.csv": "requirements-outside",
		"/root/x-1-py3-none-any.whl": "requirements-outside", "../x-1-py3-none-any.whl": "requirements-outside", "./gone-1-py3-none-any.whl": "requirements-missing",
		"./odd.whl": "requirements-wheel", "./x-1.tar.gz": "requirements-sdist", "./x-1-py3-none-any.whl ; python_version>'3'": "requirements-wheel", "./a b/x-1-py3-none-any.whl": "requirements-wheel", "./shared": "requirements-directory", "x==${SECRET}": "requirements-variable", "-r requirements.txt": "requirements-cycle",
	} {
		t.Run(strings.ReplaceAll(text, "/", "_"), func(t *testing.T) {
			f, l := read(t, files{"requirements.txt": "tqdm\n" + text + "\n", "odd.whl": "x", "x-1.tar.gz": "x", "shared/x": "x"}, Options{})
			wantNotice(t, l, sevError, code, "requirements.txt", 2)
			if n := len(f.Requirements().Items); n != 1 {
				t.Errorf("%d items, want tqdm only", n)
			}
			if strings.Contains(dump(l), "geheim") {
				t.Error("a notice holds the password")
			}
		})
	}
}

func TestRequirementsAgain(t *testing.T) {
	_, l := read(t, files{"requirements.txt": "numpy==1\nNumPy==2\ntqdm\ntqdm>4\nrich==1; python_version<'3'\nrich==2; python_version>='3'\n-r a.txt\n", "a.txt": "-r b.txt\n", "b.txt": "-r a.txt\n"}, Options{})
	wantNotice(t, l, sevError, "requirements-contradiction", "requirements.txt", 2)
	wantNotice(t, l, sevWarn, "requirements-duplicate", "requirements.txt", 4)
	wantNotice(t, l, sevError, "requirements-cycle", "b.txt", 1)
	if has(l, sevError, "requirements-contradiction", "requirements.txt", 6) {
		t.Error("two markers are no contradiction")
	}
}
