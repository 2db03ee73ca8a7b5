package gateway

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMeasureDoor is the door's part of `make bench`: ours beside CHP, nginx and caddy,
// each a process of its own, before the same target and under the same load, in turns.
// It writes a table to the file that CONJURED_BENCH_DOOR names and asserts nothing about
// times: what holds on a busy machine is the processor time per request and its ratio.
func TestMeasureDoor(t *testing.T) {
	file := os.Getenv("CONJURED_BENCH_DOOR")
	if file == "" {
		return // not a test, but a measurement that is asked for by name
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "gw") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	target, socket := freeAddress(t), filepath.Join(dir, "t.sock")
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVar+"=target", "LISTEN="+target, "ADMIN="+socket)
	run(t, cmd)
	answers(t, target)
	m := &doorMeasure{t: t, peers: startPeers(t, os.Getenv("CONJURED_BENCH_PEER"), target, socket)}
	m.rounds, _ = strconv.Atoi(cmp.Or(os.Getenv("CONJURED_BENCH_ROUNDS"), "4"))
	m.idleMemory()
	m.websockets(1000)
	m.load("small GET, 32 connections", 32, 8000, smallGET)
	m.load("1 MB body, 8 connections", 8, 300, bigGET)
	m.load("websocket round trip of 1 kB, 30 at once", 30, 30_000, echo1k)
	m.routes()
	if err := os.WriteFile(file, []byte(m.table()), 0o644); err != nil {
		t.Fatal(err)
	}
}

type doorMeasure struct {
	t      *testing.T
	peers  []*peer
	rounds int
	rows   []doorRow
}

// doorRow is a line of the table: a figure of each peer, in their order.
type doorRow struct {
	what    string
	figures []float64
}

func (m *doorMeasure) add(what string, figures []float64) {
	m.rows = append(m.rows, doorRow{what, figures})
	m.t.Logf("%-50s %.2f", what, figures)
}

// exchange is one request and its answer on an open connection.
type exchange struct {
	hello string // sent once
	send  []byte
	reply func(*bufio.Reader) error
}

func get(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: class.local:8989\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: application/json\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate\r\nCookie: _xsrf=2|abcdef|0123456789abcdef0123456789abcdef|1700000000; session=0123456789abcdef\r\n" +
		"Referer: http://class.local:8989/user/amira/lab\r\nConnection: keep-alive\r\n\r\n")
}

var (
	smallGET = exchange{send: get("/user/amira/api/status"), reply: readAnswer}
	bigGET   = exchange{send: get("/user/amira/big"), reply: readAnswer}
	echo1k   = exchange{
		hello: "GET /user/amira/ws HTTP/1.1\r\nHost: class.local:8989\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		send:  append([]byte("\x82\xfe\x03\xf8mask"), make([]byte, 1016)...), // one masked frame
		reply: func(br *bufio.Reader) error { _, err := br.Discard(1 << 10); return err },
	}
)

// readAnswer reads an answer with a Content-Length or in chunks.
func readAnswer(br *bufio.Reader) error {
	length := readHead(br)
	if length >= 0 {
		_, err := br.Discard(length)
		return err
	}
	for {
		line, err := br.ReadString('\n')
		n, perr := strconv.ParseInt(strings.TrimSpace(line), 16, 32)
		if err != nil || perr != nil {
			return fmt.Errorf("cannot read a chunk %q: %w", line, err)
		}
		if _, err := br.Discard(int(n) + 2); err != nil || n == 0 {
			return err
		}
	}
}

// readHead reads up to the empty line; -1 when no length is told.
func readHead(br *bufio.Reader) int {
	length := -1
	for {
		line, err := br.ReadSlice('\n')
		if err != nil || len(line) <= 2 {
			return length
		}
		if v, ok := strings.CutPrefix(strings.ToLower(string(line)), "content-length:"); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(v))
		}
	}
}

// load runs n exchanges over conns connections at each peer, in turns.
func (m *doorMeasure) load(what string, conns, n int, e exchange) {
	cpu := make([]float64, len(m.peers))
	times := make([][]time.Duration, len(m.peers))
	for i, p := range m.peers { // once unmeasured, for whoever compiles while running
		m.round(p, conns, n/4, e)
		times[i] = nil
	}
	for range m.rounds {
		for i, p := range m.peers {
			before := p.processor()
			times[i] = append(times[i], m.round(p, conns, n, e)...)
			cpu[i] += float64((p.processor() - before).Microseconds()) / float64(n*m.rounds)
		}
	}
	m.add(what+": processor, µs", cpu)
	for _, q := range []int{50, 99} {
		var at []float64
		for _, d := range times {
			slices.Sort(d)
			at = append(at, float64(d[len(d)*q/100].Microseconds())/1000)
		}
		m.add(fmt.Sprintf("%s: p%d, ms", what, q), at)
	}
}

// round makes n exchanges and returns how long each took.
func (m *doorMeasure) round(p *peer, conns, n int, e exchange) []time.Duration {
	out := make([][]time.Duration, conns)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			c, br := m.open(p, e)
			defer c.Close()
			for range n / conns {
				began := time.Now()
				if _, err := c.Write(e.send); err != nil {
					m.t.Errorf("%s: %v", p.name, err)
					return
				}
				if err := e.reply(br); err != nil {
					m.t.Errorf("%s: %v", p.name, err)
					return
				}
				out[i] = append(out[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	return slices.Concat(out...)
}

func (m *doorMeasure) open(p *peer, e exchange) (net.Conn, *bufio.Reader) {
	c, err := net.Dial("tcp", p.listen)
	if err != nil {
		m.t.Error(err)
		return nil, nil
	}
	br := bufio.NewReaderSize(c, 4<<10)
	if e.hello != "" {
		_, _ = io.WriteString(c, e.hello)
		readHead(br)
	}
	return c, br
}

func (m *doorMeasure) idleMemory() {
	var rss, pss []float64
	for _, p := range m.peers {
		r, q := p.memory()
		rss, pss = append(rss, float64(r)/1e6), append(pss, float64(q)/1e6)
	}
	m.add("at rest after the start: RSS, MB", rss)
	m.add("at rest after the start: PSS, MB", pss)
}

// websockets holds n open and idle at each peer.
func (m *doorMeasure) websockets(n int) {
	var rss, each []float64
	for _, p := range m.peers {
		before, _ := p.memory()
		var conns []net.Conn
		for range n {
			c, br := m.open(p, echo1k)
			if c == nil {
				break
			}
			_, _ = c.Write(echo1k.send)
			if err := echo1k.reply(br); err != nil {
				m.t.Errorf("%s: %v", p.name, err)
			}
			conns = append(conns, c)
		}
		time.Sleep(3 * time.Second) // what collects garbage at leisure may do so
		after, _ := p.memory()
		rss = append(rss, float64(after)/1e6)
		each = append(each, float64(after-before)/float64(n)/1024)
		for _, c := range conns {
			_ = c.Close()
		}
	}
	m.add(fmt.Sprintf("with %d idle websockets: RSS, MB", n), rss)
	m.add("for each of them: RSS, KiB", each)
}

// routes changes a table of 1,000 routes 100 times a second under load.
func (m *doorMeasure) routes() {
	var p99, failed []float64
	for _, p := range m.peers {
		if p.admin == "" {
			p99, failed = append(p99, -1), append(failed, -1)
			continue
		}
		for i := range 1000 {
			p.addRoute(m.t, fmt.Sprintf("/user/student-%d", i), p.target)
		}
		var bad int
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() { bad = m.until(p, stop) })
		var took []time.Duration
		every := time.NewTicker(10 * time.Millisecond)
		for i := range 500 {
			<-every.C
			took = append(took, p.addRoute(m.t, fmt.Sprintf("/user/student-%d", i), p.target))
		}
		every.Stop()
		close(stop)
		wg.Wait()
		slices.Sort(took)
		p99 = append(p99, float64(took[len(took)*99/100].Microseconds())/1000)
		failed = append(failed, float64(bad))
	}
	m.add("a route added among 1,000, 100/s under load: p99, ms", p99)
	m.add("requests that failed meanwhile", failed)
}

// until asks small things over and over; it returns how many failed.
func (m *doorMeasure) until(p *peer, stop <-chan struct{}) (bad int) {
	c, br := m.open(p, smallGET)
	defer c.Close()
	for {
		select {
		case <-stop:
			return bad
		default:
		}
		if _, err := c.Write(get("/user/student-7/api")); err != nil || readAnswer(br) != nil {
			return bad + 1
		}
	}
}

// table is the report. A second figure in a cell is ours divided by it.
func (m *doorMeasure) table() string {
	var b strings.Builder
	b.WriteString("\n## The front door alone\n\nSame target, same load, in turns; in brackets: ours divided by theirs. " +
		"Load and target share the machine's cores, so the times are those of a full machine; the processor time is each door's own.\n\n| what |")
	for _, p := range m.peers {
		b.WriteString(" " + p.name + " |")
	}
	b.WriteString("\n|---" + strings.Repeat("|---", len(m.peers)) + "|\n")
	for _, r := range m.rows {
		b.WriteString("| " + r.what + " |")
		for i, f := range r.figures {
			switch {
			case f < 0:
				b.WriteString(" - |")
			case i == 0 || f == 0:
				fmt.Fprintf(&b, " %.4g |", f)
			default:
				fmt.Fprintf(&b, " %.4g (%.2f) |", f, r.figures[0]/f)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
