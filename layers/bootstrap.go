package layers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

func (b *Builder) bootstrapRef(suite string) string { return b.repository + ":debian-" + suite }

// bootstrap makes a Debian of that suite from the machine's own package sources and
// gives it to the engine. Downloaded packages are kept for the next time.
func (b *Builder) bootstrap(ctx context.Context, suite string, sink progress.Sink) (id string, err error) {
	if os.Geteuid() != 0 {
		return "", noBootstrap("conjured does not run as root", "run the same command as root, or with sudo in front", nil)
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return "", noBootstrap("debootstrap is not installed", "run make deps, or install the package debootstrap, then try again", err)
	}
	work, err := os.MkdirTemp(b.dir, "tmp-bootstrap-")
	if err != nil {
		return "", fmt.Errorf("cannot make a base: %w", err)
	}
	defer func() { err = errors.Join(err, removeTree(work)) }()
	root, debs := filepath.Join(work, "root"), filepath.Join(b.dir, "debs")
	if err := errors.Join(os.Chmod(work, 0o755), os.MkdirAll(debs, 0o755)); err != nil {
		return "", fmt.Errorf("cannot make a base: %w", err)
	}
	src := readSources("/etc/apt")
	// scripts/seed.sh may have made the tree while this program was compiled.
	if err := os.Rename(filepath.Join(b.dir, "seed-"+suite), root); err != nil {
		if err := os.Mkdir(root, 0o755); err != nil {
			return "", fmt.Errorf("cannot make a base: %w", err)
		}
		if err := b.debootstrap(ctx, suite, root, debs, src, sink); err != nil {
			return "", err
		}
	}
	if err := src.dress(root, suite); err != nil {
		return "", fmt.Errorf("cannot set up a new base: %w", err)
	}
	sink.Progress(progress.Event{Job: Job, Step: "handing the new base to Docker"})
	return b.importTree(ctx, root, suite)
}

// debootstrap runs the program of that name in a mount namespace of its own: what it
// mounts in the tree goes when it goes, even when it is killed.
func (b *Builder) debootstrap(ctx context.Context, suite, root, debs string, src sources, sink progress.Sink) error {
	cmd := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "--cache-dir="+debs, suite, root, src.debian)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	var lines []string
	told := make(chan struct{})
	go func() {
		defer close(told)
		lines = tellBootstrap(out, b.readDurations()["bootstrap"], sink)
	}()
	start := time.Now()
	err := cmd.Run()
	in.Close()
	<-told
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("cannot make a base: %w", context.Cause(ctx))
	case err != nil:
		return bootstrapFailed(suite, src, lines, err)
	}
	b.saveDurations(map[string]float64{"bootstrap": time.Since(start).Seconds()})
	return nil
}

// tellBootstrap turns debootstrap's lines ("I: Retrieving libc6 2.41-12") into
// progress and gives the last of them.
func tellBootstrap(r io.Reader, expected float64, sink progress.Sink) (last []string) {
	start, count, phase := time.Now(), int64(0), ""
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		line := strings.TrimSpace(scan.Text())
		last = append(last, line)
		if len(last) > 50 {
			last = last[1:]
		}
		_, rest, _ := strings.Cut(line, "I: ")
		verb, _, _ := strings.Cut(rest, " ")
		step := map[string]string{
			"Retrieving": "downloading Debian", "Validating": "downloading Debian", "Extracting": "unpacking Debian",
			"Unpacking": "unpacking Debian", "Configuring": "setting up Debian",
		}[verb]
		if step == "" {
			continue
		}
		if phase != step {
			phase, count = step, 0
		}
		count++
		sink.Progress(progress.Event{Job: Job, Step: step, Done: count, Unit: "packages", Line: line, Eta: max(0, expected-time.Since(start).Seconds())})
	}
	_, _ = io.Copy(io.Discard, r) // a line too long ends the scan, and must not block the program
	return last
}

// importTree makes an image of a root file system.
func (b *Builder) importTree(ctx context.Context, root, suite string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "tar", "-C", root, "--numeric-owner", "--one-file-system", "--exclude=./dev/*",
		"--exclude=./var/cache/apt/*.bin", "--exclude=./var/cache/apt/archives/*.deb", "--exclude=./var/lib/apt/lists/*", "-c", ".")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("cannot pack a new base: %w", err)
	}
	id, err := b.engine.Import(ctx, out, b.bootstrapRef(suite), []string{
		"ENV LANG=C.UTF-8", `CMD ["bash"]`,
		"LABEL " + engine.LabelRole + "=image",
		"LABEL org.conjured.suite=" + suite,
		"LABEL org.conjured.bootstrapped=" + time.Now().UTC().Format(time.DateOnly),
	})
	if err != nil {
		cancel()
	}
	if packErr := cmd.Wait(); packErr != nil && err == nil {
		// The engine took half a tree for a whole one.
		return "", errors.Join(fmt.Errorf("cannot pack a new base: %w", packErr), b.engine.Untag(context.WithoutCancel(ctx), b.bootstrapRef(suite)))
	}
	return id, err
}

// removeTree removes a tree that may hold mounts of a namespace that has ended. As a
// second line it refuses to go below a mount that is still there.
func removeTree(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			if err := unix.Unmount(f[4], unix.MNT_DETACH); err != nil {
				return fmt.Errorf("cannot clear away %s: %s is still mounted: %w", dir, f[4], err)
			}
		}
	}
	return os.RemoveAll(dir)
}

func noBootstrap(what, do string, err error) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "bootstrap-not-possible", Severity: notice.SeverityError,
		What:  "no image of Debian is at hand and none can be made here: " + what,
		Means: "no system could be built; a class that is running stays on the one it has",
		Do:    do,
	}, Err: err}
}

func bootstrapFailed(suite string, src sources, lines []string, err error) error {
	if strings.Contains(strings.Join(lines, "\n"), "No space left") {
		return diskFull(err)
	}
	return &notice.Error{Notice: notice.Notice{
		Code: "bootstrap-failed", Severity: notice.SeverityError,
		What:  fmt.Sprintf("Debian %s could not be made from %s: %s", suite, src.debian, lastWords(lines, fmt.Errorf("%s", last(lines)))),
		Means: "no system could be built; a class that is running stays on the one it has",
		Do:    "connect the box to the internet (or to the school's Debian mirror) and try again",
	}, Err: err}
}

func last(lines []string) string {
	if len(lines) == 0 {
		return "it said nothing"
	}
	return lines[len(lines)-1]
}
