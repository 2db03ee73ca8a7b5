package environments

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/conjuring/conjured/notice"
)

// inventoryFile is the inventory of a generation in a build's scratch: that of the one in
// use when build.py starts, and that of the new one when it ends. See inventory.py.
const inventoryFile = "inventory.json"

// inventoryDir holds the inventories of env's generations, which students cannot read.
// What is there saves time only.
func (s *Store) inventoryDir(env Name) string {
	return filepath.Join(s.root, "store", "inventory", string(env))
}

// keepInventory keeps what a build has written, below a line with the seal of the tree.
// Without one there is none.
func (s *Store) keepInventory(g Generation, tree string, text []byte) error {
	if text == nil || tree == "" {
		return nil
	}
	dir := s.inventoryDir(g.Env)
	if err := mkdir(dir, 0o700); err != nil {
		return err
	}
	return s.write(filepath.Join(dir, strconv.Itoa(g.Number)), append([]byte(tree+"\n"), text...), 0o600)
}

// takeStock keeps the inventory of a generation that was made the plain way, if it has one.
func (b *Builder) takeStock(ctx context.Context, g Generation, w work) rest {
	text, err := readSmall(filepath.Join(w.host, inventoryFile))
	if err != nil {
		return nil
	}
	return func() (notice.List, error) {
		tree, err := sealOf(ctx, b.c.Store.path(g))
		if err != nil {
			return nil, fmt.Errorf("cannot take stock of generation %d of %s: %w", g.Number, g.Env, err)
		}
		return nil, b.c.Store.keepInventory(g, tree, text)
	}
}

// guess is a generation that is being filled before it is known what it will hold.
type guess struct {
	own   map[string]bool // paths that differ between the old one and the new
	done  chan struct{}   // closed when nobody links any more
	input *os.File        // what build.py reads
	trial *rehearsal      // of what comes of it; read it after done
}

// guess begins to take the generation in use over for a build of s, if it is likely to stay
// whole: then something is asked for beside what was. Nil if not.
func (b *Builder) guess(ctx context.Context, s Spec, w work, g Generation) *guess {
	prev := w.prev
	// Whoever links must be who unpacks: it could not write to the directories otherwise.
	if !s.grows(prev) || b.c.Builder != fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid()) {
		return nil
	}
	data, err := readSmall(filepath.Join(b.c.Store.inventoryDir(prev.Env), strconv.Itoa(prev.Number)))
	if err != nil {
		return nil
	}
	tree, data, _ := bytes.Cut(data, []byte("\n"))
	var i struct{ Own []string }
	if json.Unmarshal(data, &i) != nil || w.put(inventoryFile, data) != nil {
		return nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil
	}
	x := &guess{own: map[string]bool{}, done: make(chan struct{}), input: read}
	for _, f := range append(i.Own, ours...) {
		x.own[f] = true
	}
	go func() {
		defer close(x.done)
		defer write.Close()
		now, err := link(ctx, b.c.Store.path(prev), b.c.Store.path(g), x.own)
		if err != nil || now != string(tree) { // somebody was there
			b.c.Log.Info("the packages in use are looked at one by one", "env", g.Env, "number", prev.Number, "error", err)
			return
		}
		_, _ = write.WriteString("linked\n")
		x.trial = b.rehearse(ctx, s, prev, g)
		go func() { _ = b.c.Store.flush() }() // so that less is left for the end, where errors count
	}()
	return x
}

// grows tells whether s may be prev and packages of pip beside it.
func (s Spec) grows(prev Generation) bool {
	if prev.Number == 0 || prev.Image != s.Image || len(s.Conda) > 0 || len(prev.Manifest.of(Conda)) > 0 || s.Python != "" {
		return false
	}
	return !slices.ContainsFunc(prev.Asked, func(n string) bool { return !s.asks(n) })
}

// end waits until nobody links any more.
func (x *guess) end() {
	if x == nil {
		return
	}
	x.input.Close()
	<-x.done
}

func (s *Store) path(g Generation) string { return filepath.Join(s.root, g.Path()) }
