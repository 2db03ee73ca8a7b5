package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser is one person's Chromium, with a profile of its own.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// newBrowser starts Chromium without a window, at a laptop's width.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.WindowSize(1280, 800),
		// This machine by a name that the browser takes for another one: without HTTPS it
		// offers less there.
		chromedp.Flag("host-resolver-rules", "MAP class.test 127.0.0.1"),
	)
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() { cancel(); stop() })
	// The first call starts the browser, which lives as long as that call's context.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("cannot start Chromium: %v", err)
	}
	return &browser{t: t, ctx: ctx}
}

// within runs f with a time limit; a step that takes longer fails the test.
func (b *browser) within(limit time.Duration, what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.shot("failed-" + strings.ReplaceAll(what, " ", "-"))
		b.t.Fatalf("%s: %v\nat %s\n%s", what, err, b.location(), b.text())
	}
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.within(30*time.Second, "open "+filepath.Base(url), chromedp.Navigate(url))
}

// see waits until the page's text holds want. Pages may replace themselves meanwhile.
func (b *browser) see(limit time.Duration, want string) {
	b.t.Helper()
	b.until(limit, "see "+want, fmt.Sprintf("document.body && document.body.innerText.includes(%q)", want))
}

// until waits for a JavaScript condition, over navigations.
func (b *browser) until(limit time.Duration, what, condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		if err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			b.shot("failed-" + strings.ReplaceAll(what, " ", "-"))
			b.t.Fatalf("%s: not within %s (%v)\nat %s\n%s", what, limit, err, b.location(), b.text())
		case <-tick.C:
		}
	}
}

// login fills in the form of the page that is open.
func (b *browser) login(user, password string) {
	b.t.Helper()
	b.within(20*time.Second, "log in as "+user,
		chromedp.WaitVisible("#username_input"),
		chromedp.SetValue("#username_input", user),
		chromedp.SetValue("#password_input", password),
		chromedp.Click("#login_submit"),
	)
}

func (b *browser) location() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	s, _ := chromedp.Run(ctx, chromedp.Location())
	return s
}

// text is the head of what a person reads on the page.
func (b *browser) text() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	s, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body ? document.body.innerText : ''"))
	return s[:min(len(s), 2000)]
}

// phone makes the window as wide as a phone's, and laptop undoes it.
func (b *browser) phone() {
	b.within(10*time.Second, "turn into a phone", chromedp.EmulateViewport(390, 844))
}

func (b *browser) laptop() {
	b.within(10*time.Second, "turn into a laptop", chromedp.EmulateViewport(1280, 800))
}

// shot keeps a picture where CONJURED_SCREENSHOTS says, for people to look at.
func (b *browser) shot(name string) {
	dir := os.Getenv("CONJURED_SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "_")+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Logf("no screenshot %s: %v", name, err)
	}
}
