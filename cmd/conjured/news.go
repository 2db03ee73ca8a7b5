package main

import (
	"slices"
	"strings"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/notice"
)

// This file has the words for packages that came while kernels run.

// atServer is one server of a student.
type atServer struct{ user, server string }

// news is what is told after a move.
type news struct {
	students map[atServer]notice.Notice
	teacher  notice.Notice // zero when no kernel runs that has not what is new
}

// newsOf makes one notice for each server. A kernel that got everything at once needs
// nothing; for all others since tells what they lack.
func newsOf(m registry.Move, heated environments.Heated, name string, open []openKernel, since func(number int) environments.Changes) news {
	out := news{students: map[atServer]notice.Notice{}}
	at, ready := map[atServer]bool{}, 0
	worst := ""
	for _, k := range open {
		if k.number == m.To.Number {
			continue
		}
		who := atServer{k.user, k.server}
		if slices.Contains(heated.Generations, k.number) {
			ready++
			if _, told := out.students[who]; !told {
				out.students[who] = importable(what(added(heated.Packages), m.To.Asked), name)
			}
			continue
		}
		gets := what(arriving(since(k.number)), m.To.Asked)
		if gets == "" {
			continue // it has all that there is, and more
		}
		out.students[who], at[who], worst = restart(gets, name), true, gets
	}
	switch {
	case worst != "":
		out.teacher = restart(worst, name)
		out.teacher.Means, out.teacher.Do = "told to "+plural(len(at), "student")+" with an open kernel; nobody else notices", ""
	case ready > 0:
		out.teacher = importable(what(added(heated.Packages), m.To.Asked), name)
		out.teacher.Means = "it reached " + plural(ready, "open kernel") + "; nothing has to be restarted"
	}
	return out
}

// importable is said where a kernel that runs has what is new.
func importable(what, name string) notice.Notice {
	n := notice.Notice{
		Code: "packages-added", Severity: notice.SeverityInfo,
		What:  what + " can be imported now",
		Means: "your open notebooks can use it, and nothing has to be restarted",
	}
	if name != "" {
		n.What += " in " + name
	}
	return n
}

// restart is said where a kernel that runs keeps what it was started with.
func restart(what, name string) notice.Notice {
	n := notice.Notice{
		Code: "packages-changed", Severity: notice.SeverityInfo,
		What:  "Restart the kernel to get " + what,
		Means: "until then your notebook goes on with what it was started with; a restart clears its variables",
		Do:    "save, then choose Restart Kernel in the menu Kernel when it suits you",
	}
	if name != "" {
		n.What = "Restart the kernel " + name + " to get " + what
	}
	return n
}

// added are names as changes.
func added(names []string) []environments.Change {
	var out []environments.Change
	for _, n := range names {
		out = append(out, environments.Change{Name: n})
	}
	return out
}

// arriving is what a restart brings, with versions where there was one before.
func arriving(c environments.Changes) []environments.Change {
	var out []environments.Change
	if c.Python != nil {
		out = append(out, environments.Change{Name: "Python", To: c.Python.To})
	}
	out = append(out, slices.Concat(c.Upgraded, c.Downgraded)...)
	for _, a := range c.Added {
		out = append(out, environments.Change{Name: a.Name})
	}
	if len(out) == 0 && len(c.Rebuilt) > 0 {
		out = append(out, environments.Change{Name: c.Rebuilt[0].Name, To: c.Rebuilt[0].To})
	}
	if n := len(c.Variables); len(out) == 0 && n > 0 {
		out = append(out, environments.Change{Name: "the new values of " + plural(n, "variable")})
	}
	return out
}

// what names changes shortly, those first that the teacher's files ask for: "numpy 2.4,
// cowsay and 3 more packages".
func what(changes []environments.Change, asked []string) string {
	var first, rest []string
	for _, c := range changes {
		words := strings.TrimSpace(c.Name + " " + c.To)
		if slices.Contains(asked, c.Name) || c.Name == "Python" {
			first = append(first, words)
		} else {
			rest = append(rest, words)
		}
	}
	all := append(first, rest...)
	n := min(max(len(first), 1), 3, len(all))
	parts := all[:n]
	if more := len(all) - n; more > 0 {
		parts = append(slices.Clone(parts), plural(more, "more package"))
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}
