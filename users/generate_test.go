package users

import (
	"strings"
	"testing"
)

func TestU13(t *testing.T) {
	file, added, err := Generate(nil, GenOptions{CreateAdmin: true})
	if err != nil || len(added) != 21 || strings.Contains(string(file), "\r") {
		t.Fatal(len(added), err)
	}
	r, l := Parse("users.csv", file)
	if len(r.Rows) != 21 || len(l) != 0 || r.Rows[0].User != "conjuring1" || len(r.Rows[0].Password) != 8 || !r.Rows[20].Admin || len(r.Rows[20].Password) != 12 {
		t.Fatalf("%+v %v", r.Rows, l)
	}
	// The last row is the admin, rows are deleted: numbers still go on.
	more, added, err := Generate(file, GenOptions{Append: true, Num: 2, UnsafePassword: "school", CreateAdmin: true})
	if err != nil || len(added) != 2 || added[0].User != "conjuring21" || added[1].Password != "school22" || !strings.HasPrefix(string(more), string(file)) {
		t.Fatalf("%+v %v", added, err)
	}
	for name, old := range map[string]string{
		"missing": "", "heading only": "Username,Password\n", "no heading": "conjuring1,pw\r\nadmin,pw2\r\n",
	} {
		file, added, err := Generate([]byte(old), GenOptions{Append: true, Num: 1})
		r, l := Parse("users.csv", file)
		if err != nil || l.HasErrors() || len(added) != 1 || r.Rows[len(r.Rows)-1].User != added[0].User {
			t.Errorf("%s: %q %v", name, file, err)
		}
		if name == "no heading" && (added[0].User != "conjuring2" || len(r.Rows) != 3) {
			t.Errorf("%s: %q", name, file)
		}
	}
	for _, o := range []GenOptions{{UserName: "a b"}, {Num: -1}, {UnsafePassword: "a,b"}, {UserName: strings.Repeat("x", 31)}, {AdminUser: "root", CreateAdmin: true}} {
		if _, _, err := Generate(nil, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestPassphrase(t *testing.T) {
	words := strings.Fields(wordList)
	seen := map[string]bool{}
	for _, w := range words {
		seen[w] = true
	}
	if len(seen) < 1024 || len(seen) != len(words) {
		t.Errorf("%d words, %d different", len(words), len(seen))
	}
	if p := Passphrase(); strings.Count(p, "-") != 3 || p == Passphrase() {
		t.Error(p)
	}
}
