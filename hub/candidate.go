package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/notice"
)

const (
	hubGrace     = 10 * time.Second
	hubPatience  = 90 * time.Second // from start to first answer, on a busy machine
	healthPeriod = 100 * time.Millisecond
	badSrv       = 66 // the config loader's exit code for a teacher's file it can't use
)

// report is what the config loader (python/conjured_hub/config.py) wrote about the
// teacher's files.
type report struct {
	State      string // loading, loaded, failed
	File       string // relative to the teacher's folder
	Line       int
	Error      string
	Overridden []struct {
		Setting string
		File    string
		Line    int
	}
}

// readReport reads the report a hub left. That directory is the hub's: no link is
// followed and no more than 1 MiB is read.
func readReport(dir string) (report, error) {
	var r report
	f, err := os.OpenFile(filepath.Join(dir, "report.json"), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return r, fmt.Errorf("cannot read the hub's report: %w", err)
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, 1<<20)).Decode(&r); err != nil {
		return r, fmt.Errorf("cannot read the hub's report: %w", err)
	}
	return r, nil
}

// notices are the settings of the teacher that the class can't run with.
func (r report) notices() notice.List {
	var l notice.List
	for _, o := range r.Overridden[:min(len(r.Overridden), 100)] {
		l = append(l, notice.Notice{
			Code: "srv-overridden", Severity: notice.SeverityWarning, File: o.File, Line: o.Line,
			What:  fmt.Sprintf("%s sets %s, which the class decides itself", o.File, o.Setting),
			Means: "the class runs with its own value; everything else in the file counts",
			Do:    fmt.Sprintf("remove %s from %s if you don't want to see this again", o.Setting, o.File),
		})
	}
	return l
}

// try starts a candidate with a directory, an empty database and a proxy of its
// own, and gives what it said about the teacher's files. The error is a notice when
// the candidate did not come up. Nothing of it is left behind.
func (h *Hub) try(ctx context.Context, s Spec, python, key string) (notice.List, error) {
	at := home{
		name: h.servingHome().name + "-candidate", dir: h.paths.candidate,
		data: filepath.Join(h.paths.candidate, "data"), candidate: true,
	}
	defer h.clearCandidate(context.WithoutCancel(ctx), at)
	h.clearCandidate(ctx, at)
	for _, d := range []string{at.dir, at.data} {
		if err := makeDir(d, 0o700, HubUID, HubUID); err != nil {
			return nil, err
		}
	}
	own := newSecrets() // the candidate learns nothing of the serving hub's
	if err := errors.Join(own.give(at.dir), cookieSecret(filepath.Join(at.data, "cookie_secret"))); err != nil {
		return nil, err
	}
	l, err := listen(filepath.Join(at.dir, "proxy.sock"), 0o600, HubUID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, hubPatience)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- serve(ctx, l, newRoutes(own.Proxy), 0) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			h.cfg.Log.Debug("the candidate's proxy ended", "error", err)
		}
	}()

	c, err := h.cfg.Engine.Create(ctx, h.hubSpec(s, at, python, key))
	if err == nil {
		err = h.cfg.Engine.Start(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start the candidate hub: %w", err)
	}
	err = h.awaitHub(ctx, at)
	if errors.Is(err, context.Canceled) {
		return nil, err
	}
	r, rerr := readReport(at.dir)
	if rerr != nil {
		h.cfg.Log.Debug("the candidate hub left no report", "error", rerr)
	}
	if err != nil {
		return nil, refused(err, r)
	}
	return r.notices(), nil
}

func (h *Hub) clearCandidate(ctx context.Context, at home) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := errors.Join(h.cfg.Engine.Remove(ctx, at.name), os.RemoveAll(at.dir)); err != nil {
		h.cfg.Log.Warn("something of a candidate hub is left", "error", err)
	}
}

// awaitHub waits until a hub answers. The error is an *ended when its container
// ends first.
func (h *Hub) awaitHub(ctx context.Context, at home) error {
	client := over(filepath.Join(at.dir, "hub.sock"), 0)
	tick := time.NewTicker(healthPeriod)
	defer tick.Stop()
	for n := 0; ; n++ {
		if answers(ctx, client, "/hub/health") {
			return nil
		}
		if n%5 == 4 {
			c, err := h.cfg.Engine.Inspect(ctx, at.name)
			switch {
			case isNotFound(err):
				return &ended{code: -1, lines: "its container was removed"}
			case err == nil && c.State != "running" && c.State != "created":
				lines, _ := h.cfg.Engine.Logs(ctx, c.ID, 30) // best effort: the exit code stands
				return &ended{code: c.ExitCode, oom: c.OOMKilled, limit: gib, lines: tail(c.Err+"\n"+lines, 2000)}
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// refused says why a candidate did not come up, by the teacher's file and line when
// that is the reason.
func refused(err error, r report) *notice.Error {
	var e *ended
	died := errors.As(err, &e)
	n := notice.Notice{
		Code: "srv-broken", Severity: notice.SeverityError, File: r.File, Line: r.Line,
		Means: "the class runs on with the hub it had",
		Do:    fmt.Sprintf("correct %s, then copy the folder again", or(r.File, "srv/jupyterhub_config.py")),
	}
	switch {
	case r.State == "failed":
		n.What = "the hub's settings can't be used: " + r.Error
	case !died && r.State == "loading":
		n.What = fmt.Sprintf("the hub's settings did not come to an end within %d seconds", int(hubPatience/time.Second))
	case died && r.State == "loaded":
		n.Code, n.File = "hub-broken", "srv/jupyterhub_config.py"
		n.What = "the hub ended while it started: " + lastLine(e)
	case died:
		n.Code, n.File, n.Do = "hub-broken", "", "run conjured doctor and send its report to whoever looks after the box"
		n.What = "the hub ended while it started: " + lastLine(e)
	default:
		n.Code, n.File, n.Do = "hub-slow", "", "try again when the box is less busy"
		n.What = fmt.Sprintf("the new hub did not answer within %d seconds", int(hubPatience/time.Second))
	}
	return &notice.Error{Notice: n, Err: err}
}

// logPrefix is what JupyterHub's log begins a line with.
var logPrefix = regexp.MustCompile(`^\[[A-Z] [^\]]*\] `)

// lastLine is the last line a container printed that is not part of a traceback's
// indented lines.
func lastLine(e *ended) string {
	if e.oom {
		return e.Error()
	}
	last := ""
	for line := range strings.Lines(e.lines) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && !strings.HasPrefix(line, " ") {
			last = line
		}
	}
	last = logPrefix.ReplaceAllString(last, "")
	if last == "" {
		return fmt.Sprintf("it printed nothing and ended with code %d", e.code)
	}
	return last
}
