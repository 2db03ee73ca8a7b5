package api

import "github.com/conjuring/conjured/notice"

// Apply asks for the folder Dir (an absolute path on the daemon's machine) to
// become the class.
type Apply struct {
	Dir string `json:"dir"`
}

// Build asks for the desired setup to be built again. The zero Build builds what
// changed.
type Build struct {
	Fresh bool `json:"fresh"` // forget what earlier builds left in their caches
}

// Applied says that a wish was taken. Wait at [AppliedPath] for what becomes of it.
type Applied struct {
	ID      string          `json:"id"`      // of the setup
	Changes []string        `json:"changes"` // what differs from the serving setup, in words; none: nothing to do
	Notices []notice.Notice `json:"notices"` // about the folder; never of severity error, which would be a Problem
}

// Result is what became of a setup.
type Result struct {
	ID      string          `json:"id"`
	Serving bool            `json:"serving"` // false: it failed, and the setup before it still serves
	Partly  bool            `json:"partly"`  // it serves, and a notice says what of it could not be had
	Notices []notice.Notice `json:"notices"`
	Logins  []Login         `json:"logins,omitempty"` // passwords that were made up; shown this once
}

// Login is a name with a password that was made up. It is kept nowhere.
type Login struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// Users are the accounts of the roster, by name.
type Users struct {
	Users []User `json:"users"`
}

// User is one account. It never holds a password.
type User struct {
	Name       string `json:"name"`
	Admin      bool   `json:"admin"`
	UID        int    `json:"uid"`
	Row        int    `json:"row,omitempty"`         // in users.csv, 1-based; 0 when no longer there
	Removed    bool   `json:"removed,omitempty"`     // gone from the roster; home and UID are kept
	OwnChoice  bool   `json:"own_choice,omitempty"`  // the student changed the password
	HasServer  bool   `json:"has_server,omitempty"`  // a server runs now
	NoPassword bool   `json:"no_password,omitempty"` // cannot log in yet
}

// Password is a new password. In a request an empty one means "make one up"; in
// the answer it is shown this once and kept nowhere.
type Password struct {
	Password string `json:"password"`
}

// Environments are all environments of the class.
type Environments struct {
	Environments []Environment `json:"environments"`
}

// Problem is the body of each answer that is not 2xx.
type Problem struct {
	Notices notice.List `json:"notices"`
}
