package chp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// Name is what the program is called as.
const Name = "configurable-http-proxy"

// The exit codes of the original. There is no 0: it runs until it is stopped.
const (
	exitFailed  = 1
	exitStopped = 2 // by SIGINT or SIGTERM
)

// Config is what the program gets from its surroundings.
type Config struct {
	Args   []string // without the program's name
	Getenv func(string) string
	Out    io.Writer // log lines, --help, --version
	Err    io.Writer // what is wrong with the command line
}

// Run is the program; it returns its exit code when ctx ends.
func Run(ctx context.Context, c Config) int {
	o, err := parse(c.Args, c.Out)
	if errors.Is(err, errShown) {
		return 0
	}
	var log *slog.Logger
	if err == nil {
		log, err = newLog(c.Out, o.logLevel)
	}
	if err != nil {
		_, _ = fmt.Fprintln(c.Err, err)
		return exitFailed
	}
	p, err := newProgram(o, c.Getenv, log)
	if err == nil {
		err = p.run(ctx)
	}
	if err != nil {
		log.Error(err.Error())
		return exitFailed
	}
	word := "Terminated"
	if cause := context.Cause(ctx); cause != nil && strings.Contains(cause.Error(), os.Interrupt.String()) {
		word = "Interrupted"
	}
	log.Warn(word)
	return exitStopped
}

// run serves until ctx ends.
func (p *program) run(ctx context.Context) error {
	defer p.close()
	if err := p.listen(ctx); err != nil {
		return err
	}
	// Whoever waits for "Route added" then finds the ports open.
	if to := p.options.defaultTarget; to != "" {
		p.log.Info("Adding route / -> " + to)
		quoted, err := json.Marshal(to)
		if err == nil {
			err = p.routes.Add("/", map[string]json.RawMessage{"target": quoted})
		}
		if err != nil {
			return fmt.Errorf("cannot use the default target %q: %w", to, err)
		}
	}
	p.announce()
	if name := p.options.pidFile; name != "" {
		p.log.Info(fmt.Sprintf("Writing pid %d to %s", os.Getpid(), name))
		if err := os.WriteFile(name, []byte(strconv.Itoa(os.Getpid())), 0o666); err != nil {
			return fmt.Errorf("cannot write the pid file: %w", err)
		}
		defer os.Remove(name)
	}
	debug.FreeOSMemory() // what starting took: the whole of conjured is in this program
	failed := make(chan error, len(p.servers))
	for _, s := range p.servers {
		go func() { failed <- s.serve() }()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return fmt.Errorf("cannot go on listening: %w", err)
	}
}

// announce says where everything is, in the original's words.
func (p *program) announce() {
	target := p.options.defaultTarget
	if target == "" {
		target = "(no default)"
	}
	for _, s := range p.servers {
		switch s.what {
		case public:
			p.log.Info(fmt.Sprintf("Proxying %s to %s", s.url(), target))
		case api:
			p.log.Info(fmt.Sprintf("Proxy API at %s/api/routes", s.url()))
		case counts:
			p.log.Info(fmt.Sprintf("Serve metrics at %s/metrics", s.url()))
		case redirection:
			p.log.Info(fmt.Sprintf("Added HTTP to HTTPS redirection from %s to %s", p.options.redirectPort, p.redirectTo()))
		}
	}
}

func (p *program) redirectTo() string {
	if p.options.redirectTo != "" {
		return p.options.redirectTo
	}
	return p.options.public.port.String()
}
