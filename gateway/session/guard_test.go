package session_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/conjuring/conjured/gateway/session"
)

func TestGuard(t *testing.T) {
	s := newSite(t, time.Hour).sessions
	given := func(f func(w http.ResponseWriter, r *http.Request)) *http.Cookie {
		w := httptest.NewRecorder()
		f(w, httptest.NewRequest(http.MethodGet, "/conjured/guard", nil))
		c := w.Result().Cookies()
		if len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode {
			t.Fatalf("cookies %v", c)
		}
		return c[0]
	}
	mara, ben := &session.Session{Person: session.Person{Name: "mara"}}, &session.Session{Person: session.Person{Name: "ben"}}
	guard := given(func(w http.ResponseWriter, r *http.Request) { s.Guard(w, r, mara) })
	bens := given(func(w http.ResponseWriter, r *http.Request) { s.Guard(w, r, ben) })
	open := given(func(w http.ResponseWriter, r *http.Request) { s.Open(w, r, mara, "ben") })
	bensOpen := given(func(w http.ResponseWriter, r *http.Request) { s.Open(w, r, ben, "mara") })
	if guard.Path != "/user" || open.Path != "/user/ben" {
		t.Errorf("paths %s %s", guard.Path, open.Path)
	}
	forged := &http.Cookie{Name: guard.Name, Value: bens.Value + "0"}
	swapped := &http.Cookie{Name: open.Name, Value: guard.Value}
	for _, x := range []struct {
		what    string
		user    string
		cookies []*http.Cookie
		want    bool
	}{
		{"nobody known", "ben", nil, false},
		{"her own", "mara", []*http.Cookie{guard}, false},
		{"another's", "ben", []*http.Cookie{guard}, true},
		{"another's, opened", "ben", []*http.Cookie{guard, open}, false},
		{"a third one's, with the wrong choice", "anna", []*http.Cookie{guard, open}, true},
		{"his server added his guard", "ben", []*http.Cookie{bens, guard}, true},
		{"his server added rubbish", "ben", []*http.Cookie{forged, guard, {Name: guard.Name, Value: "x"}}, true},
		{"his server added his choice", "ben", []*http.Cookie{guard, bensOpen, swapped}, true},
		{"a forged one alone", "mara", []*http.Cookie{forged}, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/user/"+x.user+"/lab", nil)
		for _, c := range x.cookies {
			r.AddCookie(c)
		}
		if got := s.Foreign(r, x.user); got != x.want {
			t.Errorf("%s: %t", x.what, got)
		}
	}
}
