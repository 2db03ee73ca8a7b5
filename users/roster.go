package users

import (
	"log/slog"

	"github.com/conjuring/conjured/notice"
)

// Limits of users.csv.
const (
	MaxFile     = 4 << 20 // bytes of the whole file
	MaxRows     = 5000    // accounts in one file
	MaxName     = 31      // bytes of a name, as in useradd
	MaxPassword = 256     // bytes of a password
	maxID       = 64      // bytes of the optional column id
	maxLine     = 4096    // bytes of one line
	maxNotices  = 200     // notices from one file; the rest are counted
)

// Row is one account as the teacher wrote it.
type Row struct {
	Line     int    `json:"row"` // physical line in users.csv, 1-based
	User     string `json:"user"`
	Password string `json:"-"` // "" asks for a generated passphrase
	Admin    bool   `json:"admin"`
	ID       string `json:"id,omitempty"` // optional column: the same person under a new name
}

// LogValue keeps the password out of logs.
func (r Row) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("row", r.Line), slog.String("user", r.User))
}

// Roster is what one users.csv asks for. The zero Roster was not read and is
// refused by [Store.Apply]; a file with a heading only gives a Roster without
// rows, which takes every account out of the class.
type Roster struct {
	File string   `json:"file"`           // for notices, relative to the teacher's folder
	Read bool     `json:"-"`              // false when the file as a whole could not be understood
	Rows []Row    `json:"rows"`           // in the order of the file, each name once
	Held []string `json:"held,omitempty"` // names of rows with an error; their accounts stay as they are
}

// Parse reads users.csv by rows U1 to U6 of the feature table. Rows with an error
// are left out and reported; all other rows are ready. It never fails: a file that
// can't be understood at all gives a Roster with Read false and an error notice.
// Notices never hold a password.
func Parse(file string, data []byte) (Roster, notice.List) {
	p := parser{file: file, roster: Roster{File: file}, typed: map[int]string{}}
	if !p.readable(data) {
		return p.roster, p.notices
	}
	p.parse(splitLines(data))
	return p.roster, p.limited()
}
