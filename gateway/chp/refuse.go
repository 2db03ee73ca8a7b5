package chp

import (
	"context"
	"embed"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed pages
var ownPages embed.FS

const errorLimit = 30 * time.Second // for the error target to answer

// refusals answers where no target does: a page of the error target's, of the
// directory with pages, or one of ours.
type refusals struct {
	log    *slog.Logger
	count  func(status int)
	dir    string // "": our own pages
	target string // URL with a final slash; "": none
	client *http.Client
}

// ask prepares an error target. A unix socket is dialled at its path.
func (f *refusals) ask(target string, trip *http.Transport) error {
	scheme, rest, _ := strings.Cut(target, "://")
	if s := strings.ToLower(scheme); s == "http+unix" || s == "unix+http" {
		host, path, _ := strings.Cut(rest, "/")
		socket, err := url.PathUnescape(host)
		if err != nil {
			return fmt.Errorf("cannot use the error target %s: %w", target, err)
		}
		trip.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
		target = "http://localhost/" + path
	} else if u, err := url.Parse(target); err != nil || u.Host == "" {
		return fmt.Errorf("cannot use the error target %q: it is no URL", target)
	}
	f.target = strings.TrimRight(target, "/") + "/"
	f.client = &http.Client{
		Transport:     trip,
		Timeout:       errorLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// refuse is a gateway.ProxyConfig's Refuse.
func (f *refusals) refuse(w http.ResponseWriter, r *http.Request, status int, err error) {
	f.count(status)
	why := ""
	if err != nil {
		why = err.Error()
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	f.log.Error(fmt.Sprintf("%d %s %s %s", status, r.Method, path, why))
	switch {
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		// Nobody reads a page there.
		w.Header().Set("Connection", "close")
		w.WriteHeader(status)
	case f.target != "":
		f.passOn(w, r, status)
	default:
		f.page(w, status)
	}
}

// passOn answers with the body that the error target has for a status.
func (f *refusals) passOn(w http.ResponseWriter, r *http.Request, status int) {
	address := f.target + strconv.Itoa(status) + "?url=" + url.QueryEscape(r.RequestURI)
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, address, nil)
	if err != nil {
		f.plain(w, status, err)
		return
	}
	res, err := f.client.Do(ask)
	if err != nil {
		f.plain(w, status, err)
		return
	}
	defer res.Body.Close()
	for _, name := range []string{"Content-Type", "Content-Encoding"} {
		if v := res.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(status)
	_, _ = io.Copy(w, res.Body) // the status is out: what is missing cannot be told any more
}

// page answers with a file.
func (f *refusals) page(w http.ResponseWriter, status int) {
	read := func(name string) ([]byte, error) { return ownPages.ReadFile("pages/" + name) }
	if f.dir != "" {
		read = func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(f.dir, name)) }
	}
	body, err := read(strconv.Itoa(status) + ".html")
	if err != nil {
		body, err = read("error.html")
	}
	if err != nil {
		f.plain(w, status, err)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (f *refusals) plain(w http.ResponseWriter, status int, err error) {
	f.log.Error("Failed to get custom error page", slog.Any("error", err))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, http.StatusText(status))
}
