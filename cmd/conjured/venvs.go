package main

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/conjuring/conjured/environments"
)

// linkVenvs points the .venv of each course in the teacher's folder at the packages
// that its kernels start with, as the tool Grove had them, and takes away those of
// directories that are no courses any more. Nothing depends on it: a folder that cannot
// hold links has none.
func (b *box) linkVenvs(ctx context.Context) {
	dir := readWord(b.place.join("folder"))
	if dir == "" {
		return
	}
	specs, err := b.wantedSpecs(ctx)
	if err != nil {
		b.log.Info("no course gets a .venv", "error", err)
		return
	}
	links := map[string]string{}
	for _, s := range specs {
		if s.Course == "" {
			continue
		}
		if g, err := b.store.Current(environments.Name(s.Name)); err == nil {
			links[s.Course] = b.place.join("env", g.Path())
		}
	}
	for course, err := range linkAll(dir, links) {
		b.log.Info("a course has no .venv", "course", course, "error", err)
	}
}

// linkAll makes the links, by course, the only ones of ours in dir, and gives what went
// wrong, by course.
func linkAll(dir string, links map[string]string) map[string]error {
	wrong := map[string]error{}
	for course, to := range links {
		if err := linkVenv(dir, course, to); errors.Is(err, errNoLinks) {
			return nil
		} else if err != nil {
			wrong[course] = err
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return wrong
	}
	defer root.Close()
	for _, d := range venvs(root) {
		if _, wanted := links[d]; !wanted {
			if err := linkVenv(dir, d, ""); err != nil {
				wrong[d] = err
			}
		}
	}
	return wrong
}

// maxCourses is more directories than any teacher's folder has.
const maxCourses = 1000

// venvs are the directories right below root that hold a link of ours.
func venvs(root *os.Root) []string {
	d, err := root.Open(".")
	if err != nil {
		return nil
	}
	defer d.Close()
	all, _ := d.ReadDir(maxCourses) // what cannot be read has no link of ours
	var out []string
	for _, e := range all {
		if !e.IsDir() {
			continue
		}
		if to, err := root.Readlink(e.Name() + "/" + venvName); err == nil && ours(to) {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out
}
