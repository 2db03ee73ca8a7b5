package hub

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// errNoRoom says why a server was not started ahead.
var errNoRoom = errors.New("there is not enough free memory for another server; it is started when the student logs in")

// admit takes the memory of one server that is started ahead, if there is so much.
// Students who log in are never turned away: only servers that nobody asked for are.
func (h *Hub) admit(ctx context.Context) (release func(), err error) {
	each := h.serverMemory(ctx)
	h.lesson.mu.Lock()
	defer h.lesson.mu.Unlock()
	if h.roomLocked(each) < 1 {
		return nil, errNoRoom
	}
	h.lesson.taken++
	return func() {
		h.lesson.mu.Lock()
		defer h.lesson.mu.Unlock()
		h.lesson.taken--
	}, nil
}

// Before three servers run, one is reckoned with firstServer; afterwards with what they
// use and a third more, since they have only just begun.
const (
	firstServer = 160 * mib
	leastServer = 96 * mib
)

// serverMemory is what one more server is reckoned with, in bytes.
func (h *Hub) serverMemory(ctx context.Context) int64 {
	if h.cfg.Lesson.Server > 0 {
		return h.cfg.Lesson.Server
	}
	l, err := h.Usage(ctx)
	if err != nil {
		h.cfg.Log.Debug("what servers use is not known", "error", err)
	}
	var sum, n int64
	for _, u := range l {
		if u.Memory > 0 {
			sum, n = sum+u.Memory, n+1
		}
	}
	if n < 3 {
		return firstServer
	}
	return max(sum/n*4/3, leastServer)
}

// roomLocked is how many more servers of each bytes fit, beside those that are being started and
// whose memory is not all taken yet. The caller holds the lesson's lock. Where the
// free memory is not known there is room.
func (h *Hub) roomLocked(each int64) int {
	c := h.cfg.Lesson
	read := c.Memory
	if read == nil {
		read = freeMemory
	}
	free, total, err := read()
	if err != nil {
		h.cfg.Log.Warn("the free memory is not known", "error", err)
		return 1 << 20
	}
	free -= or(c.Reserve, max(total/10, 512*mib))
	return int(max(free, 0)/each) - h.lesson.taken
}

// freeMemory reads what programs can take without swapping, and what there is in all,
// in bytes (proc(5), /proc/meminfo).
func freeMemory() (available, total int64, err error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, 0, fmt.Errorf("cannot read the free memory: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "MemTotal":
			total = kb << 10
		case "MemAvailable":
			return kb << 10, total, nil
		}
	}
	return 0, 0, errors.New("cannot read the free memory: /proc/meminfo does not say")
}
