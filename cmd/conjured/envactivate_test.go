package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/internal/needs"
)

// classImage is the image that scripts/test.sh makes for tests of containers.
func classImage() needs.Part {
	return needs.Part{Name: "class image", Check: func() error {
		if os.Getenv("CONJURED_TEST_IMAGE") == "" {
			return errors.New("CONJURED_TEST_IMAGE names no class image")
		}
		return nil
	}}
}

// noneLeft is the script command "none-left": no container of the state directory is.
func noneLeft(ts *testscript.TestScript, _ bool, _ []string) {
	p, err := newPlace(filepath.Join(ts.Getenv("WORK"), "state"))
	ts.Check(err)
	e, err := engine.Connect(context.Background(), engine.Config{Instance: p.Instance})
	ts.Check(err)
	defer e.Close()
	left, err := e.List(context.Background(), nil)
	ts.Check(err)
	if len(left) > 0 {
		ts.Fatalf("left %v", left)
	}
}

// A shell has the variables that a kernel has.
func TestEnvActivate_variables(t *testing.T) {
	at := api.EnvPlace{Env: "geo", Mount: "/m", Path: "gen/geo/1", Variables: []string{"A=x y", "TERM=dumb"}, Unset: []string{"PS1"}, Dirs: []string{"/m/gen/geo/1/share"}}
	text, err := json.Marshal(at) // it comes from the daemon
	if got := (api.EnvPlace{}); err != nil || json.Unmarshal(text, &got) != nil || !reflect.DeepEqual(got, at) {
		t.Fatalf("%s %v", text, err)
	}
	env := activeSpec(at, nil, true).Env
	if !slices.Contains(env, "A=x y") || !strings.HasPrefix(strings.Join(env, "\n"), "PATH=/m/gen/geo/1/bin:/m/gen/geo/1/share:/usr/local/sbin:") {
		t.Errorf("%q", env)
	}
	if n := strings.Count("\n"+strings.Join(env, "\n"), "\nTERM="); n != 1 || slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PS1=") }) {
		t.Errorf("%q", env)
	}
}

// TestEnvActivate is env activate in real containers, with pipes and with a terminal.
func TestEnvActivate(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root(), classImage())
	testscript.Run(t, testscript.Params{
		Dir: "testdata/activate",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": serve, "exits": exits, "interrupted": interrupted, "none-left": noneLeft, "terminal": atTerminal,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("NO_COLOR", "1")
			for _, d := range []string{filepath.Dir(filepath.Dir(e.WorkDir)), filepath.Dir(e.WorkDir), e.WorkDir} {
				if err := os.Chmod(d, 0o755); err != nil {
					return err
				}
			}
			return errors.Join(
				os.MkdirAll(e.WorkDir+"/state", 0o755),
				os.Chmod(e.WorkDir+"/env/gen/geo/1/bin/hello", 0o555), os.Chmod(e.WorkDir+"/env/gen/geo/1/lib/data", 0o444),
				os.WriteFile(e.WorkDir+"/list.json", []byte("[]"), 0o600),
			)
		},
	})
}

// atTerminal is the script command "terminal CODE COMMAND...": a person at a terminal
// of 33 lines works in the shell, makes the window larger, stops a program with Ctrl-C
// and leaves with CODE.
func atTerminal(ts *testscript.TestScript, _ bool, args []string) {
	person, terminal, err := openTerminal()
	ts.Check(err)
	defer person.Close()
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("WORK"), "TERM=xterm")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(cmd.Start())
	terminal.Close()
	s := screen{ts: ts, person: person}
	s.see("(geo)")
	s.types("stty size; hello you\r", "33 101", "geo says you")
	ts.Check(unix.IoctlSetWinsize(int(person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 44, Col: 132}))
	for s.types("stty size\r", "size"); !bytes.Contains(s.seen.Bytes(), []byte("44 132")); s.types("stty size\r", "size", "(geo)") {
		time.Sleep(20 * time.Millisecond) // the new size arrives by itself
	}
	s.types("echo be; echo gun; sleep 600\r", "gun\r\n")
	s.types("\x03", "(geo)")
	s.types("echo still $((40+2))\r", "still 42")
	s.types("exit "+args[0]+"\r", "exit")
	_ = cmd.Wait()
	if got := fmt.Sprint(cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit code %s\n%s", got, s.all.Bytes())
	}
}

// screen is what a person sees.
type screen struct {
	ts        *testscript.TestScript
	person    *os.File
	seen, all bytes.Buffer // since the last key, and ever
}

// types presses keys and waits for all that is to be seen after them.
func (s *screen) types(keys string, want ...string) {
	s.seen.Reset()
	_, err := s.person.WriteString(keys)
	s.ts.Check(err)
	for _, w := range want {
		s.see(w)
	}
}

func (s *screen) see(want string) {
	b := make([]byte, 4096)
	_ = s.person.SetReadDeadline(time.Now().Add(30 * time.Second))
	for !bytes.Contains(s.seen.Bytes(), []byte(want)) {
		n, err := s.person.Read(b)
		s.seen.Write(b[:n])
		s.all.Write(b[:n])
		if err != nil {
			s.ts.Fatalf("%q is never seen: %v\n%s", want, err, s.all.Bytes())
		}
	}
}

// openTerminal makes a pair of a person's side and a program's side; see pty(7).
func openTerminal() (person, program *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 33, Col: 101})
	}
	person = os.NewFile(uintptr(fd), "/dev/ptmx") // read with deadlines, since it does not block
	if err != nil {
		return nil, nil, errors.Join(err, person.Close())
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	return person, program, err
}

// A student who keeps a lease for himself keeps nobody from looking at the packages.
func TestHoldLeaseThatSomebodyKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lease")
	student, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer student.Close()
	if err := unix.Flock(int(student.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	lease, err := holdLease(path)
	if err != nil {
		t.Fatal(err)
	}
	lease.Close()
}
