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
)

// Server serves channels at /NAME/SUBDIR/FILE, as conda.anaconda.org does, and does what
// a classroom's network does: it can be slow, away, or go away in the middle of a file.
// What a channel does not have (repodata_shards.msgpack.zst among it) is a quick 404.
type Server struct {
	mu      sync.Mutex
	files   map[string][]byte // by path below the root
	asked   []string
	offline bool
	delay   time.Duration
	cut     string
	after   int
}

// Serve gives a server with these channels.
func Serve(channels ...Channel) *Server {
	s := &Server{files: map[string][]byte{}}
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
}

// Offline makes every request fail as if no one were there, or ends that.
func (s *Server) Offline(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offline = yes
}

// Delay lets every answer wait; 0 ends that. Whoever asks may give up before.
func (s *Server) Delay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// Cut breaks the connection after so many bytes of any file whose path contains part;
// "" ends that.
func (s *Server) Cut(part string, after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut, s.after = part, after
}

// Asked is every request so far, as "GET conda-forge/noarch/repodata.json".
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Downloads is how many requests were made for packages so far.
func (s *Server) Downloads() int {
	n := 0
	for _, a := range s.Asked() {
		if strings.HasPrefix(a, "GET ") && (strings.HasSuffix(a, ".conda") || strings.HasSuffix(a, ".tar.bz2")) {
			n++
		}
	}
	return n
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+name)
	data, found := s.files[name]
	offline, delay, after := s.offline, s.delay, -1
	if s.cut != "" && strings.Contains(name, s.cut) {
		after = s.after
	}
	s.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case offline:
		panic(http.ErrAbortHandler) // closes the connection without an answer
	case !found:
		http.NotFound(w, r)
		return
	}
	hash := sha256.Sum256(data)
	w.Header().Set("ETag", `"`+hex.EncodeToString(hash[:8])+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=0")
	if after >= 0 {
		w = &cutter{ResponseWriter: w, left: after}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// cutter breaks the connection when enough was written.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	if len(b) < c.left {
		c.left -= len(b)
		return c.ResponseWriter.Write(b)
	}
	_, _ = c.ResponseWriter.Write(b[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}
