package environments

import (
	"context"
	"io"
)

// Mount makes a directory or file of the host visible in a container.
type Mount struct {
	Host, Container string // absolute paths
	ReadOnly        bool
}

// Command is one run of a program in a container of a class image.
type Command struct {
	Image   string
	Args    []string // Args[0] is the program; replaces the image's entry point
	Env     []string // NAME=value, added to the image's own
	Mounts  []Mount
	User    string    // "uid:gid"
	Network bool      // false: a loopback interface and no other
	Input   io.Reader // standard input; nil: there is nothing to read. Whoever runs the program may go on reading after its end
	Output  io.Writer // standard output and standard error, as they come
}

// Runner runs commands in containers. Run returns the program's exit code; an error
// means that it could not be run at all, or that ctx ended. The container has a
// writable /tmp, an otherwise read-only root, no capabilities, no new privileges and
// no terminal, and is gone when Run returns.
type Runner interface {
	Run(ctx context.Context, c Command) (exit int, err error)
}
