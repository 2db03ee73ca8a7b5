package registry

import (
	"strings"
	"testing"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/progress"
)

// Another value of a variable is recorded, has a tag of its own, waits where more than
// additions waits, and goes back with a rollback. What the old tool reads of it stays.
func TestVariablesAreOfTheRecord(t *testing.T) {
	b := newBox(t, func(c *Config) { c.Policy = AddOnly })
	var tags []string
	for i, value := range []string{"spring", "fall"} {
		w := wish("geo", "numpy")
		w.Variables = []environments.Variable{{Name: "SEASON", Value: value, File: "environment-geo.yml", Line: 4}}
		o, err := b.Prepare(t.Context(), w, progress.Discard)
		if err != nil || o.Tag == "" || o.Did != Deployed {
			t.Fatalf("%+v %v", o, err)
		}
		tags = append(tags, o.Tag)
		if o, err = b.Settle(t.Context(), "geo"); err != nil || (o.Did == Waiting) != (i == 1) {
			t.Fatalf("%+v %v", o, err)
		}
		if i == 1 && !strings.Contains(o.Sentence, "another value of the variable SEASON") {
			t.Error(o.Sentence)
		}
	}
	if _, err := b.Promote(t.Context(), "geo"); err != nil || tags[0] == tags[1] {
		t.Fatal(tags, err)
	}
	b.labels("geo", map[string]int{"current": 2, "previous": 1})
	if _, err := b.Rollback(t.Context(), "geo", tags[0]); err != nil {
		t.Fatal(err)
	}
	b.labels("geo", map[string]int{"current": 1, "previous": 2})

	text := map[string]string{}
	for i, value := range []string{"spring", "fall"} {
		files, err := b.git.Manifest(t.Context(), "geo", tags[i])
		if err != nil {
			t.Fatal(err)
		}
		ours, _ := find(files, manifestTxt)
		old, _ := find(files, envManifest)
		text[value] = string(old)
		if !strings.HasSuffix(string(ours), "\n# variable SEASON="+value+"\n") || strings.Contains(string(old), "SEASON") {
			t.Errorf("%s\n%s", ours, old)
		}
	}
	if text["spring"] != text["fall"] {
		t.Errorf("the old tool sees %v", text)
	}
}
