package engine_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/notice"
)

const probeImage = "conjured-test-engine:probe"

// TestMain removes the one image these tests share.
func TestMain(m *testing.M) {
	code := m.Run()
	if e, err := engine.Connect(context.Background(), engine.Config{Instance: "00000000"}); err == nil {
		e.Untag(context.Background(), probeImage)
		e.Close()
	}
	os.Exit(code)
}

// connect gives an engine under an instance id of its own and removes what the test
// leaves behind.
func connect(t *testing.T) *engine.Engine {
	t.Helper()
	needs.All(t, needs.Docker())
	var b [4]byte
	rand.Read(b[:])
	e, err := engine.Connect(t.Context(), engine.Config{Instance: hex.EncodeToString(b[:])})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		left, err := e.List(ctx, nil)
		if err != nil {
			t.Error(err)
		}
		for _, c := range left {
			e.Remove(ctx, c.ID)
		}
		e.Close()
	})
	return e
}

// withProbe also sees to the test image: one static program and nothing else.
func withProbe(t *testing.T) *engine.Engine {
	t.Helper()
	e := connect(t)
	if _, err := e.Image(t.Context(), probeImage); err == nil {
		return e
	}
	if err := e.Discard(t.Context(), probeImage); err != nil { // of a store that was damaged
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "probe")
	cmd := exec.Command("go", "build", "-o", bin, "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	body, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, d := range []string{"tmp", "data"} {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d, Mode: 0o1777})
	}
	w.WriteHeader(&tar.Header{Name: "probe", Mode: 0o755, Size: int64(len(body))})
	w.Write(body)
	w.Close()
	id, err := e.Import(t.Context(), &buf, probeImage, []string{`ENTRYPOINT ["/probe"]`, "LABEL org.conjured.role=test"})
	if err != nil || !strings.HasPrefix(id, "sha256:") {
		t.Fatalf("Import = %q, %v", id, err)
	}
	return e
}

func spec(t *testing.T, args ...string) engine.Spec {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	return engine.Spec{Name: "conjured-test-layers-" + name, Image: probeImage, Cmd: args, Network: "none"}
}

func wantNotice(t *testing.T, err error, code string) {
	t.Helper()
	var n *notice.Error
	if !errors.As(err, &n) || n.Code != code {
		t.Fatalf("got %v, want notice %s", err, code)
	}
	if n.What == "" || n.Means == "" || n.Do == "" {
		t.Errorf("notice %s leaves something out: %+v", code, n.Notice)
	}
}

func TestVersionAndInfo(t *testing.T) {
	e := connect(t)
	version, api := e.Version()
	if version == "" || api == "" {
		t.Errorf("Version = %q, %q", version, api)
	}
	i, err := e.Info(t.Context())
	if err != nil || i.CPUs < 1 || i.Memory < 1<<28 || i.Root == "" {
		t.Errorf("Info = %+v, %v", i, err)
	}
	if i.CgroupVersion != "1" && i.CgroupVersion != "2" {
		t.Errorf("cgroup version %q", i.CgroupVersion)
	}
}

func TestRun(t *testing.T) {
	e := withProbe(t)
	var out bytes.Buffer
	code, err := e.Run(t.Context(), spec(t, "say", "to stdout", "to stderr"), &out)
	if err != nil || code != 0 || !strings.Contains(out.String(), "to stdout\n") || !strings.Contains(out.String(), "to stderr\n") {
		t.Errorf("Run = %d, %v, %q", code, err, out.String())
	}
	if code, err := e.Run(t.Context(), spec(t, "exit", "7"), nil); err != nil || code != 7 {
		t.Errorf("Run = %d, %v, want 7", code, err)
	}
	if _, err := e.Inspect(t.Context(), spec(t).Name); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("after Run: %v, want ErrNotFound", err)
	}
}

func TestRunCancelled(t *testing.T) {
	e := withProbe(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() { // cancel once the program has said it is there
		r.Read(make([]byte, 8))
		cancel()
		io.Copy(io.Discard, r)
	}()
	_, err := e.Run(ctx, spec(t, "stubborn"), w)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want context.Canceled", err)
	}
	if c, err := e.Inspect(t.Context(), spec(t).Name); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("left behind: %+v, %v", c, err)
	}
}

func TestLife(t *testing.T) {
	e := withProbe(t)
	ctx := t.Context()
	events, err := e.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := spec(t, "sleep")
	s.Labels = map[string]string{engine.LabelRole: "server"}
	id, err := e.Create(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(ctx, id); err != nil {
		t.Fatal(err)
	}
	l, err := e.List(ctx, map[string]string{engine.LabelRole: "server"})
	if err != nil || len(l) != 1 || l[0].ID != id || l[0].State != "running" || l[0].Name != s.Name {
		t.Fatalf("List = %+v, %v", l, err)
	}
	if l, _ := e.List(ctx, map[string]string{engine.LabelRole: "hub"}); len(l) != 0 {
		t.Errorf("List by another role = %+v", l)
	}
	var out bytes.Buffer
	if code, err := e.Exec(ctx, id, []string{"/probe", "uid"}, "1234", &out); err != nil || code != 0 || out.String() != "1234\n" {
		t.Errorf("Exec = %d, %v, %q", code, err, out.String())
	}
	if err := e.Stop(ctx, id, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if code, err := e.Wait(ctx, id); err != nil || code != 0 {
		t.Errorf("Wait = %d, %v", code, err)
	}
	c, err := e.Inspect(ctx, id)
	if err != nil || c.State != "exited" || c.Started.IsZero() || c.Finished.Before(c.Started) {
		t.Errorf("Inspect = %+v, %v", c, err)
	}
	if err := errors.Join(e.Stop(ctx, id, 0), e.Remove(ctx, id), e.Remove(ctx, id), e.Stop(ctx, id, 0)); err != nil {
		t.Errorf("stopping and removing twice: %v", err)
	}
	var seen []string
	for ev := range events {
		if !strings.HasPrefix(ev.Action, "exec") {
			seen = append(seen, ev.Action)
		}
		if ev.ID != id || ev.Labels[engine.LabelRole] != "server" {
			t.Errorf("event of another: %+v", ev)
		}
		if ev.Action == "destroy" {
			break
		}
	}
	if got := strings.Join(seen, " "); !strings.HasPrefix(got, "create start") || !strings.Contains(got, "die") {
		t.Errorf("events %q", got)
	}
}

func TestExitCodeInList(t *testing.T) {
	e := withProbe(t)
	id, err := e.Create(t.Context(), spec(t, "exit", "42"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if l, err := e.List(t.Context(), nil); err != nil || len(l) != 1 || l[0].ExitCode != 42 {
		t.Errorf("List = %+v, %v", l, err)
	}
}

func TestNameOfALeftOver(t *testing.T) {
	e := withProbe(t)
	first, err := e.Create(t.Context(), spec(t, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := e.Create(t.Context(), spec(t, "sleep"))
	if err != nil || second == first {
		t.Fatalf("a left-over that never ran was not replaced: %v", err)
	}
	if err := e.Start(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Create(t.Context(), spec(t, "sleep")); !errors.Is(err, engine.ErrInUse) {
		t.Errorf("over a running one: %v, want ErrInUse", err)
	}
}

func TestNameOfAForeigner(t *testing.T) {
	e, other := withProbe(t), connect(t)
	id, err := other.Create(t.Context(), spec(t, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Create(t.Context(), spec(t, "sleep"))
	wantNotice(t, err, "name-taken")
	if _, err := other.Inspect(t.Context(), id); err != nil {
		t.Errorf("the foreign container was touched: %v", err)
	}
	if l, err := e.List(t.Context(), nil); err != nil || len(l) != 0 {
		t.Errorf("a foreign container is listed: %+v, %v", l, err)
	}
}

func TestImageMissing(t *testing.T) {
	e := connect(t)
	_, err := e.Create(t.Context(), engine.Spec{Image: "conjured-test-nothing:here"})
	wantNotice(t, err, "image-missing")
	if _, err := e.Image(t.Context(), "conjured-test-nothing:here"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("Image = %v, want ErrNotFound", err)
	}
}

func TestTags(t *testing.T) {
	e := withProbe(t)
	const ref = "conjured-test-engine:second"
	if err := e.Tag(t.Context(), probeImage, ref); err != nil {
		t.Fatal(err)
	}
	i, err := e.Image(t.Context(), ref)
	if err != nil || len(i.Tags) != 2 || i.Labels[engine.LabelRole] != "test" || i.Size == 0 || i.Created.IsZero() {
		t.Errorf("Image = %+v, %v", i, err)
	}
	l, err := e.Images(t.Context(), map[string]string{engine.LabelRole: "test"})
	if err != nil || len(l) == 0 {
		t.Errorf("Images = %+v, %v", l, err)
	}
	if err := errors.Join(e.Untag(t.Context(), ref), e.Untag(t.Context(), ref)); err != nil {
		t.Errorf("Untag twice: %v", err)
	}
	if _, err := e.Image(t.Context(), probeImage); err != nil {
		t.Errorf("the first name is gone too: %v", err)
	}
}

func TestNetwork(t *testing.T) {
	e, other := connect(t), connect(t)
	n := engine.Network{Name: "conjured-test-layers-net", Internal: true, Isolated: true}
	t.Cleanup(func() { e.RemoveNetwork(context.Background(), n.Name) })
	if err := errors.Join(e.EnsureNetwork(t.Context(), n), e.EnsureNetwork(t.Context(), n)); err != nil {
		t.Fatal(err)
	}
	if err := e.EnsureNetwork(t.Context(), engine.Network{Name: n.Name}); !errors.Is(err, engine.ErrInUse) {
		t.Errorf("with other settings: %v, want ErrInUse", err)
	}
	if err := other.RemoveNetwork(t.Context(), n.Name); !errors.Is(err, engine.ErrInUse) {
		t.Errorf("removing another's network: %v, want ErrInUse", err)
	}
	if err := errors.Join(e.RemoveNetwork(t.Context(), n.Name), e.RemoveNetwork(t.Context(), n.Name)); err != nil {
		t.Error(err)
	}
}

// Every field of a Spec is accepted by this engine, and those that a program can see
// arrive.
func TestSpecFields(t *testing.T) {
	e := withProbe(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in"), []byte("from the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := spec(t, "read", "/data/in")
	s.User, s.WorkDir, s.Hostname, s.StopSignal, s.IPCMode, s.Restart = "1000:1000", "/tmp", "box", "SIGINT", "private", "no"
	s.Env, s.CapDrop, s.SecurityOpt, s.GroupAdd = []string{"A=b"}, []string{"ALL"}, []string{"no-new-privileges"}, []string{"100"}
	s.ExtraHosts, s.DNS, s.DNSSearch = []string{"a:127.0.0.1"}, []string{"127.0.0.1"}, []string{"lan"}
	s.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "0"}
	s.Tmpfs = map[string]string{"/tmp": "size=16m,mode=1777"}
	s.Mounts = []engine.Mount{{Source: dir, Target: "/data", ReadOnly: true, NoCreate: true}, {Source: filepath.Join(dir, "made"), Target: "/made"}}
	s.Ulimits = []engine.Ulimit{{Name: "nofile", Soft: 256, Hard: 512}}
	s.Devices = []engine.Device{{Host: "/dev/null", Container: "/dev/nul"}}
	s.ReadOnly, s.Init = true, false
	s.Memory, s.MemorySwap, s.ShmSize, s.Pids, s.CPUs, s.OOMScoreAdj = 64<<20, 64<<20, 1<<20, 32, 0.5, 500
	s.StopTimeout = 3 * time.Second
	var out bytes.Buffer
	if code, err := e.Run(t.Context(), s, &out); err != nil || code != 0 || out.String() != "from the host" {
		t.Errorf("Run = %d, %v, %q", code, err, out.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "made")); err != nil {
		t.Errorf("the missing source was not made: %v", err)
	}
	s.Cmd = []string{"write", "/data/out", "x"}
	if code, err := e.Run(t.Context(), s, nil); err != nil || code == 0 {
		t.Errorf("wrote to a read-only mount: %d, %v", code, err)
	}
	s.Mounts = []engine.Mount{{Source: filepath.Join(dir, "missing"), Target: "/data", NoCreate: true}}
	if _, err := e.Run(t.Context(), s, nil); err == nil {
		t.Error("started although a NoCreate source is missing")
	}
}

func TestPublishedPort(t *testing.T) {
	e := withProbe(t)
	s := spec(t, "sleep")
	s.Network = ""
	s.Ports = []engine.Port{{HostIP: "127.0.0.1", ContainerPort: 8888}}
	id, err := e.Create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func TestLogs(t *testing.T) {
	e := withProbe(t)
	id, err := e.Create(t.Context(), spec(t, "say", "one", "two"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if l, err := e.Logs(t.Context(), id, 10); err != nil || !strings.Contains(l, "one\n") || !strings.Contains(l, "two\n") {
		t.Errorf("Logs = %q, %v", l, err)
	}
}
