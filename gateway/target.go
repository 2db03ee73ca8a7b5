package gateway

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// target is where a route leads. Exactly one of socket and a TCP host is meant.
type target struct {
	scheme string // of the URL for the transport: "http" or "https"
	host   string // of that URL; for a socket a name made of its path, see socketHost
	socket string // clean absolute path; "" for TCP
	prefix string // escaped path put before each request's, without a final slash
	query  string // put before each request's; "" for none
}

var errTarget = errors.New("cannot use the target")

// parseTarget reads a route's target. JupyterHub writes a unix socket as
// http+unix:// and the escaped path in the place of the host, in either case of
// the hexadecimal digits and with a meaningless port ":80" behind it; older
// programs write unix+http.
func parseTarget(s string) (target, error) {
	scheme, rest, _ := strings.Cut(s, "://")
	switch strings.ToLower(scheme) {
	case "http+unix", "unix+http":
		return parseSocket(rest)
	case "http", "https":
	default:
		return target{}, fmt.Errorf("%w: scheme %q is none of http, https, http+unix", errTarget, scheme)
	}
	u, err := url.Parse(s)
	if err != nil {
		return target{}, fmt.Errorf("%w: %w", errTarget, err)
	}
	if u.Hostname() == "" || u.User != nil {
		return target{}, fmt.Errorf("%w: it must name a host and no user", errTarget)
	}
	return target{scheme: u.Scheme, host: u.Host, prefix: strings.TrimRight(u.EscapedPath(), "/"), query: u.RawQuery}, nil
}

func parseSocket(rest string) (target, error) {
	host, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.Trim(host[i+1:], "0123456789") == "" {
		host = host[:i]
	}
	socket, err := url.PathUnescape(host)
	if err != nil {
		return target{}, fmt.Errorf("%w: %w", errTarget, err)
	}
	if !filepath.IsAbs(socket) || filepath.Clean(socket) != socket || strings.ContainsRune(socket, 0) {
		return target{}, fmt.Errorf("%w: %q is no plain absolute path", errTarget, socket)
	}
	if path != "" {
		if _, err := url.PathUnescape(path); err != nil {
			return target{}, fmt.Errorf("%w: %w", errTarget, err)
		}
		path = strings.TrimRight("/"+path, "/")
	}
	return target{scheme: "http", host: socketHost(socket), socket: socket, prefix: path}, nil
}

// name is the Host that a target knows itself by: for a socket there is none but this.
func (t target) name() string {
	if t.socket != "" {
		return "localhost"
	}
	return t.host
}

const socketSuffix = ".socket.invalid"

// socketHost names a socket as a host, so that http.Transport keeps one pool of
// connections per socket; .invalid can never be a real host (RFC 2606).
func socketHost(path string) string { return hex.EncodeToString([]byte(path)) + socketSuffix }

func isSocket(host string) bool { return strings.HasSuffix(host, socketSuffix) }

// socketOf undoes socketHost for a dialled "host:port"; false for other hosts.
func socketOf(addr string) (string, bool) {
	host, _, _ := strings.Cut(addr, ":")
	name, ok := strings.CutSuffix(host, socketSuffix)
	if !ok {
		return "", false
	}
	path, err := hex.DecodeString(name)
	return string(path), err == nil
}
