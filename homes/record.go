package homes

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// The record of a home is Dir/.given/<user>: one path per line, quoted as in Go, in
// order. It is root's, outside the home, where the student can't change it.
func (p *preparing) recordPath() string { return filepath.Join(p.dir, ".given", p.user) }

// loadRecord reads what was given. Without a record, as for a home of an older
// system, nothing was; what exists is then noted by give and stays untouched.
func (p *preparing) loadRecord() {
	p.record = map[string]bool{}
	data, err := os.ReadFile(p.recordPath())
	if err != nil {
		return
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		var rel string
		if _, err := fmt.Sscanf(line, "%q", &rel); err == nil {
			p.record[rel] = true
		}
	}
}

func (p *preparing) encodeRecord() []byte {
	var b strings.Builder
	for _, rel := range slices.Sorted(maps.Keys(p.record)) {
		fmt.Fprintf(&b, "%q\n", rel)
	}
	return []byte(b.String())
}

// saveRecord writes the record if it says anything new.
func (p *preparing) saveRecord() error {
	data := p.encodeRecord()
	if old, err := os.ReadFile(p.recordPath()); err == nil && string(old) == string(data) {
		return nil
	}
	dir := filepath.Dir(p.recordPath())
	if err := renameio.WriteFile(p.recordPath(), data, 0o600, renameio.WithTempDir(dir)); err != nil {
		return fmt.Errorf("cannot note which files were given: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// syncTree puts everything written so far on the file system of dir onto the disk:
// one call instead of one per file.
func syncTree(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}
