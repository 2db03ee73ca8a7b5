package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/conjuring/conjured/client"
	"github.com/conjuring/conjured/custom"
)

// global is what every command knows: the settings file, and the flags that stand
// before or behind any command.
type global struct {
	t        *terminal
	settings string // path of the settings file
	state    string // --state; "" means what the settings say
}

func newRoot(t *terminal) *cobra.Command {
	g := &global{t: t}
	root := &cobra.Command{
		Use:   "conjured",
		Short: "A classroom in a box: a teacher's folder becomes a JupyterHub for thirty",
		Long: `conjured turns a teacher's folder (packages, accounts, files) into a running
multi-user Jupyter class on this machine.

  conjured init DIR     write a sample folder to start from
  conjured check DIR    read a folder and say everything that is wrong with it
  conjured up DIR       run the class here until Ctrl-C, and follow changes of the folder

Exit codes: 0 done, 1 failed, 2 wrong use, 3 partly done, 10 conjured does not run,
130 interrupted.`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.SetFlagErrorFunc(flagError)
	f := root.PersistentFlags()
	f.StringVar(&g.state, "state", "", "directory of everything conjured keeps (default "+defaultState+")")
	f.StringVar(&g.settings, "settings", settingsFile, "file of this machine's settings")
	f.BoolVar(&t.json, "json", false, "print JSON for scripts")
	root.AddCommand(
		newUp(g), newDaemon(g), newDown(g), newStatus(g), newCheck(g), newInit(g), newApply(g),
		newBuild(g), newUsers(g), newClassCommand(g), newEnv(g), newDoctor(g), newVersion(g),
	)
	return root
}

// flagError words a mistake in the flags.
func flagError(cmd *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &value):
		err = fmt.Errorf("--%s takes %s, not %q", value.GetFlag().Name, kindWords(value.GetFlag().Value.Type()), value.GetValue())
	case errors.As(err, &unknown) && strings.Contains(cmd.Use, "-- COMMAND"):
		err = fmt.Errorf("%w: put -- before the command that is to be run", err)
	}
	return usageError{err}
}

// kindWords says what a flag takes.
func kindWords(kind string) string {
	switch kind {
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	}
	return "a " + kind
}

// load reads the settings and lets the flags win.
func (g *global) load() (settings, place, error) {
	s, err := readSettings(g.settings)
	if err != nil {
		return s, place{}, err
	}
	if g.state != "" {
		s.State = g.state
	}
	p, err := newPlace(s.State)
	return s, p, err
}

// client talks to the daemon of the chosen state directory.
func (g *global) client() (*client.Client, error) {
	_, p, err := g.load()
	if err != nil {
		return nil, err
	}
	return client.New(p.apiSocket()), nil
}

func (s settings) customPolicy() custom.Policy {
	p := custom.Policy(s.Policy)
	p.AnacondaChannels, p.Index = s.AnacondaLicence, s.PipIndex
	return p
}

// exactly wants n arguments and names them when they are not there.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError{errors.New("missing argument: " + names[len(args)])}
		case len(args) > len(names):
			return usageError{errors.New("one argument too many: " + args[len(names)])}
		}
		return nil
	}
}

// atMost wants up to n arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > n {
			return usageError{errors.New("one argument too many: " + args[n])}
		}
		return nil
	}
}

func newVersion(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			if g.t.json {
				return g.t.encode(map[string]string{"version": version})
			}
			g.t.print("conjured %s", version)
			return nil
		},
	}
}
