package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/notice"
)

// Who has a kernel of before is told once what it takes to get what is new, and nobody
// else is told anything.
func TestNewsOf(t *testing.T) {
	change := func(names ...string) (out []environments.Change) {
		for i := 0; i < len(names); i += 2 {
			out = append(out, environments.Change{Name: names[i], To: names[i+1]})
		}
		return out
	}
	move := registry.Move{Env: "geo", To: environments.Generation{Env: "geo", Number: 5, Asked: []string{"cowsay", "numpy"}}}
	cow := environments.Heated{Generations: []int{4}, Packages: []string{"cow-parts", "cowsay"}}
	for name, x := range map[string]struct {
		heated   environments.Heated
		env      string
		open     []openKernel
		since    environments.Changes
		students map[atServer]string
		teacher  string
	}{
		"nobody": {heated: cow, open: []openKernel{{"amira", "", 5}}},
		"hot": {
			heated: cow, open: []openKernel{{"amira", "", 4}, {"amira", "", 4}, {"ben", "", 5}},
			students: map[atServer]string{{"amira", ""}: "cowsay and 1 more package can be imported now"},
			teacher:  "cowsay and 1 more package can be imported now; it reached 2 open kernels; nothing has to be restarted",
		},
		"restart": {
			env: "geo-101", open: []openKernel{{"amira", "data", 4}, {"ben", "", 4}, {"cleo", "", 5}},
			since: environments.Changes{Upgraded: change("abc", "1", "numpy", "2.4"), Added: change("cowsay", "6", "x", "1")},
			students: map[atServer]string{
				{"amira", "data"}: "Restart the kernel geo-101 to get numpy 2.4, cowsay and 2 more packages",
				{"ben", ""}:       "Restart the kernel geo-101 to get numpy 2.4, cowsay and 2 more packages",
			},
			teacher: "Restart the kernel geo-101 to get numpy 2.4, cowsay and 2 more packages; told to 2 students with an open kernel; nobody else notices",
		},
		"older than what was heated": {
			heated: cow, open: []openKernel{{"amira", "", 4}, {"amira", "", 2}},
			since:    environments.Changes{Python: &environments.Change{Name: "python", From: "3.12", To: "3.13"}},
			students: map[atServer]string{{"amira", ""}: "Restart the kernel to get Python 3.13"},
			teacher:  "Restart the kernel to get Python 3.13; told to 1 student with an open kernel; nobody else notices",
		},
		"only less": {open: []openKernel{{"amira", "", 6}}, since: environments.Changes{Removed: change("cowsay", "")}},
		"rebuilt": {
			open: []openKernel{{"amira", "", 4}}, since: environments.Changes{Rebuilt: change("abc", "1")},
			students: map[atServer]string{{"amira", ""}: "Restart the kernel to get abc 1"},
			teacher:  "Restart the kernel to get abc 1; told to 1 student with an open kernel; nobody else notices",
		},
	} {
		got := newsOf(move, x.heated, x.env, x.open, func(int) environments.Changes { return x.since })
		students := map[atServer]string{}
		for who, n := range got.students {
			students[who] = n.What
			if n.Means == "" || n.Severity != notice.SeverityInfo || n.Code == "" {
				t.Errorf("%s: %+v", name, n)
			}
		}
		if x.students == nil {
			x.students = map[atServer]string{}
		}
		if d := cmp.Diff(x.students, students, cmp.AllowUnexported(atServer{})); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		said := ""
		if got.teacher != (notice.Notice{}) {
			said = got.teacher.What + "; " + got.teacher.Means
		}
		if said != x.teacher {
			t.Errorf("%s: the teacher reads %q, want %q", name, said, x.teacher)
		}
	}
}

func TestSeenBy(t *testing.T) {
	course := seenKernel{students: []string{"amira"}}
	for _, x := range []struct {
		k     seenKernel
		user  string
		admin bool
		want  bool
	}{
		{seenKernel{}, "ben", false, true},
		{course, "amira", false, true},
		{course, "ben", false, false},
		{course, "teacher", true, true},
		{seenKernel{students: []string{}}, "amira", false, false},
	} {
		if got := x.k.seenBy(x.user, x.admin); got != x.want {
			t.Errorf("%+v %s: %v", x.k, x.user, got)
		}
	}
}
