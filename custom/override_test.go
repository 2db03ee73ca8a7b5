package custom

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// conjuringWith is an override of the class's own service.
func conjuringWith(lines ...string) string {
	return "services:\n  conjuring:\n    " + strings.Join(lines, "\n    ") + "\n"
}

func readOverride(t *testing.T, text string, opt Options) (*Folder, func(code string, line int)) {
	t.Helper()
	f, l := read(t, files{OverrideYML: text}, opt)
	return f, func(code string, line int) {
		t.Helper()
		if code == "" {
			wantNoErrors(t, l)
			return
		}
		wantNotice(t, l, sevError, code, OverrideYML, line)
	}
}

func TestA4_defaultServiceIsComposeYAML(t *testing.T) {
	f, ok := readOverride(t, "services:\n  conjuring: {}\n", Options{})
	ok("", 0)
	got := f.Override()
	got.Env, got.DependsOn, got.ExtraHosts = nil, nil, nil
	if d := cmp.Diff(defaultService(), got, emptyIsNil()); d != "" {
		t.Errorf("compose.yaml and defaultService differ (-want +got):\n%s", d)
	}
}

func TestA5_overrideIsMerged(t *testing.T) {
	f, ok := readOverride(t, `
version: "3.7"
x-note: anything
services:
  conjuring:
    shm_size: 4gb
    runtime: nvidia
    mem_limit: 2g
    pids_limit: 300
    cpus: 1.5
    init: true
    user: "1000"
    environment:
      PLACE: here
    ports: ["8080:8000"]
    volumes:
    - data:/data
    - ./custom/shared/maps:/maps:ro
    tmpfs: ["/scratch:size=64m"]
    ulimits: {nofile: {soft: 1024, hard: 2048}}
    cap_add: [NET_BIND_SERVICE]
    extra_hosts: ["printer:10.0.0.9"]
    dns: 1.1.1.1
    group_add: [video]
    sysctls: {net.core.somaxconn: 1024}
    stop_grace_period: 20s
    labels: {a: b}
    depends_on: [db]
    deploy:
      resources:
        reservations:
          devices:
          - driver: nvidia
            count: 1
            capabilities: [gpu]
  db:
    image: postgres:16
    command: ["postgres", "-c", "x=y"]
    restart: always
volumes:
  data:
`, Options{})
	ok("", 0)
	no := true
	wantService := Service{
		Name: "conjuring", Image: "conjuring/conjuring:latest", Hostname: "conjuring", Restart: "unless-stopped", User: "1000", Runtime: "nvidia",
		Env: []string{"PLACE=here"}, CapAdd: []string{"NET_BIND_SERVICE"}, GroupAdd: []string{"video"}, ExtraHosts: []string{"printer:10.0.0.9"},
		DNS: []string{"1.1.1.1"}, DependsOn: []string{"db"}, Labels: map[string]string{"a": "b"}, Sysctls: map[string]string{"net.core.somaxconn": "1024"},
		Tmpfs: map[string]string{"/scratch": "size=64m"}, BuildArgs: map[string]string{"GROUP_ID": "1000"},
		Mounts: []Mount{
			{Volume: "data", Target: "/data"},
			{Content: "home", Target: "/home"},
			{Content: "shared/maps", Target: "/maps", ReadOnly: true},
			{Content: "home_default", Target: "/opt/home_default", ReadOnly: true},
			{Content: "shared", Target: "/shared", ReadOnly: true},
		},
		Ulimits:        []Ulimit{{"nofile", 1024, 2048}},
		DeviceRequests: []DeviceRequest{{Driver: "nvidia", Count: 1, Capabilities: []string{"gpu"}}},
		Ports:          []Port{{HostPort: "8989", ContainerPort: 8000, Protocol: "tcp"}, {HostPort: "8080", ContainerPort: 8000, Protocol: "tcp"}},
		Init:           &no, Memory: 2 << 30, ShmSize: 4 << 30, Pids: 300, CPUs: 1.5, StopGrace: 20 * time.Second,
	}
	if d := cmp.Diff(wantService, f.Override(), emptyIsNil()); d != "" {
		t.Errorf("conjuring (-want +got):\n%s", d)
	}
	wantExtra := []Service{{Name: "db", Image: "postgres:16", Restart: "always", Cmd: []string{"postgres", "-c", "x=y"}}}
	if d := cmp.Diff(wantExtra, f.Services(), emptyIsNil()); d != "" {
		t.Errorf("services (-want +got):\n%s", d)
	}
}

// emptyIsNil compares lists and maps by what they hold.
func emptyIsNil() cmp.Option {
	return cmp.FilterValues(func(a, b any) bool { return empty(a) && empty(b) }, cmp.Ignore())
}

func empty(v any) bool {
	switch v := v.(type) {
	case []string:
		return len(v) == 0
	case map[string]string:
		return len(v) == 0
	}
	return false
}

func TestA5_reset(t *testing.T) {
	f, ok := readOverride(t, conjuringWith("ports: !override [\"80:8000\"]", "restart: !reset null"), Options{})
	ok("", 0)
	want(t, "ports", f.Override().Ports, []Port{{HostPort: "80", ContainerPort: 8000, Protocol: "tcp"}})
	want(t, "restart", f.Override().Restart, "")
}

func TestA5_theMachineIsRefused(t *testing.T) {
	for _, line := range []string{
		"privileged: true", "network_mode: host", "pid: host", "ipc: host", "userns_mode: host", "uts: host", "cgroup: host", "cgroup_parent: /",
		"cap_add: [SYS_ADMIN]", "cap_add: [ALL]", "devices: [/dev/sda]", "security_opt: [seccomp=unconfined]", "volumes: [/:/host]",
		"volumes: [/var/run/docker.sock:/x]", "volumes: [../..:/x]", "volumes: [~/x:/x]", "volumes: [./custom/../../x:/x]", "volumes: [./custom/home/jane:/x]",
		"volumes: [{type: bind, source: /etc, target: /x}]", "network_mode: container:other", "pid: service:db", "runtime: evil", "volumes_from: [db]",
		"device_cgroup_rules: [a]", "use_api_socket: true", "sysctls: {kernel.panic: 1}", "oom_score_adj: -900", "volumes: [./custom/users.csv:/x]",
	} {
		_, ok := readOverride(t, conjuringWith("restart: always", line), Options{})
		t.Run(strings.ReplaceAll(line, "/", "_"), func(*testing.T) { ok("override-host", 4) })
	}
}

func TestA5_theSameInOtherServices(t *testing.T) {
	_, ok := readOverride(t, "services:\n  db:\n    image: x\n    privileged: true\n    volumes:\n    - a:/a\n    - /etc:/etc\n", Options{})
	ok("override-host", 4)
	ok("override-host", 7)
}

func TestA5_policyAllows(t *testing.T) {
	p := Policy{Privileged: true, HostPaths: []string{"/srv/maps"}, Devices: []string{"/dev/ttyUSB0"}, HostNet: true, HostPID: true, HostIPC: true, CapAdd: []string{"SYS_PTRACE"}}
	f, ok := readOverride(t, conjuringWith("privileged: true", "network_mode: host", "pid: host", "ipc: host", "cap_add: [SYS_PTRACE]", "devices: [/dev/ttyUSB0]", "volumes: [/srv/maps/a:/a]"), Options{Policy: p})
	ok("", 0)
	s := f.Override()
	if !s.Privileged || !s.NetworkHost || !s.HostPID || !s.HostIPC || len(s.Devices) != 1 || !slices.ContainsFunc(s.Mounts, func(m Mount) bool { return m.Host == "/srv/maps/a" }) {
		t.Errorf("not all was taken over: %+v", s)
	}
	for _, line := range []string{"volumes: [/srv/mapsx:/a]", "volumes: [/srv/maps/../x:/a]", "volumes: [/srv:/a]", "devices: [/dev/sda]", "cap_add: [SYS_ADMIN]"} {
		_, ok := readOverride(t, conjuringWith(line), Options{Policy: p})
		t.Run(strings.ReplaceAll(line, "/", "_"), func(*testing.T) { ok("override-host", 3) })
	}
}

func TestA5_otherFilesAreNotOpened(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("A=geheim\n"), 0o600))
	for _, c := range []struct {
		text string
		line int
	}{
		{"include: [" + secret + "]\nservices: {}\n", 1},
		{conjuringWith("env_file: " + secret), 3},
		{conjuringWith("extends: {file: " + secret + ", service: x}"), 3},
		{conjuringWith("label_file: " + secret), 3},
		{conjuringWith("build: {context: /}"), 3},
		{conjuringWith("build: {dockerfile: /etc/passwd}"), 3},
		{"secrets: {x: {file: " + secret + "}}\n", 1},
		{"configs: {x: {file: " + secret + "}}\n", 1},
	} {
		f, l := read(t, files{OverrideYML: c.text}, Options{})
		wantNotice(t, l, sevError, "override-file", OverrideYML, c.line)
		if strings.Contains(dump(l), "geheim") || slices.Contains(f.Override().Env, "A=geheim") {
			t.Errorf("the file was read: %s", c.text)
		}
	}
	_, ok := readOverride(t, conjuringWith("build: /"), Options{})
	ok("override-unsupported", 3)
}

func TestA5_unsupportedIsNamed(t *testing.T) {
	_, ok := readOverride(t, "services:\n  conjuring:\n    shm_siz: 1g\n    healthcheck: {disable: true}\n    volumes:\n    - type: bind\n      source: ./custom/shared\n      target: /s\n      bind: {propagation: shared}\nnetworks: {a: {}}\nvolumes:\n  v:\n    driver_opts: {device: /}\n  w: {external: true}\n  x: {driver: nfs}\n", Options{})
	ok("override-unsupported", 3)
	ok("override-unsupported", 4)
	ok("override-host", 9)
	ok("override-unsupported", 10)
	ok("override-host", 13)
	ok("override-host", 14)
	ok("override-unsupported", 15)
}

func TestA5_machineEnvironmentStaysOut(t *testing.T) {
	t.Setenv("CONJURED_TEST_SECRET", "geheim")
	f, l := read(t, files{
		OverrideYML: conjuringWith("hostname: x${CONJURED_TEST_SECRET}", "environment: [CONJURED_TEST_SECRET, FROM_FILE, \"B=${PLACE}\"]"),
		".env":      "# places\nPLACE = here\nexport FROM_FILE='two words'\n",
	}, Options{})
	wantNoErrors(t, l)
	wantNotice(t, l, sevWarn, "override-variable", OverrideYML, 3)
	wantNotice(t, l, sevWarn, "override-environment", OverrideYML, 4)
	want(t, "hostname", f.Override().Hostname, "x")
	want(t, "environment", f.Override().Env, []string{"B=here", "FROM_FILE=two words"})
	_, l = read(t, files{OverrideYML: conjuringWith("hostname: ${X:?must}"), ".env": "bad line\n"}, Options{})
	wantNotice(t, l, sevError, "env-line", ".env", 1)
}

func TestA5_bombs(t *testing.T) {
	deep := "${A:-" + strings.Repeat("${A:-", 900) + "x" + strings.Repeat("}", 901)
	many := strings.Repeat("    - \"1-65535:1-65535\"\n", 5000)
	wide := strings.Repeat("    - \"1-60\"\n", 2500)
	for name, text := range map[string]string{
		"ports": "services:\n  conjuring:\n    ports:\n" + many, "variable ports": conjuringWith("ports: [\"${R}:${R}\"]"),
		"many ports": "services:\n  conjuring:\n    ports:\n" + wide,
		"volumes":    "services:\n  conjuring:\n    volumes:\n" + strings.Repeat("    - /a:/a\n", 9000),
		"anchors":    "a: &a [1]\nservices: *a\n", "deep": "services: " + strings.Repeat("{a: ", 200) + strings.Repeat("}", 200),
		"interpolation": conjuringWith("hostname: \"" + deep + "\""),
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				f, l := Read(t.Context(), files{OverrideYML: text, ".env": "R=1-65000\n"}.write(t, t.TempDir()), Options{})
				if name != "interpolation" && !l.HasErrors() {
					t.Errorf("accepted: %d ports", len(f.Override().Ports))
				}
			}()
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Fatal("still busy after 20 s")
			}
		})
	}
}

func TestA3_baseAndCoreAreImages(t *testing.T) {
	f, l := read(t, files{OverrideYML: "services:\n  base:\n    build: {args: {X: y}}\n    restart: always\n"}, Options{})
	wantNoErrors(t, l)
	wantNotice(t, l, sevWarn, "legacy-A3", OverrideYML, 4)
	want(t, "services", len(f.Services()), 0)
	want(t, "arguments", f.Override().BuildArgs, map[string]string{"GROUP_ID": "1000", "X": "y"})
}

func TestA6_groupID(t *testing.T) {
	f, l := read(t, files{OverrideYML: "services: {conjuring: {}}\n", ".env": "GROUPS=1234\n"}, Options{})
	wantNoErrors(t, l)
	want(t, "arguments", f.Override().BuildArgs, map[string]string{"GROUP_ID": "1234"})
	f, _ = read(t, files{".env": "GROUPS=1234\n"}, Options{})
	want(t, "without an override", f.Override().BuildArgs, map[string]string{"GROUP_ID": "1234"})
}

func TestA1_overrideBeside(t *testing.T) {
	top := t.TempDir()
	dir := files{"custom/apt.txt": "tree\n", OverrideYML: conjuringWith("shm_size: 1g")}.write(t, top) + "/custom"
	f, l := Read(t.Context(), dir, Options{})
	wantNoErrors(t, l)
	wantNotice(t, l, sevInfo, "override-beside", "../"+OverrideYML, 0)
	want(t, "not opened", f.Override().ShmSize, int64(0))
	f, l = Read(t.Context(), dir, Options{OverrideBeside: true})
	wantNoErrors(t, l)
	want(t, "opened", f.Override().ShmSize, int64(1<<30))
	dst := filepath.Join(top, "saved")
	must(t, f.Save(t.Context(), dst))
	g, err := Load(t.Context(), dst, Policy{})
	must(t, err)
	want(t, "saved", g.Override(), f.Override())
	must(t, os.WriteFile(filepath.Join(dir, OverrideYML), []byte(conjuringWith("shm_size: 2g")), 0o644))
	f, _ = Read(t.Context(), dir, Options{OverrideBeside: true})
	want(t, "the one inside wins", f.Override().ShmSize, int64(2<<30))
	must(t, os.Remove(filepath.Join(dir, OverrideYML)))
	must(t, os.Remove(filepath.Join(top, OverrideYML)))
	must(t, os.Symlink("/etc/passwd", filepath.Join(top, OverrideYML)))
	_, l = Read(t.Context(), dir, Options{OverrideBeside: true})
	if !l.HasErrors() {
		t.Error("a link beside the folder was followed")
	}
}
