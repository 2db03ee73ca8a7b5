package gateway

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Close codes of RFC 6455 §7.4.1, and the time in which a browser may take one.
const (
	closeGoingAway = 1001 // the daemon stops; Lab connects anew
	closeForbidden = 1008 // the user is closed
	farewell       = time.Second
)

// joint is an open websocket: a browser's connection and a target's.
type joint struct {
	proxy           *Proxy
	route           *route
	flight          flight
	browser, target net.Conn
	down            frames       // of what the target says
	code            atomic.Int32 // of the close to say to the browser, 0 for none
	ended           atomic.Int32 // directions
	wired           *wireJoint   // nil: two goroutines carry it
}

// carry moves bytes both ways until both directions have ended, and then the flight
// lands. Where a side is no plain socket (TLS) two goroutines do it.
func (j *joint) carry() {
	j.proxy.pumps.Add(1)
	r := j.proxy.relaying()
	if r == nil || !j.proxy.flights.relayed(j, r) {
		j.run()
	}
}

// landed is called once, at the end.
func (j *joint) landed() {
	j.flight.land()
	j.proxy.pumps.Done()
}

// run moves bytes both ways by two goroutines.
func (j *joint) run() {
	j.proxy.flights.joined(j)
	j.proxy.pumps.Go(func() {
		err := j.pump(j.target, j.browser, nil)
		j.half(j.target, err)
	})
	j.proxy.pumps.Go(func() {
		err := j.pump(j.browser, j.target, &j.down)
		if code := j.code.Load(); code != 0 && err != nil && j.down.between() {
			if _, werr := j.browser.Write(closeFrame(uint16(code))); werr == nil {
				err = nil
				_ = j.target.Close()
			}
		}
		j.half(j.browser, err)
	})
}

// half is reached when the direction to dst has ended, by err or properly.
func (j *joint) half(dst net.Conn, err error) {
	first := j.ended.Add(1) == 1
	if first && err == nil && closeWrite(dst) {
		// A proper end: the other direction may say its last words.
		_ = dst.SetReadDeadline(time.Now().Add(halfOpen))
		return
	}
	_, _ = j.browser.Close(), j.target.Close()
	if !first {
		j.landed()
	}
}

// end says the code to the browser, between two frames, and closes both sides within a
// moment whatever they do.
func (j *joint) end(code int32) {
	if j.code.Swap(code) != 0 {
		return
	}
	if j.wired != nil {
		j.wired.say(uint16(code))
		return
	}
	_ = j.target.SetReadDeadline(time.Unix(1, 0))
	time.AfterFunc(farewell, func() { _, _ = j.browser.Close(), j.target.Close() })
}

// closeWrite ends the direction to c, if c can end one alone.
func closeWrite(c net.Conn) bool {
	half, ok := c.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// pump moves bytes from src to dst until src ends (nil) or either fails. While nothing
// comes it holds no buffer. It reads no clock: the table keeps a coarse one.
func (j *joint) pump(dst, src net.Conn, follow *frames) error {
	dst = bare(dst)
	read := reader(bare(src), &j.proxy.buffers)
	var until int64 // ms; a reader who takes nothing does not hold us for ever
	for {
		buf, n, err := read()
		if n > 0 {
			now := j.proxy.config.Routes.active(j.route)
			if now > until {
				until = now + stallTimeout.Milliseconds()
				_ = dst.SetWriteDeadline(time.UnixMilli(until).Add(stallTimeout))
			}
			if follow != nil {
				follow.feed((*buf)[:n])
			}
			_, err = dst.Write((*buf)[:n])
		}
		if buf != nil {
			j.proxy.buffers.Put(buf)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// frames follows the frames of one direction of a websocket (RFC 6455 §5.2), to know
// where one ends.
type frames struct {
	head [14]byte
	have int
	left uint64 // bytes of the payload
}

func (f *frames) feed(p []byte) {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(p)))
			f.left -= n
			p = p[n:]
			continue
		}
		f.head[f.have] = p[0]
		p = p[1:]
		if f.have++; f.have == f.size() {
			f.left = f.length()
			f.have = 0
		}
	}
}

// between tells whether a frame may begin here.
func (f *frames) between() bool { return f.have == 0 && f.left == 0 }

// size is how long the head is, as far as it is known.
func (f *frames) size() int {
	if f.have < 2 {
		return 2
	}
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4 // the mask
	}
	return n
}

func (f *frames) length() uint64 {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}

// closeFrame is what a server says at a websocket's end.
func closeFrame(code uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{0x88, 2}, code)
}
