package main

import (
	"slices"
	"sync"

	"github.com/conjuring/conjured/notice"
)

// board holds notices that no setup owns: what is wrong with the folder as it is now,
// and what parts had to say lately.
type board struct {
	mu     sync.Mutex
	folder notice.List // of the newest reading; replaced by the next one
	recent notice.List // the newest few, without repetitions
}

const keepRecent = 20

func (b *board) setFolder(l notice.List) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.folder = slices.Clone(l)
}

func (b *board) add(n notice.Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent = slices.DeleteFunc(b.recent, func(o notice.Notice) bool { return o == n })
	b.recent = append(b.recent, n)
	b.recent = b.recent[max(0, len(b.recent)-keepRecent):]
}

// remove takes back what was added; the folder's notices stay.
func (b *board) remove(n notice.Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent = slices.DeleteFunc(b.recent, func(o notice.Notice) bool { return o == n })
}

func (b *board) list() notice.List {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Concat(b.folder, b.recent)
}
