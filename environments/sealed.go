package environments

import (
	"fmt"
	"path/filepath"
)

// Sealed is what an image must copy to be complete by itself.
type Sealed struct {
	Root  string   // the store's directory on the host
	Mount string   // where the same paths must appear in the image
	Paths []string // relative to Root: directories, and a symbolic link to copy as a link
}

// Sealed describes a complete generation with the label Current pointing at it, and
// the kernels. Current must point at g already.
func (s *Store) Sealed(g Generation) (Sealed, error) {
	now, err := s.Current(g.Env)
	if err != nil {
		return Sealed{}, err
	}
	if now.Number != g.Number {
		return Sealed{}, fmt.Errorf("cannot seal generation %d of %s: %d is current", g.Number, g.Env, now.Number)
	}
	return Sealed{
		Root: s.root, Mount: s.mount,
		Paths: []string{g.Path(), filepath.Join("label", string(g.Env), string(Current)), "kernels"},
	}, nil
}
