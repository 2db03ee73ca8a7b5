package environments

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/conjuring/conjured/notice"
)

// condaJob is what prefix.py reads: its Ask.
type condaJob struct {
	Rattler  string   `json:"rattler"`
	Channels []string `json:"channels"`
	Specs    []string `json:"specs"`
	Mirror   string   `json:"mirror"`
	Cache    string   `json:"cache"`
	Offline  bool     `json:"offline"`
}

// condaPackage is a package as conda.py writes and reads it.
type condaPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Build   string `json:"build"`
	URL     string `json:"url"`
	SHA256  string `json:"sha256"`
	Size    int64  `json:"size"`
}

// condaForge is the channel of lines without one.
const condaForge = "conda-forge"

func (b *Builder) condaJob(s Spec, offline bool) condaJob {
	j := condaJob{
		Rattler: b.c.Rattler, Channels: s.Channels, Specs: []string{}, Mirror: b.c.CondaMirror,
		Cache: filepath.Join(b.c.Store.mount, "store/conda"), Offline: offline,
	}
	if len(j.Channels) == 0 {
		j.Channels = []string{condaForge}
	}
	for _, c := range s.Conda {
		j.Specs = append(j.Specs, c.Spec)
	}
	return j
}

// putConda writes the packages of conda of a manifest, if it has any.
func (w work) putConda(name string, m Manifest) error {
	var out []condaPackage
	for _, p := range m.of(Conda) {
		for _, h := range p.Hashes {
			out = append(out, condaPackage{p.Name, p.Version, p.Build, p.URL, strings.TrimPrefix(h, "sha256:"), p.Size})
		}
	}
	if out == nil {
		return nil
	}
	data, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return w.put(name, data)
}

// conda reads the packages of conda that were chosen; nil when there are none.
func (w work) conda() ([]Package, error) {
	data, err := readSmall(filepath.Join(w.host, "conda.json"))
	if err != nil {
		return nil, ignore(err)
	}
	var in []condaPackage
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("cannot read what was chosen of conda: %w", err)
	}
	var out []Package
	for _, p := range in {
		q, err := parseCondaLine(strings.TrimSuffix(condaLine(Package{URL: p.URL, Hashes: []string{"sha256:" + p.SHA256}, Size: p.Size}), "\n"))
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// condaFailure is why conda.py did not do what it was asked.
func (w work) condaFailure(s Spec) error {
	data, err := readSmall(filepath.Join(w.host, "conda-failure.json"))
	if err != nil {
		return fmt.Errorf("cannot tell why conda failed: %w", err)
	}
	var f condaFailure
	if json.Unmarshal(data, &f) == nil && f.Kind == "engine" {
		return &notice.Error{Notice: notice.Notice{
			Code: "environment-no-engine", Severity: notice.SeverityError, File: s.condaFile(),
			What:  fmt.Sprintf("the system that the class runs has nothing that installs packages of conda, and %s asks for some", cmp.Or(s.Display, string(s.Env))),
			Means: unchanged,
			Do:    "apply the folder again while the box has internet, so that the system is made anew",
		}}
	}
	return explainConda(s, data, 15)
}

// provided is a distribution of Python that conda brings. See condameta.py.
type provided struct {
	Version string `json:"version"`
	Package string `json:"package"` // of conda
}

// provided reads what conda brought, by normalised name.
func (w work) provided() map[string]provided {
	data, err := readSmall(filepath.Join(w.host, "provided.json"))
	out := map[string]provided{}
	if err != nil || json.Unmarshal(data, &out) != nil {
		return nil
	}
	return out
}
