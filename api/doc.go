// Package api holds what travels between the daemon and its command line: the
// paths and JSON bodies served on the unix socket api.sock.
//
// The socket is the only door: its file mode (0600, root) is the whole of the
// authorisation, so nothing here carries a token. Field names are snake_case and
// only ever added; a client ignores what it does not know. Sizes are bytes, times
// are RFC 3339, durations are seconds. Every answer that is not 2xx is a [Problem].
package api
