package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/internal/dockertest"
)

// dockerDies kills the Docker daemon under a class of its own: whoever works goes on,
// the pages answer, and a server that was asked for meanwhile starts when it is back.
func dockerDies(t *testing.T) {
	tags, err := exec.Command("docker", "image", "inspect", "-f", `{{join .RepoTags " "}}`,
		testImages+":base", testImages+":core", testImages+":system").Output()
	if err != nil {
		t.Fatalf("the images that the class before has built: %v", err)
	}
	d := dockertest.New(t)
	d.Load(strings.Fields(string(tags))...)
	t.Setenv("DOCKER_HOST", d.Host)
	c := newClass(t, t.TempDir())
	c.write("users.csv", "user,password,admin\namira,four brown hens,\nben,four brown hens,\nchen,four brown hens,\n")
	c.start()
	c.waitOpen(10 * time.Minute)
	all := busyClass{work(t, c.url, "amira", "four brown hens"), work(t, c.url, "ben", "four brown hens")}
	chen := newStudent(c.url, "chen", "four brown hens")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	all.during(t, 0, func() {
		d.Kill()
		all.ready(t) // without it
		if err := chen.login(ctx); err != nil {
			t.Errorf("a login without Docker: %v", err)
		}
		body, res, err := chen.do(ctx, "GET", "/hub/spawn", nil)
		if err != nil || res.Header.Get("X-JupyterHub-Version") == "" || strings.Contains(string(body), "Traceback") {
			t.Errorf("a start without Docker: %v %v %.500s", statusOf(res), err, body)
		}
		_, said, code := c.cli("status")
		if code != 1 || !strings.Contains(said, "Docker does not answer") || !strings.Contains(said, "those who work") {
			t.Errorf("status without Docker: exit %d\n%s", code, said)
		}
		began := time.Now()
		d.Start()
		t.Logf("Docker is back after %s", time.Since(began))
	})
	began := time.Now()
	if err := chen.spawn(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("chen's server: %s after that", time.Since(began))
	if got, err := chen.run(ctx, "print(6 * 7)"); err != nil || !strings.Contains(got, "42") {
		t.Errorf("chen: %q %v", got, err)
	}
}
