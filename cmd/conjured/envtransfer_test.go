package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/gateway"
	"github.com/conjuring/conjured/notice"
)

// A history goes out in the form of conda-gitenv, and comes into another box.
func TestG7_transfer(t *testing.T) {
	x, other := newEnvBox(t), newEnvBox(t)
	x.want("geo", "one==1")
	x.do(api.EnvUpdate, api.EnvRequest{}, api.EnvPromoted)
	to := filepath.Join(t.TempDir(), "old.git")
	x.do(api.EnvExport, api.EnvRequest{Path: to}, api.EnvExported)
	if _, err := x.EnvVerb(t.Context(), api.EnvExport, api.EnvRequest{Path: to}); err == nil {
		t.Error("what is there is written over")
	}
	if _, err := x.EnvVerb(t.Context(), api.EnvImport, api.EnvRequest{Path: "old.git"}); err == nil {
		t.Error("a path without a beginning is taken")
	}
	r, err := other.EnvVerb(t.Context(), api.EnvImport, api.EnvRequest{Path: to})
	if err != nil || len(r.Outcomes) != 1 || r.Outcomes[0].Env != "geo" {
		t.Errorf("%+v %v", r, err)
	}

	// What came this way is taken out of use by a word, and comes back from its history.
	q := func() api.EnvRequest { return geo(api.EnvRequest{}) }
	other.do(api.EnvRemove, geo(api.EnvRequest{DryRun: true}), api.EnvRemovable)
	tag := other.do(api.EnvRemove, q(), api.EnvRemoved).Outcomes[0].Tag
	other.do(api.EnvGC, api.EnvRequest{}, api.EnvRemoved)
	if envs, err := other.Environments(t.Context()); err != nil || len(envs) != 0 {
		t.Errorf("%+v %v", envs, err)
	}
	if _, err := other.EnvVerb(t.Context(), api.EnvRemove, q()); !errors.Is(err, gateway.ErrUnknown) {
		t.Error(err)
	}
	other.do(api.EnvDeploy, geo(api.EnvRequest{Ref: tag}), api.EnvPromoted)
	if l := x.do(api.EnvRemove, q(), api.EnvFailed).Outcomes[0].Notices; len(l) != 1 || !strings.Contains(l[0].Do, "delete requirements.txt") {
		t.Errorf("the folder asks for it: %+v", l)
	}
}

// While nothing serves yet, nobody knows what is asked for, nor in which image to build.
func TestEnvBeforeTheClass(t *testing.T) {
	_, err := newEnvBox(t).wanted(t.Context())
	if l := notice.For(err); len(l) != 1 || l[0].Code != "env-class-not-ready" {
		t.Errorf("%v", err)
	}
}
