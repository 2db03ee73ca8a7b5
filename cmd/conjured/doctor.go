package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/client"
	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/layers"
	"github.com/conjuring/conjured/notice"
)

// finding is one thing that doctor looked at.
type finding struct {
	Name   string         `json:"name"`
	OK     bool           `json:"ok"`
	Detail string         `json:"detail"`
	Notice *notice.Notice `json:"notice,omitempty"` // what to do when it is not ok
}

func newDoctor(g *global) *cobra.Command {
	var repair bool
	var root string
	var start []string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look at this machine and say what keeps a class from running", Args: exactly(),
		Long: `doctor looks at Docker, the disk, the rights and the running daemon, changes nothing,
and says for each what it found. The exit code is 1 when something stands in the way.

With --repair it mends a Docker that does not start any more, or whose images could not be
made again: parts of its store are put aside, one after the other, until it works. Students'
work, accounts and packages are not in there. It does not end anybody's work.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if repair {
				return runRepair(cmd.Context(), g, root, start)
			}
			return runDoctor(cmd.Context(), g)
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "mend Docker's store")
	cmd.Flags().StringVar(&root, "docker-data", "", "where that store is, when Docker can't be asked")
	cmd.Flags().StringArrayVar(&start, "docker-start", nil, "how Docker is started where no systemd does it (a word for each flag)")
	for _, name := range []string{"docker-data", "docker-start"} {
		_ = cmd.Flags().MarkHidden(name) // it is there, two lines above
	}
	return cmd
}

func runDoctor(ctx context.Context, g *global) error {
	s, p, err := g.load()
	if err != nil {
		return err
	}
	found := []finding{examineRights(), examineDocker(ctx, p), examineDisk(p), examineBootstrap(), examineDaemon(ctx, p)}
	sick := false
	for _, f := range found {
		sick = sick || !f.OK
	}
	if g.t.json {
		err = g.t.encode(map[string]any{"findings": found, "state": p.State, "listen": s.Listen, "version": version})
	} else {
		printFindings(g.t, found)
	}
	if err == nil && sick {
		err = errReported
	}
	return err
}

func printFindings(t *terminal, found []finding) {
	for _, f := range found {
		mark := t.paint("32", "ok  ")
		if !f.OK {
			mark = t.paint("31", "no  ")
		}
		t.print("%s %-10s %s", mark, f.Name, f.Detail)
		if f.Notice != nil {
			t.print("     %s", f.Notice.Do)
		}
	}
}

func examineRights() finding {
	if os.Geteuid() == 0 {
		return finding{Name: "rights", OK: true, Detail: "root"}
	}
	return finding{Name: "rights", Detail: "not root", Notice: &notice.Notice{
		Code: "not-root", Severity: notice.SeverityError, What: "conjured was not started as root",
		Means: "it cannot give students files of their own", Do: "start it with sudo, or as root",
	}}
}

func examineDocker(ctx context.Context, p place) finding {
	e, err := engine.Connect(ctx, engine.Config{Instance: p.Instance})
	if err != nil {
		n := notice.For(err)[0]
		return finding{Name: "docker", Detail: n.What, Notice: &n}
	}
	defer e.Close()
	v, api := e.Version()
	detail := fmt.Sprintf("Engine %s (API %s)", v, api)
	if _, err := os.Stat(p.join(beyondFile)); err == nil {
		return finding{Name: "docker", Detail: detail + ", whose images are damaged", Notice: &notice.Notice{
			Code: layers.CodeBeyondRepair, Severity: notice.SeverityError, What: "Docker's store of images is damaged, and making the images again did not help",
			Means: "no new server can be started; homes, accounts and packages are safe", Do: "when nobody works, run conjured doctor --repair",
		}}
	}
	if i, err := e.Info(ctx); err == nil {
		detail += fmt.Sprintf(", %d cores, %d MB, cgroup v%s", i.CPUs, i.Memory>>20, i.CgroupVersion)
		if !i.LiveRestore {
			return finding{Name: "docker", OK: true, Detail: detail + ", without live-restore", Notice: noLiveRestore()}
		}
	}
	return finding{Name: "docker", OK: true, Detail: detail}
}

// noLiveRestore is no reason against a class, and good to know before the lesson.
func noLiveRestore() *notice.Notice {
	return &notice.Notice{
		Code: "docker-no-live-restore", Severity: notice.SeverityWarning,
		What:  "Docker ends every container when it is stopped or dies",
		Means: "an update of Docker in mid-lesson would end every student's kernels",
		Do:    `put {"live-restore": true} into /etc/docker/daemon.json, then systemctl reload docker`,
	}
}

// needFree is what a first class needs on the disk, with room for students' work.
const needFree = 4 << 30

func examineDisk(p place) finding {
	dir := p.State
	if _, err := os.Stat(dir); err != nil {
		dir = "/"
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return finding{Name: "disk", Detail: err.Error()}
	}
	free := int64(fs.Bavail) * fs.Bsize
	f := finding{Name: "disk", OK: free >= needFree, Detail: fmt.Sprintf("%.1f GB free for %s", float64(free)/1e9, p.State)}
	if !f.OK {
		f.Notice = &notice.Notice{
			Code: "disk-low", Severity: notice.SeverityWarning, What: f.Detail,
			Means: "a new image may not fit", Do: fmt.Sprintf("free some space: a first class needs about %d GB", needFree>>30),
		}
	}
	return f
}

func examineBootstrap() finding {
	if path, err := exec.LookPath("debootstrap"); err == nil {
		return finding{Name: "bootstrap", OK: true, Detail: path}
	}
	return finding{Name: "bootstrap", Detail: "debootstrap is not installed", Notice: &notice.Notice{
		Code: "debootstrap-missing", Severity: notice.SeverityWarning, What: "debootstrap is not installed",
		Means: "a base image can only come from a registry", Do: "apt-get install debootstrap",
	}}
}

func examineDaemon(ctx context.Context, p place) finding {
	c := client.New(p.apiSocket())
	defer c.Close()
	s, err := c.Status(ctx)
	switch {
	case errors.Is(err, client.ErrNotRunning):
		return finding{Name: "daemon", OK: true, Detail: "does not run"}
	case err != nil:
		n := notice.For(err)[0]
		return finding{Name: "daemon", Detail: n.What, Notice: &n}
	}
	return finding{Name: "daemon", OK: s.Phase.Ready(), Detail: fmt.Sprintf("%s, phase %s", s.Class, s.Phase)}
}
