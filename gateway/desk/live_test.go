package desk_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/conjuring/conjured/gateway/desk"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

type parts struct {
	Set   map[string]string
	Order []string
	None  bool
}

// listen opens the stream and gives its messages.
func (v *visitor) listen(path string) (<-chan parts, int) {
	v.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	v.t.Cleanup(cancel)
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, v.URL+path, nil)
	res, err := v.http.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	out := make(chan parts, 100)
	go func() {
		defer res.Body.Close()
		defer close(out)
		s := bufio.NewScanner(res.Body)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			if data, ok := strings.CutPrefix(s.Text(), "data: "); ok {
				var p parts
				if json.Unmarshal([]byte(data), &p) == nil {
					out <- p
				}
			}
		}
	}()
	return out, res.StatusCode
}

func next(t *testing.T, ch <-chan parts) parts {
	t.Helper()
	select {
	case p, ok := <-ch:
		if !ok {
			t.Fatal("the stream ended")
		}
		return p
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
	}
	return parts{}
}

func rowID(name string) string { return fmt.Sprintf("p%x", name) }

func TestStream(t *testing.T) {
	s := newSite(t, three()...)
	v := s.visitor("mara")
	v.get("/conjured/teach")
	ch, _ := v.listen("/conjured/teach/live")
	waiting, _ := v.listen("/conjured/teach/live?show=waiting")
	if p := next(t, ch); len(p.Order) != 3 || p.Set[rowID("anna")] == "" {
		t.Fatalf("%+v", p)
	}
	if p := next(t, waiting); !p.None || len(p.Order) != 0 {
		t.Fatalf("%+v", p)
	}
	s.class.change("anna", func(p *desk.Person) { p.Servers = []desk.Server{{State: "queued", Place: 2}} })
	p := next(t, ch)
	if len(p.Order) != 0 || !strings.Contains(p.Set[rowID("anna")], "number 2") || p.Set[rowID("ben")] != "" || strings.Contains(p.Set[rowID("anna")], `"form"`) {
		t.Fatalf("%+v", p)
	}
	if p := next(t, waiting); len(p.Order) != 1 || p.Order[0] != rowID("anna") {
		t.Fatalf("%+v", p)
	}
	for range 4 {
		v.listen("/conjured/teach/live")
	}
	if _, code := v.listen("/conjured/teach/live"); code != http.StatusServiceUnavailable {
		t.Errorf("a seventh stream of one login: %d", code)
	}
	s.stop()
	for range ch { // ends with the daemon
	}
}

// A class of two hundred is one page of a bearable size, and news about one person is
// as small as for a class of three.
func TestLargeClass(t *testing.T) {
	people := []desk.Person{{Name: "mara", Admin: true}}
	for i := range 200 {
		people = append(people, busy(fmt.Sprintf("student%03d", i), i))
	}
	s := newSite(t, people...)
	v := s.visitor("mara")
	body, _ := v.get("/conjured/teach")
	if n := strings.Count(body, "<tr id="); n != 201 || len(body) > 400<<10 {
		t.Errorf("%d rows in %d bytes", n, len(body))
	}
	t.Logf("page of 201: %d bytes", len(body))
	if found, _ := v.get("/conjured/teach?find=STUDENT19"); strings.Count(found, "<tr id=") != 10 {
		t.Errorf("found %d", strings.Count(found, "<tr id="))
	}
	ch, _ := v.listen(regexp.MustCompile(`data-live="([^"]+)"`).FindStringSubmatch(body)[1])
	s.class.change("student007", func(p *desk.Person) { p.Servers = nil })
	p := next(t, ch)
	size := 0
	for _, html := range p.Set {
		size += len(html)
	}
	if p.Set[rowID("student007")] == "" || size > 8<<10 {
		t.Errorf("%d bytes for one change: %d parts", size, len(p.Set))
	}
}

// What the page of a class of two hundred costs.
func BenchmarkTeach(b *testing.B) {
	people := []desk.Person{{Name: "mara", Admin: true}}
	for i := range 200 {
		people = append(people, busy(fmt.Sprintf("student%03d", i), i))
	}
	v := newSite(b, people...).visitor("mara")
	for b.Loop() {
		body, _ := v.get("/conjured/teach")
		b.SetBytes(int64(len(body)))
	}
}

// busy is a person in one of the states that there are.
func busy(name string, i int) desk.Person {
	p := desk.Person{Name: name, OwnPassword: i%7 == 3}
	began := time.Now().Add(-time.Duration(i+1) * time.Minute)
	switch i % 6 {
	case 0, 1, 2:
		p.Servers = []desk.Server{{State: "ready", Since: began, Memory: int64(140+i*3) * 1e6, MemoryLimit: 1e9}}
		p.Open, p.Active, p.Disk, p.DiskLimit = i%3, began, int64(i+1)*21e6, 4e9
	case 3:
		p.Servers = []desk.Server{{State: "starting", Since: began}}
	case 4:
		p.Servers = []desk.Server{{State: "queued", Since: began, Place: i/6 + 1}}
	}
	return p
}

// room12 is a class with everything to be seen.
func room12(t *testing.T) *site {
	people := []desk.Person{{Name: "mara", Admin: true, Servers: []desk.Server{{State: "ready", Since: time.Now(), Memory: 180e6, MemoryLimit: 2e9}}, Open: 1, Active: time.Now(), Disk: 300e6, DiskLimit: 8e9}}
	for i, name := range []string{"anna", "ben", "chloé", "deniz", "emil.s", "fatima", "gustav", "hana", "igor", "juli"} {
		people = append(people, busy(name, i))
	}
	people[8].Servers = []desk.Server{{State: "ready", Since: time.Now(), Memory: 960e6, MemoryLimit: 1e9, Trouble: "Uses nearly all of its memory."}}
	people[10].Servers = []desk.Server{{State: "failed", Since: time.Now(), Trouble: "It needed more memory than the 512 MB it may use."}}
	s := newSite(t, people...)
	s.class.environments = fourEnvironments()
	s.class.notices = []notice.Notice{
		{Code: "pip", Severity: notice.SeverityError, File: "requirements.txt", Line: 3, What: "there is no package called pandsa", Means: "the class works on with the packages it has", Do: "correct the name and save the file"},
		{Code: "guess", Severity: notice.SeverityWarning, What: "many wrong passwords were tried for anna from the computer 10.0.0.7", Means: "nobody is shut out by it", Do: "see who it is with: conjured users log"},
		{Code: "info", Severity: notice.SeverityInfo, What: "4 new files of home_default are given at the next start", Means: "nothing is overwritten"},
	}
	s.news.Progress(progress.Event{Job: "environment", Step: "installing packages", Done: 17, Total: 42, Unit: "packages", Eta: 44})
	return s
}

// Each state of each page in a browser, at a laptop's and a phone's width, without
// anything that hangs over the edge, and the news without loading the page again.
func TestPages(t *testing.T) {
	needs.All(t, needs.Chromium())
	s := room12(t)
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	alloc, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	tab, stopTab := chromedp.NewContext(alloc)
	t.Cleanup(stopTab)
	ctx, cancel := context.WithTimeout(tab, 2*time.Minute)
	t.Cleanup(cancel)
	p := &tester{t, ctx}
	p.open(s.URL + "/hub/login?user=mara")
	p.look("teach", s.URL+"/conjured/teach")
	p.until("the stream", `document.querySelector('#live').textContent === 'Live'`)
	p.js(`document.querySelector('summary').click(); document.querySelector('#` + rowID("igor") + ` button').focus()`)
	s.class.change("igor", func(p *desk.Person) { p.Servers = []desk.Server{{State: "starting", Since: time.Now()}} })
	p.until("news", `document.querySelector('#`+rowID("igor")+`').classList.contains('starting')`)
	p.until("the keyboard stays, and what was unfolded", `document.activeElement.closest('#`+rowID("igor")+`') && document.querySelector('.board details').open`)
	p.js(`document.querySelector('#packages summary').click()`)
	p.until("what is up to date", `document.querySelector('button[value="rollback base"]').offsetHeight`)
	p.picture("teach-packages")
	p.js(`document.querySelector('button[value="promote geo_101"]').click()`)
	p.until("a way back", `document.querySelector('.said button[value="rollback geo_101"]')`)
	p.look("teach-filtered", s.URL+"/conjured/teach?show=trouble")
	p.look("teach-empty", s.URL+"/conjured/teach?find=nobody")
	p.look("open", s.URL+"/conjured/open?to=/user/anna/lab")
	p.look("confirm-reset", s.URL+"/conjured/teach/confirm?do=reset+anna")
	p.look("confirm-stop-all", s.URL+"/conjured/teach/confirm?do=stop-all")
	p.look("confirm-end", s.URL+"/conjured/teach/confirm?do=end")
	p.js(`location = '/conjured/teach/confirm?do=reset-all'`)
	p.until("the question", `document.querySelector('#password')`)
	p.js(`document.querySelector('#password').value = 'x'; document.querySelector('button.danger').click()`)
	p.until("the refusal", `document.querySelector('#wrong')`)
	p.picture("confirm-wrong")
	p.js(`document.querySelector('#password').value = 'password of mara'; document.querySelector('button.danger').click()`)
	p.until("the cards", `document.querySelectorAll('.login').length === 10`)
	p.look("cards", s.URL+"/conjured/teach/passwords")
	p.js(`document.querySelector('button[value=forget]').click()`)
	p.until("a word about it", `document.querySelector('.said')`)
	p.picture("teach-said")
	p.js(`document.querySelector('button[value="start fatima"]').click()`)
	p.until("something to undo", `document.querySelector('.said .undo')`)
	p.picture("teach-undo")
	p.open(s.URL + "/hub/login?user=ben")
	p.until("logged in", `document.body.innerText.includes('logged in')`)
	p.open(s.URL + "/conjured/account")
	p.js(`document.querySelector('form.out button').click()`)
	p.until("out", `location.pathname === '/hub/logout'`)
	p.look("account", s.URL+"/conjured/account")
	p.look("not-a-teacher", s.URL+"/conjured/teach")
	p.open(s.URL + "/conjured/account")
	p.js(`document.querySelector('#old').value = document.querySelector('#new').value = 'abcdefg'; document.querySelector('#again').value = 'abcdefh'; document.querySelector('.fields button').click()`)
	p.until("the refusal", `document.querySelector('#wrong')`)
	p.picture("account-wrong")
}

// tester drives the browser.
type tester struct {
	t   *testing.T
	ctx context.Context
}

func (p *tester) open(url string) {
	p.t.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.Navigate(url)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tester) js(code string) {
	p.t.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.Evaluate[any](code+";0")); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tester) until(what, condition string) {
	p.t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("!!("+condition+")")); err == nil && ok {
			return
		}
	}
	text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("location.href + document.body.innerText"))
	p.t.Fatalf("%s: never\n%.1500s", what, text)
}

func (p *tester) look(name, url string) {
	p.t.Helper()
	p.open(url)
	p.until("a page", `document.querySelector('main h1')`)
	p.picture(name)
}

// picture looks at the page in both widths. Pictures go to the directory
// CONJURED_TEST_PICTURES, when it is set.
func (p *tester) picture(name string) {
	p.t.Helper()
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"laptop", 1366, 768}, {"phone", 390, 844}} {
		if err := chromedp.Do(p.ctx, chromedp.EmulateViewport(size.width, size.height)); err != nil {
			p.t.Fatal(err)
		}
		over, err := chromedp.Run(p.ctx, chromedp.Evaluate[int]("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
		if err != nil || over > 0 {
			p.t.Errorf("%s at %s width: %d pixels over the edge (%v)", name, size.name, over, err)
		}
		dir := os.Getenv("CONJURED_TEST_PICTURES")
		if dir == "" {
			continue
		}
		png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+"-"+size.name+".png"), png, 0o644)
		}
		if err != nil {
			p.t.Errorf("no picture %s: %v", name, err)
		}
	}
}
