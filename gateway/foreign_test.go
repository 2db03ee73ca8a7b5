package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// whoseBrowser is a guard that believes a cookie.
type whoseBrowser struct{}

func (whoseBrowser) Foreign(r *http.Request, user string) bool {
	c, err := r.Cookie("conjured-guard")
	return err == nil && c.Value != user
}

func (whoseBrowser) GuardCookies() []string { return []string{"conjured-guard"} }

func TestForeignServers(t *testing.T) {
	d := &door{config: Config{Guard: whoseBrowser{}}}
	for _, x := range []struct {
		path, accept, dest, cookie, method string
		asks, fenced                       bool
	}{
		{"/user/ben/lab", "text/html,*/*", "", "conjured-guard=mara", "GET", true, true},
		{"/user/%62en/lab", "text/html,*/*", "", "conjured-guard=mara", "GET", true, true},
		{"/user/ben//lab", "*/*", "document", "a=b; conjured-guard=mara", "GET", true, true},
		{"/user/ben/api", "*/*", "", "conjured-guard=mara", "GET", false, true},
		{"/user/ben/api", "text/html", "", "conjured-guard=mara", "POST", false, true},
		{"/user/mara/lab", "text/html,*/*", "", "conjured-guard=mara", "GET", false, false},
		{"/user/ben/lab", "text/html,*/*", "", "", "GET", false, false},
		{"/hub/home", "text/html,*/*", "", "conjured-guard=mara", "GET", false, false},
	} {
		r := httptest.NewRequest(x.method, x.path, nil)
		r.Header.Set("Accept", x.accept)
		for name, v := range map[string]string{"Cookie": x.cookie, "Sec-Fetch-Dest": x.dest} {
			if v != "" {
				r.Header.Set(name, v)
			}
		}
		in := http.Header{"Content-Security-Policy": {"frame-ancestors 'self'"}}
		d.fenceIn(r, 200, in)
		fenced := strings.Contains(strings.Join(in["Content-Security-Policy"], ","), "sandbox allow-scripts")
		if asks := d.toForeign(r); asks != x.asks || fenced != x.fenced || strings.Contains(sandbox, "same-origin") {
			t.Errorf("%+v: asks %t, fenced %t", x, asks, fenced)
		}
	}
	out := http.Header{"Cookie": {"a=b; conjured-guard=mara; c=d"}}
	if d.hideGuard(nil, out); out.Get("Cookie") != "a=b; c=d" {
		t.Errorf("passed on: %q", out.Get("Cookie"))
	}
	only := http.Header{"Cookie": {"conjured-guard=mara"}}
	if d.hideGuard(nil, only); len(only) != 0 {
		t.Errorf("passed on: %v", only)
	}
}
