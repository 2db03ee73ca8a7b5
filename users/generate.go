package users

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
)

// passwordChars are those of the old create_users.py.
const passwordChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:;()"

// heading is line 1 of a users.csv that is made here.
const heading = "user,password,admin\n"

// GenOptions are the options of `conjured users gen`, as create_users.py had them
// (U13). Zero values stand for its defaults.
type GenOptions struct {
	Num            int    // accounts to add; 0 means 20
	UserName       string // names are this and a number from 1 on; "" means conjuring
	PasswordLen    int    // characters of a password; 0 means 8
	UnsafePassword string // passwords are this and the number of the account; "" means random ones
	CreateAdmin    bool   // also make an admin, unless there is one of that name
	AdminUser      string // "" means admin
	AdminLen       int    // characters of the admin's password; 0 means 12
	Append         bool   // keep the accounts of the existing file, go on after the highest number
}

func (o GenOptions) withDefaults() (GenOptions, error) {
	for _, d := range []struct {
		n      *int
		preset int
		most   int
		what   string
	}{
		{&o.Num, 20, MaxRows - 1, "the number of accounts"},
		{&o.PasswordLen, 8, MaxPassword, "the length of passwords"},
		{&o.AdminLen, 12, MaxPassword, "the length of the admin's password"},
	} {
		if *d.n == 0 {
			*d.n = d.preset
		}
		if *d.n < 1 || *d.n > d.most {
			return o, fmt.Errorf("%s must be 1 to %d", d.what, d.most)
		}
	}
	if o.UserName == "" {
		o.UserName = "conjuring"
	}
	if o.AdminUser == "" {
		o.AdminUser = "admin"
	}
	o.UserName, o.AdminUser = Normalise(o.UserName), Normalise(o.AdminUser)
	if strings.ContainsAny(o.UnsafePassword, "\",\r\n") || strings.TrimSpace(o.UnsafePassword) != o.UnsafePassword {
		return o, errors.New("the start of the passwords may not hold a comma, a quotation mark, a line break, or a blank at its edges")
	}
	return o, nil
}

// Generate makes a users.csv and tells which rows are new. existing is the file so
// far; it counts with Append only, and its rows stay as they are (with LF at their
// ends). The file has three columns, LF, and reads back without an error.
func Generate(existing []byte, o GenOptions) (file []byte, added []Row, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	text, have := heading, map[string]bool{}
	if o.Append {
		if text, have, err = keepRows(existing); err != nil {
			return nil, nil, err
		}
	}
	first := 1 + highest(have, o.UserName)
	for n := first; n < first+o.Num; n++ {
		r := Row{User: o.UserName + strconv.Itoa(n), Password: randomPassword(o.PasswordLen)}
		if o.UnsafePassword != "" {
			r.Password = o.UnsafePassword + strconv.Itoa(n)
		}
		added = append(added, r)
	}
	if o.CreateAdmin && !have[o.AdminUser] {
		added = append(added, Row{User: o.AdminUser, Password: randomPassword(o.AdminLen), Admin: true})
	}
	line := strings.Count(text, "\n")
	for i := range added {
		line++
		added[i].Line = line
		admin := ""
		if added[i].Admin {
			admin = "true"
		}
		text += added[i].User + "," + added[i].Password + "," + admin + "\n"
	}
	return []byte(text), added, checkGenerated([]byte(text), added)
}

// keepRows is the existing file with a heading and LF, and the names in it.
func keepRows(existing []byte) (string, map[string]bool, error) {
	have := map[string]bool{}
	if len(bytes.TrimSpace(existing)) == 0 {
		return heading, have, nil
	}
	old, notices := Parse("users.csv", existing)
	if !old.Read {
		return "", nil, notices.Err()
	}
	lines := splitLines(existing)
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], "\r")
	}
	// A file of the old script with --create_admin has no heading, and its first
	// account was lost to everybody who read it.
	for _, n := range notices {
		if n.Code == "users-heading" {
			lines = slices.Insert(lines, 0, strings.TrimSpace(heading))
		}
	}
	text := strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
	now, _ := Parse("users.csv", []byte(text))
	for _, r := range now.Rows {
		have[r.User] = true
	}
	for _, name := range now.Held {
		have[name] = true
	}
	return text, have, nil
}

// highest number of the names that are prefix and digits; 0 when there is none.
func highest(names map[string]bool, prefix string) int {
	top := 0
	for name := range names {
		if digits, ok := strings.CutPrefix(name, prefix); ok {
			if n, err := strconv.Atoi(digits); err == nil && n < 1<<30 {
				top = max(top, n)
			}
		}
	}
	return top
}

func randomPassword(n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = passwordChars[below(len(passwordChars))]
	}
	return string(out)
}

// checkGenerated reads the file back: what is written must work.
func checkGenerated(file []byte, added []Row) error {
	r, notices := Parse("users.csv", file)
	got := map[string]Row{}
	for _, row := range r.Rows {
		got[row.User] = row
	}
	for _, a := range added {
		if got[a.User] != a {
			if err := notices.Err(); err != nil {
				return err
			}
			return fmt.Errorf("cannot make the account %q: it would not be read as it was meant", a.User)
		}
	}
	return nil
}

// WriteCSV puts a generated file at path, whole or not at all, readable by its
// owner only since it holds passwords.
func WriteCSV(path string, data []byte) error {
	if err := renameio.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}
