package environments

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// pending is the name of the link that says which generation current is about to
// point at. It becomes current by rename; until then it is the intent that Repair
// finishes or drops.
const pending = ".next"

// Next is the label of what a change of the teacher's folder made, until it is promoted.
const Next Label = "next"

// Managed tells whether l moves by promoting and rolling back, and not by hand.
func (l Label) Managed() bool { return l == Current || l == Previous || l == Next }

func (s *Store) labelDir(env Name) string { return filepath.Join(s.root, "label", string(env)) }

// Label gives the complete generation that a label points at, else ErrNoGeneration.
func (s *Store) Label(env Name, l Label) (Generation, error) {
	if err := errors.Join(env.Check(), l.Check()); err != nil {
		return Generation{}, err
	}
	n, err := s.target(env, string(l))
	if err != nil {
		return Generation{}, err
	}
	return s.Generation(env, n)
}

// Current gives the generation that env's new kernels use, else ErrNoGeneration.
func (s *Store) Current(env Name) (Generation, error) { return s.Label(env, Current) }

// target reads a link of env's label directory.
func (s *Store) target(env Name, link string) (int, error) {
	to, err := os.Readlink(filepath.Join(s.labelDir(env), link))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: %s@%s", ErrNoGeneration, env, link)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read label %s@%s: %w", env, link, err)
	}
	rest, ok := strings.CutPrefix(to, "../../gen/"+string(env)+"/")
	n, err := strconv.Atoi(rest)
	if !ok || err != nil || n < 1 {
		return 0, fmt.Errorf("%w: %s@%s points at %q", ErrNoGeneration, env, link, to)
	}
	return n, nil
}

// Labels gives the generation number of each label of env.
func (s *Store) Labels(env Name) (map[Label]int, error) {
	es, err := os.ReadDir(s.labelDir(env))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list labels: %w", err)
	}
	out := map[Label]int{}
	for _, e := range es {
		if l := Label(e.Name()); l.Check() == nil {
			if n, err := s.target(env, e.Name()); err == nil {
				out[l] = n
			}
		}
	}
	return out, nil
}

// Flip points a label of g.Env at g, which must be complete. When l is Current, what
// was current becomes Previous; there is no moment without a current. A label that is
// there already is left alone and nothing is written.
func (s *Store) Flip(l Label, g Generation) error {
	if err := errors.Join(g.Env.Check(), l.Check()); err != nil {
		return err
	}
	if _, err := s.Generation(g.Env, g.Number); err != nil {
		return fmt.Errorf("cannot point %s@%s at generation %d: %w", g.Env, l, g.Number, err)
	}
	dir := s.labelDir(g.Env)
	if err := mkdir(dir, 0o755); err != nil {
		return err
	}
	if n, err := s.target(g.Env, string(l)); err == nil && n == g.Number {
		return nil
	}
	err := s.unmark(g.Env, retired)
	if err == nil && l.Managed() && s.Removed(g.Env) {
		err = s.remark(g.Env, removed, foreign)
	}
	switch {
	case err != nil:
	case l == Current:
		err = s.flipCurrent(g)
	default:
		err = s.relink(g.Env, string(l), g.Number)
	}
	if err != nil {
		return fmt.Errorf("cannot point %s@%s at generation %d: %w", g.Env, l, g.Number, err)
	}
	return nil
}

// flipCurrent writes the intent, then previous, then current. A cut after the intent
// leaves the old state, a cut after previous one that Repair finishes. A damaged
// generation does not become previous: nobody could roll back to it.
func (s *Store) flipCurrent(g Generation) error {
	if err := s.cool(g.Env, g.Number); err != nil {
		return err
	}
	if err := s.relink(g.Env, pending, g.Number); err != nil {
		return err
	}
	old, err := s.Current(g.Env)
	if err == nil {
		if err := s.relink(g.Env, string(Previous), old.Number); err != nil {
			return err
		}
	}
	return s.promote(g.Env)
}

// promote makes the intent current.
func (s *Store) promote(env Name) error {
	dir := s.labelDir(env)
	if err := s.step("rename current"); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, pending), filepath.Join(dir, string(Current))); err != nil {
		return err
	}
	return s.settle(dir)
}

// relink makes or replaces a link by rename.
func (s *Store) relink(env Name, link string, number int) error {
	dir := s.labelDir(env)
	tmp := filepath.Join(dir, ".tmp-"+strings.TrimPrefix(link, "."))
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.step("symlink " + link); err != nil {
		return err
	}
	if err := os.Symlink(fmt.Sprintf("../../gen/%s/%d", env, number), tmp); err != nil {
		return err
	}
	if err := s.settle(dir); err != nil {
		return err
	}
	if err := s.step("rename " + link); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, link)); err != nil {
		return err
	}
	return s.settle(dir)
}

func (s *Store) settle(dir string) error {
	if err := s.step("sync " + filepath.Base(dir)); err != nil {
		return err
	}
	return syncDir(dir)
}

// Unlabel takes a label away; one that is not there is no error. Current cannot be taken
// away alone: see Retire.
func (s *Store) Unlabel(env Name, l Label) error {
	if err := errors.Join(env.Check(), l.Check()); err != nil {
		return err
	}
	if l == Current {
		return fmt.Errorf("cannot remove label %s@%s: kernels start from it", env, l)
	}
	return s.unlink(env, string(l))
}

// unlink removes an entry of env's label directory, if it is there.
func (s *Store) unlink(env Name, entry string) error {
	path := filepath.Join(s.labelDir(env), entry)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := s.step("remove " + entry); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("cannot remove %s of %s: %w", entry, env, err)
	}
	return s.settle(s.labelDir(env))
}

// Promote makes next current, and what was current previous; next vanishes. There is no
// moment without a current, and after a cut Repair gives the old or the new state.
// ErrNoGeneration if there is no next one.
func (s *Store) Promote(env Name) (Generation, error) {
	g, err := s.Label(env, Next)
	if err != nil {
		return Generation{}, fmt.Errorf("cannot promote: %w", err)
	}
	if err := s.Flip(Current, g); err != nil {
		return Generation{}, err
	}
	return g, errors.Join(s.Unlabel(env, Next), s.unmark(env, held))
}

// Rollback swaps current and previous and gives the generation that is current now.
// It needs no network and builds nothing. ErrNoGeneration if there is no previous one.
func (s *Store) Rollback(env Name) (Generation, error) {
	g, err := s.Label(env, Previous)
	if err != nil {
		return Generation{}, fmt.Errorf("cannot roll back: %w", err)
	}
	return g, s.RollbackTo(g)
}

// RollbackTo makes g current, and remembers what was current as Held: it does not come
// back until somebody asks for it.
func (s *Store) RollbackTo(g Generation) error {
	if now, err := s.Current(g.Env); err == nil && now.ID != g.ID {
		if err := s.Hold(g.Env, now.ID); err != nil {
			return err
		}
	}
	return s.Flip(Current, g)
}
