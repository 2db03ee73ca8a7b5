package custom

import (
	"fmt"

	"github.com/conjuring/conjured/notice"
	"go.yaml.in/yaml/v4"
)

// GitenvSpec is the file that says what a branch of a conda-gitenv repository asks for.
const GitenvSpec = "env.spec"

// ParseGitenvSpec reads the env.spec of the branch env of such a repository (K1): YAML
// with the lists channels and env. The branch's name becomes the environment's as a
// teacher's would, so that geo-101 is geo_101, shown as geo-101. A list with errors
// comes with a zero Spec when the name is refused, else with what could be read.
func ParseGitenvSpec(env string, text []byte) (Spec, notice.List) {
	r := &reader{f: &Folder{}, kept: map[string][]byte{GitenvSpec: text}}
	s := r.gitenv(env, text)
	l := r.all()
	for i := range l {
		if l[i].Means == meansRefused {
			l[i].Means = "this environment is not taken over; the others are"
		}
	}
	return s, l
}

func (r *reader) gitenv(env string, text []byte) Spec {
	if !envName.MatchString(env) {
		r.error("environment-name", GitenvSpec, 0, fmt.Sprintf("the branch %q has no name for an environment", short(env)), "rename the branch: letters, numbers, dashes and underscores")
		return Spec{}
	}
	a := r.ask(env, "", GitenvSpec, 0)
	if a == nil {
		return Spec{}
	}
	if len(text) > MaxYAML {
		r.tooLarge(GitenvSpec, int64(len(text)), MaxYAML)
		return a.spec
	}
	data, ok := r.normalise(GitenvSpec, text)
	if !ok {
		return a.spec
	}
	root := r.yaml(GitenvSpec, data, MaxYAMLNodes)
	why := looseBuilds(root)
	a.loose = why != ""
	for k, v := range pairs(root) {
		switch k.Value {
		case "channels":
			a.channels(GitenvSpec, v)
		case "env":
			a.gitenvList(v)
		default:
			r.warn("environment-key", GitenvSpec, k.Line, fmt.Sprintf("%s line %d: %q is no part of such a file", GitenvSpec, k.Line, short(k.Value)), "it is not followed", "check the spelling: channels or env")
		}
	}
	a.saysLoose(GitenvSpec, why)
	s := a.finish()
	s.Files = []File{{Path: GitenvSpec, Name: GitenvSpec, Data: text}}
	return s
}

func (a *asking) gitenvList(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if !listOfWords(n) {
		a.error("environment-shape", GitenvSpec, n.Line, fmt.Sprintf("%s line %d: env should be a list of packages", GitenvSpec, n.Line), "write each package on its own line, beginning with a dash")
		return
	}
	for _, c := range n.Content {
		a.condaLine(GitenvSpec, c.Line, c.Value)
	}
}
