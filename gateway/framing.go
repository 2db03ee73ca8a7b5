package gateway

import (
	"bytes"
	"errors"
	"strconv"
)

// The limits on a request's head. What browsers send is far below; tornado, behind us,
// takes 64 KiB in all.
const (
	maxRequestLine = 16 << 10 // bytes
	maxHeaderLines = 128      // trailers included
	maxChunkLine   = 1 << 10  // bytes
)

var errFraming = errors.New("the request is not written as RFC 9112 wants it")

// framing follows a stream of HTTP/1 requests as the bytes come, and says where it stops
// to be written exactly as RFC 9112 wants it. It is stricter than net/http, which takes
// and mends much (lengths beside chunks, folded lines, bare line feeds) before a handler
// can see it: what is mended by one and not by another is how requests are smuggled.
type framing struct {
	state   framingState
	line    []byte // what has come of a line that is not complete
	left    int64  // bytes of the body or the chunk
	head    int    // bytes of the head so far
	lines   int    // of the head
	length  int64  // -1: none
	chunked bool
	old     bool // HTTP/1.0
	upgrade bool // to a websocket
}

type framingState int

const (
	atStart framingState = iota
	inHead
	inBody
	atChunk
	inChunk
	afterChunk
	inTrailer
	isOpaque // a websocket, or on its way to one
)

// feed follows p. It returns how many bytes may be passed on, and an error if that is
// not all of them.
func (f *framing) feed(p []byte) (int, error) {
	for at := 0; at < len(p); {
		switch f.state {
		case isOpaque:
			return len(p), nil
		case inBody, inChunk:
			n := min(f.left, int64(len(p)-at))
			f.left -= n
			at += int(n)
			if f.left == 0 {
				f.bodyEnd()
			}
			continue
		}
		end := bytes.IndexByte(p[at:], '\n')
		if end < 0 {
			if len(f.line)+len(p)-at > f.longest() {
				return at, errFraming
			}
			f.line = append(f.line, p[at:]...)
			return len(p), nil
		}
		line := p[at : at+end+1]
		if len(f.line) > 0 {
			f.line = append(f.line, line...)
			line = f.line
		}
		if len(line) > f.longest() || !f.take(line) {
			return at, errFraming
		}
		f.line = f.line[:0]
		if cap(f.line) > 1<<10 {
			f.line = nil
		}
		at += end + 1
	}
	return len(p), nil
}

func (f *framing) longest() int {
	switch f.state {
	case atStart:
		return maxRequestLine
	case inHead, inTrailer:
		return maxHeaderBytes + 8<<10 - f.head // net/http answers 431 a little earlier
	}
	return maxChunkLine
}

// bodyEnd is reached when the body or a chunk is complete.
func (f *framing) bodyEnd() {
	if f.state == inChunk {
		f.state = afterChunk
		return
	}
	f.state = atStart
}

// take follows a whole line, and tells whether it is a proper one.
func (f *framing) take(line []byte) bool {
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || !printable(text) {
		return false
	}
	switch f.state {
	case atStart:
		return len(text) == 0 || f.start(text)
	case inHead, inTrailer:
		f.head += len(line)
		if len(text) > 0 {
			f.lines++
			return f.lines <= maxHeaderLines && f.header(text)
		}
		if f.state == inTrailer {
			f.state = atStart
			return true
		}
		return f.headEnd()
	case atChunk:
		return f.chunk(text)
	case afterChunk:
		f.state = atChunk
		return len(text) == 0
	}
	return false
}

// printable tells whether a line has no control characters but tabs.
func printable(line []byte) bool {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// start reads a request line: method, target and version with one space between.
func (f *framing) start(text []byte) bool {
	method, rest, _ := bytes.Cut(text, []byte(" "))
	to, version, ok := bytes.Cut(rest, []byte(" "))
	if !ok || !token(method) || bytes.ContainsAny(to, " \t") {
		return false
	}
	switch form := bytes.ToLower(to[:min(len(to), len("https://"))]); {
	case bytes.HasPrefix(to, []byte("/")), bytes.HasPrefix(form, []byte("http://")), bytes.HasPrefix(form, []byte("https://")):
	case string(method) == "CONNECT", string(method) == "OPTIONS" && string(to) == "*":
	default:
		return false
	}
	*f = framing{state: inHead, line: f.line, head: len(text) + 2, length: -1, old: string(version) == "HTTP/1.0"}
	return f.old || string(version) == "HTTP/1.1"
}

// header reads a header's line.
func (f *framing) header(text []byte) bool {
	name, value, ok := bytes.Cut(text, []byte(":"))
	if !ok || !token(name) { // a folded line begins with a space
		return false
	}
	value = bytes.Trim(value, " \t")
	switch {
	case len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.ParseUint(string(value), 10, 62)
		if err != nil || value[0] == '+' || f.length >= 0 || f.state == inTrailer {
			return false
		}
		f.length = int64(n)
	case len(name) == 17 && bytes.EqualFold(name, []byte("Transfer-Encoding")):
		if !bytes.EqualFold(value, []byte("chunked")) || f.chunked || f.old || f.state == inTrailer {
			return false
		}
		f.chunked = true
	case len(name) == 7 && bytes.EqualFold(name, []byte("Upgrade")):
		f.upgrade = f.upgrade || bytes.Contains(bytes.ToLower(value), []byte("websocket"))
	}
	return true
}

// headEnd says what follows the head.
func (f *framing) headEnd() bool {
	switch {
	case f.chunked && f.length >= 0:
		return false
	case f.chunked:
		f.state = atChunk
	case f.length > 0:
		f.state, f.left = inBody, f.length
	case f.upgrade:
		f.state = isOpaque
	default:
		f.state = atStart
	}
	return true
}

// chunk reads the line before a chunk: hexadecimal digits, then perhaps an extension.
func (f *framing) chunk(text []byte) bool {
	digits, _, _ := bytes.Cut(text, []byte(";"))
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > 15 {
		return false
	}
	for _, c := range digits {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	n, err := strconv.ParseInt(string(digits), 16, 64)
	f.left, f.state = n, inChunk
	if n == 0 {
		f.state = inTrailer
	}
	return err == nil
}

// token tells whether b is a token (RFC 9110 §5.6.2).
func token(b []byte) bool {
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}
