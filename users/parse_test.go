package users

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/conjuring/conjured/notice"
)

// codes is "severity code line" of each notice.
func codes(l notice.List) (out []string) {
	for _, n := range l {
		out = append(out, fmt.Sprintf("%s %s %d", n.Severity, n.Code, n.Line))
	}
	return out
}

// csvCase is one file and what it must mean.
type csvCase struct {
	name, file string
	rows       []Row
	held       []string
	notices    []string
}

func (c csvCase) run(t *testing.T) {
	t.Run(c.name, func(t *testing.T) {
		r, l := Parse("users.csv", []byte(c.file))
		if d := cmp.Diff(c.rows, r.Rows, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("rows (-want +got):\n%s", d)
		}
		if d := cmp.Diff(c.held, r.Held, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("held (-want +got):\n%s", d)
		}
		if d := cmp.Diff(c.notices, codes(l), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("notices (-want +got):\n%s", d)
		}
		for _, n := range l {
			if n.What == "" || n.Means == "" || n.Do == "" || n.File != "users.csv" {
				t.Errorf("notice is not whole: %#v", n)
			}
		}
	})
}

const head = "user,password,admin\n"

func TestU1(t *testing.T) {
	for _, c := range []csvCase{
		{"the original file", "name,password,admin (first row is header)\njohn,aBadPswd\njane,0zSndTSHd,true", []Row{{Line: 2, User: "john", Password: "aBadPswd"}, {Line: 3, User: "jane", Password: "0zSndTSHd", Admin: true}}, nil, nil},
		{"further columns are ignored", "user,password,admin,class\nann,pw,true,7b,x,y\n", []Row{{Line: 2, User: "ann", Password: "pw", Admin: true}}, nil, nil},
		{"blank lines keep numbers", head + "\n  \n,,\nann,pw,\n\n", []Row{{Line: 5, User: "ann", Password: "pw"}}, nil, nil},
		{"data in row 1 is skipped and said", "bob,pw,true\nann,pw2,\n", []Row{{Line: 2, User: "ann", Password: "pw2"}}, nil, []string{"warning users-heading 1"}},
		{"heading in row 2", "Class 7b\nname,password\nann,pw\n", []Row{{Line: 3, User: "ann", Password: "pw"}}, nil, []string{"warning legacy-U1 2"}},
		{"id column", "user,password,admin,x,ID\nann,pw,,,s-17\n", []Row{{Line: 2, User: "ann", Password: "pw", ID: "s-17"}}, nil, nil},
		{"heading only", head, nil, nil, []string{"warning users-none 0"}},
		{"empty", "", nil, nil, []string{"warning users-none 0"}},
	} {
		c.run(t)
	}
}

func TestU2(t *testing.T) {
	for _, c := range []csvCase{
		{"quoted comma", head + "ann,\"pa,ss\",yes\n", []Row{{Line: 2, User: "ann", Password: "pa,ss", Admin: true}}, nil, []string{"warning legacy-U2 2"}},
		{"blank in a password", head + "ann,my pass,\n", []Row{{Line: 2, User: "ann", Password: "my pass"}}, nil, []string{"warning legacy-U2 2"}},
		{"backslash", head + "ann,a\\nb,\n", []Row{{Line: 2, User: "ann", Password: `a\nb`}}, nil, []string{"warning legacy-U2 2"}},
		{"edges are trimmed as before", head + "  ann , pw ,\ttrue \n", []Row{{Line: 2, User: "ann", Password: "pw", Admin: true}}, nil, nil},
		{"bare quote as before", head + "ann,pa\"ss,\n", []Row{{Line: 2, User: "ann", Password: `pa"ss`}}, nil, nil},
		{"blank in a name", head + "spaces name,pw,yes\nbob,pw,\n", []Row{{Line: 3, User: "bob", Password: "pw"}}, nil, []string{"error users-name 2"}},
		{"open quote spoils its line only", head + "ann,\"pw,true\nbob,pw,\n", []Row{{Line: 3, User: "bob", Password: "pw"}}, []string{"ann"}, []string{"error users-quote 2"}},
		{"semicolons", "user;password;admin\nann;p,w;true\nbob;pw\n", []Row{{Line: 2, User: "ann", Password: "p,w", Admin: true}}, nil, nil},
	} {
		if c.name == "semicolons" { // a comma in the first row leaves no doubt-free guess
			c.file = "user;password;admin\nann;pw;true\nbob;p,w\n"
			c.rows = []Row{{Line: 2, User: "ann", Password: "pw", Admin: true}, {Line: 3, User: "bob", Password: "p,w"}}
			c.notices = []string{"warning legacy-U2 1"}
		}
		c.run(t)
	}
}

func TestU3_emptyMiddleField(t *testing.T) {
	for _, c := range []csvCase{
		{"no password", head + "ann,,true\n", []Row{{Line: 2, User: "ann", Admin: true}}, nil, []string{"warning legacy-U3 2"}},
		{"no name", head + ",pw,true\nann,pw,\n", []Row{{Line: 3, User: "ann", Password: "pw"}}, nil, []string{"error users-no-name 2"}},
		{"ragged", head + "bob\n", []Row{{Line: 2, User: "bob"}}, nil, []string{"info users-password-generated 2"}},
	} {
		c.run(t)
	}
}

func TestU4(t *testing.T) {
	yes := []string{"1", "Y", "y", "T", "t", "yes", "YES", "yEs", "true", "True", "TRUE"}
	no := []string{"", "0", "on", "yes please", "2", "x", "ja", "wahr", "tru", "admin", "-1"}
	for _, s := range append(slices.Clone(yes), no...) {
		r, _ := Parse("users.csv", []byte(head+"ann,pw,"+s+"\r\n"))
		if len(r.Rows) != 1 || r.Rows[0].Admin != slices.Contains(yes, s) {
			t.Errorf("%q: %+v", s, r.Rows)
		}
	}
}

func TestU5(t *testing.T) {
	want := []Row{{Line: 2, User: "ann", Password: "pw", Admin: true}, {Line: 3, User: "bob", Password: "pw2"}}
	for _, c := range []csvCase{
		{"crlf and bom", "\xef\xbb\xbfuser,password,admin\r\nann,pw,true\r\nbob,pw2\r\n", want, nil, []string{"info legacy-U5 2"}},
		{"old Macintosh", "user,password,admin\rann,pw,true\rbob,pw2", want, nil, []string{"info legacy-U5 2"}},
		{"harmless in a fourth column", "user,password,admin,x\r\nann,pw,true,x\r\nbob,pw2,,x", want, nil, nil},
	} {
		c.run(t)
	}
}

func TestU6(t *testing.T) {
	for _, c := range []csvCase{
		{"last row wins", head + "ann,one,true\nbob,pw,\nann,two,\n", []Row{{Line: 3, User: "bob", Password: "pw"}, {Line: 4, User: "ann", Password: "two"}}, nil, []string{"warning legacy-U6 4"}},
		{"reserved", head + "root,pw,true\nhub,pw\nwww-data,pw\nadmin,pw,true\n", []Row{{Line: 5, User: "admin", Password: "pw", Admin: true}}, nil, []string{"error users-name-reserved 2", "error users-name-reserved 3", "error users-name-reserved 4"}},
		{"names of old", head + "42num,pw\njohn.doe,pw\né,pw\nann@school.org,pw\n", []Row{{Line: 2, User: "42num", Password: "pw"}, {Line: 3, User: "john.doe", Password: "pw"}, {Line: 4, User: "é", Password: "pw"}, {Line: 5, User: "ann@school.org", Password: "pw"}}, nil, nil},
		{"upper case", head + "UPPER,pw\n", []Row{{Line: 2, User: "upper", Password: "pw"}}, nil, []string{"warning legacy-U6 2"}},
		{"composed or not is one name", head + "e\u0301,one\né,two\n", []Row{{Line: 3, User: "é", Password: "two"}}, nil, []string{"warning legacy-U6 3"}},
		{"two spellings", head + "Ann,one\nann,two\nbob,pw\n", []Row{{Line: 4, User: "bob", Password: "pw"}}, []string{"ann"}, []string{"warning legacy-U6 2", "error users-name-clash 3"}},
		{"31 bytes", head + strings.Repeat("a", 31) + ",pw\n" + strings.Repeat("b", 32) + ",pw\n", []Row{{Line: 2, User: strings.Repeat("a", 31), Password: "pw"}}, nil, []string{"error users-name 3"}},
		{"hostile", head + "../x,pw\n.hid,pw\na/b,pw\n-rf,pw\na\u202eb,pw\n$(id),pw\nﬁ,pw\nok,pw\n", []Row{{Line: 9, User: "ok", Password: "pw"}}, nil, []string{"error users-name 2", "error users-name 3", "error users-name 4", "error users-name 5", "error users-name 6", "error users-name 7", "error users-name 8"}},
	} {
		c.run(t)
	}
}

func TestParse_badFiles(t *testing.T) {
	rows := func(n int) string {
		var b strings.Builder
		b.WriteString(head)
		for i := range n {
			fmt.Fprintf(&b, "u%d,pw,\n", i)
		}
		return b.String()
	}
	utf16 := "\xff\xfeu\x00s\x00e\x00r\x00\n\x00"
	for name, c := range map[string]struct{ file, code string }{
		"utf-16":       {utf16, "users-utf16"},
		"utf-16 bare":  {utf16[2:], "users-utf16"},
		"binary":       {"user,pass\nann\x00,pw", "users-not-text"},
		"spreadsheet":  {"PK\x03\x04....", "users-not-text"},
		"10,000 rows":  {rows(10_000), "users-too-many"},
		"100,000 rows": {rows(100_000), "users-too-many"},
		"5 MB":         {head + strings.Repeat("a", 5<<20), "users-too-large"},
	} {
		r, l := Parse("users.csv", []byte(c.file))
		if r.Read || len(r.Rows) > 0 || len(l) != 1 || l[0].Code != c.code || !l.HasErrors() {
			t.Errorf("%s: read %v, %d rows, %v", name, r.Read, len(r.Rows), codes(l))
		}
	}
	if r, l := Parse("users.csv", []byte(rows(MaxRows))); len(r.Rows) != MaxRows || len(l) != 0 {
		t.Errorf("%d rows: got %d, %v", MaxRows, len(r.Rows), codes(l))
	}
	csvCase{"one row in another encoding", head + "ann,pw\nren\xe9,pw\nbob,\xe9\n", []Row{{Line: 2, User: "ann", Password: "pw"}}, []string{"bob"}, []string{"error users-encoding 3", "error users-encoding 4"}}.run(t)
	csvCase{"passwords", head + "ann," + strings.Repeat("x", MaxPassword+1) + "\nbob,a\ab\n", nil, []string{"ann", "bob"}, []string{"error users-password-long 2", "error users-password-characters 3"}}.run(t)
	csvCase{"a line without end", head + strings.Repeat("\u0301", 1<<20) + ",pw\nann,pw\n", []Row{{Line: 3, User: "ann", Password: "pw"}}, nil, []string{"error users-line-long 2"}}.run(t)
	csvCase{"an id twice", "user,password,admin,id\nann,pw,,7\nbob,pw,,7\n", nil, []string{"ann", "bob"}, []string{"error users-id-twice 3"}}.run(t)
}

// The readings that research measured on the old script itself.
func TestLegacyReading(t *testing.T) {
	for line, want := range map[string]reading{
		`ann,"pa,ss"`:        {"ann", `"pa`, false},
		`spaces name,pw,yes`: {"spaces", "name", false},
		`x,a\nb`:             {"x", "anb", false},
		`ann,,true`:          {"ann", "true", false},
		`,pw,true`:           {"pw", "true", false},
		`bob`:                {"bob", "", false},
		"ann,pw,true\r":      {"ann", "pw", false},
		"ann,pw\r":           {"ann", "pw\r", false},
		`ann,pw,true,x`:      {"ann", "pw", true},
		`ann,pw,yes please`:  {"ann", "pw", false},
	} {
		if got := legacyReading(line); got != want {
			t.Errorf("%q: got %+v, want %+v", line, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", head + "ann,pw,true\n", "a;b;c\nx;y;z", "\xff\xfea\x00", head + "a,\"b\nc\",d\r\n\"", head + "É,x\ne\u0301,y\nE\u0301,z"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, l := Parse("users.csv", data)
		if !r.Read && (len(r.Rows) > 0 || !l.HasErrors()) {
			t.Fatal("a file that was not read must say so and give nothing")
		}
		seen := map[string]bool{}
		for _, row := range r.Rows {
			if CheckName(row.User) != nil || Normalise(row.User) != row.User || seen[row.User] {
				t.Fatalf("not a name: %q", row.User)
			}
			if strings.ContainsAny(row.User, "/\\\x00\n ") || row.User[0] == '.' || row.User[0] == '-' {
				t.Fatalf("name does harm: %q", row.User)
			}
			seen[row.User] = true
		}
		for _, n := range l {
			if n.What == "" || n.Means == "" || n.Do == "" {
				t.Fatalf("notice is not whole: %#v", n)
			}
		}
	})
}
