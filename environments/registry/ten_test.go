package registry

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/progress"
)

// stub stands for ipykernel, which every environment gets: what is tried here is not
// whether kernels run.
func stub() wheeltest.Wheel { return wheeltest.Wheel{Name: "ipykernel", Version: "1"} }

// tenReal is ten environments with a package of their own each, on a real Builder.
func tenReal(t *testing.T) (*box, *wheeltest.Server) {
	t.Helper()
	index := wheeltest.Serve(stub())
	for i := range 10 {
		index.Set(wheeltest.Wheel{Name: fmt.Sprintf("own%d", i), Version: "1"}, wheeltest.Wheel{Name: fmt.Sprintf("more%d", i), Version: "1"})
	}
	srv := httptest.NewServer(index)
	t.Cleanup(srv.Close)
	b, _ := realBox(t, srv.URL+"/simple", "")
	for i := range 10 {
		b.wants = append(b.wants, wish(fmt.Sprintf("env%d", i), fmt.Sprintf("own%d", i)))
	}
	return b, index
}

// did is what became of each environment, by name.
func (b *box) did(names ...string) map[string]Did {
	b.t.Helper()
	out, err := b.Update(b.t.Context(), names, Options{}, progress.Discard)
	if err != nil {
		b.t.Fatal(err)
	}
	got := map[string]Did{}
	for _, o := range out {
		got[o.Env] = o.Did
		if o.Did == Failed && o.Notices == nil {
			b.t.Errorf("%s failed without a word for the teacher: %v", o.Env, o.Err)
		}
	}
	return got
}

// One of ten asks for what does not exist, and one for what was changed upstream since:
// the others get theirs. Then the network goes away in the middle of the next change.
func TestTenWithRealPackages(t *testing.T) {
	b, index := tenReal(t)
	b.wants[4] = wish("env4", "nothere")
	changed := wheeltest.Wheel{Name: "own7", Version: "1", Modules: map[string]string{"own7.py": "stolen = True\n"}}
	index.Forge(changed.File(), changed.Bytes())
	got := b.did()
	for i := range 10 {
		want := map[bool]Did{true: Failed, false: Promoted}[i == 4 || i == 7]
		if name := fmt.Sprintf("env%d", i); got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
	for _, name := range []environments.Name{"env4", "env7"} {
		if l, err := b.store.Labels(name); err != nil || len(l) > 0 {
			t.Errorf("%s has labels %v, %v", name, l, err)
		}
	}

	names := []string{"env0", "env1", "env2"}
	for i := range names {
		b.wants[i] = wish(names[i], fmt.Sprintf("own%d", i), fmt.Sprintf("more%d", i))
	}
	index.Unplug("more1") // the cable is pulled while the second one is looked for
	got = b.did(names...)
	if got["env0"] != Promoted || got["env1"] != Failed || got["env2"] != Failed {
		t.Errorf("without network from the second on: %v", got)
	}
	b.labels("env0", map[string]int{"current": 2, "previous": 1})
	b.labels("env1", map[string]int{"current": 1})
	if left, err := filepath.Glob(filepath.Join(b.store.Root(), "gen", "env1", "[0-9]*")); err != nil || len(left) != 1 {
		t.Errorf("what was begun is left: %v, %v", left, err)
	}
	index.Offline(false)
	if got = b.did(names...); got["env0"] != Unchanged || got["env1"] != Promoted || got["env2"] != Promoted {
		t.Errorf("with the network back: %v", got)
	}
}
