package main

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/gateway"
	"github.com/conjuring/conjured/gateway/statics"
	"github.com/conjuring/conjured/hub"
)

// students is what makes the students' servers small on the air: the files that all of
// them have in common, and the compression of what only one of them can answer.
type students struct {
	cache *statics.Cache
	press *statics.Press
}

// Serve answers for the public files of Lab in the place of any student's server.
func (s *students) Serve(w http.ResponseWriter, r *http.Request, route gateway.Route, rest string) bool {
	return strings.HasPrefix(route.Path, "/user/") && s.cache.Serve(w, r, rest)
}

// Wrap compresses Lab's pages and questions, and the hub's files. The hub's own pages
// are left alone: they hold a secret (the XSRF token) beside what the asker wrote. So
// are students' files and what their programs serve.
func (s *students) Wrap(w http.ResponseWriter, r *http.Request, route gateway.Route, rest string) (http.ResponseWriter, func()) {
	ours := strings.HasPrefix(rest, "hub/static/")
	if strings.HasPrefix(route.Path, "/user/") {
		first, _, _ := strings.Cut(rest, "/")
		ours = slices.Contains([]string{"lab", "doc", "tree", "notebooks", "edit", "consoles", "terminals", "static", "api", "lsp"}, first)
	}
	if !ours {
		return w, func() {}
	}
	return s.press.Wrap(w, r, route.Path)
}

func (b *box) openStatics(context.Context) error {
	c, err := statics.Open(statics.Config{Dir: b.place.join("cache", "statics"), Log: b.log})
	b.statics = &students{c, statics.NewPress()}
	return err
}

// refreshStatics has the files of every generation compressed that a server may run:
// students who came before a change keep the old one until their server stops.
func (b *box) refreshStatics() {
	gs, err := b.store.Generations(environments.Base)
	if err != nil {
		b.log.Warn("files for the pages are not compressed", "error", err)
		return
	}
	var trees []statics.Tree
	for _, g := range gs {
		trees = append(trees, statics.Jupyter(filepath.Join(b.store.Root(), g.Path()))...)
	}
	if dir, err := b.hub.LabDir(); err == nil {
		trees = append(trees, statics.Tree{Dir: dir, At: "lab/extensions/" + hub.LabExtension})
	}
	b.statics.cache.Set(trees)
}
