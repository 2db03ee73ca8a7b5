package gateway

import (
	"time"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/notice"
)

// Class is what the front door shows of the class. Both calls must not block:
// Phase is asked for each request.
type Class interface {
	Phase() api.Phase
	About() About
}

// About describes the class to anybody who can open the page: no user names, no
// secrets.
type About struct {
	Name    string          // of the class; "" is shown as "The class"
	Since   time.Time       // when the phase began
	Login   string          // how to log in, one sentence; "" for the usual one
	Notices []notice.Notice // what keeps the class from being ready or whole
}
