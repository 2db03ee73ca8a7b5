package environments

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// MountPoint is where the class image expects the environment mount.
const MountPoint = "/opt/conjured/env"

// ErrNoGeneration means that a label or a number names no complete generation.
var ErrNoGeneration = errors.New("no such generation")

// Store is the directory of generations, labels, kernels and caches.
type Store struct {
	root  string
	mount string

	// step is called before every change of the directory that must survive a power
	// cut; an error stops the operation there. Tests put cuts in.
	step func(string) error

	// free is how many bytes the disk has left. Tests make it small.
	free func() (uint64, error)

	counting  sync.Mutex // guards what follows
	counted   map[cost]int64
	countedOf string // which generations, and what was counted of them
}

// Open makes the directories that are missing. Mount is the absolute path at which
// containers see root; "" means MountPoint.
func Open(root, mount string) (*Store, error) {
	if mount == "" {
		mount = MountPoint
	}
	root, err := filepath.Abs(root)
	if err != nil || !filepath.IsAbs(mount) {
		return nil, fmt.Errorf("cannot open environments: %q and %q must be absolute", root, mount)
	}
	s := &Store{root: root, mount: filepath.Clean(mount), step: func(string) error { return nil }, free: func() (uint64, error) { return diskFree(root) }}
	for _, d := range []string{".", "gen", "label", "kernels", "hot"} {
		if err := mkdir(filepath.Join(root, d), 0o755); err != nil {
			return nil, fmt.Errorf("cannot open environments: %w", err)
		}
	}
	// Students reach what they need through gen; caches and scratch are nobody's business.
	for _, d := range []string{"store", "store/uv", "store/conda", "store/wheel", "store/resolved", "store/inventory", "store/work"} {
		if err := mkdir(filepath.Join(root, d), 0o700); err != nil {
			return nil, fmt.Errorf("cannot open environments: %w", err)
		}
	}
	return s, nil
}

// Guard has f asked before every change of the directory that must survive a power cut;
// an error of f stops the operation there. It is how tests put the cuts in.
func (s *Store) Guard(f func(step string) error) { s.step = f }

// mkdir makes path with exactly the given permissions, whatever the umask.
func mkdir(path string, mode fs.FileMode) error {
	if fi, err := os.Lstat(path); err == nil && fi.IsDir() && fi.Mode().Perm() == mode {
		return nil
	}
	if err := os.MkdirAll(path, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// Root is the directory on the host; Mount is the same directory in containers.
func (s *Store) Root() string { return s.root }

// Mount is the directory's path in containers.
func (s *Store) Mount() string { return s.mount }

// Path is a generation's directory, relative to Root and to Mount.
func (g Generation) Path() string { return genPath(g.Env, g.Number) }

func genPath(env Name, number int) string {
	return filepath.Join("gen", string(env), strconv.Itoa(number))
}

// Generation reads one complete generation; ErrNoGeneration if there is none.
func (s *Store) Generation(env Name, number int) (Generation, error) {
	g := Generation{}
	dir := filepath.Join(s.root, genPath(env, number))
	ok, err := readSmall(filepath.Join(dir, "ok"))
	if err != nil {
		return g, fmt.Errorf("%w: %s %d", ErrNoGeneration, env, number)
	}
	meta, err := readSmall(filepath.Join(dir, "generation.json"))
	if err != nil || strings.TrimSpace(string(ok)) != digest(meta) {
		return g, fmt.Errorf("%w: %s %d is not complete", ErrNoGeneration, env, number)
	}
	if err := json.Unmarshal(meta, &g); err != nil {
		return g, fmt.Errorf("%w: %s %d: %w", ErrNoGeneration, env, number, err)
	}
	text, err := readSmall(filepath.Join(dir, "manifest.txt"))
	if err != nil || digest(text) != g.ID {
		return g, fmt.Errorf("%w: %s %d has another manifest", ErrNoGeneration, env, number)
	}
	if g.Manifest, err = ParseManifest(text); err != nil {
		return g, fmt.Errorf("%w: %s %d: %w", ErrNoGeneration, env, number, err)
	}
	g.Env, g.Number, g.State = env, number, Ready
	return g, nil
}

// Generations lists the complete generations of env, oldest first.
func (s *Store) Generations(env Name) ([]Generation, error) {
	numbers, err := s.numbers(env)
	if err != nil {
		return nil, err
	}
	var out []Generation
	for _, n := range numbers {
		g, err := s.Generation(env, n)
		if errors.Is(err, ErrNoGeneration) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

// numbers lists the directories of env's generations, complete or not, in order.
func (s *Store) numbers(env Name) ([]int, error) {
	if err := env.Check(); err != nil {
		return nil, err
	}
	es, err := os.ReadDir(filepath.Join(s.root, "gen", string(env)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list generations: %w", err)
	}
	var out []int
	for _, e := range es {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 && e.IsDir() && strconv.Itoa(n) == e.Name() {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// names lists the environments that have generations or labels.
func (s *Store) names() ([]Name, error) {
	var out []Name
	for _, d := range []string{"gen", "label"} {
		es, err := os.ReadDir(filepath.Join(s.root, d))
		if err != nil {
			return nil, fmt.Errorf("cannot list environments: %w", err)
		}
		for _, e := range es {
			if n := Name(e.Name()); n.Check() == nil && e.IsDir() {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// begin makes the directory of a new generation, with a number that was never used.
func (s *Store) begin(env Name) (int, error) {
	numbers, err := s.numbers(env)
	if err != nil {
		return 0, err
	}
	dir := filepath.Join(s.root, "gen", string(env))
	if err := mkdir(dir, 0o755); err != nil {
		return 0, fmt.Errorf("cannot begin a generation: %w", err)
	}
	last := filepath.Join(dir, ".last")
	text, _ := readSmall(last)
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	n = max(n, 0)
	if len(numbers) > 0 {
		n = max(n, numbers[len(numbers)-1])
	}
	n++
	if err := s.write(last, []byte(strconv.Itoa(n)+"\n"), 0o644); err != nil {
		return 0, fmt.Errorf("cannot begin a generation: %w", err)
	}
	if err := os.Mkdir(filepath.Join(dir, strconv.Itoa(n)), 0o755); err != nil {
		return 0, fmt.Errorf("cannot begin a generation: %w", err)
	}
	for _, d := range []string{filepath.Join("hot", string(env)), hotPath(env, n)} {
		if err := mkdir(filepath.Join(s.root, d), 0o755); err != nil {
			return 0, fmt.Errorf("cannot begin a generation: %w", err)
		}
	}
	return n, nil
}

// hotPath is where a running generation finds what is added to it, relative to the root.
// It is there from the start: Python does not look again for a directory that was not.
func hotPath(env Name, number int) string {
	return filepath.Join("hot", string(env), strconv.Itoa(number))
}

// complete writes what makes a generation one. The tree must be on disk by then.
func (s *Store) complete(g Generation) error {
	dir := filepath.Join(s.root, g.Path())
	meta, err := json.MarshalIndent(g, "", "\t")
	if err != nil {
		return err
	}
	meta = append(meta, '\n')
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"lease", nil},
		{"manifest.txt", g.Manifest.Canonical()},
		{"generation.json", meta},
		{"ok", []byte(digest(meta) + "\n")},
	} {
		if err := s.write(filepath.Join(dir, f.name), f.data, 0o444); err != nil {
			return fmt.Errorf("cannot complete generation %d of %s: %w", g.Number, g.Env, err)
		}
	}
	return syncDir(filepath.Dir(dir))
}

// write replaces a file so that after a power cut it is the old or the new one.
func (s *Store) write(path string, data []byte, mode fs.FileMode) error {
	if err := s.step("write " + filepath.Base(path)); err != nil {
		return err
	}
	if err := renameio.WriteFile(path, data, mode, renameio.IgnoreUmask()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// remove deletes a tree. It is renamed first, so that nobody takes what is left of it
// for something whole. What was added to a generation goes with it.
func (s *Store) remove(path string) error {
	gone := filepath.Join(filepath.Dir(path), ".gone-"+filepath.Base(path))
	if err := s.step("remove " + filepath.Base(path)); err != nil {
		return err
	}
	if err := os.RemoveAll(gone); err != nil {
		return err
	}
	if err := os.Rename(path, gone); err != nil {
		return err
	}
	if rel, err := filepath.Rel(filepath.Join(s.root, "gen"), path); err == nil && filepath.IsLocal(rel) {
		if err := errors.Join(os.RemoveAll(filepath.Join(s.root, "hot", rel)), os.RemoveAll(filepath.Join(s.root, "store", "inventory", rel))); err != nil {
			return err
		}
	}
	return os.RemoveAll(gone)
}

// dropHot removes what was added to generations that are no more.
func (s *Store) dropHot(env Name) error {
	dir := filepath.Join(s.root, "hot", string(env))
	es, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range es {
		if _, err := os.Lstat(filepath.Join(s.root, "gen", string(env), e.Name())); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// syncTree flushes the file system that holds the store: one call for 20 000 files.
func (s *Store) syncTree() error {
	if err := s.step("sync tree"); err != nil {
		return err
	}
	return s.flush()
}

// flush writes the file system that holds the store to the disk.
func (s *Store) flush() error {
	d, err := os.Open(s.root)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("cannot flush %s: %w", s.root, err)
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// readSmall reads a regular file of at most maxManifest bytes, and no symlink.
func readSmall(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > maxManifest {
		return nil, fmt.Errorf("cannot read %s: not a small regular file", path)
	}
	b := make([]byte, fi.Size())
	_, err = f.ReadAt(b, 0)
	if err != nil && fi.Size() > 0 {
		return nil, err
	}
	return b, nil
}

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
