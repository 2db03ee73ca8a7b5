package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	relayEvents = 64
	relayBuffer = 64 << 10 // bytes, one for all websockets
)

// relay carries all open websockets in one goroutine, over an epoll(7) of its own that
// lies in the runtime's. A websocket costs no goroutine and no buffer while it is idle,
// and a message two system calls: goroutines of its own need three, and being woken.
//
// Everything is done under mu. A descriptor is closed only here, so an event can be about
// a newer descriptor of the same number, and then finds nothing to read.
type relay struct {
	proxy *Proxy
	poll  *os.File
	fd    int
	done  chan struct{} // closed when the goroutine has ended

	mu   sync.Mutex
	ends map[int32]*end
	buf  []byte
}

// end is one side of a websocket.
type end struct {
	fd      int
	peer    *end
	wire    *wireJoint
	pending []byte  // what the kernel has not taken yet of what goes to fd
	over    bool    // nothing more comes from fd
	follow  *frames // of what comes from fd; nil does not follow
}

// wireJoint is a websocket in a relay.
type wireJoint struct {
	relay           *relay
	joint           *joint
	browser, target *end
	late            *time.Timer // drops the joint; nil when nothing is waited for
	dropped         bool
}

func newRelay(p *Proxy) (*relay, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot wait for websockets: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("cannot wait for websockets: %w", err)
	}
	r := &relay{
		proxy: p, poll: os.NewFile(uintptr(fd), "epoll"), fd: fd, done: make(chan struct{}),
		ends: map[int32]*end{}, buf: make([]byte, relayBuffer),
	}
	raw, err := r.poll.SyscallConn()
	if err != nil {
		_ = r.poll.Close()
		return nil, fmt.Errorf("cannot wait for websockets: %w", err)
	}
	go r.run(raw)
	return r, nil
}

// run handles events until the relay is closed.
func (r *relay) run(raw syscall.RawConn) {
	defer close(r.done)
	var events [relayEvents]unix.EpollEvent
	n := 0
	wait := func(fd uintptr) bool {
		var err error
		for n, err = unix.EpollWait(int(fd), events[:], 0); errors.Is(err, unix.EINTR); {
			n, err = unix.EpollWait(int(fd), events[:], 0)
		}
		return n != 0
	}
	for raw.Read(wait) == nil && n > 0 {
		r.mu.Lock()
		for _, ev := range events[:n] {
			if e := r.ends[ev.Fd]; e != nil {
				r.handle(e, ev.Events)
			}
		}
		r.mu.Unlock()
	}
}

func (r *relay) close() {
	_ = r.poll.Close()
	<-r.done
}

// add takes a joint over, false when one of its sides is no plain socket. The two
// connections are closed towards Go; their descriptors live on here.
func (r *relay) add(j *joint) bool {
	b, t := ownDescriptor(bare(j.browser)), ownDescriptor(j.target)
	if b < 0 || t < 0 {
		closeDescriptors(b, t)
		return false
	}
	w := &wireJoint{relay: r, joint: j}
	w.browser, w.target = &end{fd: b, wire: w}, &end{fd: t, wire: w, follow: &j.down}
	w.browser.peer, w.target.peer = w.target, w.browser
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = bare(j.browser).Close(), j.target.Close()
	r.ends[int32(b)], r.ends[int32(t)] = w.browser, w.target
	j.wired = w
	if r.listen(w.browser) != nil || r.listen(w.target) != nil {
		w.drop()
	}
	return true
}

// ownDescriptor is another descriptor of c's socket, which no poller but ours knows; -1
// when c is none.
func ownDescriptor(c net.Conn) int {
	s, ok := c.(syscall.Conn)
	if !ok {
		return -1
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return -1
	}
	own := -1
	if err := raw.Control(func(fd uintptr) {
		if n, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			own = n
		}
	}); err != nil {
		return -1
	}
	return own
}

func closeDescriptors(fds ...int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// listen has events of e come, as far as something is to be done about them: what is to
// be written if something waits, else what is to be read.
func (r *relay) listen(e *end) error {
	ev := unix.EpollEvent{Fd: int32(e.fd)}
	if !e.over && len(e.peer.pending) == 0 {
		ev.Events |= unix.EPOLLIN
	}
	if len(e.pending) > 0 {
		ev.Events |= unix.EPOLLOUT
	}
	if ev.Events == 0 { // an error or an end would be told all the time
		if err := unix.EpollCtl(r.fd, unix.EPOLL_CTL_DEL, e.fd, nil); !errors.Is(err, unix.ENOENT) {
			return err
		}
		return nil
	}
	err := unix.EpollCtl(r.fd, unix.EPOLL_CTL_MOD, e.fd, &ev)
	if errors.Is(err, unix.ENOENT) {
		err = unix.EpollCtl(r.fd, unix.EPOLL_CTL_ADD, e.fd, &ev)
	}
	return err
}

func (r *relay) handle(e *end, events uint32) {
	if events&unix.EPOLLOUT != 0 && len(e.pending) > 0 {
		if !r.push(e, e.pending) || len(e.pending) == 0 && r.flushed(e) != nil {
			e.wire.drop()
			return
		}
	}
	if events&^unix.EPOLLOUT == 0 || e.over || len(e.peer.pending) > 0 {
		return
	}
	n, err := unix.Read(e.fd, r.buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
	case err != nil:
		e.wire.drop()
	case n == 0:
		r.ended(e)
	default:
		r.proxy.config.Routes.active(e.wire.joint.route)
		if e.follow != nil {
			e.follow.feed(r.buf[:n])
		}
		if !r.push(e.peer, r.buf[:n]) {
			e.wire.drop()
		}
	}
}

// push writes b to e; what is not taken at once waits, and nothing more is read for it
// meanwhile. False means that e is broken.
func (r *relay) push(e *end, b []byte) bool {
	n, err := unix.Write(e.fd, b)
	if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		return false
	}
	n = max(n, 0)
	if n == len(b) {
		e.pending = nil
		return true
	}
	waiting := len(e.pending) > 0
	if n > 0 || !waiting {
		e.wire.after(2 * stallTimeout) // a reader who takes nothing does not hold us for ever
	}
	e.pending = append([]byte(nil), b[n:]...)
	return waiting || r.listen(e) == nil && r.listen(e.peer) == nil
}

// flushed is reached when all that waited for e is written.
func (r *relay) flushed(e *end) error {
	e.wire.stopWaiting()
	if e.over || e.peer.over {
		e.wire.after(halfOpen)
	}
	return errors.Join(r.listen(e), r.listen(e.peer))
}

// ended is reached when nothing more comes from e. The other direction may say its last
// words.
func (r *relay) ended(e *end) {
	e.over = true
	if e.peer.over || unix.Shutdown(e.peer.fd, unix.SHUT_WR) != nil || r.listen(e) != nil {
		e.wire.drop()
		return
	}
	e.wire.after(halfOpen)
}

// after drops w when d has passed. mu is held.
func (w *wireJoint) after(d time.Duration) {
	w.stopWaiting()
	w.late = time.AfterFunc(d, func() {
		w.relay.mu.Lock()
		defer w.relay.mu.Unlock()
		w.drop()
	})
}

func (w *wireJoint) stopWaiting() {
	if w.late != nil {
		w.late.Stop()
		w.late = nil
	}
}

// drop ends both sides at once. mu is held.
func (w *wireJoint) drop() {
	if w.dropped {
		return
	}
	w.dropped = true
	w.stopWaiting()
	delete(w.relay.ends, int32(w.browser.fd))
	delete(w.relay.ends, int32(w.target.fd))
	closeDescriptors(w.browser.fd, w.target.fd)
	_ = w.joint.browser.Close() // its seat
	go w.joint.landed()         // it takes the flights' lock, under which end is called
}

// say tells the browser a close, if a frame may begin there, and ends both sides within a
// moment.
func (w *wireJoint) say(code uint16) {
	w.relay.mu.Lock()
	defer w.relay.mu.Unlock()
	if w.dropped {
		return
	}
	if w.joint.down.between() && len(w.browser.pending) == 0 {
		_, _ = unix.Write(w.browser.fd, closeFrame(code))
		_ = unix.Shutdown(w.browser.fd, unix.SHUT_WR)
	}
	_ = unix.Shutdown(w.target.fd, unix.SHUT_RDWR)
	w.target.over = true
	_ = w.relay.listen(w.target)
	w.after(farewell)
}
