package wheeltest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/conjuring/conjured/internal/roughnet"
)

// Dist is a [Wheel] or an [Sdist].
type Dist interface {
	File() string
	Bytes() []byte
	Project() string
	listed() map[string]any
}

// Server is a package index in the JSON form of the simple API (PEP 691) below /simple/,
// with the files below /files/, over a network that can be made bad.
type Server struct {
	roughnet.Network
	mu    sync.Mutex
	files []listed
	bytes map[string][]byte // by file name
}

// listed is how the index announces a file.
type listed struct {
	project string
	entry   map[string]any
}

// Serve gives an index of these.
func Serve(dists ...Dist) *Server {
	s := &Server{bytes: map[string][]byte{}}
	s.Set(dists...)
	return s
}

// Set puts these in the place of the files with their names, or beside the others: what
// happens upstream.
func (s *Server) Set(dists ...Dist) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range dists {
		s.files = slices.DeleteFunc(s.files, func(l listed) bool { return l.entry["filename"] == d.File() })
		s.files = append(s.files, listed{d.Project(), d.listed()})
		s.bytes[d.File()] = d.Bytes()
	}
}

// Forge changes the bytes of a file without a word of it in the index.
func (s *Server) Forge(file string, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes[file] = b
}

// Downloads is how many requests were made for wheels and source packages so far.
func (s *Server) Downloads() int { return s.Network.Downloads(".whl", ".tar.gz") }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /simple/{name}/{$}", s.project)
	mux.HandleFunc("GET /files/{file}", s.file)
	s.Pass(mux, w, r)
}

func (s *Server) project(w http.ResponseWriter, r *http.Request) {
	name, files := r.PathValue("name"), []map[string]any{}
	s.mu.Lock()
	for _, l := range s.files {
		if l.project == name {
			files = append(files, l.entry)
		}
	}
	s.mu.Unlock()
	if len(files) == 0 {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
	_ = json.NewEncoder(w).Encode(map[string]any{"meta": map[string]string{"api-version": "1.0"}, "name": name, "files": files})
}

func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	b, found := s.bytes[r.PathValue("file")]
	s.mu.Unlock()
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// Index is [Serve] for wheels, behind the plain interface.
func Index(wheels ...Wheel) http.Handler {
	dists := make([]Dist, len(wheels))
	for i, w := range wheels {
		dists[i] = w
	}
	return Serve(dists...)
}
