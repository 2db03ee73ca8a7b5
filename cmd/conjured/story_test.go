package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/conjuring/conjured/internal/needs"
)

// TestStory is the class from nothing to a cell in a real browser, through a lesson
// with changes and mistakes, a power cut, and the end of it. Each step needs the one
// before, so the first that fails ends the story.
func TestStory(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root(), needs.Chromium(), needs.Debootstrap())
	c := newClass(t, copyFolder(t, "testdata/class"))
	l := &lesson{class: c, browser: newBrowser(t)}
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"the waiting page becomes the login page", l.opens},
		{"a wrong password is explained", l.refuses},
		{"a cell runs in Lab", l.works},
		{"a new row can log in", l.newPupil},
		{"a removed row is out", l.removedPupil},
		{"a changed password works at once", l.newPassword},
		{"a package arrives for new kernels", l.newPackage},
		{"a misspelt package changes nothing", l.misspelt},
		{"a program arrives by a new image", l.newProgram},
		{"a broken srv is caught by the candidate", l.brokenSrv},
		{"latest is complete by itself", l.sealed},
		{"the daemon is killed and the class goes on", l.killed},
		{"everything is killed and comes back", l.powerCut},
		{"Ctrl-C leaves nothing running", l.ends},
	} {
		if !t.Run(step.name, func(t *testing.T) { c.t, l.browser.t = t, t; step.do(t) }) {
			c.t, l.browser.t = t, t
			return
		}
	}
	c.t, l.browser.t = t, t
}

// lesson is what the steps of the story share.
type lesson struct {
	class   *class
	browser *browser
	amira   *student
	kernel  *kernel // of amira, alive through the whole lesson
}

func (l *lesson) opens(t *testing.T) {
	l.class.start()
	l.class.eventually(time.Minute, "the front door answers", func() bool {
		res, err := http.Get(l.class.url + "/")
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
	l.browser.open(l.class.url + "/user/amira/lab")
	l.browser.see(20*time.Second, "being prepared")
	l.browser.shot("1-prepared")
	l.browser.phone()
	l.browser.shot("1-prepared-phone")
	l.browser.laptop()
	l.browser.until(10*time.Minute, "the login page", "document.querySelector('#username_input')")
	l.browser.see(5*time.Second, "Room 12")
	l.browser.shot("2-login")
	l.browser.phone()
	l.browser.shot("2-login-phone")
	l.browser.laptop()
	for _, want := range []string{"Room 12 is open", "chalk and board", "Ctrl-C"} {
		l.class.eventually(10*time.Second, "the terminal says "+want, func() bool { return strings.Contains(l.class.out.String(), want) })
	}
}

func (l *lesson) refuses(t *testing.T) {
	l.browser.login("amira", "not this")
	l.browser.see(20*time.Second, "not right")
	l.browser.shot("3-wrong-password")
}

func (l *lesson) works(t *testing.T) {
	b := l.browser
	b.login("amira", "blue bicycle 12")
	b.until(2*time.Minute, "Lab", "document.querySelector('.jp-Launcher') && !document.querySelector('#jupyterlab-splash')")
	b.shot("4-lab")
	b.open(l.class.url + "/user/amira/lab/tree/first.ipynb")
	b.until(time.Minute, "the kernel is idle", "document.querySelector('.jp-CodeCell .cm-content') && document.body.innerText.includes('| Idle')")
	b.within(20*time.Second, "run the cell", chromedp.Click(`[data-jp-item-name="run"]`))
	b.until(time.Minute, "the output", `[...document.querySelectorAll('.jp-OutputArea-output')].some(e => e.innerText.includes('the answer is 42'))`)
	b.shot("5-cell")
	l.amira = l.enter(t, "amira", "blue bicycle 12")
	k, err := l.amira.kernel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.kernel = k
	onThePhone := newBrowser(t)
	onThePhone.phone()
	onThePhone.open(l.class.url + "/user/amira/lab/tree/first.ipynb")
	onThePhone.login("amira", "blue bicycle 12")
	onThePhone.until(time.Minute, "Lab on a phone", "document.querySelector('.jp-CodeCell .cm-content') && !document.querySelector('#jupyterlab-splash')")
	onThePhone.shot("6-lab-phone")
	l.expect(t, l.kernel, "print(open('proof.txt').read(), open('shared/trees.csv').read().split()[0])", "made in a browser name,height")
}

// enter logs a student in and opens their Lab.
func (l *lesson) enter(t *testing.T, name, password string) *student {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s := newStudent(l.class.url, name, password)
	if err := s.login(ctx); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := s.spawn(ctx); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

func (l *lesson) expect(t *testing.T, k *kernel, code, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	got, err := k.run(ctx, code)
	if err != nil || strings.TrimSpace(got) != want {
		t.Fatalf("%s: got %q (%v), want %q", code, got, err, want)
	}
}

// undisturbed asks the kernel that has been running all the time.
func (l *lesson) undisturbed(t *testing.T) {
	t.Helper()
	l.expect(t, l.kernel, "x = globals().get('x', 0) + 1; print('here')", "here")
}

func (l *lesson) canLogIn(name, password string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return newStudent(l.class.url, name, password).login(ctx) == nil
}

const roster = "user,password,admin\nteacher,chalk and board,yes\namira,blue bicycle 12,\nben,\"green, garden\",no\n"

func (l *lesson) newPupil(t *testing.T) {
	if l.canLogIn("chen", "seven red kites") {
		t.Fatal("chen is in before the row is there")
	}
	l.class.write("users.csv", roster+"chen,seven red kites,\n")
	l.class.eventually(10*time.Second, "chen can log in", func() bool { return l.canLogIn("chen", "seven red kites") })
	l.undisturbed(t)
}

func (l *lesson) removedPupil(t *testing.T) {
	chen := l.enter(t, "chen", "seven red kites")
	k, err := chen.kernel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.expect(t, k, "print(open('mine.txt','w').write('kept'))", "4")
	uid := l.uid(t, "chen")
	l.class.write("users.csv", roster)
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	select { // the socket closes under the browser's feet
	case <-k.ended:
	case <-ctx.Done():
		t.Error("the socket to the kernel is still open")
	}
	if l.canLogIn("chen", "seven red kites") {
		t.Error("chen can still log in")
	}
	if body, _, err := chen.do(ctx, "GET", "/user/chen/api/status", nil); err == nil && strings.Contains(string(body), `"kernels"`) {
		t.Errorf("chen's server still answers: %s", body)
	}
	l.class.write("users.csv", roster+"chen,seven red kites,\n")
	l.class.eventually(10*time.Second, "chen is back", func() bool { return l.canLogIn("chen", "seven red kites") })
	if now := l.uid(t, "chen"); now != uid {
		t.Errorf("chen came back with UID %s, was %s", now, uid)
	}
	back := l.enter(t, "chen", "seven red kites")
	if got, err := back.run(t.Context(), "print(open('mine.txt').read())"); err != nil || !strings.Contains(got, "kept") {
		t.Errorf("chen's file: %q %v", got, err)
	}
	l.undisturbed(t)
}

func (l *lesson) uid(t *testing.T, name string) string {
	t.Helper()
	out, _, _ := l.class.cli("users", "list")
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			return f[1]
		}
	}
	t.Fatalf("no account %s in\n%s", name, out)
	return ""
}

func (l *lesson) newPassword(t *testing.T) {
	l.class.write("users.csv", strings.Replace(roster, `"green, garden"`, "five brown hens", 1))
	l.class.eventually(10*time.Second, "ben's new password works", func() bool { return l.canLogIn("ben", "five brown hens") })
	if l.canLogIn("ben", "green, garden") {
		t.Error("ben's old password still works")
	}
	out, errs, code := l.class.cli("users", "passwd", "ben", "--json")
	if code != 0 || !strings.Contains(out, `"password"`) {
		t.Fatalf("users passwd: %d %s%s", code, out, errs)
	}
	if l.canLogIn("ben", "five brown hens") {
		t.Error("the password of before the reset still works")
	}
}

func (l *lesson) newPackage(t *testing.T) {
	ctx := context.Background()
	if _, err := l.amira.run(ctx, "import humanize"); err == nil {
		t.Fatal("humanize is there before it was asked for")
	}
	l.class.write("requirements.txt", "tabulate\nhumanize\n")
	l.class.eventually(2*time.Minute, "a new kernel imports humanize", func() bool {
		got, err := l.amira.run(ctx, "import humanize; print(humanize.intcomma(1234567))")
		return err == nil && strings.Contains(got, "1,234,567")
	})
	// Kernels have it a moment before all is written down.
	l.class.eventually(time.Minute, "the change is done", func() bool { return l.class.settled(t) })
	l.undisturbed(t)
}

func (l *lesson) misspelt(t *testing.T) {
	before := l.class.serving(t)
	l.class.write("requirements.txt", "tabulate\nhumanize\nhumanise-no-such-thing\n")
	l.class.eventually(2*time.Minute, "the terminal names the line", func() bool {
		return strings.Contains(l.class.out.String(), "requirements.txt:3") && strings.Contains(l.class.out.String(), "humanise-no-such-thing")
	})
	l.class.eventually(30*time.Second, "the change is given up", func() bool {
		return strings.Contains(l.class.out.String(), "it is as it was before")
	})
	if now := l.class.serving(t); now != before {
		t.Errorf("setup %s serves, was %s", now, before)
	}
	_, errs, code := l.class.cli("apply", l.class.dir)
	if code != 1 || !strings.Contains(errs, "requirements.txt:3") {
		t.Errorf("apply: exit %d\n%s", code, errs)
	}
	l.class.write("requirements.txt", "tabulate\nhumanize\n")
	l.class.eventually(time.Minute, "the corrected folder serves", func() bool { return l.class.settled(t) })
	l.undisturbed(t)
}

func (l *lesson) newProgram(t *testing.T) {
	hub := l.class.containerIDs(t, "hub")
	l.class.write("apt.txt", "# programs\ntree\n")
	l.class.eventually(5*time.Minute, "the new image serves", func() bool { return l.class.settled(t) })
	if now := l.class.containerIDs(t, "hub"); now != hub {
		t.Errorf("the hub was restarted for a program: %s, was %s", now, hub)
	}
	l.undisturbed(t)
	l.class.eventually(time.Minute, "teacher's new server has it", func() bool { return true })
	teacher := l.enter(t, "teacher", "chalk and board")
	got, err := teacher.run(t.Context(), "import subprocess; print(subprocess.run(['tree','--version'],capture_output=True,text=True).stdout)")
	if err != nil || !strings.Contains(got, "tree v") {
		t.Errorf("tree in a new server: %q %v", got, err)
	}
}

func (l *lesson) brokenSrv(t *testing.T) {
	hub := l.class.containerIDs(t, "hub")
	l.class.write("srv/jupyterhub_config.py", "c.JupyterHub.shutdown_on_logout = False\nc.JupyterHub.template_vars = {\n")
	l.class.eventually(2*time.Minute, "the terminal names file and line", func() bool {
		return strings.Contains(l.class.out.String(), "jupyterhub_config.py:2")
	})
	if now := l.class.containerIDs(t, "hub"); now != hub {
		t.Errorf("the hub was touched by a file with a mistake: %s, was %s", now, hub)
	}
	l.undisturbed(t)
	l.class.write("srv/jupyterhub_config.py", "c.JupyterHub.shutdown_on_logout = False\n")
	l.class.eventually(2*time.Minute, "the corrected folder serves", func() bool { return l.class.settled(t) })
	l.class.waitOpen(30 * time.Second)
	l.undisturbed(t)
}

// sealed runs latest as somebody elsewhere would: no mounts, no network.
func (l *lesson) sealed(t *testing.T) {
	l.class.eventually(5*time.Minute, "latest is sealed", func() bool {
		b, err := os.ReadFile(filepath.Join(l.class.state, "sealed"))
		return err == nil && len(b) > 0 && l.class.idle(t)
	})
	out, err := exec.Command("docker", "run", "--rm", "--network=none", "--entrypoint", "/opt/conjured/bin/launch", testImages+":latest",
		"base@current", "python", "-c", "import tabulate, humanize, jupyterlab, shutil; print('complete', shutil.which('tree'))").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "complete /usr/bin/tree") {
		t.Fatalf("docker run %s:latest: %v\n%s", testImages, err, out)
	}
	out, err = exec.Command("docker", "history", "--no-trunc", testImages+":latest").CombinedOutput()
	if err != nil || strings.Contains(string(out), "BEGIN CERTIFICATE") || strings.Contains(string(out), "blue bicycle") {
		t.Errorf("the history of latest: %v\n%s", err, out)
	}
}

// killed ends the daemon alone: hub and servers are Docker's, and the next one adopts them.
func (l *lesson) killed(t *testing.T) {
	hub, servers := l.class.containerIDs(t, "hub"), l.class.containerIDs(t, "server")
	_ = syscall.Kill(l.class.cmd.Process.Pid, syscall.SIGKILL)
	<-l.class.done
	l.class.start()
	l.class.waitOpen(30 * time.Second)
	if now := l.class.containerIDs(t, "hub"); now != hub {
		t.Errorf("hub %s was not adopted: %s", hub, now)
	}
	if now := l.class.containerIDs(t, "server"); now != servers {
		t.Errorf("servers were not adopted: %s, were %s", now, servers)
	}
	got, err := l.amira.run(t.Context(), "print(open('proof.txt').read())")
	if err != nil || !strings.Contains(got, "made in a browser") {
		t.Errorf("amira without a new login: %q %v", got, err)
	}
}

// powerCut ends everything at once, as a pulled plug does.
func (l *lesson) powerCut(t *testing.T) {
	_ = syscall.Kill(l.class.cmd.Process.Pid, syscall.SIGKILL)
	<-l.class.done
	for _, id := range strings.Fields(l.class.containerIDs(t, "")) {
		_ = exec.Command("docker", "kill", id).Run()
	}
	l.class.start()
	l.class.waitOpen(time.Minute)
	next := newBrowser(t) // the old window would ask about its unsaved notebook
	next.open(l.class.url + "/")
	next.until(30*time.Second, "the login page", "document.querySelector('#username_input')")
	amira := l.enter(t, "amira", "blue bicycle 12")
	got, err := amira.run(t.Context(), "import humanize; print(open('proof.txt').read())")
	if err != nil || !strings.Contains(got, "made in a browser") {
		t.Errorf("amira's file after the power cut: %q %v", got, err)
	}
}

func (l *lesson) ends(t *testing.T) {
	took := l.class.stop(os.Interrupt)
	t.Logf("stopped in %s", took)
	if took > 10*time.Second {
		t.Errorf("Ctrl-C took %s", took)
	}
	if n := l.class.containers(""); n != 0 {
		t.Errorf("%d containers are left running", n)
	}
}

func copyFolder(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "room12")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}
