package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
)

// beyondFile marks that a build could not mend Docker's store.
const beyondFile = "docker-beyond-repair"

// repairUnit is installed where the box owns its Docker. Docker's own unit starts it when
// Docker does not start (OnFailure=), and the daemon when it cannot mend the store.
const repairUnit = "conjured-repair.service"

// dockerCare is how Docker is stopped and started on this machine.
type dockerCare interface {
	Answers(ctx context.Context) bool
	Stop(ctx context.Context) error
	Start(ctx context.Context) error // and wait until it answers; it may not
}

// repairDocker does to the store in root what it needs until Docker answers, at most one
// of each. It gives what was done.
func repairDocker(ctx context.Context, care dockerCare, root string, beyond bool, running func() int) ([]surgery, error) {
	w := wounds{beyond: beyond}
	for {
		w.answers, w.names, w.running = care.Answers(ctx), namesLost(root), running()
		s := operate(w)
		if s == noSurgery {
			if !w.answers || (beyond && len(w.done) == 0) {
				return w.done, notRepaired(w)
			}
			return w.done, nil
		}
		if err := care.Stop(ctx); err != nil {
			return w.done, err
		}
		if err := s.carryOut(root); err != nil {
			return w.done, err
		}
		w.done = append(w.done, s)
		if err := care.Start(ctx); err != nil && ctx.Err() != nil {
			return w.done, err
		}
	}
}

func notRepaired(w wounds) error {
	do := "look at journalctl -u docker; if the disk is at fault, it has to be replaced"
	if w.running > 0 {
		do = fmt.Sprintf("when nobody works, restart the machine (%d containers run on without Docker): it is repaired while it starts", w.running)
	}
	return &notice.Error{Notice: notice.Notice{
		Code: "docker-not-repaired", Severity: notice.SeverityError,
		What:  "Docker's store is damaged, and what could be done without ending anybody's work did not help",
		Means: "no new server can be started; homes, accounts and packages are safe", Do: do,
	}}
}

// systemdCare is Docker as a unit.
type systemdCare struct{ host string }

func (c systemdCare) Answers(ctx context.Context) bool {
	e, err := engine.Connect(ctx, engine.Config{Host: c.host, Instance: "00000000"})
	if err != nil {
		return false
	}
	return e.Close() == nil
}

func (systemdCare) Stop(ctx context.Context) error {
	return systemctl(ctx, "stop", "docker.service", "docker.socket")
}

func (systemdCare) Start(ctx context.Context) error {
	_ = systemctl(ctx, "reset-failed", "docker.service", "docker.socket") // of tries before
	return systemctl(ctx, "start", "docker.service")
}

func systemctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// byHand is a Docker that nothing supervises: it is somebody else's to stop and to start.
type byHand struct {
	systemdCare
	program []string // starts Docker and waits until it answers; none: nobody does
}

func (c byHand) Stop(ctx context.Context) error {
	if !c.Answers(ctx) {
		return nil
	}
	return &notice.Error{Notice: notice.Notice{
		Code: "docker-unsupervised", Severity: notice.SeverityError,
		What:  "Docker runs, and nothing on this machine supervises it, so that it can't be stopped here",
		Means: "nothing was changed", Do: "stop it (scripts/docker.sh stop), and run the same command again",
	}}
}

func (c byHand) Start(ctx context.Context) error {
	if len(c.program) == 0 {
		return errors.New("cannot start docker: nothing supervises it")
	}
	return exec.CommandContext(ctx, c.program[0], c.program[1:]...).Run()
}

// runRepair is `conjured doctor --repair`.
func runRepair(ctx context.Context, g *global, root string, start []string) error {
	_, p, err := g.load()
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return &notice.Error{Notice: *examineRights().Notice}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	var care dockerCare = byHand{program: start}
	supervised := false
	if _, err := os.Stat("/run/systemd/system"); err == nil && len(start) == 0 {
		care, supervised = systemdCare{}, true
	}
	if root == "" {
		root = dockerRoot("/etc/docker/daemon.json")
	}
	_, err = os.Stat(p.join(beyondFile))
	beyond := err == nil
	if beyond {
		if err := clearOurs(ctx, p); err != nil {
			return err
		}
	}
	done, err := repairDocker(ctx, care, root, beyond, shims)
	if err != nil {
		return err
	}
	if err := os.Remove(p.join(beyondFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if supervised && len(done) > 0 && systemctl(ctx, "is-enabled", "conjured.service") == nil {
		if err := systemctl(ctx, "start", "--no-block", "conjured.service"); err != nil {
			return err
		}
	}
	sayRepaired(g.t, root, done)
	return nil
}

func sayRepaired(t *terminal, root string, done []surgery) {
	if len(done) == 0 {
		t.print("Docker answers. Nothing was changed.")
		return
	}
	var words []string
	for _, s := range done {
		words = append(words, string(s))
	}
	t.print("Docker answers again. Put aside in %s: %s (names that end in %sN).", root, strings.Join(words, ", "), brokenMark)
	t.print("Homes, accounts and packages are untouched; conjured makes what is missing again, in a few minutes.")
}

// clearOurs removes this instance's containers when none of them is a student's: a Docker
// with a new store would not know them.
func clearOurs(ctx context.Context, p place) error {
	e, err := engine.Connect(ctx, engine.Config{Instance: p.Instance})
	if err != nil {
		return nil // Docker does not answer: repairDocker counts what runs
	}
	defer e.Close()
	all, err := e.List(ctx, nil)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.State == "running" && c.Labels[engine.LabelRole] == "server" {
			return nil // repairDocker refuses
		}
	}
	for _, c := range all {
		if err := e.Remove(ctx, c.ID); err != nil {
			return err
		}
	}
	return nil
}
