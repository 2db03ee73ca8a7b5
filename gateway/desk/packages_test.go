package desk_test

import (
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/gateway/desk"
)

func fourEnvironments() []desk.Environment {
	made := time.Now().Add(-time.Hour)
	return []desk.Environment{
		{Name: "base", Display: "base", For: "everybody", Python: "3.13", Packages: 103, Since: made, Before: true},
		{
			Name: "geo_101", Display: "geo-101", For: "course geo-101", Python: "3.12", Packages: 58, Since: made,
			Waiting: "geo-101 gets Python 3.13 in place of 3.12 and 2 new packages.", Before: true,
		},
		{Name: "stats", Display: "stats", For: "12 students", Trouble: "environment-stats.yml:4: there is no package called nunpy in conda-forge"},
		{Name: "r", Display: "R & friends", For: "everybody", Packages: 1, Since: made},
	}
}

// TestPackages: what waits is seen, an OK puts it into use, and a step back is offered;
// without a script, and to teachers only.
func TestPackages(t *testing.T) {
	s := newSite(t, three()...)
	v, anna := s.visitor("mara"), s.visitor("anna")
	v.want(`id="packages" class="card tight" hidden`, 200)(v.get("/conjured/teach"))
	s.class.mu.Lock()
	s.class.environments = fourEnvironments()
	s.class.mu.Unlock()
	v.eventually("/conjured/teach", "geo-101 <small>for course geo-101</small>")
	b, _ := v.get("/conjured/teach")
	for _, want := range []string{
		"58 packages with Python 3.12, made", "Geo-101 gets Python 3.13", "waits for your OK", "2 environments are up to date",
		"Not made yet.", "environment-stats.yml:4: there is no package called nunpy", "R &amp; friends", "1 package, made",
	} {
		if !strings.Contains(b, want) && !strings.Contains(b, strings.Replace(want, "Geo", "geo", 1)) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(b, `value="promote base"`) || strings.Contains(b, `value="rollback r"`) {
		t.Error("there is a button for nothing to do")
	}
	v.want("The new packages are in use: geo-101 gets Python 3.13", 200)(v.post("/conjured/teach/act", "do", "promote geo_101"))
	v.want("The packages of before are in use again", 200)(v.post("/conjured/teach/act", "do", "rollback geo_101"))
	v.want("There is no environment called nope", 200)(v.post("/conjured/teach/act", "do", "promote nope"))
	anna.get("/conjured/account")
	anna.post("/conjured/teach/act", "do", "promote geo_101")
	v.form = strings.Repeat("0", 64)
	v.post("/conjured/teach/act", "do", "promote geo_101")
	s.wantActs("promote geo_101", "rollback geo_101", "promote nope")
}

// The page learns of what waits without being loaded again.
func TestPackages_stream(t *testing.T) {
	s := newSite(t, three()...)
	v := s.visitor("mara")
	v.get("/conjured/teach")
	ch, _ := v.listen("/conjured/teach/live")
	next(t, ch)
	s.class.mu.Lock()
	s.class.environments = fourEnvironments()
	s.class.mu.Unlock()
	for p := next(t, ch); !strings.Contains(p.Set["packages"], "promote geo_101"); p = next(t, ch) {
	}
}
