package hub

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/conjuring/conjured/engine"
)

//go:embed testdata/attack/*.py
var attacks embed.FS

// attackRows is how many attempts the list has, those for comparison among them. It
// depends on how many addresses a machine has, which are counted apart.
const attackRows = 446

// attempted is one row of the attack list. Got is nil when it was refused.
type attempted struct {
	Group, Name string
	Got         any
}

// attacked is a class with a student who attacks and one who is attacked.
type attacked struct {
	*realClass
	params map[string]any
	lan    string // address and port of a computer on the school's network
	host   string // the same of this machine, as the students' bridge sees it
}

// The attack list: from a kernel and from a terminal of a student's own server,
// everything is refused, and each way of asking is shown to work where it may.
func TestAttack(t *testing.T) {
	c := newAttacked(t)
	for _, from := range []struct {
		name string
		run  func(*testing.T, string)
	}{{"kernel", c.fromKernel}, {"terminal", c.fromTerminal}} {
		out := "/home/amira/attack-" + from.name
		c.write(t, from.name+".py", c.script(t, out+".json"))
		from.run(t, out+".py")
		rows := c.results(t, "attack-"+from.name+".json")
		count := map[string]int{}
		for _, r := range rows {
			count[r.Group]++
			control := strings.HasPrefix(r.Name, "control: ")
			switch {
			case control && r.Got == nil:
				t.Errorf("from a %s, %s: got nothing, so that the refusals beside it prove nothing", from.name, r.Name)
			case !control && r.Got != nil:
				t.Errorf("from a %s, %s, %s: got %v", from.name, r.Group, r.Name, r.Got)
			}
		}
		extra := 2 * (len(c.params["machine"].([]string)) - 1) // rows for each further address of the machine
		t.Logf("from a %s: %d rows, %v", from.name, len(rows), count)
		if len(rows)-extra != attackRows {
			t.Errorf("%d rows from a %s, want %d: the list has changed", len(rows)-extra, from.name, attackRows)
		}
	}
	c.withoutFence(t)
}

func newAttacked(t *testing.T) *attacked {
	c := &attacked{realClass: newRealClass(t)}
	if _, err := c.deploy(t, nil); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"amira", "ben"} {
		b := c.browser(t)
		if code, page := b.login(user, "pw-"+user); code != http.StatusFound {
			t.Fatalf("login: %d %s", code, page)
		}
		b.spawn(user)
	}
	if err := os.WriteFile(filepath.Join(c.class.Shared, "lesson.txt"), []byte("welcome"), 0o644); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(c.roster.homes, "ben", "secret.txt")
	if err := os.WriteFile(secret, []byte("ben's"), 0o644); err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(c.paths.own(serverID("ben", "")), "token"))
	if err != nil {
		t.Fatal(err)
	}
	knock := "knock-" + c.cfg.Instance
	port := listenEverywhere(t, knock)
	abstract := "conjured-test-" + c.cfg.Instance
	l, err := net.Listen("unix", "@"+abstract)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	lan, lanPort := schoolNetwork(t, c.cfg.Instance, knock)
	ip, gateway := c.neighbour(t)
	c.lan, c.host = fmt.Sprintf("%s:%d", lan, lanPort), fmt.Sprintf("%s:%d", gateway, port)
	broadcast := net.ParseIP(gateway).To4()
	broadcast[2], broadcast[3] = 255, 255
	c.params = map[string]any{
		"user": "amira", "neighbour": "ben", "neighbour_uid": 2002, "neighbour_id": serverID("ben", ""), "own_id": serverID("amira", ""),
		"neighbour_container": c.containerName(serverID("ben", "")), "neighbour_token": string(token), "neighbour_port": neighbourPort,
		"neighbours": []string{ip}, "home": "/home/amira", "homes": c.roster.homes, "run": c.paths.run, "knock": knock,
		"gateway": gateway, "machine": addresses(t, gateway), "port": port, "abstract": abstract, "broadcast": broadcast.String(),
		"lan": lan, "lan_port": lanPort, "lan_also": []string{"10.0.0.1", "192.168.0.1"}, "outside_pid": os.Getpid(),
	}
	return c
}

const neighbourPort = 7777

// neighbour has ben's server listen to everybody, and gives its address and the
// bridge's.
func (c *attacked) neighbour(t *testing.T) (ip, gateway string) {
	t.Helper()
	name := c.containerName(serverID("ben", ""))
	python := []string{"/opt/conjured/bin/launch", "base@current", "python", "-c"}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.engine.Exec(ctx, name, append(slices.Clone(python), fmt.Sprintf("import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=%d, bind='0.0.0.0')", neighbourPort)), "", nil)
	}()
	t.Cleanup(func() { cancel(); <-done })
	var out bytes.Buffer
	code, err := c.engine.Exec(t.Context(), name, append(slices.Clone(python), fmt.Sprintf(`
import socket, struct, time
gw = next(int(l.split()[2], 16) for l in open('/proc/net/route') if l.split()[1] == '00000000')
for _ in range(200):
    try: socket.create_connection(('127.0.0.1', %d)).close(); break
    except OSError: time.sleep(0.05)
print(socket.gethostbyname(socket.gethostname()), socket.inet_ntoa(struct.pack('<I', gw)))`, neighbourPort)), "", &out)
	if err != nil || code != 0 {
		t.Fatalf("%d %v %s", code, err, out.String())
	}
	if _, err := fmt.Sscan(out.String(), &ip, &gateway); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	return ip, gateway
}

// addresses are this machine's, but for loopback and the students' bridge; no more
// than a few, since a machine that tests has many bridges.
func addresses(t *testing.T, gateway string) []string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var l []string
	for _, a := range all {
		ip, _, err := net.ParseCIDR(a.String())
		if err == nil && ip.To4() != nil && !ip.IsLoopback() && ip.String() != gateway && len(l) < 4 {
			l = append(l, ip.String())
		}
	}
	if len(l) == 0 {
		t.Fatal("this machine has no address to attack")
	}
	return l
}

// script is the whole attack as one file.
func (c *attacked) script(t *testing.T, out string) string {
	t.Helper()
	p, err := json.Marshal(c.params)
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, "params.json", string(p))
	var b strings.Builder
	for _, name := range []string{"attack.py", "kernel.py", "hubapi.py"} {
		text, err := attacks.ReadFile("testdata/attack/" + name)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
		b.WriteString("\n\n")
	}
	run, err := attacks.ReadFile("testdata/attack/run.py")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "ATTACK = (%q, %q)\n%s", "/home/amira/attack-params.json", out, run)
	return b.String()
}

func (c *attacked) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(c.roster.homes, "amira", "attack-"+name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (c *attacked) fromKernel(t *testing.T, script string) {
	if said := c.kernel(t, "amira")("exec(compile(open('" + script + "').read(), 'attack', 'exec'), {})"); said != "" {
		t.Errorf("the kernel said %s", said)
	}
}

// fromTerminal types a command as JupyterLab's terminal does.
func (c *attacked) fromTerminal(t *testing.T, script string) {
	id := serverID("amira", "")
	token, err := os.ReadFile(filepath.Join(c.paths.own(id), "token"))
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"Authorization": {"token " + string(token)}}
	client := over(c.paths.sock(id), 0)
	r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://localhost/user/amira/api/terminals", nil)
	r.Header = h
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var term struct{ Name string }
	if err := json.NewDecoder(resp.Body).Decode(&term); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("terminal: %s %v", resp.Status, err)
	}
	ws, _, err := websocket.Dial(t.Context(), "ws://localhost/user/amira/terminals/websocket/"+term.Name, &websocket.DialOptions{HTTPClient: client, HTTPHeader: h})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	line, _ := json.Marshal([]string{"stdin", "/opt/conjured/bin/launch base@current python " + script + "; echo d''one\r"})
	if err := ws.Write(t.Context(), websocket.MessageText, line); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var said strings.Builder
	for !strings.Contains(said.String(), "done") {
		_, b, err := ws.Read(ctx)
		if err != nil {
			t.Fatalf("the terminal ended: %v after %s", err, said.String())
		}
		said.Write(b)
	}
}

func (c *attacked) results(t *testing.T, name string) []attempted {
	t.Helper()
	f, err := os.Open(filepath.Join(c.roster.homes, "amira", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var l []attempted
	for s := bufio.NewScanner(f); s.Scan(); {
		var a attempted
		if err := json.Unmarshal(s.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		l = append(l, a)
	}
	return l
}

// withoutFence shows that it is the fence which kept machine and neighbours away.
func (c *attacked) withoutFence(t *testing.T) {
	ctx := t.Context()
	if err := c.engine.RemoveFence(ctx); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{c.host, c.lan} {
		host, port, _ := net.SplitHostPort(at)
		var out bytes.Buffer
		_, err := c.engine.Exec(ctx, c.containerName(serverID("amira", "")), []string{"timeout", "5", "bash", "-c", "cat < /dev/tcp/" + host + "/" + port}, "", &out)
		if err != nil || !strings.Contains(out.String(), "reached") {
			t.Errorf("without the fence %s is not reached either: %v %q", at, err, out.String())
		}
	}
	if err := c.engine.EnsureFence(ctx, engine.Fence{Network: c.cfg.Network, Internet: true}); err != nil {
		t.Error(err)
	}
}
