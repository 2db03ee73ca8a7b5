// Package client speaks to the daemon on its unix socket, for the command line.
//
// Each call takes a context and returns either the typed answer or an error in
// whose chain [notice.For] finds what to tell the person. [ErrNotRunning] is in
// the chain when nobody listens; programs exit with 10 then.
package client
