package custom

import (
	"strings"
	"testing"
)

func TestK1_gitenvSpec(t *testing.T) {
	text := "channels:\n - defaults\n - https://conda.anaconda.org/bioconda\n\nenv:\n - python 3.5.*\n - numpy = 1.10\n - iris 1.9 np110py35_0\n"
	s, l := ParseGitenvSpec("geo-101", []byte(text))
	wantNoErrors(t, l)
	want(t, "name", s.Name+" "+s.Display, "geo_101 geo-101")
	want(t, "channels", s.Channels, []string{"conda-forge", "bioconda"})
	want(t, "conda", s.Conda, []CondaLine{{Spec: "python 3.5.*", File: "env.spec", Line: 6}, {Spec: "numpy=1.10", File: "env.spec", Line: 7}, {Spec: "iris 1.9", File: "env.spec", Line: 8}})
	wantNotice(t, l, sevWarn, "environment-builds", "env.spec", 8)
	want(t, "files", s.Files, []File{{Path: "env.spec", Name: "env.spec", Data: []byte(text)}})
	wantNotice(t, l, sevWarn, "environment-defaults", "env.spec", 2)
	s, l = ParseGitenvSpec("base", nil)
	wantNoErrors(t, l)
	want(t, "empty", condaOf(s), []string(nil))
}

func TestK2_gitenvRefused(t *testing.T) {
	for _, env := range []string{"", ".", "..", "-x", "a/b", "système", "system", strings.Repeat("a", 40), "a b"} {
		s, l := ParseGitenvSpec(env, []byte("env: [a]\n"))
		wantNotice(t, l, sevError, "environment-name", "env.spec", 0)
		want(t, env, s.Name, "")
	}
	for text, code := range map[string]string{
		"env: {a: b}\n": "environment-shape", "env: [a; b]\n": "environment-dependency", "env: [[a]]\n": "environment-shape", "a: &x [*x]\n": "yaml-anchor", "- a\n": "yaml-shape", "env: [\n": "yaml-syntax",
		"channels: ['https://u:geheim@h/c']\n": "environment-credentials", "\xff": "text-not-utf8", strings.Repeat("#", MaxYAML+1): "file-too-large",
	} {
		_, l := ParseGitenvSpec("geo", []byte(text))
		if !l.HasErrors() || !strings.Contains(dump(l), code) || strings.Contains(dump(l), "geheim") || strings.Contains(dump(l), "become a class") {
			t.Errorf("want %s:\n%s", code, dump(l))
		}
	}
	_, l := ParseGitenvSpec("geo", []byte("dependencies: [a]\n"))
	wantNotice(t, l, sevWarn, "environment-key", "env.spec", 1)
}
