package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/gateway"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// fakeEnvs is a daemon's environments out of a directory: list.json is the list,
// VERB.json what a verb answers, refuse-VERB.json the notice of a refusal. Without any of them
// it works until it is given up. What was asked is in asked.txt.
type fakeEnvs struct {
	dir  string
	news *progress.Hub
}

func (f fakeEnvs) read(name string, v any) error {
	b, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		return err
	}
	b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("$WORK"), []byte(f.dir)), []byte("$IMAGE"), []byte(os.Getenv("CONJURED_TEST_IMAGE")))
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func (f fakeEnvs) Environments(context.Context) (l []api.Environment, err error) {
	return l, f.read("list.json", &l)
}

func (f fakeEnvs) EnvVerb(ctx context.Context, v api.EnvVerb, q api.EnvRequest) (r api.EnvReply, err error) {
	b, _ := json.Marshal(q)
	f.note(string(v) + " " + string(b))
	f.news.Progress(progress.Event{Job: envJob(v), Step: "fetching", Done: 3, Total: 42, Unit: "packages"})
	var n notice.Notice
	if f.read("refuse-"+string(v)+".json", &n) == nil {
		return r, errors.Join(gateway.ErrUnknown, &notice.Error{Notice: n})
	}
	err = f.read(string(v)+".json", &r)
	if errors.Is(err, os.ErrNotExist) {
		<-ctx.Done()
		f.note("given up")
		err = ctx.Err()
	}
	f.news.Progress(progress.Event{Job: envJob(v), State: progress.Done})
	return r, err
}

func (f fakeEnvs) Status(ctx context.Context) (api.Status, error) {
	l, err := f.Environments(ctx)
	return api.Status{Class: "Data 8", Phase: api.Serving, Environments: l}, err
}

func (f fakeEnvs) note(line string) {
	out, err := os.OpenFile(filepath.Join(f.dir, "asked.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, _ = out.WriteString(line + "\n")
		out.Close()
	}
}

// serve is the script command "daemon": the real API with a fake behind it.
func serve(ts *testscript.TestScript, _ bool, _ []string) {
	dir := ts.Getenv("WORK")
	p, err := newPlace(filepath.Join(dir, "state"))
	ts.Check(err)
	ts.Check(os.MkdirAll(p.Run, 0o700))
	l, err := net.Listen("unix", p.apiSocket())
	ts.Check(err)
	news := &progress.Hub{}
	news.Progress(progress.Event{Job: "image", State: progress.Done})
	f := fakeEnvs{dir, news}
	srv := &http.Server{Handler: gateway.NewDaemonAPI(gateway.Daemon{Environments: f, Reporter: f, Progress: news}), ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()
	ts.Defer(func() { _ = srv.Close(); _ = os.RemoveAll(p.Run) })
}

// exits is the script command "exits CODE COMMAND...", as exec with an exact exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// interrupted is the script command "interrupted TEXT COMMAND...": Ctrl-C once the
// command has said TEXT. It has to end with 130.
func interrupted(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("WORK"))
	said, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	var all []byte
	lines := bufio.NewScanner(said)
	for !bytes.Contains(all, []byte(args[0])) && lines.Scan() {
		all = append(all, lines.Bytes()...)
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait() // the code says it
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		ts.Fatalf("exit code %d after %s", code, all)
	}
}

// givenUp is the script command "given-up": the daemon ends what nobody waits for.
func givenUp(ts *testscript.TestScript, _ bool, _ []string) {
	for range 200 { // 2 s, the limit that everything has
		if strings.Contains(ts.ReadFile("asked.txt"), "given up") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("the daemon goes on")
}

// TestEnvCommands is what every verb says and exits with, by the real main.
func TestEnvCommands(t *testing.T) {
	needs.All(t, needs.Root()) // the daemon's socket is in /run
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/env",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"daemon": serve, "exits": exits, "interrupted": interrupted, "given-up": givenUp},
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("NO_COLOR", "1")
			e.Setenv("TZ", "UTC")
			if err := os.Mkdir(filepath.Join(e.WorkDir, "state"), 0o755); err != nil {
				return err
			}
			return copyInto("testdata/env/list.json", filepath.Join(e.WorkDir, "list.json"))
		},
	})
}

func copyInto(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}
