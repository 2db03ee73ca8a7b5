package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/internal/needs"
)

// TestMeasure is `make bench`: it measures a class and writes a table to the file that
// CONJURED_BENCH names. It asserts nothing about times.
func TestMeasure(t *testing.T) {
	file := os.Getenv("CONJURED_BENCH")
	if file == "" {
		return // not a test of the class, but a measurement that is asked for by name
	}
	needs.All(t, needs.Docker(), needs.Root(), needs.Debootstrap())
	m := &measurement{t: t, class: newClass(t, copyFolder(t, "testdata/class"))}
	for _, step := range []func(){m.firstStart, m.secondStart, m.rosterOf200, m.crowd, m.memory, m.noChange, m.newPackage, m.firstOutput, m.daemon} {
		step()
		if err := os.WriteFile(file, []byte(m.table()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type measurement struct {
	t     *testing.T
	class *class
	rows  []measured
}

type measured struct{ what, figure, target string }

func (m *measurement) add(what, figure, target string) {
	m.t.Logf("%-60s %-20s (target %s)", what, figure, target)
	m.rows = append(m.rows, measured{what, figure, target})
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// took is how long f took.
func took(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func (m *measurement) firstStart() {
	d := took(func() { m.class.start(); m.class.waitOpen(15 * time.Minute) })
	what := "first start -> login page (empty state" + os.Getenv("CONJURED_BENCH_ENGINE") + ")"
	m.add(what, seconds(d), "180 s from nothing, with the program's own build")
	m.class.eventually(10*time.Minute, "latest is sealed", func() bool { return m.class.idle(m.t) })
}

func (m *measurement) secondStart() {
	m.add("Ctrl-C -> stopped", seconds(m.class.stop(os.Interrupt)), "10 s")
	d := took(func() { m.class.start(); m.class.waitOpen(time.Minute) })
	m.add("second start -> login page", seconds(d), "10 s")
	m.class.eventually(time.Minute, "the work is done", func() bool { return m.class.idle(m.t) })
}

// rosterOf200 changes one row among 200.
func (m *measurement) rosterOf200() {
	rows := crowdRoster(198)
	m.class.write("users.csv", rows)
	m.enterBy("pupil197", "a password of pupil 197")
	m.class.eventually(time.Minute, "the work is done", func() bool { return m.class.idle(m.t) })
	d := took(func() {
		m.class.write("users.csv", rows+"newcomer,four green apples,\n")
		m.enterBy("newcomer", "four green apples")
	})
	m.add("new row among 200 -> logged in", seconds(d), "2 s")
}

func (m *measurement) enterBy(name, password string) {
	m.class.eventually(time.Minute, name+" can log in", func() bool {
		return newStudent(m.class.url, name, password).login(context.Background()) == nil
	})
}

func (m *measurement) noChange() {
	d := took(func() {
		if _, errs, code := m.class.cli("apply", m.class.dir); code != 0 {
			m.t.Errorf("apply: exit %d\n%s", code, errs)
		}
	})
	m.add("apply of an unchanged folder", seconds(d), "1 s")
}

func (m *measurement) newPackage() {
	s := newStudent(m.class.url, "amira", "blue bicycle 12")
	m.must(s.login(context.Background()))
	m.must(s.spawn(context.Background()))
	d := took(func() {
		m.class.write("requirements.txt", "tabulate\nhumanize\n")
		m.class.eventually(5*time.Minute, "humanize is there", func() bool {
			_, err := s.run(context.Background(), "import humanize")
			return err == nil
		})
	})
	m.add("requirements.txt changed -> importable in a new kernel (download included)", seconds(d), "10 s after the download")
}

func (m *measurement) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// firstOutput is one student from the login to the first output, here and on stock
// JupyterHub with local processes, in turns.
func (m *measurement) firstOutput() {
	peer, stop := startPeer(m.t, "")
	defer stop()
	var ours, theirs []time.Duration
	for i := range 3 {
		name, password := pupil(i)
		ours = append(ours, m.visit(m.class.url, name, password))
		theirs = append(theirs, m.visit(peer, name, "any"))
	}
	m.add("login -> Lab -> first output, one student (median of 3)", seconds(median(ours)), "-")
	m.add("the same on stock JupyterHub, local processes, same run", seconds(median(theirs)), "-")
	m.add("ratio", fmt.Sprintf("%.2f", median(ours).Seconds()/median(theirs).Seconds()), "-")
}

func (m *measurement) visit(url, name, password string) time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	s := newStudent(url, name, password)
	return took(func() {
		m.must(s.login(ctx))
		m.must(s.spawn(ctx))
		out, err := s.run(ctx, "print(6*7)")
		if err != nil || strings.TrimSpace(out) != "42" {
			m.t.Fatalf("%s at %s: %q %v", name, url, out, err)
		}
	})
}

func median(d []time.Duration) time.Duration {
	lo, hi := min(d[0], d[1]), max(d[0], d[1])
	return max(lo, min(hi, d[2]))
}

// daemon is what the running program uses while nothing happens.
func (m *measurement) daemon() {
	pid := m.class.cmd.Process.Pid
	before := cpuTime(pid)
	const watch = 20 * time.Second
	time.Sleep(watch)
	used := cpuTime(pid) - before
	m.add("daemon, resident memory", fmt.Sprintf("%.1f MB", float64(m.class.status(m.t).MemoryBytes)/1e6), "40 MB")
	m.add("daemon, processor time while idle", fmt.Sprintf("%.2f %% of a core", 100*used.Seconds()/watch.Seconds()), "-")
}

// cpuTime is user and system time of a process (proc(5), fields 14 and 15 of stat).
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// table is the report, with the machine it was measured on.
func (m *measurement) table() string {
	var b strings.Builder
	s := struct{ Engine string }{}
	if out, err := exec.Command("docker", "version", "--format", `{"Engine":"{{.Server.Version}}"}`).Output(); err == nil {
		_ = json.Unmarshal(out, &s)
	}
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `make bench`, %s. Machine: %d cores, %s, Docker Engine %s.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), memoryOfMachine(), s.Engine)
	b.WriteString("| what | measured | target |\n|---|---|---|\n")
	for _, r := range m.rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.what, r.figure, r.target)
	}
	return b.String()
}

func memoryOfMachine() string {
	b, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return fmt.Sprintf("%d GB", kb>>20)
		}
	}
	return "memory unknown"
}
