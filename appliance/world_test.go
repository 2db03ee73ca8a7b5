package appliance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/conjuring/conjured/notice"
)

// world is a box in virtual time: what workers do to it outlives a power cut, what they
// were about to do does not. It watches every rule that a worker can see broken.
type world struct {
	mu       sync.Mutex
	roster   string
	content  string
	images   map[string]bool
	envs     map[string]bool
	serving  Setup
	kernels  string
	sealed   string
	served   []Setup // in order of deployment, also before power cuts
	faults   map[Kind][]fault
	took     map[Kind]time.Duration
	blind    int  // observations yet to fail
	off      bool // the power is: nothing has an effect any more
	over     bool // Run has returned: nothing may start any more
	running  map[Kind]int
	ended    map[string]int // kind and error, for tests that count
	wishes   []Setup        // asked for; the last may not be accepted
	store    *memStore
	problems []string
}

// fault is what happens to one action.
type fault int

const (
	works fault = iota
	passing
	hangs
	panics
	breaks // Deploy: fails and leaves nothing serving
	permanently
)

func newWorld() *world {
	return &world{
		images: map[string]bool{}, envs: map[string]bool{}, faults: map[Kind][]fault{},
		running: map[Kind]int{}, ended: map[string]int{}, store: &memStore{},
		took: map[Kind]time.Duration{
			Observe: time.Second, Roster: time.Second, Content: 5 * time.Second, Image: 40 * time.Second,
			Environment: 20 * time.Second, Deploy: 7 * time.Second, Kernels: 30 * time.Second, Collect: 9 * time.Second, Seal: 60 * time.Second,
		},
	}
}

func (w *world) config() Config {
	workers := map[Kind]Worker{}
	for _, k := range append(wished(), Collect, Seal) {
		workers[k] = w
	}
	return Config{Workers: workers, Observer: w, Store: w.store, Resync: time.Hour, Fallback: Setup{ID: "fallback", Image: "builtin", Environment: "core"}}
}

func (w *world) problem(format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

func (w *world) Do(ctx context.Context, x Action) (Result, error) {
	f := w.begin(x)
	err := w.spend(ctx, x.Kind, f)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[x.Kind]--
	if w.off {
		return Result{}, errors.New("the power is off")
	}
	if err == nil && (x.Setup.Image == "bad" && x.Kind == Image || x.Setup.Environment == "bad" && x.Kind == Environment || x.Setup.Kernels == "bad" && x.Kind == Kernels) {
		err = Permanent(&notice.Error{Notice: notice.Notice{Code: "misspelt", Severity: notice.SeverityError, What: "no such package"}})
	}
	w.ended[fmt.Sprint(x.Kind, " ", err)]++
	if err != nil {
		if f == breaks && x.Kind == Deploy {
			w.serving = Setup{}
		}
		if f == panics {
			panic("injected")
		}
		return Result{}, err
	}
	w.achieve(x)
	return Result{Notices: notice.List{{Code: "done", Severity: notice.SeverityInfo, What: string(x.Kind)}}}, nil
}

// begin checks what must hold when x starts and draws its fault.
func (w *world) begin(x Action) fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := x.Setup
	if w.over {
		w.problem("%s of %s starts after the end", x.Kind, s.ID)
	}
	if w.running[x.Kind]++; w.off {
		return works // begun in the instant of the power cut
	}
	if w.running[x.Kind] > 1 {
		w.problem("two actions of kind %s", x.Kind)
	}
	if !w.store.failing() && !slices.ContainsFunc(w.store.synced().Running, func(y Action) bool { return y.Kind == x.Kind && y.Setup == s }) {
		w.problem("%s of %s starts before it is saved", x.Kind, s.ID)
	}
	switch x.Kind {
	case Environment:
		if !w.images[s.Image] {
			w.problem("environment of %s without its image", s.ID)
		}
	case Deploy:
		if !w.images[s.Image] || !w.envs[s.EnvironmentKey()] {
			w.problem("deploys %s unbuilt", s.ID)
		}
		if n := len(w.wishes); n > 0 && w.roster != w.wishes[n-1].Roster && (n < 2 || w.roster != w.wishes[n-2].Roster) {
			w.problem("deploys %s before the roster", s.ID)
		}
	case Kernels:
		if w.serving.ID != s.ID {
			w.problem("makes the kernels of %s while %q serves", s.ID, w.serving.ID)
		}
	case Collect:
		if w.running[Image]+w.running[Environment]+w.running[Deploy]+w.running[Kernels]+w.running[Seal] > 0 {
			w.problem("collects beside %v", w.running)
		}
	case Seal:
		if w.running[Image]+w.running[Environment]+w.running[Deploy]+w.running[Kernels]+w.running[Collect] > 0 {
			w.problem("seals beside %v", w.running)
		}
	}
	if x.Kind == Image || x.Kind == Environment || x.Kind == Kernels {
		if w.running[Collect] > 0 {
			w.problem("builds beside a collection")
		}
		if w.serving.ID == "" && w.canRestore() {
			w.problem("builds %s before the last good setup serves again", s.ID)
		}
	}
	q := w.faults[x.Kind]
	if len(q) == 0 {
		return works
	}
	w.faults[x.Kind] = q[1:]
	return q[0]
}

// canRestore tells whether the last good setup is there to be served, and none of its
// deployments has been made to fail.
func (w *world) canRestore() bool {
	if len(w.served) == 0 || len(w.faults[Deploy]) > 0 || w.ended["broken"] > 0 {
		return false
	}
	s := w.served[len(w.served)-1]
	return w.images[s.Image] && w.envs[s.EnvironmentKey()]
}

// spend is the time x takes, and what its fault makes of it.
func (w *world) spend(ctx context.Context, k Kind, f fault) error {
	d := w.took[k]
	if f == hangs {
		d = 1000 * time.Hour
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	switch f {
	case works, hangs:
		return nil
	case permanently:
		return Permanent(errors.New("injected for good"))
	}
	return errors.New("injected")
}

func (w *world) achieve(x Action) {
	s := x.Setup
	switch x.Kind {
	case Roster:
		w.roster = s.Roster
	case Content:
		w.content = s.Content
	case Image:
		w.images[s.Image] = true
	case Environment:
		w.envs[s.EnvironmentKey()] = true
	case Deploy:
		w.serving = s
		w.served = append(w.served, s)
	case Kernels:
		w.kernels = s.KernelsKey()
	case Seal:
		w.sealed = s.SealKey()
	case Collect:
		maps.DeleteFunc(w.images, func(k string, _ bool) bool {
			return !slices.ContainsFunc(x.Keep, func(s Setup) bool { return s.Image == k })
		})
		maps.DeleteFunc(w.envs, func(k string, _ bool) bool {
			return !slices.ContainsFunc(x.Keep, func(s Setup) bool { return s.EnvironmentKey() == k })
		})
		s := w.serving
		if n := len(w.served); s.ID == "" && n > 0 {
			s = w.served[n-1] // the hub died meanwhile: this is what comes back
		}
		if s.ID != "" && (!w.images[s.Image] || !w.envs[s.EnvironmentKey()]) {
			w.problem("collects what serves")
		}
	}
}

// Observe tells what is true at its beginning, late, and of what serves only the ID.
func (w *world) Observe(ctx context.Context) (Actual, error) {
	w.mu.Lock()
	a := Actual{
		Roster: w.roster, Content: w.content, Serving: Setup{ID: w.serving.ID}, Kernels: w.kernels, Sealed: w.sealed,
		Images: maps.Clone(w.images), Environments: maps.Clone(w.envs),
	}
	w.blind--
	blind := w.blind >= 0
	w.mu.Unlock()
	if err := w.spend(ctx, Observe, works); err != nil {
		return Actual{}, err
	}
	if blind {
		return Actual{}, &notice.Error{Notice: notice.Notice{Code: "docker-stopped", Severity: notice.SeverityError, What: "Docker is not running"}}
	}
	return a, nil
}

// look calls f while nothing changes.
func (w *world) look(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// accounts is the roster that is applied.
func (w *world) accounts() (roster string) {
	w.look(func() { roster = w.roster })
	return roster
}

// count is how many actions of a kind ended as told, as in "image context canceled".
func (w *world) count(kindAndError string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended[kindAndError]
}

// cut takes the power away: nothing that is under way has an effect any more, what was
// not synced is gone, and nothing serves.
func (w *world) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off = true
	w.store = w.store.afterCut()
	w.serving = Setup{}
}

// memStore is a Store in memory that takes a moment to sync, as a disk does.
type memStore struct {
	mu      sync.Mutex
	raw     []byte // synced
	dead    bool   // the power is off: nothing is written any more
	fails   bool
	slow    time.Duration // between write and sync, virtual
	entries []Entry
}

func (m *memStore) Save(s State) error {
	raw, err := encode(s)
	if err != nil {
		return err
	}
	if m.slow > 0 {
		time.Sleep(m.slow) // virtual: only in a synctest bubble
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails || m.dead {
		return errors.New("no space left on device")
	}
	m.raw = raw
	return nil
}

func (m *memStore) Load() (State, notice.List, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.raw == nil {
		return State{}, nil, nil
	}
	s, err := decode(m.raw)
	return s, nil, err
}

func (m *memStore) Record(e Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, e)
	return nil
}

func (m *memStore) synced() State {
	s, _, err := m.Load()
	if err != nil {
		panic(err)
	}
	return s
}

func (m *memStore) failing() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fails
}

func (m *memStore) fail(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fails = yes
}

// afterCut is the store as the next start finds it; m itself takes nothing any more.
func (m *memStore) afterCut() *memStore {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	return &memStore{raw: slices.Clone(m.raw), slow: m.slow}
}
