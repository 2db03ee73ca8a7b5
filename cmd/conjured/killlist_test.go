package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/conjuring/conjured/internal/needs"
)

// TestKillList kills what a class is made of, one after the other, while pupils work.
// The machine as a whole is in the story.
func TestKillList(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root(), needs.Debootstrap())
	c := newClass(t, copyFolder(t, "testdata/class"))
	names := []string{"amira", "ben", "chen", "dora"}
	csv := "user,password,admin\nteacher,chalk and board,yes\n"
	for _, n := range names {
		csv += n + ",four brown hens\n"
	}
	c.write("users.csv", csv)
	c.start()
	c.waitOpen(10 * time.Minute)
	k := &killer{class: c}
	t.Run("logins", k.logins)
	for _, n := range names {
		k.all = append(k.all, work(t, c.url, n, "four brown hens"))
	}
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"the daemon", k.daemon},
		{"the hub", k.hub},
		{"the hub makes room for another", k.swap},
		{"a pupil's server", k.server},
		{"at random", k.random},
	} {
		if !t.Run(step.name, func(t *testing.T) { c.t = t; step.do(t) }) {
			c.t = t
			return
		}
	}
	c.t = t
	c.stop(os.Interrupt)
	t.Run("Docker", dockerDies)
}

// killer is the class and who works in it.
type killer struct {
	class *class
	all   busyClass
}

// killDaemon ends conjured itself and starts it again.
func (k *killer) killDaemon() {
	_ = syscall.Kill(k.class.cmd.Process.Pid, syscall.SIGKILL)
	<-k.class.done
	k.class.start()
}

// kill ends containers.
func (k *killer) kill(t *testing.T, ids string) {
	t.Helper()
	for _, id := range strings.Fields(ids) {
		if out, err := exec.Command("docker", "kill", id).CombinedOutput(); err != nil {
			t.Fatalf("docker kill: %v\n%s", err, out)
		}
	}
}

// daemon: kernels, routes, hub and logins are adopted; each socket breaks once.
func (k *killer) daemon(t *testing.T) {
	hub, servers := k.class.containerIDs(t, "hub"), k.class.containerIDs(t, "server")
	took := k.all[:3].during(t, 1, k.killDaemon)
	t.Logf("killed to everybody at work again: %s", took)
	k.class.waitOpen(30 * time.Second)
	if now := k.class.containerIDs(t, "hub"); now != hub {
		t.Errorf("the hub was %s, is %s", hub, now)
	}
	if now := k.class.containerIDs(t, "server"); now != servers {
		t.Errorf("the servers were %s, are %s", servers, now)
	}
}

// hub: nobody at work notices; a browser sees a page that goes on by itself, a program
// JSON; the login page is back soon.
func (k *killer) hub(t *testing.T) {
	k.all.during(t, 0, func() {
		k.kill(t, k.class.containerIDs(t, "hub"))
		began := time.Now()
		k.hubIsAway(t)
		k.class.waitOpen(30 * time.Second)
		t.Logf("killed to login page: %s", time.Since(began))
	})
}

// hubIsAway looks at what is said while there is no hub.
func (k *killer) hubIsAway(t *testing.T) {
	t.Helper()
	for accept, want := range map[string]string{"text/html": "The class is being restarted", "application/json": `"message":"The class is being restarted"`} {
		code, kind, body := k.fetch(t, "/hub/api/", accept)
		if code != http.StatusServiceUnavailable || !strings.HasPrefix(kind, accept) || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s %.200s", accept, code, kind, body)
		}
	}
}

func (k *killer) fetch(t *testing.T, path, accept string) (code int, kind, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", k.class.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), string(b)
}

// swap: a new configuration replaces the hub while everybody works.
func (k *killer) swap(t *testing.T) {
	hub := k.class.containerIDs(t, "hub")
	k.all.during(t, 0, func() {
		began := time.Now()
		k.class.write("srv/jupyterhub_config.py", fmt.Sprintf("c.JupyterHub.template_vars = {'announcement': '%d'}\n", began.Unix()))
		k.class.eventually(2*time.Minute, "another hub serves", func() bool {
			now := k.class.containerIDs(t, "hub")
			return now != hub && !strings.Contains(now, " ") && now != "" && k.class.settled(t)
		})
		t.Logf("saved to served: %s", time.Since(began))
	})
	k.class.waitOpen(30 * time.Second)
}

// server: within seconds the address says what happened and offers a start, which
// works without a new login; the others do not notice.
func (k *killer) server(t *testing.T) {
	ben := k.all[1]
	ben.stop()
	others := append(busyClass{k.all[0]}, k.all[2:]...)
	others.during(t, 0, func() {
		k.kill(t, k.serverOf(t, "ben"))
		began := time.Now()
		k.offersStart(t, ben)
		t.Logf("killed to the page that offers a start: %s", time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if err := ben.spawn(ctx); err != nil {
			t.Fatal(err)
		}
		t.Logf("killed to Lab again: %s", time.Since(began))
	})
	ben.begin(t)
	k.all.ready(t)
}

// offersStart waits until the hub, not the front door, answers for a server that is
// gone, with its page or the way to it.
func (k *killer) offersStart(t *testing.T, p *busy) {
	t.Helper()
	began := time.Now()
	for {
		body, res, err := p.do(t.Context(), "GET", "/user/"+p.name+"/lab", nil)
		if err == nil && res.Header.Get("X-JupyterHub-Version") != "" && strings.Contains(string(body), "/hub/spawn") {
			return
		}
		if err == nil && res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusBadGateway && strings.Contains(string(body), "/hub/spawn") {
			return
		}
		if err == nil && res.StatusCode == http.StatusBadGateway {
			t.Errorf("a bare 502: %.200s", body)
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("after %s: %v %v %.300s", time.Since(began), statusOf(res), err, body)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// serverOf is the container of a pupil's server; docker knows no other answer.
func (k *killer) serverOf(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("docker", append([]string{"inspect"}, strings.Fields(k.class.containerIDs(t, "server"))...)...).Output()
	var all []struct {
		ID     string `json:"Id"`
		Config struct{ Labels map[string]string }
	}
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Config.Labels["org.conjured.user"] == name {
			return c.ID
		}
	}
	return "no server of " + name
}

// random kills a few times what chance says, also in the middle of a start. Whatever
// it was: when it is quiet again, everybody can run a cell with the login they have.
func (k *killer) random(t *testing.T) {
	seed := int(time.Now().UnixNano() % 1e6)
	if s := os.Getenv("CONJURED_KILL_SEED"); s != "" {
		seed, _ = strconv.Atoi(s)
	}
	victims := rapid.SliceOfN(rapid.SampledFrom([]string{"daemon", "hub", "amira", "chen", "dora"}), 3, 4).Example(seed)
	t.Logf("CONJURED_KILL_SEED=%d: %v", seed, victims)
	for _, p := range k.all {
		p.stop()
	}
	for i, v := range victims {
		switch v {
		case "daemon":
			k.killDaemon()
		case "hub":
			_ = exec.Command("docker", append([]string{"kill"}, strings.Fields(k.class.containerIDs(t, "hub"))...)...).Run()
		default:
			_ = exec.Command("docker", "kill", k.serverOf(t, v)).Run() // it may be the second time
		}
		time.Sleep(time.Duration(seed>>i%7) * 100 * time.Millisecond % time.Second)
	}
	k.class.waitOpen(30 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, p := range k.all {
		if err := p.spawn(ctx); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if got, err := p.student.run(ctx, "print(6 * 7)"); err != nil || !strings.Contains(got, "42") {
			t.Errorf("%s: %q %v", p.name, got, err)
		}
	}
}
