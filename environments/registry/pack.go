package registry

import "context"

// Pack has the history take less room, if there is one.
func (r *Registry) Pack(ctx context.Context) error {
	done, err := r.changing.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if r.history == nil {
		return nil
	}
	return r.history.Pack(ctx)
}
