package main

import (
	"context"

	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// buildKernels sees to every environment but the class's own, and goes on past one that
// fails.
func (b *box) buildKernels(ctx context.Context, x appliance.Action, _ progress.Sink) (notice.List, error) {
	if err := b.showKernels(ctx); err != nil {
		return nil, err
	}
	return nil, writeFile(b.place.join("kernels"), []byte(x.Setup.KernelsKey()), 0o600)
}
