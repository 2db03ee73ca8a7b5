package engine

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/moby/moby/client"
)

// BuildKit is the way to the builder inside the engine: a gRPC connection, and
// sessions for it to call back on. Only layers uses it.
type BuildKit struct {
	GRPC    func(ctx context.Context) (net.Conn, error)
	Session func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error)
}

// BuildKit gives the way to the engine's builder. Dialling fails where the engine was
// built without one.
func (e *Engine) BuildKit() BuildKit {
	return BuildKit{
		GRPC: func(ctx context.Context) (net.Conn, error) {
			return e.cli.DialHijack(ctx, "/grpc", "h2c", nil)
		},
		Session: func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return e.cli.DialHijack(ctx, "/session", proto, meta)
		},
	}
}

// PruneBuildCache drops build cache that was not used for a while, oldest first, until
// no more than keep bytes are left. It gives the bytes freed.
func (e *Engine) PruneBuildCache(ctx context.Context, keep int64, unused time.Duration) (int64, error) {
	f := client.Filters{}
	if unused > 0 {
		f = f.Add("unused-for", strconv.Itoa(int(unused/time.Second))+"s")
	}
	r, err := e.cli.BuildCachePrune(ctx, client.BuildCachePruneOptions{ReservedSpace: keep, Filters: f})
	if err != nil {
		return 0, e.wrap(ctx, "cannot tidy the build cache", err)
	}
	return int64(r.Report.SpaceReclaimed), nil
}
