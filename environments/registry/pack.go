package registry

import "context"

// packer is a history that can be made to take less room.
type packer interface {
	Pack(ctx context.Context) error
}

// Pack has the history take less room. One that cannot is left as it is.
func (r *Registry) Pack(ctx context.Context) error {
	done, err := r.changing.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if h, ok := r.history.(packer); ok {
		return h.Pack(ctx)
	}
	return nil
}
