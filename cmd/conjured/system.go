package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
)

// systems are the images that servers were started from: the generations of the
// environment called system, with the Debian packages of each. They have the verbs of
// an environment as far as an image can have them.
type systems struct {
	b  *box
	mu sync.Mutex // guards the file
}

// systemState is what is written down about them.
type systemState struct {
	Images []systemImage  `json:"images"` // oldest first
	Labels map[string]int `json:"labels"` // to Number
	Held   string         `json:"held"`   // the image that somebody rolled back from; "" for none
}

// systemImage is one of them. Its packages are in the file apt-<Number>.manifest.
type systemImage struct {
	Number   int       `json:"number"` // from 1; a higher one was built later
	Image    string    `json:"image"`  // id
	Python   string    `json:"python"` // "3.13"; "" when it is not Debian's
	Packages int       `json:"packages"`
	Built    time.Time `json:"built"` // decoration: the clock may be wrong
}

func (s *systems) file() string { return s.b.place.join("built", "system.json") }

func (s *systems) manifest(n int) string {
	return s.b.place.join("built", fmt.Sprintf("apt-%d.manifest", n))
}

func (s *systems) read() (systemState, error) {
	st := systemState{Labels: map[string]int{}}
	err := readJSON(s.file(), &st)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if st.Labels == nil {
		st.Labels = map[string]int{}
	}
	return st, err
}

func (st systemState) find(match func(systemImage) bool) (systemImage, bool) {
	if i := slices.IndexFunc(st.Images, match); i >= 0 {
		return st.Images[i], true
	}
	return systemImage{}, false
}

func (st systemState) numbered(n int) (systemImage, bool) {
	return st.find(func(x systemImage) bool { return x.Number == n })
}

// labelled is the image that a label points at.
func (st systemState) labelled(l environments.Label) (systemImage, bool) {
	return st.numbered(st.Labels[string(l)])
}

// use makes x current; what was current becomes previous.
func (st *systemState) use(x systemImage) {
	now, ok := st.labelled(environments.Current)
	if ok && now.Number == x.Number {
		return
	}
	if ok {
		st.Labels[string(environments.Previous)] = now.Number
	}
	st.Labels[string(environments.Current)] = x.Number
}

var pythonPackage = regexp.MustCompile(`(?m)^python(3\.[0-9]+)=`)

// arrived writes an image that was built down, with its packages, once.
func (s *systems) arrived(ctx context.Context, image string, apt []byte) error {
	x, isNew, err := s.add(image, apt)
	if err == nil && isNew {
		s.record(ctx, x, apt)
	}
	return err
}

// add is arrived for what lies on the disk.
func (s *systems) add(image string, apt []byte) (x systemImage, isNew bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.read()
	if err != nil {
		return x, false, err
	}
	if known, ok := st.find(func(x systemImage) bool { return x.Image == image }); ok {
		return known, false, nil
	}
	x = systemImage{Number: 1, Image: image, Built: time.Now().UTC().Truncate(time.Second), Packages: bytes.Count(apt, []byte("\n"))}
	if n := len(st.Images); n > 0 {
		x.Number = st.Images[n-1].Number + 1
	}
	if m := pythonPackage.FindSubmatch(apt); m != nil {
		x.Python = string(m[1])
	}
	if err := writeFile(s.manifest(x.Number), apt, 0o600); err != nil {
		return x, false, err
	}
	st.Images = append(st.Images, x)
	return x, true, writeJSON(s.file(), st)
}

// record puts an image's packages into the history. What cannot be written costs a line
// in the log: the file beside it has them too. The registry asks us while it has its turn,
// so that mu is free meanwhile.
func (s *systems) record(ctx context.Context, x systemImage, apt []byte) {
	if s.b.registry == nil {
		return // at boot
	}
	about, err := json.Marshal(map[string]any{"env": environments.System, "image": x.Image, "number": x.Number})
	if err == nil {
		err = s.b.registry.RecordSystem(ctx, []history.File{
			{Name: "apt.manifest", Data: apt}, {Name: "generation.json", Data: append(about, '\n')},
		}, fmt.Sprintf("system %d", x.Number))
	}
	if err != nil {
		s.b.log.Warn("the history lacks the system's packages", "number", x.Number, "error", err)
	}
}

// choose is the image that servers start from when a setup with this image is deployed:
// that one, unless somebody rolled back from exactly it.
func (s *systems) choose(image string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.read()
	if err != nil {
		return "", err
	}
	x, known := st.find(func(x systemImage) bool { return x.Image == image })
	if !known {
		return image, nil
	}
	if now, ok := st.labelled(environments.Current); ok && st.Held == image {
		return now.Image, nil
	}
	before := st.Labels[string(environments.Current)]
	if st.use(x); before == x.Number && st.Held == "" {
		return image, nil
	}
	st.Held = ""
	return image, writeJSON(s.file(), st)
}

// inUse are the images that a label names: they are not removed.
func (s *systems) inUse() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.read()
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range st.Labels {
		if x, ok := st.numbered(n); ok {
			out = append(out, x.Image)
		}
	}
	return out
}

// forget drops the images that are gone.
func (s *systems) forget(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.read()
	if err != nil {
		return err
	}
	left := st.Images[:0:0]
	for _, x := range st.Images {
		there, err := s.b.imagesThere(ctx, x.Image)
		if err != nil {
			return err
		}
		if there {
			left = append(left, x)
		} else if err := os.Remove(s.manifest(x.Number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(left) == len(st.Images) {
		return nil
	}
	st.Images = left
	maps.DeleteFunc(st.Labels, func(_ string, n int) bool { _, ok := st.numbered(n); return !ok })
	return writeJSON(s.file(), st)
}
