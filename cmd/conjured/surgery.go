package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// surgery is a part of Docker's store that is put aside while Docker is stopped, so that
// Docker makes it anew. Each takes more away than the one before. Students' files,
// accounts and packages are nowhere in that store.
type surgery string

const (
	noSurgery    surgery = ""
	namesAside   surgery = "names"   // of images: their layers stay, and what is built again is quick
	recordsAside surgery = "records" // of the build cache, networks and volumes; the volumes themselves stay
	storeAside   surgery = "store"   // all but the volumes: every image is made again
)

// wounds are what can be seen of a store.
type wounds struct {
	answers bool      // Docker does
	beyond  bool      // a build has taken every measure that needs no stop
	names   bool      // the list of images' names cannot be read
	running int       // containers of students that a new store would not know
	done    []surgery // in this repair
}

// operate is what to do next about w, or noSurgery when nothing is left to do: Docker
// works, or the rest needs somebody who looks at the machine.
func operate(w wounds) surgery {
	left := func(s surgery) bool { return !slices.Contains(w.done, s) }
	switch {
	case w.answers && !w.beyond, w.answers && !left(storeAside):
		return noSurgery
	case !w.answers && w.names && left(namesAside):
		return namesAside
	case !w.answers && left(recordsAside):
		return recordsAside
	case w.running == 0 && left(storeAside):
		return storeAside
	}
	return noSurgery
}

// madeAnew are the files of a store that Docker refuses to start over, and makes anew.
func madeAnew() []string {
	return []string{"buildkit", "network", "volumes/metadata.db", "containerd/daemon/io.containerd.metadata.v1.bolt"}
}

// carryOut does s to the store in root. Docker must not run. Killed half way, doing it
// again does the rest.
func (s surgery) carryOut(root string) error {
	switch s {
	case namesAside:
		return putAside(filepath.Join(root, namesFile))
	case recordsAside:
		for _, r := range madeAnew() {
			if err := putAside(filepath.Join(root, r)); err != nil {
				return err
			}
		}
	case storeAside:
		entries, err := os.ReadDir(root)
		if err != nil {
			return err
		}
		if err := putAside(filepath.Join(root, "volumes/metadata.db")); err != nil {
			return err
		}
		for _, e := range entries { // one by one: the directory itself may be a mount
			if e.Name() == "volumes" || e.Name() == "lost+found" || strings.Contains(e.Name(), brokenMark) {
				continue
			}
			if err := putAside(filepath.Join(root, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// brokenMark is in the name of what was put aside.
const brokenMark = ".broken-"

// putAside renames path to path.broken-N, and removes what was put aside there earlier:
// only the newest is of use to anybody, and the disk may be small. What is not there is
// no error.
func putAside(path string) error {
	old, err := filepath.Glob(path + brokenMark + "*")
	if err != nil {
		return err
	}
	n := 1
	for _, o := range old {
		if i, err := strconv.Atoi(strings.TrimPrefix(o, path+brokenMark)); err == nil && i >= n {
			n = i + 1
		}
	}
	err = os.Rename(path, fmt.Sprintf("%s%s%d", path, brokenMark, n))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot put a part of Docker's store aside: %w", err)
	}
	for _, o := range old {
		if err := removeUnmounted(o); err != nil {
			return err
		}
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeUnmounted removes a tree in which containers that have ended may have left mounts.
func removeUnmounted(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			if err := unix.Unmount(f[4], unix.MNT_DETACH); err != nil {
				return fmt.Errorf("cannot remove %s: %s is still mounted: %w", dir, f[4], err)
			}
		}
	}
	return os.RemoveAll(dir)
}

// namesFile holds the names of images, with the driver that every Debian since 10 uses.
const namesFile = "image/overlay2/repositories.json"

// namesLost tells whether Docker could not read the names of its images: a power cut
// leaves an empty file, and Docker does not start over it.
func namesLost(root string) bool {
	b, err := os.ReadFile(filepath.Join(root, namesFile))
	return err == nil && !json.Valid(b)
}

// dockerRoot is where Docker keeps its store when it cannot be asked.
func dockerRoot(daemonJSON string) string {
	var c struct {
		Root string `json:"data-root"`
	}
	if b, err := os.ReadFile(daemonJSON); err == nil && json.Unmarshal(b, &c) == nil && filepath.IsAbs(c.Root) {
		return c.Root
	}
	return "/var/lib/docker"
}

// shims are how many containers run that a Docker without its store would not know.
func shims() int {
	n := 0
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is constant
	for _, l := range lines {
		b, err := os.ReadFile(l)
		if err != nil {
			continue // it has ended
		}
		if args := strings.Split(string(b), "\x00"); strings.HasPrefix(filepath.Base(args[0]), "containerd-shim") && slices.Contains(args, "moby") {
			n++
		}
	}
	return n
}
