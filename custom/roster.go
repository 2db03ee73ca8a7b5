package custom

import (
	"bytes"
	"slices"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/users"
)

// readUsers reads users.csv; what it means is for package users to say.
func (r *reader) readUsers() {
	if r.opt.saved {
		r.f.roster = r.opt.roster
		return
	}
	if !r.listed(UsersCSV) {
		r.f.roster = users.Roster{File: UsersCSV}
		r.warn("users-absent", UsersCSV, 0, "there is no users.csv (A1)", "the accounts stay as they are; a new class starts, and nobody can log in",
			"add users.csv with a line for each student: name,password,admin")
		return
	}
	data, ok := r.bytes(UsersCSV, MaxUsersCSV)
	if data == nil || !ok {
		return
	}
	r.f.users = data
	roster, notices := users.Parse(UsersCSV, data)
	for _, n := range notices {
		if n.Line == 0 && n.Severity == notice.SeverityError {
			n.Line = 1 // the whole file is meant, and a person looks at its beginning
		}
		r.list = append(r.list, n)
	}
	r.f.roster = roster
}

// rosterText is users.csv for its fingerprint: whether a spreadsheet ends lines
// as Windows does is no news.
func (f *Folder) rosterText() string {
	return string(bytes.ReplaceAll(bytes.TrimPrefix(f.users, []byte("\xef\xbb\xbf")), []byte("\r\n"), []byte("\n")))
}

func cloneRoster(r users.Roster) users.Roster {
	r.Rows, r.Held = slices.Clone(r.Rows), slices.Clone(r.Held)
	return r
}
