package main

import (
	"log/slog"
	"os"
	"testing"

	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/environments"
)

// The packages of a setup that is being deployed are not those of the one before: going
// back to that one has to bring back its own.
func TestBaseMoved(t *testing.T) {
	p := place{State: t.TempDir()}
	if err := os.MkdirAll(p.built(), 0o700); err != nil {
		t.Fatal(err)
	}
	b := &box{place: p, records: records{p.built()}, log: slog.New(slog.DiscardHandler)}
	old, wished := appliance.Setup{Image: "i", Environment: "old"}, appliance.Setup{Image: "i", Environment: "new"}
	for s, v := range map[appliance.Setup]environmentRecord{old: {Number: 1, ID: "one"}, wished: {Number: 2, ID: "two"}} {
		if err := writeJSON(b.records.environmentFile(s.EnvironmentKey()), v); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(s appliance.Setup, id string) {
		t.Helper()
		if v, err := b.records.environment(s.EnvironmentKey()); err != nil || v.ID != id {
			t.Errorf("%s has %+v, want %s; %v", s.Environment, v, id, err)
		}
	}
	b.serving.Store(&old)
	b.baseMoved(environments.Generation{Number: 2, ID: "two"}) // while wished is deployed
	expect(old, "one")
	b.serving.Store(&wished)
	b.baseMoved(environments.Generation{Number: 1, ID: "one"}) // rolled back
	expect(wished, "two")
	b.baseMoved(environments.Generation{Number: 3, ID: "three"}) // updated
	expect(wished, "three")
	expect(old, "one")
}
