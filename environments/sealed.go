package environments

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
)

// Sealed is what an image must copy to be complete by itself.
type Sealed struct {
	Root  string   // the store's directory on the host
	Mount string   // where the same paths must appear in the image
	Paths []string // relative to Root: directories, and symbolic links to copy as links
	ID    string   // hex sha256; another one when any generation is another one
}

// Sealed describes the current generation of every environment, with the labels that
// point at them, and the kernels. ErrNoGeneration when base has none.
func (s *Store) Sealed() (Sealed, error) {
	names, err := s.names()
	if err != nil {
		return Sealed{}, err
	}
	if _, err := s.Current(Base); err != nil {
		return Sealed{}, fmt.Errorf("cannot seal: %w", err)
	}
	out := Sealed{Root: s.root, Mount: s.mount}
	h := sha256.New()
	for _, env := range names {
		g, err := s.Current(env)
		if errors.Is(err, ErrNoGeneration) {
			continue // one that nobody asks for any more
		}
		if err != nil {
			return Sealed{}, fmt.Errorf("cannot seal %s: %w", env, err)
		}
		out.Paths = append(out.Paths, g.Path(), filepath.Join("label", string(env), string(Current)))
		fmt.Fprintf(h, "%s %d %s\n", env, g.Number, g.ID)
	}
	out.Paths = append(out.Paths, "kernels")
	out.ID = hex.EncodeToString(h.Sum(nil))
	return out, nil
}
