package layers

import (
	"bytes"
	"context"
	"fmt"

	"github.com/conjuring/conjured/engine"
)

// maxAptManifest bounds what an image may say of its packages: 20,000 lines.
const maxAptManifest = 4 << 20

// AptManifest reads which Debian packages an image has, as layers/image/aptmanifest.py
// wrote it: `name=version:architecture sha256 size path`, one a line, sorted; "-" stands
// for what the mirror does not know any more.
func (b *Builder) AptManifest(ctx context.Context, image string) ([]byte, error) {
	var out bytes.Buffer
	code, err := b.engine.Run(ctx, engine.Spec{
		Image: image, Network: "none", User: "65534:65534", ReadOnly: true,
		Entrypoint: []string{"/bin/cat"}, Cmd: []string{"/opt/conjured/lib/apt.manifest"},
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"}, Pids: 16,
		Labels: map[string]string{engine.LabelRole: "build"},
	}, &limited{max: maxAptManifest, b: &out})
	if err != nil {
		return nil, fmt.Errorf("cannot read the packages of image %s: %w", image, err)
	}
	if code != 0 {
		return nil, fmt.Errorf("cannot read the packages of image %s: code %d", image, code)
	}
	return out.Bytes(), nil
}

// limited keeps the first max bytes.
type limited struct {
	max int
	b   *bytes.Buffer
}

// Write never fails: what is too much is dropped.
func (l *limited) Write(p []byte) (int, error) {
	l.b.Write(p[:min(len(p), max(l.max-l.b.Len(), 0))])
	return len(p), nil
}
