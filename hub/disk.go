package hub

import (
	"context"
	"errors"
	"time"

	"github.com/conjuring/conjured/homes"
	"github.com/conjuring/conjured/notice"
)

// homeUse is what is known of the home of somebody whose server runs.
type homeUse struct {
	size     homes.Size
	measured bool
	next     time.Time // when it is measured again
	began    int64     // bytes when this was first measured
	low      int64     // bytes when the disk ran low; -1 while it has room
	verdict  verdict
	told     time.Time // when the last notice was given
}

// verdict says what is done about a home.
type verdict int

const (
	homeFine verdict = iota
	homeNear         // told
	homeHeld         // told, and no large file can be written until there is room
	homeOver         // the server is stopped: it went on in spite of that
)

const (
	diskPeriod = time.Second      // between looks at the whole disk: cheap
	homePeriod = 20 * time.Second // between measurements of one home, or longer if they take long
	heldPeriod = 5 * time.Second  // the same while somebody waits for room
	heldFile   = 128 << 10        // bytes: the largest file a held home may get, small notebooks among them
	perFile    = 8 << 10          // bytes of the limit for each file
	suddenly   = 256 * mib        // the disk lost so much since the last look: measure at once
	goesOn     = 64 * mib         // growth of a home while the disk is low that stops its server
)

// reserve is what stays free on the homes' disk for the box itself.
func (c Config) reserve(total int64) int64 {
	if c.Reserve > 0 {
		return c.Reserve
	}
	return min(max(total/20, gib), 10*gib)
}

// judge decides about a home. Who was over the limit when the server began may work,
// in order to delete; it is growth beyond it that ends in a stop.
func (u homeUse) judge(limit int64) verdict {
	margin := max(limit/10, 256*mib)
	over := limit > 0 && (!u.size.Whole || u.size.Bytes > limit || u.size.Files > limit/perFile)
	switch {
	case over && u.size.Bytes > max(limit, u.began)+margin:
		return homeOver
	case u.low >= 0 && u.size.Bytes > u.low+goesOn:
		return homeOver
	case over || u.low >= 0:
		return homeHeld
	case limit > 0 && u.size.Bytes > limit/10*9:
		return homeNear
	}
	return homeFine
}

// watchDisk measures the homes of those whose servers run, one at a time, and looks
// after the disk as a whole, until ctx ends.
func (h *Hub) watchDisk(ctx context.Context) {
	if h.cfg.Disk == nil {
		return
	}
	tick := time.NewTicker(diskPeriod)
	defer tick.Stop()
	d := &diskWatch{Hub: h, disk: h.cfg.Disk, free: -1}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := d.look(ctx); err != nil && ctx.Err() == nil {
			h.cfg.Log.Warn("cannot measure a home", "error", err)
		}
	}
}

// diskWatch is what the watch remembers; the homes are the meter's.
type diskWatch struct {
	*Hub
	disk Disk
	free int64 // at the last look; -1 before the first
	low  bool
}

// look is one turn: the disk, and the home whose turn it is.
func (d *diskWatch) look(ctx context.Context) error {
	users := d.present()
	if len(users) == 0 {
		return nil
	}
	hurry, err := d.lookDisk()
	if err != nil {
		return err
	}
	now := time.Now()
	for _, user := range users {
		d.meter.mu.Lock()
		u := d.meter.homes[user]
		due := hurry || !u.next.After(now)
		d.meter.mu.Unlock()
		if !due {
			continue
		}
		if err := d.measure(ctx, user); err != nil {
			return err
		}
	}
	return nil
}

// holdByDisk has the disk hold a home to a little more than its limit, where it can:
// the watch tells first, and lets small files through.
func (h *Hub) holdByDisk(a Account) {
	limit := h.cfg.limits(a).Disk
	if h.cfg.Disk == nil || limit == 0 {
		return
	}
	if err := h.cfg.Disk.Quota(a.UID, limit+limit/10); err != nil {
		h.cfg.Log.Debug("the disk does not hold homes to a limit; they are watched", "error", err)
	}
}

// present are the users whose servers run; what is known of others is forgotten.
func (d *diskWatch) present() []string {
	d.meter.mu.Lock()
	defer d.meter.mu.Unlock()
	running := map[string]bool{}
	for _, m := range d.meter.all {
		running[m.user] = true
	}
	for user := range d.meter.homes {
		if !running[user] {
			delete(d.meter.homes, user)
		}
	}
	var l []string
	for user := range running {
		if d.meter.homes[user] == nil {
			d.meter.homes[user] = &homeUse{low: -1}
		}
		l = append(l, user)
	}
	return l
}

// lookDisk tells whether the homes must be measured at once: the disk has become
// low, or lost much since the last look.
func (d *diskWatch) lookDisk() (hurry bool, err error) {
	free, total, err := d.disk.Free()
	if err != nil {
		return false, err
	}
	reserve := d.cfg.reserve(total)
	was := d.low
	if d.low = free < reserve; was && free < reserve+reserve/10 {
		d.low = true // not on and off at the line
	}
	hurry = d.low != was || d.free >= 0 && d.free-free > suddenly
	d.free = free
	if d.low && !was {
		d.cfg.Notify(diskLow(free))
	}
	return hurry, nil
}

// measure measures one home and does what follows from it.
func (d *diskWatch) measure(ctx context.Context, user string) error {
	began := time.Now()
	size, err := d.disk.Measure(ctx, user)
	if err != nil {
		return err
	}
	took := time.Since(began)
	limit := d.limitsOf(user).Disk
	d.meter.mu.Lock()
	u := d.meter.homes[user]
	if u == nil {
		d.meter.mu.Unlock()
		return nil
	}
	u.size = size
	if !u.measured {
		u.measured, u.began = true, size.Bytes
	}
	switch {
	case !d.low:
		u.low = -1
	case u.low < 0:
		u.low = size.Bytes
	}
	before := u.verdict
	u.verdict = u.judge(limit)
	u.next = time.Now().Add(max(homePeriod, 10*took))
	if u.verdict >= homeHeld {
		u.next = time.Now().Add(max(heldPeriod, 4*took))
	}
	// Said when it gets worse, and again to somebody who stays there.
	say := u.verdict > before || u.verdict >= homeHeld && time.Since(u.told) > tellAgain
	if say {
		u.told = time.Now()
	}
	now := *u
	d.meter.mu.Unlock()
	return d.act(ctx, user, before, now, limit, say)
}

func (d *diskWatch) act(ctx context.Context, user string, before verdict, u homeUse, limit int64, say bool) error {
	n := homeNotice(u, limit)
	if u.verdict == homeOver {
		return d.stopOver(ctx, user, n)
	}
	if say {
		d.tellUser(user, n)
	}
	switch {
	case u.verdict == homeHeld:
		return d.hold(user, heldFile) // each time: there may be new programs
	case before >= homeHeld:
		return d.hold(user, 0)
	}
	return nil
}

// tellUser tells somebody at each of their servers.
func (d *diskWatch) tellUser(user string, n notice.Notice) {
	for _, m := range d.serversOf(user) {
		d.tell(told{user, m.name, n})
	}
}

// serversOf are a user's servers that run.
func (d *diskWatch) serversOf(user string) map[string]metered {
	d.meter.mu.Lock()
	defer d.meter.mu.Unlock()
	l := map[string]metered{}
	for id, m := range d.meter.all {
		if m.user == user {
			l[id] = *m
		}
	}
	return l
}

// stopOver ends the servers of a user whose home grows on, and keeps the reason for
// the next start.
func (d *diskWatch) stopOver(ctx context.Context, user string, n notice.Notice) error {
	d.cfg.Notify(notice.Notice{
		Code: "home-stopped", Severity: notice.SeverityWarning,
		What:  "the server of " + user + " was stopped: " + lowerFirst(n.What),
		Means: "nobody else is affected; " + user + " can start it again and delete files",
		Do:    "have a look at what it is, together",
	})
	var errs []error
	for id, m := range d.serversOf(user) {
		d.tell(told{user, m.name, n})
		d.meter.mu.Lock()
		d.meter.ended[id] = n
		d.meter.mu.Unlock()
		errs = append(errs, d.stopServer(ctx, id))
	}
	d.meter.mu.Lock()
	delete(d.meter.homes, user) // the next start begins anew
	d.meter.mu.Unlock()
	return errors.Join(errs...)
}
