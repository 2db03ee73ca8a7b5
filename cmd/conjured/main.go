// Command conjured turns a teacher's folder into a running class: a daemon, and the
// command line that talks to it. One file per command; flags, wiring and printing
// live here, and everything that decides or does lives in the packages beside.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/conjuring/conjured/client"
	"github.com/conjuring/conjured/gateway/chp"
)

// version is set by the linker (make build).
var version = "dev"

// Exit codes, the same for every command (README, "Exit codes").
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPartly      = 3 // partly done, or waiting for somebody's approval
	exitNotRunning  = 10
	exitInterrupted = 130
)

func main() { os.Exit(run()) }

// run is main with an exit code, so that tests can call it.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if filepath.Base(os.Args[0]) == chp.Name {
		return chp.Run(ctx, chp.Config{Args: os.Args[1:], Getenv: os.Getenv, Out: os.Stdout, Err: os.Stderr})
	}
	t := newTerminal(os.Stdout, os.Stderr)
	err := newRoot(t).ExecuteContext(ctx)
	code := exitCode(ctx, err)
	if err != nil && code != exitInterrupted {
		t.fail(err, code)
	}
	return code
}

var (
	// errPartly is returned by a command that did some of what it was asked.
	errPartly = errors.New("only partly done")
	// errReported is returned when everything there is to say has been printed.
	errReported = errors.New("already reported")
)

// usageError marks a mistake in the command line itself.
type usageError struct{ error }

func exitCode(ctx context.Context, err error) int {
	var usage usageError
	var child childError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &child):
		return int(child)
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, client.ErrNotRunning):
		return exitNotRunning
	case errors.Is(err, errPartly):
		return exitPartly
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}
