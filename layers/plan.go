package layers

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// keyVersion is part of every key: raise it when an image is made differently from
// the same inputs.
const keyVersion = "conjured-layers-1"

// The stages that a plan can hold.
const (
	StageBase   = "base"
	StageCore   = "core"
	StageSystem = "system"
	StageLatest = "latest"
)

// Step is one image of a plan.
type Step struct {
	Stage string
	Key   string   // sha256 of everything that goes into it, hex
	Ref   string   // repository:key, what it will be called
	From  string   // key of the step before; "" for base
	Alias string   // a local image that is this one already: nothing is built
	Why   []string // what the key was made from, for people
}

// Plan is what Build will see to, in order. It is a pure function of its inputs: two
// equal plans are the same images.
type Plan struct {
	Steps []Step
	// target and subst are how a base.Dockerfile is built: which stage, and which
	// local image stands for each FROM.
	target string
	subst  map[string]string
}

// Key is the key of the last image.
func (p Plan) Key() string {
	if len(p.Steps) == 0 {
		return ""
	}
	return p.Steps[len(p.Steps)-1].Key
}

// String is the plan as a person reads it, one image a line and what it is made from
// below.
func (p Plan) String() string {
	var b strings.Builder
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%s %s\n", s.Stage, s.Ref)
		for _, w := range s.Why {
			fmt.Fprintf(&b, "  %s\n", w)
		}
	}
	return b.String()
}

// sumOf hashes parts so that no two lists of parts give the same key.
func sumOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// planned is what newPlan needs beside a class's inputs.
type planned struct {
	repository string
	files      fs.FS      // the root Dockerfile and what it copies
	launcher   []byte     // launch.sh
	base       baseFile   // of Inputs.BaseDockerfile; zero without one
	found      []Resolved // one for each From, or the one built-in base
}

// newPlan decides what has to be there. What is there already is Build's to find out.
func newPlan(in Inputs, p planned) (Plan, error) {
	recipe, err := recipeKey(p.files)
	if err != nil {
		return Plan{}, err
	}
	if len(p.found) == 0 && len(in.BaseDockerfile) == 0 {
		return Plan{}, errors.New("cannot plan images: no base was resolved")
	}
	plan := Plan{target: p.base.target, subst: map[string]string{}}
	add := func(stage, from string, why []string, parts ...string) string {
		key := sumOf(slices.Concat([]string{keyVersion, stage, from}, parts)...)
		plan.Steps = append(plan.Steps, Step{Stage: stage, Key: key, Ref: p.repository + ":" + key, From: from, Why: why})
		return key
	}
	from := ""
	if len(in.BaseDockerfile) == 0 {
		base := p.found[0]
		from = add(StageBase, "", []string{"image " + base.Ref + " " + brief(base.ID)}, base.ID)
		plan.Steps[0].Alias = base.Ref
	} else {
		parts, why := []string{string(in.BaseDockerfile)}, []string{BaseFile + " " + sumOf(string(in.BaseDockerfile))[:12]}
		for _, f := range slices.SortedFunc(slices.Values(p.found), func(a, b Resolved) int { return cmp.Compare(a.Image, b.Image) }) {
			parts, why = append(parts, f.Image, f.ID), append(why, fmt.Sprintf("FROM %s line %d, %s", f.Image, f.Line, brief(f.ID)))
			plan.subst[f.Image] = f.Ref
		}
		from = add(StageBase, "", why, parts...)
	}
	group := fmt.Sprint(in.groupID())
	from = add(StageCore, from, []string{"Dockerfile and locks " + recipe[:12], "launcher " + sumOf(string(p.launcher))[:12], "group " + group},
		recipe, string(p.launcher), group)
	why := make([]string, 0, len(in.AptPackages))
	for _, a := range in.AptPackages {
		why = append(why, "apt "+a.Spec())
	}
	add(StageSystem, from, why, in.aptList())
	if len(in.AptPackages) == 0 {
		plan.Steps[len(plan.Steps)-1].Alias = p.repository + ":" + from
	}
	return plan, nil
}

// recipeKey hashes the Dockerfile and every file that it may copy.
func recipeKey(files fs.FS) (string, error) {
	var parts []string
	for _, root := range recipeRoots {
		err := fs.WalkDir(files, root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !isRecipe(path) {
				return err
			}
			data, err := fs.ReadFile(files, path)
			parts = append(parts, path, string(data))
			return err
		})
		if err != nil {
			return "", fmt.Errorf("cannot read the files of the class image: %w", err)
		}
	}
	return sumOf(parts...), nil
}

// recipeRoots is what the class image is made from; Dockerfile.dockerignore says the
// same to people who build by hand.
var recipeRoots = []string{"Dockerfile", "layers/image", "layers/lock"}

// isRecipe leaves out what only makes the locks.
func isRecipe(path string) bool {
	return !strings.HasSuffix(path, ".in") && path != "layers/lock/renew.sh"
}

// brief is an image id as people compare it.
func brief(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}
