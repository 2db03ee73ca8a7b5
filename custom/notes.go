package custom

import (
	"fmt"
	"strings"

	"github.com/conjuring/conjured/notice"
)

// meansRefused is the effect of every error: the folder waits, the class does not.
const meansRefused = "the folder cannot become a class as it is; a class that is running goes on unchanged"

// notes collects notices and keeps a folder with one mistake on 90,000 lines readable.
type notes struct {
	list  notice.List
	count map[string]int // by code and first path element
}

func (n *notes) add(sev notice.Severity, code, file string, line int, what, means, do string) {
	if n.count == nil {
		n.count = map[string]int{}
	}
	top, _, _ := strings.Cut(file, "/")
	key := code + "\x00" + top
	n.count[key]++
	if n.count[key] > MaxNotices {
		return
	}
	n.list = append(n.list, notice.Notice{
		Code: code, Severity: sev, File: printable(file), Line: line,
		What: what, Means: means, Do: do,
	})
}

func (n *notes) error(code, file string, line int, what, do string) {
	n.add(notice.SeverityError, code, file, line, what, meansRefused, do)
}

func (n *notes) warn(code, file string, line int, what, means, do string) {
	n.add(notice.SeverityWarning, code, file, line, what, means, do)
}

func (n *notes) info(code, file string, line int, what, means, do string) {
	n.add(notice.SeverityInfo, code, file, line, what, means, do)
}

// legacy says that a file means something else than it did in the old project.
func (n *notes) legacy(id, file string, line int, what, means string) {
	n.info("legacy-"+id, file, line, what+" ("+id+")", means, "nothing to do; change it if the old meaning was wanted")
}

// all is the sorted list, with a last word about what was left out.
func (n *notes) all() notice.List {
	l := n.list
	more := map[string]int{}
	for key, c := range n.count {
		if c > MaxNotices {
			more[key] = c - MaxNotices
		}
	}
	for i := len(l) - 1; i >= 0 && len(more) > 0; i-- {
		top, _, _ := strings.Cut(l[i].File, "/")
		key := l[i].Code + "\x00" + top
		if c := more[key]; c > 0 {
			l[i].What += fmt.Sprintf("; and %d more like this", c)
			delete(more, key)
		}
	}
	notice.Sort(l)
	return l
}

// printable is a name that can stand in a message whatever bytes it is made of.
func printable(name string) string {
	name = strings.ToValidUTF8(name, "\uFFFD")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return '\uFFFD'
		}
		return r
	}, name)
}

// short is s as it can be quoted in a message: printable and not long.
func short(s string) string {
	s = printable(s)
	if r := []rune(s); len(r) > 80 {
		return string(r[:77]) + "..."
	}
	return s
}
