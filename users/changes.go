package users

import (
	"fmt"
	"strings"
)

// Changes is what one Apply did. Names are in the order of the roster.
type Changes struct {
	Accounts        int      `json:"accounts"` // that can log in now by this roster
	Added           []string `json:"added,omitempty"`
	Restored        []string `json:"restored,omitempty"` // their row is back
	Removed         []string `json:"removed,omitempty"`
	PasswordChanged []string `json:"password_changed,omitempty"`
	AdminGiven      []string `json:"admin_given,omitempty"`
	AdminTaken      []string `json:"admin_taken,omitempty"`
	Generated       []Login  `json:"-"` // shown to the teacher once, kept nowhere

	save bool // also true when only row numbers moved
}

// Empty tells whether the class is the same as before.
func (c Changes) Empty() bool {
	return len(c.Added)+len(c.Restored)+len(c.Removed)+len(c.PasswordChanged)+len(c.AdminGiven)+len(c.AdminTaken)+len(c.Generated) == 0
}

// Lines says what changed, one line for each kind, most wanted first, without
// passwords. No change gives one line too.
func (c Changes) Lines() []string {
	var out []string
	say := func(names []string, one, many string) {
		switch len(names) {
		case 0:
		case 1:
			out = append(out, names[0]+" "+one)
		default:
			out = append(out, fmt.Sprintf("%d accounts %s: %s", len(names), many, some(names)))
		}
	}
	say(c.Added, "can log in now (new)", "are new and can log in now")
	say(c.Restored, "is back, with the same files", "are back, with the same files")
	say(c.Removed, "is out of the class; the files are kept", "are out of the class; their files are kept")
	say(c.PasswordChanged, "has a new password", "have new passwords")
	say(c.AdminGiven, "is a teacher (admin) now", "are teachers (admin) now")
	say(c.AdminTaken, "is not a teacher (admin) any more", "are not teachers (admin) any more")
	if n := len(c.Generated); n > 0 {
		out = append(out, fmt.Sprintf("%d passphrases were made; write them down, they are shown once", n))
	}
	if len(out) == 0 {
		out = append(out, fmt.Sprintf("no account changed (%d accounts)", c.Accounts))
	}
	return out
}

// String is Lines as one sentence.
func (c Changes) String() string { return strings.Join(c.Lines(), "; ") }

// some names up to eight and counts the rest.
func some(names []string) string {
	const n = 8
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}
