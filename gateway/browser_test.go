package gateway

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// browse gives a headless browser of phone width. Pictures go to the directory
// CONJURED_TEST_PICTURES, when it is set.
func browse(t *testing.T) (ctx context.Context, picture func(name string)) {
	t.Helper()
	needs.All(t, needs.Chromium())
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.WindowSize(390, 844),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	alloc, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	tab, stopTab := chromedp.NewContext(alloc)
	t.Cleanup(stopTab)
	ctx, cancel := context.WithTimeout(tab, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx, func(name string) {
		dir := os.Getenv("CONJURED_TEST_PICTURES")
		if dir == "" {
			return
		}
		b, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name+".png"), string(b))
	}
}

func visit(t *testing.T, ctx context.Context, url string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
}

// shows waits until the page's text holds s, also while pages follow each other.
func shows(t *testing.T, ctx context.Context, s string) {
	t.Helper()
	eventually(t, "shown: "+s, func() bool {
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
		return err == nil && strings.Contains(text, s)
	})
}

// The waiting page follows the work live and becomes the login page by itself.
func TestBrowser_preparing(t *testing.T) {
	ctx, picture := browse(t)
	h := open(t)
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "Log in please") }))
	h.class.phase.Store(api.Preparing)
	visit(t, ctx, h.url+"/hub/login")
	shows(t, ctx, "Getting started")
	h.work.Progress(progress.Event{Job: "image", Step: "building the class image", Done: 3, Total: 3, Unit: "steps", State: progress.Done})
	h.work.Progress(progress.Event{Job: "environment", Step: "installing packages", Done: 17, Total: 42, Unit: "packages", Eta: 100})
	shows(t, ctx, "17 of 42 packages")
	shows(t, ctx, "about 2 minutes left")
	picture("preparing")
	h.class.phase.Store(api.Serving)
	shows(t, ctx, "Log in please")
}

// A page that came while the hub was away goes on when it is back.
func TestBrowser_restarting(t *testing.T) {
	ctx, _ := browse(t)
	h := open(t)
	visit(t, ctx, h.url+"/hub/home")
	shows(t, ctx, "being restarted")
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "home again") }))
	shows(t, ctx, "home again")
}

// Problems are shown as text, whatever is in them.
func TestBrowser_notices(t *testing.T) {
	ctx, picture := browse(t)
	h := open(t)
	h.class.phase.Store(api.Preparing)
	h.class.notices = []notice.Notice{
		{
			Severity: notice.SeverityError, File: "requirements.txt", Line: 3, What: "there is no package called <b>pandsa</b>",
			Means: "The class cannot start before this is solved; the accounts are ready.", Do: "Correct the name, save, and copy the folder again.",
		},
		{Severity: notice.SeverityWarning, What: "the disk has 2 GB left", Means: "New packages may not fit.", Do: "Remove files that nobody needs."},
	}
	visit(t, ctx, h.url+"/")
	shows(t, ctx, "<b>pandsa</b>")
	picture("notices")
}
