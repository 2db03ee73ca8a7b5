package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// patience is how long a class of thirty is waited for before somebody counts as lost.
const patience = 10 * time.Minute

// patientPeer are the time-outs without which stock JupyterHub loses students of a
// crowd; its own are 60 s and 30 s.
const patientPeer = `c.Spawner.start_timeout = 300
c.Spawner.http_timeout = 300`

// crowd has a class log in at once, cold and with servers running, here and on stock
// JupyterHub with local processes and patient time-outs. CONJURED_BENCH_CROWD is how
// many they are, 30 when empty.
func (m *measurement) crowd() {
	n := 30
	if s := os.Getenv("CONJURED_BENCH_CROWD"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	m.empty()
	ours := m.crowdAt("ours, cold", m.class.url, n)
	m.empty()
	m.begin(n)
	m.crowdAt("ours, class begun", m.class.url, n)
	m.empty()

	url, stop := startPeer(m.t, patientPeer)
	defer stop()
	theirs := m.crowdAt("stock JupyterHub, cold", url, n)
	m.crowdAt("stock JupyterHub, servers running", url, n)
	m.add(fmt.Sprintf("%d at once, cold: ratio of login -> Lab p95", n), ratio(ours.lab, theirs.lab), "0.75")
	m.add(fmt.Sprintf("%d at once, cold: ratio of processor time", n), ratio(ours.cpu, theirs.cpu), "0.67")
}

// empty stops every server, so that the next crowd comes to a cold class.
func (m *measurement) empty() {
	if _, errs, code := m.class.cli("class", "end", "--stop-all"); code != 0 {
		m.t.Fatalf("class end: exit %d\n%s", code, errs)
	}
	m.class.eventually(2*time.Minute, "no server runs", func() bool { return m.class.containers("server") == 0 })
}

// begin has the servers of n pupils started before they come.
func (m *measurement) begin(n int) {
	args := []string{"class", "begin"}
	for i := range n {
		name, _ := pupil(i)
		args = append(args, name)
	}
	d := took(func() {
		if _, errs, code := m.class.cli(args...); code != 0 {
			m.t.Fatalf("class begin: exit %d\n%s", code, errs)
		}
	})
	m.add(fmt.Sprintf("conjured class begin, %d servers ready", n), seconds(d), "-")
}

// arrival is a crowd in three figures.
type arrival struct{ lab, output, cpu time.Duration }

func (m *measurement) crowdAt(what, url string, n int) arrival {
	before := machineTime()
	v := newCrowd(url, n).come(patience)
	a := arrival{lab: p95(v.labs()), output: p95(v.outputs()), cpu: machineTime() - before}
	lost := v.lost()
	for _, err := range lost {
		m.t.Logf("%s: lost: %v", what, err)
	}
	what = fmt.Sprintf("%d at once, %s: ", n, what)
	m.add(what+"lost", strconv.Itoa(len(lost)), "0")
	m.add(what+"login -> Lab, p95", seconds(a.lab), "-")
	m.add(what+"login -> first output, p95", seconds(a.output), "-")
	m.add(what+"processor time of the whole machine but the browsers", seconds(a.cpu), "-")
	return a
}

func ratio(a, b time.Duration) string { return fmt.Sprintf("%.2f", a.Seconds()/b.Seconds()) }
