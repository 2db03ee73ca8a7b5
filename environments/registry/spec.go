package registry

import (
	"maps"
	"slices"
	"strings"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
)

// files are what the history keeps of a wish: the teacher's files, and env.spec.
func (w Wanted) files() []history.File {
	if _, ok := find(w.History, envSpec); ok {
		return w.History
	}
	return append(slices.Clone(w.History), history.File{Name: envSpec, Data: specYAML(w.Spec)})
}

// specYAML is env.spec for a wish that did not come as one: what conda is asked for, or
// just an interpreter, since the old tool wants something.
func specYAML(s environments.Spec) []byte {
	var asked []string
	for _, c := range s.Conda {
		asked = append(asked, c.Spec)
	}
	if len(asked) == 0 {
		asked = []string{strings.TrimSuffix("python="+s.Python, "=")}
	}
	channels := s.Channels
	if len(channels) == 0 {
		channels = []string{"conda-forge"}
	}
	return history.EnvSpec(channels, asked)
}

func filesOf(m map[string][]byte) []history.File {
	var out []history.File
	for name, data := range m {
		out = append(out, history.File{Name: name, Data: data})
	}
	slices.SortFunc(out, func(a, b history.File) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func sameFiles(kept map[string][]byte, files []history.File) bool {
	return maps.EqualFunc(kept, mapOf(files), slices.Equal[[]byte])
}

func mapOf(files []history.File) map[string][]byte {
	out := map[string][]byte{}
	for _, f := range files {
		out[f.Name] = f.Data
	}
	return out
}

// display is the environment's name as the teacher wrote it.
func display(s environments.Spec) string {
	if s.Display != "" {
		return s.Display
	}
	return string(s.Env)
}

// joined is a list in a sentence: "a, b and c".
func joined(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}
