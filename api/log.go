package api

import (
	"net/url"
	"time"
)

// LogEntry is one line of what happened to accounts. It holds no password, and no
// name that belongs to nobody.
type LogEntry struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"`             // login, wrong-password, unknown-name, made-to-wait, password-set, account-added ...
	User    string    `json:"user,omitempty"`    // an account, also a removed one
	Unknown string    `json:"unknown,omitempty"` // the same for the same unknown name, until the daemon restarts
	Address string    `json:"address,omitempty"` // of the browser; "" is a program on the box
	By      string    `json:"by,omitempty"`      // who set a password: student, teacher, generated, roster
	More    int       `json:"more,omitempty"`    // tries that have no line of their own
}

// LogQuery says which lines are wanted. The zero LogQuery wants all there are.
type LogQuery struct {
	User   string
	Since  time.Time // and later
	Follow bool      // and those to come
}

// Values is q as the query of a URL.
func (q LogQuery) Values() url.Values {
	v := url.Values{}
	if q.User != "" {
		v.Set("user", q.User)
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	if q.Follow {
		v.Set("follow", "1")
	}
	return v
}

// ParseLogQuery reads what Values wrote.
func ParseLogQuery(v url.Values) (q LogQuery, err error) {
	q.User, q.Follow = v.Get("user"), v.Get("follow") == "1"
	if s := v.Get("since"); s != "" {
		q.Since, err = time.Parse(time.RFC3339Nano, s)
	}
	return q, err
}
