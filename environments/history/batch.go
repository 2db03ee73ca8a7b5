package history

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// errMissing says that there is no object of that name.
var errMissing = errors.New("no such object")

// errLarge says that an object is larger than the reader wants.
var errLarge = errors.New("object too large")

// batch is a running git cat-file, which answers one question after the other.
type batch struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said *limited
	dead bool
}

// startBatch starts a reader. It belongs to the caller, who closes it.
func startBatch(p program) (*batch, error) {
	b := &batch{said: &limited{left: 4 << 10}}
	// Not bound to a context: it lives through several calls.
	b.cmd = program{path: p.path, dir: p.dir}.command(context.Background(), "cat-file", "--batch-command")
	b.cmd.Stderr = b.said
	in, err := b.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	b.in, b.out = in, bufio.NewReaderSize(out, 64<<10)
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	poor(b.cmd)
	return b, nil
}

// close ends the reader and waits for it.
func (b *batch) close() {
	b.dead = true
	_ = b.in.Close()
	_ = b.cmd.Process.Signal(syscall.SIGKILL)
	_ = b.cmd.Wait()
}

// get gives an object of at most limit bytes: errMissing when there is none. A larger
// one is errLarge, and the end of the reader. The name is one of ours: a full reference
// name or an id.
func (b *batch) get(ctx context.Context, name string, limit int64) (id oid, o object, err error) {
	err = b.during(ctx, func() (err error) { id, o, err = b.contents(name, limit); return err })
	return id, o, err
}

// small is get for an object whose size anybody may have chosen: a larger one costs a
// question, and the reader goes on.
func (b *batch) small(ctx context.Context, id oid, limit int64) (o object, err error) {
	size := int64(0)
	err = b.during(ctx, func() (err error) { _, o.kind, size, err = b.header("info", string(id)); return err })
	if err == nil && size > limit {
		err = errLarge
	}
	if err == nil {
		_, o, err = b.get(ctx, string(id), limit)
	}
	return o, err
}

// during asks, until ctx ends. A reader is used no more after any answer but errMissing.
func (b *batch) during(ctx context.Context, ask func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = b.cmd.Process.Kill() })
	err := ask()
	if !stop() {
		b.dead = true
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, errMissing) {
		b.dead = true
		err = fmt.Errorf("git cat-file: %w%s", err, b.said)
	}
	return err
}

func (b *batch) contents(name string, limit int64) (oid, object, error) {
	id, kind, size, err := b.header("contents", name)
	if err != nil {
		return "", object{}, err
	}
	if size > limit {
		return "", object{}, fmt.Errorf("%w: %s has %d bytes", errLarge, id, size)
	}
	data := make([]byte, size+1)
	if _, err := io.ReadFull(b.out, data); err != nil {
		return "", object{}, err
	}
	return id, object{kind: kind, data: data[:size]}, nil
}

// header asks and reads "ID KIND SIZE".
func (b *batch) header(verb, name string) (oid, kind, int64, error) {
	if _, err := io.WriteString(b.in, verb+" "+name+"\n"); err != nil {
		return "", "", 0, err
	}
	line, err := b.out.ReadString('\n')
	if err != nil {
		return "", "", 0, err
	}
	f := strings.Fields(line)
	if len(f) >= 2 && f[len(f)-1] == "missing" {
		return "", "", 0, fmt.Errorf("%w: %s", errMissing, name)
	}
	if len(f) != 3 || !oid(f[0]).ok() {
		return "", "", 0, fmt.Errorf("answered %.80q", line)
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	return oid(f[0]), kind(f[1]), size, err
}
