package users

import (
	"errors"

	"github.com/conjuring/conjured/notice"
)

// Account is what the box knows about a name. It holds no secret.
type Account struct {
	Name     string `json:"user"`
	UID      int    `json:"uid"` // 2000 or more
	Admin    bool   `json:"admin"`
	Disabled bool   `json:"disabled,omitempty"` // its row is gone from users.csv; home and UID are kept
	Row      int    `json:"row,omitempty"`      // line in users.csv; 0 when Disabled
	Password Origin `json:"password"`           // where the valid password comes from
}

// Origin says who chose the password that is valid now.
type Origin string

// The origins of a password.
const (
	FromRoster  Origin = "roster"
	FromBox     Origin = "generated"
	FromStudent Origin = "student"
	FromTeacher Origin = "teacher"
)

// Errors of the store; compare with errors.Is.
var (
	ErrNoAccount = errors.New("no such account")
	ErrBadLogin  = errors.New("name or password is not right") // does not tell which
	ErrDisabled  = errors.New("the account is not in the class any more")
	ErrClosed    = errors.New("the account store is closed")
)

// Login is a name with a password that was made just now. It is shown to the
// teacher once and kept nowhere.
type Login struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

func passwordNotice(code, what, do string) *notice.Error {
	return &notice.Error{Notice: notice.Notice{
		Code: code, Severity: notice.SeverityError, What: what,
		Means: "the old password is still the right one", Do: do,
	}}
}
