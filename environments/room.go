package environments

import (
	"fmt"

	"github.com/conjuring/conjured/notice"
	"golang.org/x/sys/unix"
)

// What a generation is expected to take, in bytes. The first one is a copy of the Lab
// set; a later one shares what is the same, so this is what a few large packages take.
// A kernel's first one shares most with the generation of Base.
const (
	firstSize = 400 << 20
	laterSize = 150 << 20
	unpacked  = 5 // a package of conda takes up to so many times the size of its archive, with the archive
)

// expected is how much a generation of m takes; m is empty when it is not known yet.
func (b *Builder) expected(s Spec, m Manifest) uint64 {
	want := uint64(laterSize)
	prev, err := b.c.Store.Current(s.Env)
	if err != nil && !s.kernelOnly() {
		want = firstSize
	}
	if err != nil && len(s.Conda) > 0 {
		want = max(want, firstSize)
	}
	var sum uint64
	for _, p := range m.of(Conda) {
		if q, ok := prev.Manifest.Find(p.Name); !ok || q.URL != p.URL {
			sum += uint64(max(p.Size, 0)) * unpacked
		}
	}
	return max(want, sum)
}

// room refuses to begin a generation unless twice of what it is expected to take is
// free: a full disk would hit the students' files first.
func (b *Builder) room(s Spec, m Manifest) error {
	want := 2 * b.expected(s, m)
	free, err := b.c.Store.free()
	if err != nil {
		return fmt.Errorf("cannot tell how much room the disk has: %w", err)
	}
	if free >= want {
		return nil
	}
	return &notice.Error{Notice: notice.Notice{
		Code: "disk-low", Severity: notice.SeverityError,
		What:  fmt.Sprintf("the disk has %d MB left, and making packages ready takes up to %d MB", free>>20, want>>20),
		Means: unchanged,
		Do:    "remove files that are not needed any more from the box, then apply the folder again",
	}}
}

// diskFree is how many bytes the disk of a directory has left for us.
func diskFree(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}
