package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// footprint is the memory of students' processes: proportional set sizes in MB, where
// a page that several share counts once for all of them. Waiting is the process that
// kernels are forked from.
type footprint struct {
	server, waiting, kernel   float64
	servers, waiters, kernels int
}

func (f footprint) all() float64 { return f.server + f.waiting + f.kernel }

// memory has eight open Lab and then a notebook, here and on stock JupyterHub, and
// says what a server and a kernel of theirs hold.
func (m *measurement) memory() {
	const n = 8
	m.empty()
	ours := m.memoryAt("ours", m.class.url, n, inContainers(m.class.containerIDs, m.t))
	m.empty()
	url, stop := startPeer(m.t, patientPeer)
	defer stop()
	theirs := m.memoryAt("stock JupyterHub", url, n, below(os.Getenv("CONJURED_BENCH_PEER")))
	m.add("memory of a server and its kernel: ratio", fmt.Sprintf("%.2f", ours/theirs), "-")
}

// memoryAt gives what a server with one kernel holds, in MB.
func (m *measurement) memoryAt(what, url string, n int, theirs func(pid string) bool) float64 {
	var students []*student
	for i := range n {
		name, password := pupil(i)
		s := newStudent(url, name, password)
		if err := s.login(m.t.Context()); err != nil {
			m.t.Fatalf("%s: %v", what, err)
		}
		if err := s.arrive(m.t.Context()); err != nil {
			m.t.Fatalf("%s: %v", what, err)
		}
		students = append(students, s)
	}
	time.Sleep(10 * time.Second) // what is done when nobody waits is done
	idle := measureMemory(m.t, theirs)
	for _, s := range students {
		if out, err := s.run(m.t.Context(), "print(6*7)"); err != nil || strings.TrimSpace(out) != "42" {
			m.t.Fatalf("%s: %q %v", what, out, err)
		}
	}
	busy := measureMemory(m.t, theirs)
	if idle.servers != n || busy.kernels < n {
		m.t.Errorf("%s: %+v, then %+v for %d students", what, idle, busy, n)
	}
	mb := func(f float64) string { return fmt.Sprintf("%.1f MB", f/float64(n)) }
	m.add(what+": an idle server with Lab open, PSS", mb(idle.server), "70 MB")
	if idle.waiters > 0 {
		m.add(what+": the process that waits to become kernels", mb(idle.waiting), "-")
	}
	m.add(what+": a kernel more", mb(busy.all()-idle.all()), "25 MB")
	return busy.all() / float64(n)
}

// inContainers tells of a process whether it is in a student's container.
func inContainers(ids func(t testing.TB, role string) string, t testing.TB) func(pid string) bool {
	return func(pid string) bool {
		b, _ := os.ReadFile("/proc/" + pid + "/cgroup")
		for _, id := range strings.Fields(ids(t, "server")) {
			if bytes.Contains(b, []byte(id)) {
				return true
			}
		}
		return false
	}
}

// below tells of a process whether its program or script is in dir.
func below(dir string) func(pid string) bool {
	return func(pid string) bool {
		for _, a := range argv(pid) {
			if strings.HasPrefix(a, dir+"/") {
				return true
			}
		}
		return false
	}
}

func argv(pid string) []string {
	b, _ := os.ReadFile("/proc/" + pid + "/cmdline")
	return strings.Split(string(b), "\x00")
}

// measureMemory adds up the processes that are of the class.
func measureMemory(t testing.TB, ofClass func(pid string) bool) footprint {
	t.Helper()
	var f footprint
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		pid := filepath.Base(dir)
		kind := memoryKind(pid)
		if kind == "" || !ofClass(pid) {
			continue
		}
		mb := pss(pid)
		switch kind {
		case "kernel":
			f.kernel, f.kernels = f.kernel+mb, f.kernels+1
		case "waiting":
			f.waiting, f.waiters = f.waiting+mb, f.waiters+1
		case "server":
			f.server, f.servers = f.server+mb, f.servers+1
		}
	}
	return f
}

// memoryKind tells a kernel, a server and the process that kernels are forked from by
// their command lines; "" is none of them.
func memoryKind(pid string) string {
	a := argv(pid)
	switch {
	case len(a) > 2 && a[1] == "-m" && a[2] == "ipykernel_launcher":
		return "kernel"
	case len(a) > 1 && strings.HasSuffix(a[1], "/jupyterhub-singleuser"):
		return "server"
	case len(a) > 1 && strings.HasSuffix(a[1], "/conjured_server"):
		if p := argv(parent(pid)); len(p) > 1 && p[1] == a[1] {
			return "waiting"
		}
		return "server"
	}
	return ""
}

func parent(pid string) string {
	b, _ := os.ReadFile("/proc/" + pid + "/stat")
	_, rest, _ := strings.Cut(string(b), ") ")
	if f := strings.Fields(rest); len(f) > 1 {
		return f[1]
	}
	return "0"
}

// pss is the proportional set size in MB, 0 of a process that has gone.
func pss(pid string) float64 {
	b, _ := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if kb, ok := strings.CutPrefix(s.Text(), "Pss:"); ok {
			n, _ := strconv.ParseFloat(strings.Fields(kb)[0], 64)
			return n * 1024 / 1e6
		}
	}
	return 0
}
