package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// crowd is a class that comes at once: so many students, each with a browser of
// their own, all at the same moment.
type crowd struct {
	url      string
	students []*student
}

// pupil names the students of a crowd; their rows are in crowdRoster.
func pupil(i int) (name, password string) {
	return fmt.Sprintf("pupil%d", i), fmt.Sprintf("a password of pupil %d", i)
}

// crowdRoster is a users.csv with a teacher and n pupils.
func crowdRoster(n int) string {
	rows := "user,password,admin\nteacher,chalk and board,yes\namira,blue bicycle 12,\n"
	for i := range n {
		name, password := pupil(i)
		rows += fmt.Sprintf("%s,%s,\n", name, password)
	}
	return rows
}

func newCrowd(url string, n int) crowd {
	c := crowd{url: url}
	for i := range n {
		name, password := pupil(i)
		s := newStudent(url, name, password)
		s.http.Timeout = 0 // a browser waits
		s.http.Transport = seat(i)
		c.students = append(c.students, s)
	}
	return c
}

// seat is the way to the front door from a device of its own, as on the class's Wi-Fi:
// each has another address of this machine's loopback.
func seat(i int) http.RoundTripper {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/250), byte(1+i%250))}}
	return &http.Transport{DialContext: d.DialContext}
}

// visit is what one student saw, in time from the moment they pressed "log in".
type visit struct {
	lab, output time.Duration
	err         error // why they are lost
}

// come lets everybody log in, open Lab and run a cell. Who has no output when
// patience ends is lost.
func (c crowd) come(patience time.Duration) visits {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out := make(visits, len(c.students))
	var wg sync.WaitGroup
	began := time.Now()
	for i, s := range c.students {
		wg.Go(func() {
			v := &out[i]
			if v.err = s.login(ctx); v.err != nil {
				v.err = fmt.Errorf("login: %w", v.err)
				return
			}
			if v.err = s.arrive(ctx); v.err != nil {
				return
			}
			v.lab = time.Since(began)
			text, err := s.run(ctx, "print(6*7)")
			if v.output = time.Since(began); err != nil || strings.TrimSpace(text) != "42" {
				v.err = fmt.Errorf("first cell: %q: %w", text, err)
			}
		})
	}
	wg.Wait()
	return out
}

// arrive does what a browser does after the login: it asks for the server, follows
// the progress on the waiting page, and opens Lab.
func (s *student) arrive(ctx context.Context) error {
	for {
		_, res, err := s.do(ctx, "GET", "/hub/spawn", nil)
		if err != nil {
			return fmt.Errorf("spawn: %w", err)
		}
		if strings.Contains(res.Request.URL.Path, "/spawn-pending/") {
			if err := s.follow(ctx); err != nil {
				return err
			}
		} else if res.StatusCode >= 500 {
			return fmt.Errorf("spawn: %s", statusOf(res))
		}
		body, res, err := s.do(ctx, "GET", "/user/"+s.name+"/lab", nil)
		if err != nil {
			return fmt.Errorf("lab: %w", err)
		}
		if res.StatusCode == http.StatusOK && strings.Contains(string(body), "jupyter-config-data") {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab did not open: %w (last: %v)", ctx.Err(), statusOf(res))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// follow reads the progress events that the waiting page shows, until the server is
// ready or has failed.
func (s *student) follow(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, "GET", s.base.String()+"/hub/api/users/"+s.name+"/server/progress", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Sec-Fetch-Mode", "cors")
	req.Header.Set("X-XSRFToken", s.xsrf("/hub/"))
	req.Header.Set("Referer", s.base.String()+"/hub/spawn-pending/"+s.name)
	res, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("progress: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil // the page asks again by loading Lab
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var e struct {
			Ready, Failed bool
			Message       string
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("progress: %w", err)
		}
		if s.said = append(s.said, e.Message); e.Failed {
			return fmt.Errorf("the server failed: %s", e.Message)
		}
		if e.Ready {
			return nil
		}
	}
	return lines.Err()
}

type visits []visit

// lost are the errors of those who got no output.
func (v visits) lost() []error {
	var l []error
	for _, one := range v {
		if one.err != nil {
			l = append(l, one.err)
		}
	}
	return l
}

func (v visits) labs() []time.Duration {
	return v.durations(func(one visit) time.Duration { return one.lab })
}

func (v visits) outputs() []time.Duration {
	return v.durations(func(one visit) time.Duration { return one.output })
}

func (v visits) durations(f func(visit) time.Duration) []time.Duration {
	var l []time.Duration
	for _, one := range v {
		if one.err == nil {
			l = append(l, f(one))
		}
	}
	return l
}

// p95 is the time within which 95 of 100 were served; 0 of nobody.
func p95(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return d[int(math.Ceil(0.95*float64(len(d))))-1]
}

// machineTime is the processor time that everything on this machine has used, without
// this process, which plays the browsers (proc(5): the first line of /proc/stat).
func machineTime() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	var ticks int64
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq
		n, _ := strconv.ParseInt(f[i], 10, 64)
		ticks += n
	}
	var own syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &own)
	return time.Duration(ticks)*10*time.Millisecond - time.Duration(own.Utime.Nano()+own.Stime.Nano())
}
