package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
)

// Imported says what Import took over.
type Imported struct {
	Environments []ImportedEnvironment // sorted by name
	Notices      notice.List           // what was renamed or left out, and why
}

// ImportedEnvironment is one environment that was taken over.
type ImportedEnvironment struct {
	Env, Display string // its name here, and as it was written there
	Tags         []Tag  // those taken over, oldest first
	Labels       map[string]string
	Changed      bool // false when all of it was here already
}

// Import takes over the environments of a conda-gitenv repository at the path from,
// bare or with a work tree, a clone or the original. Names with "-" get "_". Whatever
// is not on our list stays behind and is named. An environment of ours only ever gets
// longer: what was exported and worked on elsewhere comes back, and one that differs
// stays behind. All that is taken over comes in one step; a second import of the same
// changes nothing.
func (r *Repository) Import(ctx context.Context, from string) (Imported, error) {
	var out Imported
	err := r.hold(ctx, func(ctx context.Context, lock *os.File) error {
		scratch := r.c.Dir + ".import"
		defer os.RemoveAll(scratch)
		if err := os.RemoveAll(scratch); err != nil {
			return err
		}
		b, err := borrow(ctx, program{path: r.git, dir: scratch, lock: lock}, from)
		if err != nil {
			return err
		}
		src, err := startBatch(b.program)
		if err != nil {
			return err
		}
		defer src.close()
		v, err := r.credentials()
		if err != nil {
			return err
		}
		im := &importer{writer: &writer{r, lock}, porter: newPorter(src, v), refs: b.refs}
		out, err = im.all(ctx)
		return err
	})
	var strange errStrange
	if errors.As(err, &strange) {
		err = &notice.Error{Notice: notice.Notice{
			Code: "import-refused", Severity: notice.SeverityError, What: "the repository was not taken over: " + string(strange),
			Means: "the environments of this box are as they were", Do: "choose the directory of a conda-gitenv repository, or clone it anew",
		}}
	}
	if err != nil {
		return Imported{}, fmt.Errorf("cannot import: %w", err)
	}
	return out, nil
}

// importer does one Import.
type importer struct {
	*writer
	*porter
	refs map[string]oid
	out  Imported
	new  []update
}

// theirTag is what conda-gitenv's tags look like, whatever the environment is called.
var theirTag = regexp.MustCompile(`^env-(.{1,64})-([0-9]{4}_[0-9]{2}_[0-9]{2}(?:-[0-9]{1,6})?)$`)

func (im *importer) all(ctx context.Context) (Imported, error) {
	names := im.names()
	im.mapTags(names)
	for _, display := range slices.Sorted(maps.Keys(names)) {
		if err := im.environment(ctx, names[display], display); err != nil {
			return Imported{}, err
		}
	}
	if im.cut {
		im.say("import-history-cut", "", "a part of its history is not there; it begins later here", "nothing, or import a whole clone")
	}
	if len(im.out.Environments) == 0 {
		im.out.Notices = append(im.out.Notices, notice.Notice{
			Code: "import-nothing", Severity: notice.SeverityError, What: "the repository holds no environment that could be taken over",
			Means: "the environments of this box are as they were", Do: "look whether it has a branch for each environment, with a file env.spec",
		})
	}
	if len(im.new) == 0 {
		return im.out, nil
	}
	if err := im.saveCredentials(im.vault); err != nil {
		return Imported{}, err
	}
	return im.out, im.write(ctx, im.objs, im.new)
}

func (im *importer) say(code, file, what, do string) {
	im.out.Notices = append(im.out.Notices, notice.Notice{
		Code: code, Severity: notice.SeverityWarning, File: file, What: what, Means: "everything else was taken over", Do: do,
	})
}

// names maps their environments to names of ours. A name that is as ours goes first.
func (im *importer) names() map[string]string {
	var displays []string
	for ref := range im.refs {
		if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok && !strings.HasPrefix(name, "manifest/") {
			displays = append(displays, name)
		}
	}
	mapped := func(d string) string {
		return strings.NewReplacer("-", "_", ".", "_", "/", "_").Replace(strings.ToLower(d))
	}
	slices.SortFunc(displays, func(a, b string) int {
		if own := mapped(a) == a; own != (mapped(b) == b) {
			return map[bool]int{true: -1, false: 1}[own]
		}
		return strings.Compare(a, b)
	})
	out, taken := map[string]string{}, map[string]string{}
	for _, d := range displays {
		env := mapped(d)
		switch {
		case checkEnv(env) != nil:
			im.say("import-name", "", fmt.Sprintf("the branch %s was left out: that cannot be an environment's name here", d),
				"rename it: a letter first, then letters, digits and _, at most 32 characters")
		case taken[env] != "":
			im.say("import-name", "", fmt.Sprintf("the branch %s was left out: it would be called %s, as %s is", d, env, taken[env]), "rename one of them")
		default:
			out[d], taken[env] = env, d
		}
	}
	return out
}

// mapTags gives their tags the names that they have here.
func (im *importer) mapTags(names map[string]string) {
	for ref := range im.refs {
		name, ok := strings.CutPrefix(ref, "refs/tags/")
		if m := theirTag.FindStringSubmatch(name); ok && m != nil && names[m[1]] != "" {
			if t, err := ParseTag("env-" + names[m[1]] + "-" + m[2]); err == nil {
				im.tags[name] = t.Name
			}
		}
	}
}

// environment takes over one environment: tags, both branches, labels.
func (im *importer) environment(ctx context.Context, env, display string) error {
	e := ImportedEnvironment{Env: env, Display: display, Labels: map[string]string{}}
	updates, err := im.takeTags(ctx, &e)
	if err != nil {
		return err
	}
	theirs := im.refs["refs/heads/"+display]
	spec, err := im.commit(ctx, theirs)
	if err != nil {
		return im.broken(err, display)
	}
	_, asks := im.porter.trees[spec][specName]
	manifest := im.refs["refs/heads/manifest/"+display]
	if !asks {
		if manifest != "" || len(updates) > 0 {
			im.say("import-no-spec", "", fmt.Sprintf("the branch %s was left out: it has no env.spec that can be read", display), "add one, and import again")
		}
		return nil // a branch of something else
	}
	spec = im.labels(&e, spec)
	updates = append(updates, update{ref: branch(env), new: spec})
	if manifest != "" {
		m, err := im.commit(ctx, manifest)
		if err != nil {
			return im.broken(err, display)
		}
		updates = append(updates, update{ref: manifestBranch(env), new: m})
	}
	return im.settle(ctx, e, updates, theirs, manifest)
}

// broken leaves an environment out when the trouble is in it, and ends when it is not.
func (im *importer) broken(err error, display string) error {
	if errors.Is(err, errMissing) || errors.Is(err, errBroken) {
		im.say("import-damaged", "", fmt.Sprintf("the branch %s was left out: a part of it is damaged or not there", display), "clone the repository anew, and import again")
		return nil
	}
	return err
}

// takeTags takes over the tags of an environment that name a manifest.
func (im *importer) takeTags(ctx context.Context, e *ImportedEnvironment) ([]update, error) {
	var updates []update
	for _, name := range slices.Sorted(maps.Keys(im.tags)) {
		t, err := ParseTag(im.tags[name])
		if err != nil || t.Env != e.Env {
			continue
		}
		id, c, err := im.porter.read(ctx, string(im.refs["refs/tags/"+name]))
		if err == nil {
			id, err = im.commit(ctx, id)
		}
		if _, ok := im.porter.trees[id][manifestName]; err == nil && !ok {
			err = errBroken // it names no manifest
		}
		if err != nil && !errors.Is(err, errMissing) && !errors.Is(err, errBroken) {
			return nil, err
		}
		if err != nil {
			im.say("import-tag", "", fmt.Sprintf("the tag %s was left out: nothing that can be read, with an env.manifest, has that name", name), "nothing: it could not be deployed before either")
			delete(im.tags, name)
			continue
		}
		t.Commit = string(id)
		e.Tags = append(e.Tags, t)
		tag := im.add(tagObject(t.Name, id, identity{ourselves, c.committer.when}, "Imported."))
		im.named[tag] = id
		updates = append(updates, update{ref: t.ref(), new: tag})
	}
	return updates, nil
}
