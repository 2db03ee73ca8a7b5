package environments

import (
	"context"
	"errors"
	"log/slog"

	"github.com/conjuring/conjured/progress"
)

// Config is what a Builder needs to know. Store, Runner and Log are required.
type Config struct {
	Store    *Store
	Runner   Runner
	UV       string   // uv in the image; "" means /opt/conjured/bin/uv
	Python   string   // the interpreter in the image; "" means /usr/bin/python3
	CABundle string   // certificates of the host that builds trust, a file; "" means those of uv
	Index    string   // address of the package index (PEP 503); "" means PyPI
	Offline  bool     // do not even try the network
	Env      []string // more of the environment of building containers, such as proxies
	Verifier string   // "uid:gid" that runs packages' code; "" means 65534:65534
	Log      *slog.Logger
}

// Builder resolves specs and builds generations, one at a time.
type Builder struct {
	c Config
}

// New checks c.
func New(c Config) (*Builder, error) {
	if c.Store == nil || c.Runner == nil || c.Log == nil {
		return nil, errors.New("cannot make a Builder: Store, Runner and Log are required")
	}
	return &Builder{c}, nil
}

// Make gives the generation for s: the one that is there, or a new one. It moves no
// label. When nothing changed it writes nothing and starts no container. Notices are
// warnings about what differs from what a teacher may expect; an error is a
// notice.List or *notice.Error wherever a person can act on it.
func (b *Builder) Make(ctx context.Context, s Spec, sink progress.Sink) (Made, error) {
	return Made{}, errors.New("not yet")
}

// Resolve gives the manifest for s, as close to the current generation's as s allows.
func (b *Builder) Resolve(ctx context.Context, s Spec, sink progress.Sink) (Manifest, error) {
	return Manifest{}, errors.New("not yet")
}
