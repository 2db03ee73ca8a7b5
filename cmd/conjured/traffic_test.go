package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// traffic is what a browser has received since the last reset, as it counts itself:
// heads and bodies as they came over the wire.
type traffic struct {
	mu       sync.Mutex
	requests map[network.RequestID]*transfer
}

type transfer struct {
	url, kind, coding string
	status            int64
	bytes             float64
	cached            bool // answered without asking anybody
}

// watchTraffic counts what b's page receives from now on.
func watchTraffic(t *testing.T, b *browser) *traffic {
	t.Helper()
	tr := &traffic{requests: map[network.RequestID]*transfer{}}
	if err := chromedp.Listen(b.ctx, tr.note); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return tr
}

func (tr *traffic) note(ev any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch e := ev.(type) {
	case *network.EventResponseReceived:
		x := tr.at(e.RequestID)
		x.url, x.status, x.kind = e.Response.URL, e.Response.Status, string(e.Type)
		x.bytes = e.Response.EncodedDataLength
		x.cached = e.Response.FromDiskCache || e.Response.FromPrefetchCache
		for name, v := range e.Response.Headers {
			if strings.EqualFold(name, "content-encoding") {
				x.coding = fmt.Sprint(v)
			}
		}
	case *network.EventRequestServedFromCache:
		tr.at(e.RequestID).cached = true
	case *network.EventLoadingFinished:
		tr.at(e.RequestID).bytes = e.EncodedDataLength
	}
}

func (tr *traffic) at(id network.RequestID) *transfer {
	x := tr.requests[id]
	if x == nil {
		x = &transfer{}
		tr.requests[id] = x
	}
	return x
}

func (tr *traffic) reset() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.requests = map[network.RequestID]*transfer{}
}

// sum is the number of requests that were sent and the bytes that came back.
func (tr *traffic) sum() (requests int, bytes int64) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, x := range tr.requests {
		if strings.HasPrefix(x.url, "http") && !x.cached {
			requests++
			bytes += int64(x.bytes)
		}
	}
	return requests, bytes
}

// list is the transfers, largest first, for a log.
func (tr *traffic) list() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var l []*transfer
	for _, x := range tr.requests {
		if strings.HasPrefix(x.url, "http") && !x.cached {
			l = append(l, x)
		}
	}
	slices.SortFunc(l, func(a, b *transfer) int { return int(b.bytes - a.bytes) })
	var b strings.Builder
	for _, x := range l {
		path := x.url
		if u, err := url.Parse(x.url); err == nil {
			path = u.RequestURI()
		}
		fmt.Fprintf(&b, "%8.0f %d %-5s %-10s %s\n", x.bytes, x.status, x.coding, x.kind, path)
	}
	return b.String()
}

// coded is how many answers came in a coding.
func (tr *traffic) coded(coding string) (n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, x := range tr.requests {
		if x.coding == coding && !x.cached {
			n++
		}
	}
	return n
}

// settled waits until nothing has come for a while, and sums up.
func (tr *traffic) settled(t *testing.T) (requests int, bytes int64) {
	t.Helper()
	for quiet := 0; quiet < 12; quiet++ {
		n, b := tr.sum()
		if n != requests || b != bytes {
			requests, bytes, quiet = n, b, 0
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the page never comes to rest")
		case <-time.After(250 * time.Millisecond):
		}
	}
	return requests, bytes
}
