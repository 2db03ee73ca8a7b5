package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Bounds of the table and of a session's life.
const (
	maxSessions = 2000 // all browsers together; the one unused for longest goes first
	maxPerUser  = 16
	longest     = 12 * time.Hour   // a day at school
	unused      = 3 * time.Hour    // of not being used
	hubAway     = 10 * time.Minute // a session goes on while the hub does not answer
	everyCheck  = 10 * time.Second
)

// Errors of [Sessions.Of] and [Sessions.Finish]; compare with errors.Is.
var (
	ErrNone    = errors.New("nobody is logged in at this browser")
	ErrHubAway = errors.New("the hub does not answer")
	ErrForged  = errors.New("this browser did not begin this login")
	ErrRefused = errors.New("the hub or the roster does not let this person in")
)

// Person is somebody on the roster.
type Person struct {
	Name  string
	Admin bool // a teacher
}

// Roster tells who is in the class now.
type Roster interface {
	Person(name string) (Person, bool)
}

// Config makes [Sessions]. Hub, Secret and Roster are required.
type Config struct {
	Hub      *http.Client // reaches the hub whatever a URL's host is; follows no redirect
	Client   string       // our OAuth client id; "" is ClientID
	Secret   string       // the token the hub knows our service by
	Roster   Roster
	Check    time.Duration // how old the hub's last word on a session may be; 0 is 10 s
	Callback string        // where the hub sends browsers back to; "" is CallbackPath
	Log      *slog.Logger  // nil forgets
}

// The names that the hub's configuration and we must agree on.
const (
	Service      = "conjured-desk"
	ClientID     = "service-conjured-desk"
	CallbackPath = "/conjured/oauth_callback"
)

// Sessions is the table of all browsers that are logged in at our pages. Its methods
// may be called at the same time.
type Sessions struct {
	config Config
	seal   [32]byte // signs what travels through the browser during a login

	mu    sync.Mutex
	table map[[32]byte]*Session // by the hash of the cookie
	used  map[[32]byte]time.Time
}

// New makes an empty table.
func New(c Config) (*Sessions, error) {
	if c.Hub == nil || c.Secret == "" || c.Roster == nil {
		return nil, errors.New("cannot keep sessions without a hub, its secret and a roster")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Client == "" {
		c.Client = ClientID
	}
	if c.Callback == "" {
		c.Callback = CallbackPath
	}
	if c.Check == 0 {
		c.Check = everyCheck
	}
	s := &Sessions{config: c, table: map[[32]byte]*Session{}, used: map[[32]byte]time.Time{}}
	rand.Read(s.seal[:])
	return s, nil
}

// Session is one browser of one person. Its exported fields never change, but
// Person is as the roster said at the last [Sessions.Of].
type Session struct {
	Person
	Form  string // to be sent back with each form; see [Session.Meant]
	Login string // the hub's name for this browser's login; "" when it gave none
	Began time.Time

	key   [32]byte
	token string // the hub's, for asking who this is

	mu      sync.Mutex // guards what follows
	checked time.Time  // when the hub last knew the token
	seen    time.Time
	asking  bool
}

// Of tells who sends r. ErrNone: nobody, or no longer; ErrHubAway: somebody, but the
// hub has not answered for so long that it may have changed its mind.
func (s *Sessions) Of(r *http.Request) (*Session, error) {
	id, ok := cookieOf(r, cookieName(r))
	if !ok {
		return nil, ErrNone
	}
	return s.find(r.Context(), sha256.Sum256([]byte(id)))
}

// Again looks at a session that Of gave earlier: a stream of events outlives the
// request that began it. Its errors are those of Of.
func (s *Sessions) Again(ctx context.Context, known *Session) (*Session, error) {
	return s.find(ctx, known.key)
}

// Sure is Again with a question to the hub, however young its last word is.
func (s *Sessions) Sure(ctx context.Context, known *Session) (*Session, error) {
	s.mu.Lock()
	e := s.table[known.key]
	s.mu.Unlock()
	if e != nil {
		e.mu.Lock()
		e.checked = e.checked.Add(-s.config.Check)
		e.mu.Unlock()
	}
	return s.find(ctx, known.key)
}

func (s *Sessions) find(ctx context.Context, key [32]byte) (*Session, error) {
	s.mu.Lock()
	e := s.table[key]
	s.mu.Unlock()
	if e == nil {
		return nil, ErrNone
	}
	now := time.Now()
	p, on := s.config.Roster.Person(e.Name)
	e.mu.Lock()
	old := now.Sub(e.Began) > longest || now.Sub(e.seen) > unused
	e.seen = now
	e.mu.Unlock()
	if !on || old {
		s.drop(key)
		return nil, ErrNone
	}
	if err := s.check(ctx, e, now); err != nil {
		if !errors.Is(err, ErrHubAway) {
			s.drop(key)
		}
		return nil, err
	}
	return &Session{Person: p, Form: e.Form, Login: e.Login, Began: e.Began, key: key}, nil
}

// check asks the hub whether it still knows the session, unless it did lately or is
// being asked.
func (s *Sessions) check(ctx context.Context, e *Session, now time.Time) error {
	e.mu.Lock()
	age := now.Sub(e.checked)
	if age < s.config.Check || e.asking && age < hubAway {
		e.mu.Unlock()
		return nil
	}
	e.asking = true
	e.mu.Unlock()
	who, err := s.whose(ctx, e.token)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asking = false
	switch {
	case err == nil && who.Name == e.Name:
		e.checked = now
		return nil
	case err == nil || errors.Is(err, ErrRefused):
		return ErrNone
	case age < hubAway:
		return nil
	}
	return ErrHubAway
}

// add makes a session for somebody the hub vouched for, and gives its cookie.
func (s *Sessions) add(who identity, token string) string {
	id := random()
	now := time.Now()
	e := &Session{
		Person: Person{Name: who.Name}, Form: random(), Login: who.Session, Began: now,
		key: sha256.Sum256([]byte(id)), token: token, checked: now, seen: now,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoom(e.Name)
	s.table[e.key] = e
	return id
}

// makeRoom ends the sessions unused for longest, of this person first.
func (s *Sessions) makeRoom(name string) {
	own, all := [32]byte{}, [32]byte{}
	count := 0
	before := func(a, b [32]byte) bool {
		return s.table[b] == nil || s.table[a].lastSeen().Before(s.table[b].lastSeen())
	}
	for key, e := range s.table {
		if e.Name == name {
			count++
			if before(key, own) {
				own = key
			}
		}
		if before(key, all) {
			all = key
		}
	}
	if count >= maxPerUser {
		delete(s.table, own)
	} else if len(s.table) >= maxSessions {
		delete(s.table, all)
	}
}

func (e *Session) lastSeen() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen
}

func (s *Sessions) drop(key [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.table, key)
}

// End ends the session of r, if there is one, and takes its cookie back.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) {
	if id, ok := cookieOf(r, cookieName(r)); ok {
		s.drop(sha256.Sum256([]byte(id)))
	}
	forgetCookie(w, r, cookieName(r), cookiePath)
	forgetCookie(w, r, guardCookie, guardPath)
}

// EndUser ends all sessions of a person, except keep, which may be nil.
func (s *Sessions) EndUser(name string, keep *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.table {
		if e.Name == name && (keep == nil || key != keep.key) {
			delete(s.table, key)
		}
	}
}

// random is 256 bits in hex.
func random() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// ID names the session inside this process. It is no secret: the cookie cannot be
// made from it.
func (e *Session) ID() string { return hex.EncodeToString(e.key[:8]) }
