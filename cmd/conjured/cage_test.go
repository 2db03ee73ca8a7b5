package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/internal/needs"
	"golang.org/x/sys/unix"
)

// looksAround says what a program can do in its container.
const looksAround = `
grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\t'
echo oom $(cat /proc/self/oom_score_adj) core $(ulimit -c)
cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null
cp /bin/true /tmp/program && chmod 4755 /tmp/program
grep ' /tmp ' /proc/mounts
touch /here 2>&1
mknod /tmp/disk b 8 0 2>&1
`

// What builds runs in a cage: also as root it has no right but to write where it is told.
func TestBuildsRunInACage(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root(), classImage())
	e, err := engine.Connect(t.Context(), engine.Config{Instance: "ca9ec0de"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var out bytes.Buffer
	c := environments.Command{Image: os.Getenv("CONJURED_TEST_IMAGE"), Args: []string{"/bin/sh", "-c", looksAround}, User: "0:0", Output: &out}
	if _, err := (containerRunner{engine: e}).Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"CapEff:0000000000000000", "CapBnd:0000000000000000", "NoNewPrivs:1", "Seccomp:2", "oom 500 core 0", "nosuid", "nodev",
		"Read-only file system", "not permitted",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.Bytes())
		}
	}
	var m unix.Sysinfo_t
	memory := buildSpec(c).Memory
	if unix.Sysinfo(&m) != nil || memory <= 0 || memory >= int64(m.Totalram)*int64(m.Unit) || !strings.Contains(out.String(), fmt.Sprintln(memory&^0xfff)) {
		t.Errorf("it may use %d bytes of memory, and has %s", memory, out.Bytes())
	}
}
