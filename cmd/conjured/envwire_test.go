package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/gateway"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// bench is a builder that takes each line "name==version" of a spec for a package.
type bench struct {
	store *environments.Store
	sick  notice.List // what Verify finds
	fail  error       // of everything but Verify
}

func (w *bench) Resolve(_ context.Context, s environments.Spec, _ environments.ResolveOptions, sink progress.Sink) (environments.Manifest, notice.List, error) {
	sink.Progress(progress.Event{Job: "environment", Step: "looking for versions"})
	m := environments.Manifest{Python: "3.13", Platform: "linux-x86_64"}
	for _, r := range s.Requirements {
		name, version, _ := strings.Cut(r.Spec, "==")
		m.Packages = append(m.Packages, environments.Package{Name: name, Version: version, Hashes: []string{"sha256:" + hexOf(r.Spec)}})
	}
	return m, nil, w.fail
}

func hexOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func (w *bench) Make(ctx context.Context, s environments.Spec, sink progress.Sink) (environments.Made, error) {
	m, _, err := w.Resolve(ctx, s, environments.ResolveOptions{}, sink)
	if err != nil {
		return environments.Made{}, err
	}
	return w.Build(ctx, s, m, sink)
}

func (w *bench) Build(ctx context.Context, s environments.Spec, m environments.Manifest, sink progress.Sink) (environments.Made, error) {
	gs, err := w.store.Generations(s.Env)
	if err != nil {
		return environments.Made{}, err
	}
	for _, g := range gs {
		if g.ID == m.ID() {
			return environments.Made{Generation: g}, nil
		}
	}
	return w.Rebuild(ctx, s, m, sink)
}

// Rebuild writes a generation as the real one leaves it.
func (w *bench) Rebuild(_ context.Context, s environments.Spec, m environments.Manifest, _ progress.Sink) (environments.Made, error) {
	es, _ := os.ReadDir(filepath.Join(w.store.Root(), "gen", string(s.Env)))
	g := environments.Generation{Env: s.Env, ID: m.ID(), Image: "image", Manifest: m, State: environments.Ready, Number: len(es) + 1}
	meta, err := json.Marshal(g)
	dir := filepath.Join(w.store.Root(), "gen", string(s.Env), strconv.Itoa(g.Number))
	errs := []error{err, os.MkdirAll(dir, 0o755)}
	for name, data := range map[string]string{"lease": "", "manifest.txt": string(m.Canonical()), "generation.json": string(meta), "ok": hexOf(string(meta)) + "\n"} {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644))
	}
	return environments.Made{Generation: g, New: true}, errors.Join(errs...)
}

func (w *bench) Missing(context.Context, environments.Manifest) ([]environments.Package, error) {
	return nil, nil
}

func (w *bench) Verify(context.Context, environments.Generation, progress.Sink) (notice.List, error) {
	return w.sick, nil
}

// envBox is a box of environments only: a real store, history and registry.
type envBox struct {
	*box
	t     *testing.T
	bench *bench
	wants []registry.Wanted
}

func newEnvBox(t *testing.T) *envBox {
	t.Helper()
	dir := t.TempDir()
	x := &envBox{t: t, box: &box{place: place{State: dir}, log: slog.New(slog.DiscardHandler), news: &progress.Hub{}}}
	var errs [5]error
	x.store, errs[0] = environments.Open(filepath.Join(dir, "env"), environmentMount)
	git, err := history.Open(t.Context(), history.Config{Dir: filepath.Join(dir, "history.git")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(git.Close)
	x.bench = &bench{store: x.store}
	x.systems = &systems{b: x.box}
	errs[4] = os.Mkdir(x.place.built(), 0o700)
	x.registry, errs[1] = registry.New(registry.Config{
		Store: x.store, Builder: x.bench, System: x.systems, History: git, Log: x.log, Policy: registry.AddOnly,
		Wanted: func(context.Context) ([]registry.Wanted, error) { return x.wants, nil },
		Read: func(_ context.Context, env environments.Name, _ []history.File) (environments.Spec, error) {
			return environments.Spec{Env: env, Image: "image"}, nil
		},
	})
	journal, err := appliance.OpenJournal(filepath.Join(dir, "journal"))
	errs[2] = err
	x.owner, errs[3] = appliance.New(appliance.Config{Workers: x.workers(), Observer: x.box, Store: journal, Log: x.log})
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return x
}

// want has somebody ask for packages in an environment.
func (x *envBox) want(env string, lines ...string) {
	w := registry.Wanted{Spec: environments.Spec{Env: environments.Name(env), Display: env, Image: "image"}}
	for _, l := range lines {
		name, _, _ := strings.Cut(l, "==")
		w.Requirements = append(w.Requirements, environments.Requirement{Name: name, Spec: l, File: "requirements.txt", Line: 1})
	}
	for i, old := range x.wants {
		if old.Env == w.Env {
			x.wants[i] = w
			return
		}
	}
	x.wants = append(x.wants, w)
}

// do sends a verb that has to come to these, one an environment.
func (x *envBox) do(v api.EnvVerb, q api.EnvRequest, want ...api.EnvDid) api.EnvReply {
	x.t.Helper()
	r, err := x.EnvVerb(x.t.Context(), v, q)
	if err != nil {
		x.t.Fatalf("%s: %v", v, err)
	}
	var got []api.EnvDid
	for _, o := range r.Outcomes {
		got = append(got, o.Did)
		if o.Did == api.EnvFailed && len(o.Notices) == 0 {
			x.t.Errorf("%s of %s failed and says nothing", v, o.Env)
		}
	}
	if len(got) != len(want) {
		x.t.Fatalf("%s: %+v, want %v", v, r.Outcomes, want)
	}
	for i := range got {
		if got[i] != want[i] {
			x.t.Errorf("%s: %v, want %v: %+v", v, got, want, r.Outcomes[i])
		}
	}
	return r
}

func geo(q api.EnvRequest) api.EnvRequest {
	q.Names = []string{"geo"}
	return q
}

// TestG1_verbs is every verb through the API's words, over a real store and history.
func TestG1_verbs(t *testing.T) {
	x := newEnvBox(t)
	x.want("geo", "one==1", "two==1")
	x.want("stats", "one==1")
	all := api.EnvRequest{}
	if r := x.do(api.EnvUpdate, all, api.EnvPromoted, api.EnvPromoted); r.Outcomes[0].Labels["current"] != 1 || r.Outcomes[0].Tag == "" {
		t.Errorf("%+v", r.Outcomes[0])
	}
	x.do(api.EnvUpdate, all, api.EnvUnchanged, api.EnvUnchanged)
	x.want("geo", "one==2", "two==1")
	x.do(api.EnvUpdate, geo(all), api.EnvWaits)
	envs, err := x.Environments(t.Context())
	if err != nil || len(envs) != 2 || envs[0].Name != "geo" || envs[0].Waiting == nil || envs[0].Waiting.Generation != 2 || len(envs[0].Tags) == 0 || envs[0].Generation != "1" {
		t.Fatalf("%+v %v", envs, err)
	}
	c := x.do(api.EnvDiff, geo(all)).Compared
	if c == nil || len(c.Changes.Upgraded) != 1 || c.Changes.Upgraded[0] != (api.EnvChange{Name: "one", From: "1", To: "2", Engine: "pip"}) || c.Sentence == "" || c.From.Asked != "current" {
		t.Errorf("%+v", c)
	}
	x.do(api.EnvPromote, all, api.EnvPromoted, api.EnvUnchanged)
	x.do(api.EnvPromote, geo(all), api.EnvUnchanged)
	if c := x.do(api.EnvDiff, geo(all)).Compared; c.From.Asked != "previous" || c.To.Generation != 2 {
		t.Errorf("when nothing waits: %+v", c)
	}
	if r := x.do(api.EnvRollback, geo(all), api.EnvRolledBack); r.Outcomes[0].Generation != 1 {
		t.Errorf("%+v", r)
	}
	x.do(api.EnvRollback, geo(api.EnvRequest{To: "2"}), api.EnvRolledBack)
	x.do(api.EnvTag, geo(all), api.EnvUnchanged)
	x.do(api.EnvDeploy, geo(all), api.EnvUnchanged)
	for _, ref := range []string{strings.TrimPrefix(envs[0].Tags[0], "env-geo-"), "1", "current"} {
		x.do(api.EnvDeploy, geo(api.EnvRequest{Ref: ref}), api.EnvUnchanged)
	}
	x.do(api.EnvLabel, geo(api.EnvRequest{Label: "exam", Ref: "1"}), api.EnvLabelled)
	x.do(api.EnvLabel, geo(api.EnvRequest{Label: "exam"}), api.EnvLabelled)
	x.do(api.EnvLabel, geo(api.EnvRequest{Label: "current", Ref: "1"}), api.EnvFailed)
	x.do(api.EnvPin, geo(all), api.EnvPinned)
	x.do(api.EnvUnpin, geo(all), api.EnvUnpinned)
	x.do(api.EnvReset, geo(all), api.EnvWasReset)
	x.do(api.EnvVerify, all, api.EnvVerified, api.EnvVerified)
	x.do(api.EnvRepair, all)
	x.do(api.EnvGC, all)
	if l := x.do(api.EnvLog, api.EnvRequest{Lines: 3}).Log; len(l) != 3 || l[0].Env == "" || l[0].Commit == "" || l[0].What == "" {
		t.Errorf("%+v", l)
	}
	x.shows()
}

// shows looks at one generation by its label, its tag and its number.
func (x *envBox) shows() {
	x.t.Helper()
	tag := x.do(api.EnvShow, geo(api.EnvRequest{})).Shown.Environment.Tags[0]
	for _, ref := range []string{"previous", "2", tag} {
		r := x.do(api.EnvShow, geo(api.EnvRequest{Ref: ref}))
		if len(r.Shown.Packages) != 2 || r.Shown.Packages[0].Name != "one" || r.Shown.Generation.Number == 0 {
			x.t.Errorf("%s: %+v", ref, r.Shown)
		}
	}
	p := x.do(api.EnvActivate, geo(api.EnvRequest{Ref: "2"})).Place
	if p.Path != "gen/geo/2" || p.Root != x.store.Root() || p.Mount != environmentMount || p.Image != "image" || p.Conda {
		x.t.Errorf("%+v", p)
	}
}

// With one generation only, there is nothing to compare and nothing before it: that is
// said, and is no riddle.
func TestG1_onlyOne(t *testing.T) {
	x := newEnvBox(t)
	x.want("geo", "one==1")
	x.do(api.EnvUpdate, api.EnvRequest{}, api.EnvPromoted)
	image := fmt.Sprintf("sha256:%064d", 1)
	err := x.systems.arrived(t.Context(), image, []byte("tree=2.1:amd64 - - -\n"))
	if _, chosen := x.systems.choose(image); err != nil || chosen != nil {
		t.Fatal(err, chosen)
	}
	for _, name := range []string{"geo", "system"} {
		q := func(from string) api.EnvRequest { return api.EnvRequest{Names: []string{name}, From: from, Ref: from} }
		c := x.do(api.EnvDiff, q("")).Compared
		if c.Changes.Count() != 0 || c.From.Generation != 1 || !strings.Contains(c.Sentence, "nothing to compare") {
			t.Errorf("%+v", c)
		}
		for _, v := range []api.EnvVerb{api.EnvDiff, api.EnvShow} {
			_, err := x.EnvVerb(t.Context(), v, q("previous"))
			if l := notice.For(err); len(l) != 1 || !strings.HasSuffix(l[0].Code, "-no-previous") {
				t.Errorf("%s %s: %v", v, name, l)
			}
		}
		l := x.do(api.EnvRollback, api.EnvRequest{Names: []string{name}}, api.EnvFailed).Outcomes[0].Notices
		if len(l) != 1 || !strings.HasSuffix(l[0].Code, "-no-previous") {
			t.Errorf("rollback %s: %v", name, l)
		}
		if name == "geo" && len(x.do(api.EnvLog, q("")).Log) == 0 {
			t.Error("the log is empty")
		}
	}
	if _, err := x.EnvVerb(t.Context(), api.EnvDiff, geo(api.EnvRequest{To: "next"})); notice.For(err)[0].Code != "environment-no-next" {
		t.Error(err)
	}
}

// TestG1_system: the class's image is shown, compared and rolled back, and is left out
// of what is about all environments.
func TestG1_system(t *testing.T) {
	x := newEnvBox(t)
	x.want("geo", "one==1")
	x.do(api.EnvUpdate, api.EnvRequest{}, api.EnvPromoted)
	system := api.EnvRequest{Names: []string{"system"}}
	for i, manifest := range []string{"tree=2.1:amd64 - - -\n", "tree=2.2:amd64 - - -\njq=1.7:amd64 - - -\n"} {
		image := fmt.Sprintf("sha256:%064d", i)
		if err := x.systems.arrived(t.Context(), image, []byte(manifest)); err != nil {
			t.Fatal(err)
		}
		if _, err := x.systems.choose(image); err != nil {
			t.Fatal(err)
		}
		if _, err := x.systems.Label(t.Context(), fmt.Sprintf("week%d", i), fmt.Sprint(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	q := system
	q.From, q.To = "1", "week1"
	if c := x.do(api.EnvDiff, q).Compared; c.Changes.Count() != 2 || c.Changes.Class != "system" || c.To.Generation != 2 {
		t.Errorf("%+v", c)
	}
	q.Ref = "2"
	if s := x.do(api.EnvShow, q).Shown; len(s.Packages) != 2 || s.Packages[0].Engine != "apt" {
		t.Errorf("%+v", s)
	}
	x.do(api.EnvVerify, api.EnvRequest{}, api.EnvVerified)
	x.do(api.EnvLog, api.EnvRequest{})
	for _, v := range []api.EnvVerb{api.EnvUpdate, api.EnvActivate, api.EnvReset} {
		if _, err := x.EnvVerb(t.Context(), v, api.EnvRequest{Names: []string{"system"}}); err == nil {
			t.Errorf("%s of an image is not refused", v)
		}
	}
}

// A name, a reference or a verb that nobody knows changes nothing, and what failed for
// one environment is told until it goes well.
func TestG1_refusals(t *testing.T) {
	x := newEnvBox(t)
	x.want("geo", "one==1")
	x.do(api.EnvUpdate, api.EnvRequest{}, api.EnvPromoted)
	for want, ask := range map[string]struct {
		v api.EnvVerb
		q api.EnvRequest
	}{
		"did you mean geo": {api.EnvPromote, api.EnvRequest{Names: []string{"goe"}}},
		"env show geo":     {api.EnvShow, geo(api.EnvRequest{Ref: "nothing"})},
		"conjured version": {"fly", geo(api.EnvRequest{})},
		"name one":         {api.EnvRollback, api.EnvRequest{}},
		"env list":         {api.EnvRollback, api.EnvRequest{Names: []string{""}}}, // the system has no name in the folder
		"mean one":         {api.EnvUpdate, geo(api.EnvRequest{Packages: []string{"onne"}})},
	} {
		_, err := x.EnvVerb(t.Context(), ask.v, ask.q)
		if l := notice.For(err); len(l) != 1 || !strings.Contains(l[0].Do, want) {
			t.Errorf("%s: %v", ask.v, l)
		}
	}
	for _, ref := range []string{"env-stats-2026_11_20", "exam", "9"} { // another's tag, and what is none
		x.do(api.EnvDeploy, geo(api.EnvRequest{Ref: ref}), api.EnvFailed)
	}
	for _, v := range []api.EnvVerb{api.EnvExport, api.EnvImport} {
		_, err := x.EnvVerb(t.Context(), v, api.EnvRequest{Path: filepath.Join(t.TempDir(), "not", "there")})
		if l := notice.For(err); len(l) != 1 || !strings.Contains(l[0].What, "no such directory") {
			t.Errorf("%s: %v", v, l)
		}
	}
	if _, err := x.EnvVerb(t.Context(), api.EnvTag, api.EnvRequest{Names: []string{"x"}}); !errors.Is(err, gateway.ErrUnknown) {
		t.Error(err)
	}
	x.bench.fail = &notice.Error{Notice: notice.Notice{Code: "x", Severity: notice.SeverityError, File: "requirements.txt", Line: 1, What: "there is no two"}}
	x.want("geo", "two==1")
	x.do(api.EnvUpdate, api.EnvRequest{}, api.EnvFailed)
	if envs, err := x.Environments(t.Context()); err != nil || envs[0].Failed == nil || envs[0].Failed.Line != 1 || deskOf(envs[0]).Trouble == "" {
		t.Errorf("%+v %v", envs, err)
	}
	if r := x.news.Recent("env update"); len(r) == 0 || r[len(r)-1].State != progress.Failed {
		t.Errorf("%+v", r)
	}
	x.bench.fail = nil
	x.do(api.EnvUpdate, api.EnvRequest{}, api.EnvWaits)
	if envs, _ := x.Environments(t.Context()); envs[0].Failed != nil || deskOf(envs[0]).Waiting == "" {
		t.Errorf("%+v", envs)
	}
	if s, err := (deskPackages{x.box}).Promote(t.Context(), "geo"); err != nil || s == "" {
		t.Errorf("%q %v", s, err)
	}
}

// What packages take on the disk is counted behind everybody's back, and shown; what is
// not needed is told by its kind, and goes when somebody says so.
func TestG1_disk(t *testing.T) {
	x := newEnvBox(t)
	x.uncounted = make(chan struct{}, 1)
	for i := range 5 {
		x.want("geo", fmt.Sprintf("one==%d", i))
		x.do(api.EnvUpdate, api.EnvRequest{}, map[bool]api.EnvDid{true: api.EnvPromoted, false: api.EnvWaits}[i == 0])
	}
	envs, err := x.Environments(t.Context())
	if err != nil || envs[0].Bytes != 0 || len(x.uncounted) != 1 {
		t.Fatalf("%+v %v", envs, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go x.countPackages(ctx)
	for envs[0].Bytes == 0 && t.Context().Err() == nil {
		if envs, err = x.Environments(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var sum int64
	for _, g := range envs[0].Generations {
		sum += g.Bytes
	}
	if sum != envs[0].Bytes || envs[0].Generations[0].Bytes == 0 {
		t.Errorf("%+v", envs[0])
	}
	dry := x.do(api.EnvGC, api.EnvRequest{DryRun: true}, api.EnvRemovable)
	did := x.do(api.EnvGC, api.EnvRequest{}, api.EnvRemoved)
	if len(dry.Freed) != 1 || dry.Freed[0] != did.Freed[0] || did.Freed[0].Kind != "generations" || did.Freed[0].Bytes == 0 || did.Outcomes[0].Generation != 2 {
		t.Errorf("%+v, then %+v", dry, did)
	}
}
