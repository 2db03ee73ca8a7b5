// Package roughnet puts a classroom's network before an http.Handler, for tests: it can
// be slow, away, or go away in the middle of a file, and it counts what was asked.
package roughnet

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Network stands before a handler. The zero Network passes everything on.
type Network struct {
	mu      sync.Mutex
	asked   []string
	offline bool
	delay   time.Duration
	stall   string
	unplug  string
	cut     string
	after   int
}

// Offline makes every request fail as if nobody were there, or ends that.
func (n *Network) Offline(yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.offline = yes
}

// Delay lets every answer wait; 0 ends that. Whoever asks may give up before.
func (n *Network) Delay(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay = d
}

// Stall lets whoever asks for a path that contains part wait until it gives up; "" ends
// that for what is asked next.
func (n *Network) Stall(part string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stall = part
}

// Unplug takes the network away as soon as somebody asks for a path that contains part.
func (n *Network) Unplug(part string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unplug = part
}

// Cut breaks the connection after so many bytes of every file whose path contains part;
// "" ends that.
func (n *Network) Cut(part string, after int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut, n.after = part, after
}

// Asked is every request so far, as "GET conda-forge/noarch/repodata.json".
func (n *Network) Asked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

// Downloads is how many requests there were so far for a path that ends in one of these.
func (n *Network) Downloads(suffixes ...string) int {
	count := 0
	for _, a := range n.Asked() {
		if strings.HasPrefix(a, "GET ") && slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(a, s) }) {
			count++
		}
	}
	return count
}

// Pass passes a request on to next, as well as the network does it now.
func (n *Network) Pass(next http.Handler, w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	n.mu.Lock()
	n.asked = append(n.asked, r.Method+" "+name)
	if n.unplug != "" && strings.Contains(name, n.unplug) {
		n.offline, n.unplug = true, ""
	}
	offline, delay, after := n.offline, n.delay, -1
	stalled := n.stall != "" && strings.Contains(name, n.stall)
	if n.cut != "" && strings.Contains(name, n.cut) {
		after = n.after
	}
	n.mu.Unlock()
	if stalled {
		<-r.Context().Done()
		return
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	if offline {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	if after >= 0 {
		w = &cutter{ResponseWriter: w, left: after}
	}
	next.ServeHTTP(w, r)
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
