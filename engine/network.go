package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// icc is the bridge driver's option for containers reaching each other.
const icc = "com.docker.network.bridge.enable_icc"

// Network is a bridge network of ours.
type Network struct {
	Name     string
	Internal bool // no way out to other networks
	Isolated bool // its containers can't reach each other
}

// EnsureNetwork makes the network unless one of that name is there. A network of
// that name which differs from what is asked for is [ErrInUse]: it may carry others.
func (e *Engine) EnsureNetwork(ctx context.Context, n Network) error {
	found, err := e.networks(ctx, n.Name)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Driver != "bridge" || f.Internal != n.Internal || (f.Options[icc] == "false") != n.Isolated {
			return fmt.Errorf("cannot use network %s: one of that name is there with other settings: %w", n.Name, ErrInUse)
		}
	}
	if len(found) > 0 {
		return nil
	}
	_, err = e.cli.NetworkCreate(ctx, n.Name, client.NetworkCreateOptions{
		Driver: "bridge", Internal: n.Internal,
		Options: map[string]string{icc: strconv.FormatBool(!n.Isolated)},
		Labels:  map[string]string{LabelInstance: e.instance},
	})
	if err != nil && !errdefs.IsConflict(err) {
		return e.wrap(ctx, "cannot make network "+n.Name, err)
	}
	return e.dropTwins(ctx, n.Name)
}

// dropTwins settles two creations at once: engines before 25 make two networks of one
// name then, and refuse to start a container in either.
func (e *Engine) dropTwins(ctx context.Context, name string) error {
	found, err := e.networks(ctx, name)
	if err != nil || len(found) < 2 {
		return err
	}
	for _, f := range found[1:] {
		_, err := e.cli.NetworkRemove(ctx, f.ID, client.NetworkRemoveOptions{})
		if err != nil && !errdefs.IsNotFound(err) {
			return e.wrap(ctx, "cannot remove a second network "+name, err)
		}
	}
	return nil
}

// networks gives the networks of exactly that name, whoever's they are, by id.
func (e *Engine) networks(ctx context.Context, name string) ([]network.Network, error) {
	r, err := e.cli.NetworkList(ctx, client.NetworkListOptions{Filters: client.Filters{}.Add("name", name)})
	if err != nil {
		return nil, e.wrap(ctx, "cannot list networks", err)
	}
	var out []network.Network
	for _, s := range r.Items { // the filter matches parts of names too
		if s.Name == name {
			out = append(out, s.Network)
		}
	}
	slices.SortFunc(out, func(a, b network.Network) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// RemoveNetwork removes a network of ours. One that is not there is no error; one that
// is not ours, or has containers in it, is [ErrInUse].
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	found, err := e.networks(ctx, name)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Labels[LabelInstance] != e.instance {
			return fmt.Errorf("cannot remove network %s: it is not ours: %w", name, ErrInUse)
		}
		_, err = e.cli.NetworkRemove(ctx, f.ID, client.NetworkRemoveOptions{})
		switch {
		case errdefs.IsNotFound(err):
		case errdefs.IsPermissionDenied(err): // the engine's word for "has active endpoints"
			return fmt.Errorf("cannot remove network %s: %w: %w", name, ErrInUse, err)
		case err != nil:
			return e.wrap(ctx, "cannot remove network "+name, err)
		}
	}
	return nil
}
