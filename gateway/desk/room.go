package desk

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

const (
	lookEvery = 2 * time.Second
	tooOld    = time.Second // a page that is opened looks anew after this long
)

// scene is the class at one moment, for all who look. It is never changed.
type scene struct {
	rows    []row
	notices []told
	jobs    []progress.Event
	lesson  Lesson
	lessons bool // there is a beginning and an end
	trouble bool // the class could not be looked at; rows are older

	environments []Environment
	at           time.Time
}

// told is a notice with a name for its button.
type told struct {
	notice.Notice
	ID string
}

// room looks at the class: every two seconds while somebody watches, and for a page
// that is opened. One look serves all.
type room struct {
	desk    *Desk
	looking sync.Mutex // one look at a time

	mu       sync.Mutex
	now      *scene
	changed  chan struct{} // closed at the next scene
	watchers int
}

func (r *room) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.mu.Lock()
			watched := r.watchers > 0
			r.mu.Unlock()
			if watched {
				r.look()
			}
		}
	}
}

// watch keeps the room looking until leave is called.
func (r *room) watch() (leave func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.watchers--
	}
}

// scene is the newest look and a channel that is closed when there is a newer one.
func (r *room) scene() (*scene, <-chan struct{}) {
	r.mu.Lock()
	old := r.now == nil || time.Since(r.now.at) > tooOld && r.watchers == 0
	r.mu.Unlock()
	if old {
		r.look()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.now, r.changed
}

// look makes a new scene.
func (r *room) look() {
	r.looking.Lock()
	defer r.looking.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := r.desk.config
	s := &scene{at: time.Now(), lessons: c.Lessons != nil}
	people, err := c.Class.People(ctx)
	r.mu.Lock()
	before := r.now
	r.mu.Unlock()
	if err != nil {
		c.Log.Warn("the class cannot be looked at", "error", err)
		s.trouble = true
		if before != nil {
			s.rows = before.rows
		}
	} else {
		s.rows = r.desk.rows(people, before)
	}
	for _, n := range c.Board.Notices() {
		s.notices = append(s.notices, told{n, noticeID(n)})
	}
	for _, e := range c.Progress.Newest() {
		if e.State == progress.Running || e.State == progress.Failed && time.Since(e.Time) < time.Hour && !s.says(e.Step) {
			s.jobs = append(s.jobs, e)
		}
	}
	slices.SortStableFunc(s.jobs, func(a, b progress.Event) int { return compareText(a.Job, b.Job) })
	if c.Lessons != nil {
		if s.lesson, err = c.Lessons.Lesson(ctx); err != nil && ctx.Err() == nil {
			c.Log.Debug("the lesson is not known", "error", err)
		}
	}
	r.lookAtPackages(ctx, s, before)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = s
	if r.changed != nil {
		close(r.changed)
	}
	r.changed = make(chan struct{})
}

// says tells whether a notice has these words already, with what to do about it.
func (s *scene) says(what string) bool {
	return slices.ContainsFunc(s.notices, func(n told) bool { return n.What == what })
}

// lookAtPackages takes the last answer where there is none now.
func (r *room) lookAtPackages(ctx context.Context, s, before *scene) {
	if r.desk.config.Environments == nil {
		return
	}
	var err error
	if s.environments, err = r.desk.config.Environments.Environments(ctx); err == nil {
		return
	}
	if before != nil {
		s.environments = before.environments
	}
	if ctx.Err() == nil {
		r.desk.config.Log.Debug("the packages are not known", "error", err)
	}
}
