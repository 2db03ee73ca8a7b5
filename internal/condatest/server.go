package condatest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/conjuring/conjured/internal/roughnet"
)

// Server serves channels at /NAME/SUBDIR/FILE, as conda.anaconda.org does, over a
// network that can be made bad. What a channel does not have (and nothing here has
// repodata_shards.msgpack.zst) is a quick 404.
type Server struct {
	roughnet.Network
	mu    sync.Mutex
	files map[string][]byte // by path below the root
	have  map[string]Channel
}

// Serve gives a server with these channels.
func Serve(channels ...Channel) *Server {
	s := &Server{files: map[string][]byte{}, have: map[string]Channel{}}
	for _, c := range channels {
		s.Set(c)
	}
	return s
}

// Set puts a channel in place of the one with its name: what happens upstream.
func (s *Server) Set(c Channel) {
	files := c.files()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.files {
		if path.Dir(path.Dir(name)) == c.Name {
			delete(s.files, name)
		}
	}
	for name, data := range files {
		s.files[c.Name+"/"+name] = data
	}
	s.have[c.Name] = c
}

// Channel is the channel of this name as it was set last, for a change of it.
func (s *Server) Channel(name string) Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.have[name]
	c.Packages = slices.Clone(c.Packages)
	return c
}

// Downloads is how many requests were made for packages so far.
func (s *Server) Downloads() int { return s.Network.Downloads(".conda", ".tar.bz2") }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Pass(http.HandlerFunc(s.file), w, r)
}

func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	data, found := s.files[strings.TrimPrefix(path.Clean(r.URL.Path), "/")]
	s.mu.Unlock()
	if !found {
		http.NotFound(w, r)
		return
	}
	hash := sha256.Sum256(data)
	w.Header().Set("ETag", `"`+hex.EncodeToString(hash[:8])+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=0")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}
