package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/environments"
)

// activation are the flags of env activate.
type activation struct {
	ref      string
	writable bool
	network  bool
	index    string // of packages, for --network; "" is PyPI
}

func newEnvActivate(g *global) *cobra.Command {
	var a activation
	cmd := &cobra.Command{
		Use: "activate NAME [-- COMMAND [ARG...]]", Short: "Open a shell, or run a command, with an environment's packages",
		Long: `activate starts a container of the class image with the packages in use first on PATH, as a
student's kernel has them, and opens a shell in it or runs COMMAND. It has no network, no files of
the class and no rights, and is gone when it ends; the exit code is the command's.

With --writable the packages can be changed, to try something out: the changes are thrown away at
the end and nobody else sees them. Packages are installed by uv, which is there; pip is not.`,
		Example: "  conjured env activate geo\n  conjured env activate geo -- python -c 'import numpy; print(numpy.__version__)'\n" +
			"  conjured env activate geo --ref next -- python -m pytest\n  conjured env activate geo --writable --network -- sh -c 'uv pip install rich && python -c \"import rich\"'",
		ValidArgsFunction: g.complete(kernelNames, nothing),
		Args: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at >= 0 {
				args = args[:at]
			}
			return exactly("NAME")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if g.t.json {
				return usageError{errors.New("activate has no --json: what it prints is the command's")}
			}
			return g.activate(cmd.Context(), args[0], args[1:], a)
		},
	}
	cmd.Flags().StringVar(&a.ref, "ref", "", "the label, tag or number whose packages are wanted (default current)")
	cmd.Flags().BoolVar(&a.writable, "writable", false, "let packages be changed, in a copy that is thrown away")
	cmd.Flags().BoolVar(&a.network, "network", false, "with a network, such as for uv pip install")
	_ = cmd.RegisterFlagCompletionFunc("ref", g.complete(envNames, envRefs)) // fails only for a flag that is not there
	return cmd
}

func (g *global) activate(ctx context.Context, name string, command []string, a activation) error {
	r, err := g.askEnv(ctx, api.EnvActivate, api.EnvRequest{Names: []string{name}, Ref: a.ref})
	if err != nil {
		return err
	}
	if r.Place == nil {
		return errNoAnswer
	}
	own, p, err := g.load()
	if err != nil {
		return err
	}
	a.index = own.PipIndex
	e, err := engine.Connect(ctx, engine.Config{Instance: p.Instance})
	if err != nil {
		return err
	}
	defer e.Close()
	return inside(ctx, e, p, *r.Place, command, a)
}

// inside runs the container. While it runs the generation's lease is held, so that
// nobody removes it.
func inside(ctx context.Context, e *engine.Engine, p place, at api.EnvPlace, command []string, a activation) error {
	lease, err := holdLease(filepath.Join(at.Root, at.Path, "lease"))
	if err != nil {
		return err
	}
	defer lease.Close()
	tty := len(command) == 0 && term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
	s := activeSpec(at, command, tty)
	if a.network {
		online(&s, a.index)
	}
	if err := tidyScratch(ctx, e, p); err != nil {
		return err
	}
	if a.writable {
		scratch, err := newScratch(p)
		if err != nil {
			return err
		}
		defer os.RemoveAll(filepath.Dir(scratch.Upper))
		s.Mounts = append(s.Mounts, engine.Mount{Source: filepath.Join(at.Root, at.Path), Target: path.Join(at.Mount, at.Path), Scratch: scratch})
		s.User = "0:0" // whose files they are; without a single capability
	}
	st := engine.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	if tty {
		restore, sizes, err := rawTerminal(ctx)
		if err != nil {
			return err
		}
		defer restore()
		st.Size = sizes
	}
	code, err := e.Session(ctx, s, st)
	if ctx.Err() != nil {
		return context.Canceled
	}
	if err == nil && code != 0 {
		err = childError(code)
	}
	return err
}

// childError is the exit code of a program that was run for somebody, handed on.
type childError int

func (c childError) Error() string { return fmt.Sprintf("the command ended with exit code %d", int(c)) }

// shell opens the best shell of the image; it stands for no words of anybody's.
const shell = `if [ -x /bin/bash ]; then exec /bin/bash --noprofile --norc -i; fi; exec /bin/sh -i`

// toolsPath is where the image has uv, which installs packages in place of pip.
const toolsPath = "/opt/conjured/bin"

// nobody runs what is looked at: no file of the class is theirs.
const nobody = "65534:65534"

// activeSpec is a container with a generation first on PATH and little else.
func activeSpec(at api.EnvPlace, command []string, tty bool) engine.Spec {
	if len(command) == 0 {
		command = []string{"/bin/sh", "-c", shell}
		if !tty { // commands come from a file or a pipe
			command = []string{"/bin/sh", "-s"}
		}
	}
	inside := path.Join(at.Mount, at.Path)
	set := environments.VariableSet{Set: at.Variables, Unset: at.Unset, Path: at.Dirs}
	env := []string{
		"HOME=/tmp/home", "PYTHONNOUSERSITE=1", "PYTHONDONTWRITEBYTECODE=1", "VIRTUAL_ENV=" + inside, "PS1=(" + at.Env + `) \w \$ `,
	}
	if at.Conda {
		env = append(env, "CONDA_PREFIX="+inside, "CONDA_DEFAULT_ENV="+at.Env)
	}
	if t := os.Getenv("TERM"); tty && t != "" {
		env = append(env, "TERM="+t)
	}
	env = set.Environ(inside+"/bin", env...)
	env[0] += ":" + toolsPath // the first is PATH
	return engine.Spec{
		Image: at.Image, Entrypoint: command[:1], Cmd: command[1:], Env: env, User: nobody, WorkDir: "/tmp/home",
		Hostname: hostName(at.Env), Network: "none", Tty: tty, ReadOnly: true, Init: true, Pids: 512,
		Labels:  map[string]string{engine.LabelRole: roleActivate, engine.LabelKey: strconv.Itoa(os.Getpid())},
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"},
		Tmpfs:  map[string]string{"/tmp": "mode=1777,size=1g,exec,nosuid,nodev", "/tmp/home": "mode=1777,size=1g,exec,nosuid,nodev"},
		Mounts: []engine.Mount{{Source: at.Root, Target: at.Mount, ReadOnly: true, NoCreate: true}},
	}
}

// online gives a container a network, and uv the index and the certificates that the
// class's own packages come by.
func online(s *engine.Spec, index string) {
	s.Network = ""
	s.Env = append(s.Env, "UV_NO_CONFIG=1", "UV_PYTHON_DOWNLOADS=never", "UV_LINK_MODE=copy")
	if index != "" {
		s.Env = append(s.Env, "UV_DEFAULT_INDEX="+index)
	}
	if trusted := trustStore(); trusted != "" {
		const inside = "/etc/ssl/certs/ca-certificates.crt"
		s.Mounts = append(s.Mounts, engine.Mount{Source: trusted, Target: inside, ReadOnly: true, NoCreate: true})
		s.Env = append(s.Env, "SSL_CERT_FILE="+inside)
	}
}

// hostName is a name as host names are: letters, digits and hyphens.
func hostName(env string) string {
	b := []byte(env)
	for i, c := range b {
		if c == '_' {
			b[i] = '-'
		}
	}
	return string(b)
}

// holdLease keeps a generation from being removed until the file is closed.
func holdLease(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot keep the packages from being removed: %w", err)
	}
	// Who keeps it for himself keeps it from being removed too: it is no reason not to look.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return nil, fmt.Errorf("cannot keep the packages from being removed: %w", err)
	}
	return f, nil
}
