package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"time"

	conjured "github.com/conjuring/conjured"
	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/gateway"
	"github.com/conjuring/conjured/gateway/desk"
	"github.com/conjuring/conjured/homes"
	"github.com/conjuring/conjured/hub"
	"github.com/conjuring/conjured/layers"
	"github.com/conjuring/conjured/progress"
	"github.com/conjuring/conjured/users"
)

// assemble makes every part and fits them together. Nothing runs yet. stop is what
// `conjured down` calls.
func assemble(ctx context.Context, s settings, p place, log *slog.Logger, stop context.CancelFunc) (*box, error) {
	b := &box{
		settings: s, place: p, log: log, began: time.Now(), stopped: stop, news: &progress.Hub{},
		shelf: &shelf{place: p, policy: s.customPolicy()}, board: &board{}, logins: newLogins(),
		records: records{p.built()}, applying: make(chan struct{}, 1), uncounted: make(chan struct{}, 1), feed: gateway.NewFeed(),
	}
	for _, step := range []func(context.Context) error{
		b.readRecipe, b.connect, b.openAccounts, b.openImages, b.openEnvironments, b.openOwner, b.openHub, b.openStatics, b.openDesk, b.openDoor,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// readRecipe hashes what this program builds from, and names the built-in setup.
func (b *box) readRecipe(context.Context) error {
	parts := []string{string(environments.Launcher)}
	err := fs.WalkDir(conjured.Image, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(conjured.Image, path)
		parts = append(parts, path, string(data))
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot read the built-in files: %w", err)
	}
	b.recipe = digest(parts...)
	if b.lock, err = fs.ReadFile(conjured.Image, "layers/lock/lab.txt"); err != nil {
		return fmt.Errorf("cannot read the built-in files: %w", err)
	}
	b.builtin = appliance.Setup{
		ID: digest("built-in", b.recipe), Roster: "built-in", Content: "built-in",
		Image: digest("built-in image", b.recipe), Environment: digest("built-in environment", b.recipe),
	}
	return nil
}

func (b *box) connect(ctx context.Context) (err error) {
	b.engine, err = engine.Connect(ctx, engine.Config{Instance: b.place.Instance, OnDamage: b.storeDamaged})
	return err
}

func (b *box) openAccounts(context.Context) (err error) {
	if b.users, err = users.Open(users.Config{Dir: b.place.join("users"), Log: b.log, Notify: b.tell}); err != nil {
		return err
	}
	for _, n := range b.users.Health() {
		b.tell(n)
	}
	b.homes, err = homes.New(homes.Config{Dir: b.place.join("homes"), Log: b.log})
	return err
}

func (b *box) openImages(context.Context) (err error) {
	b.images, err = layers.New(layers.Config{
		Engine: b.engine, Files: conjured.Image, Launcher: environments.Launcher,
		Repository: b.settings.Images, Dir: b.place.join("images"), Log: b.log,
	})
	return err
}

// trustStore is the file of certificates that this machine trusts, "" when there is none.
func trustStore() string {
	const debian = "/etc/ssl/certs/ca-certificates.crt"
	if _, err := os.Stat(debian); err != nil {
		return ""
	}
	return debian
}

func (b *box) openOwner(context.Context) error {
	journal, err := appliance.OpenJournal(b.place.join("journal"))
	if err != nil {
		return err
	}
	b.owner, err = appliance.New(appliance.Config{
		Workers: b.workers(), Observer: b, Store: journal, Fallback: b.builtin, Log: b.log,
	})
	return err
}

func (b *box) openHub(ctx context.Context) error {
	info, err := b.engine.Info(ctx)
	if err != nil {
		return err
	}
	if b.fence, err = newFence(b.engine, b.settings, b.network().Name); err != nil {
		return err
	}
	limited := b.settings.Limits.forMachine(info, b.place.State)
	b.hub, err = hub.New(hub.Config{
		Engine: b.engine, Run: b.place.Run, State: b.place.State, Instance: b.place.Instance,
		Network: b.network().Name, Users: accounts{b.users}, Homes: homeMaker{b}, Starts: runtime.NumCPU(),
		Limits: limited.student, Teachers: limited.teacher, Fence: b.fence.ensure, Disk: b.homes,
		Lesson: b.lessonConfig(), Progress: b.news, Notify: b.tell, Tell: b.feed.Tell, Log: b.log,
	})
	return err
}

func (b *box) openDoor(context.Context) (err error) {
	b.routes, err = gateway.OpenRoutes(gateway.RoutesConfig{
		File: b.place.join("routes.json"), Reserved: []string{gateway.Reserved}, Log: b.log,
	})
	if err != nil {
		return err
	}
	b.front = &front{snapshot: b.owner.Snapshot, board: b.board, since: b.began}
	open, addresses, err := doorSockets(b.settings.Listen)
	if err != nil {
		return err
	}
	b.door, err = gateway.New(gateway.Config{
		Listen: addresses, Listeners: open, Routes: b.routes, Class: b.front, Progress: b.news, Feed: b.feed, Log: b.log,
		Statics: b.statics, Compress: b.statics,
		Sockets: []string{b.place.Run + "/hub", b.place.Run + "/servers"}, Desk: b.desk, DeskPaths: desk.Paths(), Guard: b.guard,
		Logins: users.NewDoor(),
	})
	return err
}

// shutdown gives back what assemble has taken.
func (b *box) shutdown() error {
	return errors.Join(b.users.Close(), b.engine.Close())
}
