package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Errors of [Routes.Add], to be found with errors.Is.
var (
	// ErrReserved: the path is one of ours.
	ErrReserved = errors.New("the path belongs to the front door itself")
	// ErrNoTarget: the data has no string "target".
	ErrNoTarget = errors.New("must specify 'target' as string")
	// ErrTooMany: the table is full or the route's data is too large.
	ErrTooMany = errors.New("too many or too large routes")

	errEncoding = errors.New("the path is not UTF-8")
)

const (
	maxRoutes    = 20_000   // some hundred are a large class
	maxRoutePath = 4 << 10  // bytes
	maxDepth     = 64       // segments
	maxRouteData = 64 << 10 // bytes of JSON
)

// RoutesConfig says where a route table is kept. The zero value is a table in
// memory only, in which no path is reserved.
type RoutesConfig struct {
	File     string   // absolute path; "" keeps nothing across a restart
	Reserved []string // path prefixes nobody may route, e.g. "/conjured"
	Hosts    bool     // a route's first segment is a host name, see [HostKey]
	Log      *slog.Logger

	// Added and Removed are told of what Add and Delete changed; nil: nobody is.
	Added, Removed func(Route)
}

// Routes is the route table: decoded path prefixes and their targets. Any number
// of goroutines may look things up while others change it; a reader sees each
// change whole or not at all.
type Routes struct {
	config  RoutesConfig
	seed    maphash.Seed
	root    atomic.Pointer[node]
	now     atomic.Int64 // coarse clock, Unix ms; 0 when nobody keeps it (see Run)
	changed chan struct{}

	writing sync.Mutex // one writer at a time; readers never take it
	count   int
	gone    func(target) // called by the writer for what no longer leads anywhere; may be nil
}

// route is a prefix and its target. Only last changes.
type route struct {
	path   string                     // as the API shows it: decoded, "/" first
	to     string                     // the target as it was given
	data   map[string]json.RawMessage // as it was given; last_activity is not in it
	target target
	last   atomic.Int64 // Unix ms of the last activity
}

// Route is what the table holds for a path, for printing.
type Route struct {
	Path         string
	Target       string
	Data         map[string]json.RawMessage // every key as it was given, target included
	LastActivity time.Time
}

// OpenRoutes makes a route table, with the routes that c.File holds. A file that
// cannot be read is set aside and the table starts empty: the hub fills it again.
func OpenRoutes(c RoutesConfig) (*Routes, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &Routes{config: c, seed: maphash.MakeSeed(), changed: make(chan struct{}, 1)}
	t.root.Store(&node{})
	if err := t.restore(); err != nil {
		return nil, err
	}
	return t, nil
}

// Add puts a route at path, a decoded path, in place of the one that was there.
// data must hold a string "target". Its activity starts now.
func (t *Routes) Add(path string, data map[string]json.RawMessage) error {
	return t.add(path, data, time.Now())
}

func (t *Routes) add(path string, data map[string]json.RawMessage, last time.Time) error {
	k := key(path)
	if !utf8.ValidString(k) {
		return errEncoding
	}
	if t.reserved(k) {
		return fmt.Errorf("cannot route /%s: %w", k, ErrReserved)
	}
	size := 0
	for name, value := range data {
		size += len(name) + len(value)
	}
	if len(k) > maxRoutePath || strings.Count(k, "/") >= maxDepth || size > maxRouteData {
		return ErrTooMany
	}
	var to string
	if err := json.Unmarshal(data["target"], &to); err != nil || string(data["target"]) == "null" {
		return ErrNoTarget
	}
	parsed, err := parseTarget(to)
	if err != nil {
		return err
	}
	r := &route{path: "/" + k, to: to, data: maps.Clone(data), target: parsed}
	delete(r.data, "last_activity")
	if t.config.Hosts && k != "" {
		host, _, _ := cut(k)
		r.data["host"], _ = json.Marshal(host) // as the original shows it
	}
	r.last.Store(last.UnixMilli())
	if err := t.place(k, r); err != nil {
		return err
	}
	if t.config.Added != nil {
		t.config.Added(r.show())
	}
	return nil
}

// place puts r at k.
func (t *Routes) place(k string, r *route) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	root := t.root.Load()
	if at := root.at(k); at == nil || at.route == nil {
		if t.count >= maxRoutes {
			return ErrTooMany
		}
		t.count++
	} else if t.gone != nil && at.route.target != r.target {
		defer t.gone(at.route.target)
	}
	t.root.Store(root.with(t.seed, k, r))
	t.touched()
	return nil
}

// Delete removes the route at exactly path and tells whether there was one.
// Requests under way go on.
func (t *Routes) Delete(path string) bool {
	k := key(path)
	t.writing.Lock()
	at := t.root.Load().at(k)
	found := at != nil && at.route != nil
	if found {
		t.remove(k)
	}
	t.writing.Unlock()
	if found && t.config.Removed != nil {
		t.config.Removed(at.route.show())
	}
	return found
}

// DeleteBelow removes the routes at and below path and returns how many.
func (t *Routes) DeleteBelow(path string) int {
	t.writing.Lock()
	defer t.writing.Unlock()
	n := 0
	for r := range t.root.Load().at(key(path)).routes() {
		t.remove(key(r.path))
		n++
	}
	return n
}

// remove takes away the route at k, which is there. The caller is the writer.
func (t *Routes) remove(k string) {
	was := t.root.Load()
	root := was.without(t.seed, k)
	if root == nil {
		root = &node{}
	}
	if t.gone != nil {
		defer t.gone(was.at(k).route.target)
	}
	t.count--
	t.root.Store(root)
	t.touched()
}

// Get is the route at exactly path, a decoded path.
func (t *Routes) Get(path string) (Route, bool) {
	at := t.root.Load().at(key(path))
	if at == nil || at.route == nil {
		return Route{}, false
	}
	return at.route.show(), true
}

// Match is the route of the longest prefix of a key, as [PathKey] and [HostKey] make
// them.
func (t *Routes) Match(k string) (Route, bool) {
	r := t.find(k)
	if r == nil {
		return Route{}, false
	}
	return r.show(), true
}

// All yields every route of one moment, in the order of the path's segments.
func (t *Routes) All() iter.Seq[Route] {
	return func(yield func(Route) bool) {
		for r := range t.root.Load().routes() {
			if !yield(r.show()) {
				return
			}
		}
	}
}

// onGone has f called for each target that a route has led to and no longer does,
// after the change can be seen. f must not change the table.
func (t *Routes) onGone(f func(target)) {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.gone = f
}

// find is the route for a request, nil when there is none.
func (t *Routes) find(k string) *route { return t.root.Load().find(k) }

// prefix is the part of a request's path that led to r.
func (t *Routes) prefix(r *route) string {
	k := key(r.path)
	if t.config.Hosts {
		_, k, _ = cut(k)
	}
	return k
}

func (t *Routes) reserved(k string) bool {
	for _, p := range t.config.Reserved {
		if p = key(p); k == p || strings.HasPrefix(k, p+"/") {
			return true
		}
	}
	return false
}

// active notes that bytes moved on r. It reads no clock and writes at most once
// per tick of the coarse one, which it returns (Unix ms).
func (t *Routes) active(r *route) int64 {
	now := t.now.Load()
	if now == 0 {
		now = time.Now().UnixMilli()
	}
	if r.last.Load() < now {
		r.last.Store(now)
	}
	return now
}

// touched lets Run know that there is something to save.
func (t *Routes) touched() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (r *route) show() Route {
	return Route{Path: r.path, Target: r.to, Data: r.data, LastActivity: time.UnixMilli(r.last.Load()).UTC()}
}
