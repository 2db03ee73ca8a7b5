package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
)

const (
	tick         = time.Second            // of the coarse clock
	saveDelay    = 200 * time.Millisecond // many changes at once become one file
	saveActivity = 5 * time.Minute        // how often activity alone is worth a write
	maxSaved     = 64 << 20               // bytes
)

// savedRoutes is the file: {"version":1,"routes":{"/user/amira":{"target":"...",
// "last_activity":"...", ...}}}. It holds what the hub posted and nothing more.
type savedRoutes struct {
	Version int                                   `json:"version"`
	Routes  map[string]map[string]json.RawMessage `json:"routes"`
}

// Run keeps the coarse clock and saves changes until ctx ends, and then once more.
// A table without a file needs no Run, but reads the real clock without it.
func (t *Routes) Run(ctx context.Context) error {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	defer t.now.Store(0)
	saved := time.Now()
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return t.save()
		case now := <-clock.C:
			t.now.Store(now.UnixMilli())
			if due == nil && now.Sub(saved) > saveActivity {
				due = time.After(0)
			}
		case <-t.changed:
			if due == nil {
				due = time.After(saveDelay)
			}
		case <-due:
			due, saved = nil, time.Now()
			if err := t.save(); err != nil {
				t.config.Log.Warn("routes are not saved; after a restart the hub has to send them again", slog.Any("error", err))
			}
		}
	}
}

// save writes the table so that a power cut leaves the old file or the new one.
func (t *Routes) save() error {
	if t.config.File == "" {
		return nil
	}
	s := savedRoutes{Version: 1, Routes: map[string]map[string]json.RawMessage{}}
	for r := range t.root.Load().routes() {
		s.Routes[r.path] = r.show().withActivity()
	}
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("cannot encode the routes: %w", err)
	}
	if err := renameio.WriteFile(t.config.File, b, 0o600, renameio.WithStaticPermissions(0o600)); err != nil {
		return fmt.Errorf("cannot save the routes: %w", err)
	}
	dir, err := os.Open(filepath.Dir(t.config.File))
	if err != nil {
		return fmt.Errorf("cannot save the routes: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("cannot save the routes: %w", err)
	}
	return nil
}

// restore reads the file back. A single bad route is left out; a file that makes
// no sense is renamed, so that somebody can look at it.
func (t *Routes) restore() error {
	if t.config.File == "" {
		return nil
	}
	info, err := os.Stat(t.config.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the routes: %w", err)
	}
	var s savedRoutes
	if info.Size() > maxSaved {
		err = fmt.Errorf("it has %d bytes, more than %d", info.Size(), maxSaved)
	} else if b, rerr := os.ReadFile(t.config.File); rerr != nil {
		return fmt.Errorf("cannot read the routes: %w", rerr)
	} else if err = json.Unmarshal(b, &s); err == nil && s.Version != 1 {
		err = fmt.Errorf("it is of version %d, this program knows 1", s.Version)
	}
	if err != nil {
		t.config.Log.Warn("the saved routes are not usable; the hub has to send them again", slog.Any("error", err))
		return os.Rename(t.config.File, t.config.File+".bad")
	}
	for path, data := range s.Routes {
		var last time.Time
		if json.Unmarshal(data["last_activity"], &last) != nil {
			last = time.Now()
		}
		if err := t.add(path, data, last); err != nil {
			t.config.Log.Warn("a saved route is left out", slog.String("path", path), slog.Any("error", err))
		}
	}
	return nil
}

// activityLayout is how configurable-http-proxy prints times (ECMAScript's
// Date.toISOString).
const activityLayout = "2006-01-02T15:04:05.000Z"

// withActivity is the route's data and its last_activity.
func (r Route) withActivity() map[string]json.RawMessage {
	m := make(map[string]json.RawMessage, len(r.Data)+1)
	for k, v := range r.Data {
		m[k] = v
	}
	m["last_activity"] = json.RawMessage(`"` + r.LastActivity.UTC().Format(activityLayout) + `"`)
	return m
}
