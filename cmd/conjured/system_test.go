package main

import (
	"log/slog"
	"os"
	"testing"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/notice"
)

// The images of the system have labels and a way back, as environments have.
func TestSystems(t *testing.T) {
	p := place{State: t.TempDir()}
	if err := os.MkdirAll(p.built(), 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := environments.Open(p.join("env"), "")
	if err != nil {
		t.Fatal(err)
	}
	s := &systems{b: &box{place: p, store: store, log: slog.New(slog.DiscardHandler)}}
	one, two := "sha256:111111111111aa", "sha256:222222222222bb"
	arrive := func(image, apt string) {
		t.Helper()
		if err := s.arrived(t.Context(), image, []byte(apt)); err != nil {
			t.Fatal(err)
		}
	}
	choose := func(image, want string) {
		t.Helper()
		if got, err := s.choose(image); err != nil || got != want {
			t.Errorf("with %s servers start from %s, want %s; %v", image, got, want, err)
		}
	}
	choose(one, one) // not written down: nothing else to start from
	arrive(one, "python3.13=3.13.5:amd64 - - -\n")
	choose(one, one)
	arrive(two, "jq=1.7:amd64 - - -\npython3.13=3.13.5:amd64 - - -\n")
	arrive(two, "jq=1.7:amd64 - - -\npython3.13=3.13.5:amd64 - - -\n")
	choose(two, two)

	o, err := s.Rollback(t.Context(), "")
	if err != nil || o.Did != registry.RolledBack || o.Generation != 1 || o.Labels["previous"] != 2 || o.Sentence == "" {
		t.Errorf("%+v, %v", o, err)
	}
	choose(two, one) // the setup that was rolled back from does not undo it
	if o, err := s.Rollback(t.Context(), "1"); err != nil || o.Did != registry.Unchanged {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := s.Label(t.Context(), "exam", "222222222222"); err != nil || o.Labels["exam"] != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := s.Label(t.Context(), "exam", "2"); err != nil || o.Did != registry.Unchanged {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := s.Rollback(t.Context(), "9"); len(notice.For(err)) != 1 {
		t.Errorf("%v", err)
	}
	l, err := s.List(t.Context())
	if err != nil || len(l) != 1 || len(l[0].Generations) != 2 || l[0].Generations[0].Python != "3.13" || l[0].Generations[1].Packages != 2 || len(s.inUse()) != 3 {
		t.Errorf("%+v, %v, in use %v", l, err, s.inUse())
	}
	arrive("sha256:333333333333cc", "")
	choose("sha256:333333333333cc", "sha256:333333333333cc") // another one is another wish
	choose(two, two)
}
