package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/conjuring/conjured/api"
)

// door decides who answers a request: we ourselves, the waiting page, or a target.
type door struct {
	config   Config
	proxy    *Proxy
	feed     *feed
	pages    *pages
	own      *http.ServeMux
	draining chan struct{} // closed when the daemon stops
	drainOne func()
	work     sync.WaitGroup
}

func newDoor(c Config) (*door, error) {
	pages, err := loadPages()
	if err != nil {
		return nil, fmt.Errorf("cannot load the pages: %w", err)
	}
	d := &door{config: c, feed: newFeed(), pages: pages, draining: make(chan struct{})}
	d.drainOne = sync.OnceFunc(func() { close(d.draining) })
	d.proxy, err = NewProxy(ProxyConfig{
		Routes: c.Routes, Sockets: c.Sockets, Log: c.Log, Refuse: d.refuse, Statics: c.Statics, Compress: c.Compress,
		Request: d.hideGuard, Response: d.fenceIn,
	})
	if err != nil {
		return nil, err
	}
	d.proxy.lab = &labStreams{feed: c.Feed, proxy: d.proxy, draining: d.draining}
	d.own = http.NewServeMux()
	d.own.HandleFunc("GET /conjured/{$}", d.status)
	d.own.HandleFunc("GET /conjured/events", d.events)
	d.own.HandleFunc("GET /conjured/health", d.health)
	d.own.HandleFunc("GET /conjured/static/{name}", d.pages.static)
	d.own.HandleFunc("/conjured/", d.unknown)
	for _, p := range c.DeskPaths {
		d.own.Handle(p, c.Desk)
	}
	return d, nil
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin(w, r)
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect {
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		answer(w, http.StatusMethodNotAllowed, "this is no proxy for other places")
		return
	}
	if r.URL.Path == "/_chp_healthz" {
		answerJSON(w, http.StatusOK, map[string]string{"status": "OK"})
		return
	}
	if k := lookupKey(r.URL); k == "conjured" || strings.HasPrefix(k, "conjured/") {
		d.own.ServeHTTP(w, r)
		return
	}
	if p := d.config.Class.Phase(); p != api.Serving && p != api.Degraded {
		d.prepare(w, r)
		return
	}
	if d.config.Logins != nil && isLogin(r, lookupKey(r.URL)) {
		d.login(w, r)
		return
	}
	if d.toForeign(r) {
		http.Redirect(w, r, OpenPath+"?to="+url.QueryEscape(rawTarget(r)), http.StatusSeeOther)
		return
	}
	d.proxy.ServeHTTP(w, r)
}

// start begins to follow the work of the daemon; it ends with ctx.
func (d *door) start(ctx context.Context) {
	d.work.Go(func() { d.feed.follow(ctx, d.config.Progress) })
}

// drain ends our own streams.
func (d *door) drain() { d.drainOne() }

// wait returns when nothing of ours runs any more. Every connection is closed by then.
func (d *door) wait() {
	d.work.Wait()
	d.proxy.wait()
}
