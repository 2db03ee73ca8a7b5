package main

import (
	"context"
	"slices"
	"sync"

	"github.com/conjuring/conjured/custom"
)

// shelf keeps the folders that were read lately, so that a change of one account does
// not read a shared folder of many gigabytes again. A folder that is not on it comes
// from the saved copy, which has no passwords.
type shelf struct {
	place  place
	policy custom.Policy

	mu     sync.Mutex
	kept   []shelved
	loaded shelved // the last saved copy that was asked for: without passwords
}

type shelved struct {
	id     string
	folder *custom.Folder
}

const keepFolders = 4

func (s *shelf) put(id string, f *custom.Folder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = slices.DeleteFunc(s.kept, func(k shelved) bool { return k.id == id })
	s.kept = append(s.kept, shelved{id, f})
	s.kept = s.kept[max(0, len(s.kept)-keepFolders):]
}

// fresh is the folder of a setup if it was read in this process, passwords included.
func (s *shelf) fresh(id string) (*custom.Folder, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kept {
		if k.id == id {
			return k.folder, true
		}
	}
	return nil, false
}

// get is the folder of a setup, from memory or from its saved copy.
func (s *shelf) get(ctx context.Context, id string) (*custom.Folder, error) {
	if f, ok := s.fresh(id); ok {
		return f, nil
	}
	s.mu.Lock()
	last := s.loaded
	s.mu.Unlock()
	if last.id == id {
		return last.folder, nil
	}
	f, err := custom.Load(ctx, s.place.setup(id), s.policy) // long, for gigabytes: nobody waits for the shelf
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = shelved{id, f}
	return f, nil
}
