package history

import (
	"context"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What ParseTag accepts, String gives back; what String makes, ParseTag accepts.
func FuzzParseTag(f *testing.F) {
	for _, s := range []string{
		"env-geo-2026_03_01", "env-geo_101-2026_03_01-12", "env-geo-2026_02_30", "env-geo-2026_03_01-0", "env-geo-2026_03_01-01",
		"env-my-geo-2026_03_01", "env-geo-2026_03_01\n", "env--2026_03_01", "refs/tags/env-geo-2026_03_01", "env-manifest-2026_03_01",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		tag, err := ParseTag(name)
		if err != nil {
			return
		}
		if tag.String() != name || tag.Name != name || checkEnv(tag.Env) != nil || strings.ContainsAny(name, " \n/~^:") {
			t.Errorf("%q: %+v", name, tag)
		}
	})
}

func TestK3_tagFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		env := rapid.StringMatching(`[a-z][a-z0-9_]{0,31}`).Filter(func(s string) bool { return s != "manifest" }).Draw(t, "env")
		when := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "when"), 0)
		var taken []Tag
		for range rapid.IntRange(0, 4).Draw(t, "taken") {
			taken = append(taken, nextTag(env, when, none, taken))
		}
		tag := nextTag(env, when, none, taken)
		back, err := ParseTag(tag.Name)
		if err != nil || back.Env != env || back.N != len(taken) || back.Date != when.UTC().Format(dateForm) {
			t.Fatalf("%+v: %+v, %v", tag, back, err)
		}
	})
	for _, bad := range []string{"env-geo-2026_13_01", "env-geo-2026_03_01-0", "env-my-geo-2026_03_01", "env-geo-2026_03_01\n", "xenv-geo-2026_03_01", "env-Geo-2026_03_01", "env-manifest-2026_03_01", "geo", ""} {
		if tag, err := ParseTag(bad); err == nil {
			t.Errorf("%q is %+v", bad, tag)
		}
	}
}

// K3: the date of the commit in UTC, then -1, -2; one tag for one commit.
func TestK3_tags(t *testing.T) {
	r := open(t)
	at := time.Date(2026, 3, 1, 23, 50, 0, 0, time.FixedZone("", -3600))
	r.now = func() time.Time { return at }
	var names []string
	for _, pkg := range []string{"a-1-0", "a-2-0", "a-3-0"} {
		tag := putManifest(t, r, "geo", pkg)
		if again, err := r.Tag(t.Context(), "geo"); err != nil || again != tag {
			t.Errorf("%+v, %v", again, err)
		}
		names = append(names, tag.Name)
	}
	if s := strings.Join(names, " "); s != "env-geo-2026_03_02 env-geo-2026_03_02-1 env-geo-2026_03_02-2" {
		t.Error(s)
	}
	// The tag of another environment with a name that begins alike is not ours.
	if tag := putManifest(t, r, "geo_2", "a-1-0"); tag.N != 0 {
		t.Errorf("%+v", tag)
	}
}

// A box whose clock is lost goes on: names stay unique, and the order is that of the
// commits. A date from a far future is not followed for ever.
func TestClockGoesBack(t *testing.T) {
	r := open(t)
	var want []string
	for i, at := range []string{"2026-03-05", "2026-03-01", "1970-01-01", "2026-03-05", "2038-01-01", "2026-03-01"} {
		r.now = func() time.Time { d, _ := time.Parse(time.DateOnly, at); return d }
		want = append(want, putManifest(t, r, "geo", "a-"+string(rune('1'+i))+"-0").Name)
	}
	tags, err := r.Tags(t.Context(), "geo")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	seen := map[string]bool{}
	for _, tag := range tags {
		got = append(got, tag.Name)
		seen[tag.Name] = true
	}
	if strings.Join(got, " ") != strings.Join(want, " ") || len(seen) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got[1] != "env-geo-2026_03_05-1" || got[5] != "env-geo-2026_03_01" {
		t.Errorf("%v", got)
	}
}

// Many at once: each is whole, none is lost.
func TestManyAtOnce(t *testing.T) {
	r := open(t)
	other := openAt(t, r.c.Dir) // as another process would
	done := make(chan error)
	for i := range 8 {
		go func() {
			_, err := []*Repository{r, other}[i%2].PutSpec(context.Background(), "env"+string(rune('a'+i)), []File{file("requirements.txt", "x\n")}, "x")
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if envs, err := r.Environments(t.Context()); err != nil || len(envs) != 8 {
		t.Errorf("%v, %v", envs, err)
	}
	sane(t, r)
}
