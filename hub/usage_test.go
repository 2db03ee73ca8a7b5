package hub

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/conjuring/conjured/notice"
)

// counters writes a machine's files, as the kernel shows them.
func counters(t *testing.T, files map[string]string) machine {
	t.Helper()
	m := machine{proc: t.TempDir(), cgroups: t.TempDir()}
	for name, text := range files {
		dir := m.cgroups
		if name == "7/cgroup" {
			dir = m.proc
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// The same container, seen by both versions of control groups.
func TestCgroup(t *testing.T) {
	want := reading{
		memory: 90 * mib, memoryLimit: 512 * mib, kills: 3, pids: 12, pidsLimit: 512, refused: 7,
		cpu: 2500 * time.Millisecond, cpuLimit: 1.5,
	}
	const v1, v2 = "docker/abc/", "system.slice/docker-abc.scope/"
	for name, files := range map[string]map[string]string{
		"v1": {
			"7/cgroup":                               "9:pids:/docker/abc\n6:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/docker/abc\n",
			"memory/" + v1 + "memory.usage_in_bytes": "104857600\n", "memory/" + v1 + "memory.limit_in_bytes": "536870912\n",
			"memory/" + v1 + "memory.stat":        "cache 20971520\ninactive_file 1\ntotal_inactive_file 10485760\n",
			"memory/" + v1 + "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
			"pids/" + v1 + "pids.current":         "12\n", "pids/" + v1 + "pids.max": "512\n", "pids/" + v1 + "pids.events": "max 7\n",
			"cpuacct/" + v1 + "cpuacct.usage": "2500000000\n",
			"cpu/" + v1 + "cpu.cfs_quota_us":  "150000\n", "cpu/" + v1 + "cpu.cfs_period_us": "100000\n",
		},
		"v2": {
			"7/cgroup": "0::/system.slice/docker-abc.scope\n", "cgroup.controllers": "cpu io memory pids\n",
			v2 + "memory.current": "104857600\n", v2 + "memory.max": "536870912\n",
			v2 + "memory.stat":   "anon 94371840\nfile 10485760\ninactive_file 10485760\n",
			v2 + "memory.events": "low 0\nhigh 5\nmax 9\noom 3\noom_kill 3\noom_group_kill 0\n",
			v2 + "pids.current":  "12\n", v2 + "pids.max": "512\n", v2 + "pids.events": "max 7\n",
			v2 + "cpu.stat": "usage_usec 2500000\nuser_usec 1\n", v2 + "cpu.max": "150000 100000\n",
		},
	} {
		m := counters(t, files)
		c, err := m.cgroupOf(7)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := c.read()
		got.at = time.Time{}
		if err != nil || got != want {
			t.Errorf("%s: %+v %v\nwant %+v", name, got, err, want)
		}
		if err := c.soften(400 * mib); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A limit that is not set is no limit, in either version's words.
func TestCgroup_unlimited(t *testing.T) {
	for _, files := range []map[string]string{
		{
			"7/cgroup": "4:memory:/x\n3:pids:/x\n2:cpu:/x\n", "pids/x/pids.current": "1\n", "pids/x/pids.max": "max\n",
			"memory/x/memory.limit_in_bytes": "9223372036854771712\n", "cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n",
		},
		{
			"7/cgroup": "0::/x\n", "cgroup.controllers": "", "x/pids.current": "1\n", "x/pids.max": "max\n",
			"x/memory.max": "max\n", "x/cpu.max": "max 100000\n",
		},
	} {
		c, err := counters(t, files).cgroupOf(7)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := c.read(); err != nil || r.memoryLimit != 0 || r.pidsLimit != 0 || r.cpuLimit != 0 || r.pids != 1 {
			t.Errorf("%+v %v", r, err)
		}
	}
	if _, err := counters(t, map[string]string{"7/cgroup": "4:memory:/../../etc\n"}).cgroupOf(7); err == nil {
		t.Error("a path with .. was followed")
	}
}

// What is said depends on what has changed, or on what is nearly used up.
func TestTooMuch(t *testing.T) {
	calm := reading{memory: 100 * mib, memoryLimit: 500 * mib, pidsLimit: 50, tmp: 10 * mib, tmpLimit: 100 * mib, tmpFiles: 100, tmpFilesFree: 50}
	with := func(f func(*reading)) reading { r := calm; f(&r); return r }
	high := with(func(r *reading) { r.memory = 460 * mib })
	for _, x := range []struct {
		name        string
		before, now reading
		want        []string
	}{
		{"calm", calm, calm, nil},
		{"a peak", calm, high, nil},
		{"near for long", high, high, []string{"memory-near"}},
		{"killed", high, with(func(r *reading) { r.kills = 1; r.memory = 460 * mib }), []string{"memory-killed"}},
		{"killed before", with(func(r *reading) { r.kills = 1 }), with(func(r *reading) { r.kills = 1 }), nil},
		{"fork bomb", calm, with(func(r *reading) { r.refused = 900 }), []string{"too-many-processes"}},
		{"tmp", calm, with(func(r *reading) { r.tmp = 99 * mib }), []string{"tmp-full"}},
		{"tmp's files", calm, with(func(r *reading) { r.tmpFilesFree = 0 }), []string{"tmp-full"}},
	} {
		var got []string
		for _, n := range tooMuch(x.before, x.now) {
			got = append(got, n.Code)
			if n.What == "" || n.Means == "" || n.Do == "" {
				t.Errorf("%s: %+v has an empty part", x.name, n)
			}
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
}

// A loop of kills is not a loop of notices.
func TestComplain(t *testing.T) {
	c := newFakeClass(t)
	m := &metered{user: "amira", told: map[string]time.Time{}}
	now, said := time.Now(), []told(nil)
	for i := range 60 { // two minutes of a kill every two seconds
		before := m.last
		m.last = reading{at: now.Add(time.Duration(i) * watchPeriod), kills: int64(i + 1), memoryLimit: mib}
		said = append(said, c.complain("x", m, before)...)
	}
	if len(said) != 6 || said[0].user != "amira" || said[0].notice.Severity != notice.SeverityWarning {
		t.Errorf("%d notices: %+v", len(said), said)
	}
}
