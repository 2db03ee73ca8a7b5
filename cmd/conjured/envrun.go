package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/client"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// between wants at least n of the named arguments, and no more than all of them.
func between(n int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= n && len(args) <= len(names) {
			return nil
		}
		return exactly(names[:max(n, min(len(args), len(names)))]...)(cmd, args)
	}
}

// several is what a verb about one, some or all environments is told by its arguments.
type several struct{ all bool }

func (s *several) flag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.all, "all", false, "all environments of the class")
}

// names gives the environments that are meant; none means all. Nobody gets all of them
// by leaving something out.
func (s several) names(args []string) ([]string, error) {
	switch {
	case s.all && len(args) > 0:
		return nil, usageError{errors.New("--all and a name exclude each other")}
	case !s.all && len(args) == 0:
		return nil, usageError{errors.New("name an environment, or give --all (conjured env list shows the names)")}
	}
	return args, nil
}

// doEnv sends a verb, draws progress until it is done, and says what came of it.
func (g *global) doEnv(ctx context.Context, v api.EnvVerb, q api.EnvRequest) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	defer c.Close()
	var r api.EnvReply
	err = watch(ctx, g.t, c, envJob(v), func() error {
		r, err = c.EnvVerb(ctx, v, q)
		return err
	})
	if err != nil {
		return err
	}
	return reportEnv(g.t, r)
}

// envJob is what the daemon's news call a verb's work.
func envJob(v api.EnvVerb) string { return "env " + string(v) }

// watch draws the daemon's progress of one job while f runs.
func watch(ctx context.Context, t *terminal, c *client.Client, job string, f func() error) error {
	if t.json {
		return f()
	}
	draw, stop := context.WithCancel(ctx)
	began, drawn := time.Now(), make(chan struct{})
	live := make(chan progress.Event)
	go func() {
		defer close(live)
		for e, err := range c.Events(draw) {
			if err != nil {
				return
			}
			if e.Job != job || e.State != progress.Running && e.Time.Before(began) {
				continue // another one's, or over before
			}
			select {
			case live <- e:
			case <-draw.Done():
				return
			}
		}
	}()
	go func() {
		defer close(drawn)
		(&bars{t: t}).follow(draw, live, nil)
	}()
	err := f()
	stop()
	<-drawn
	return err
}

// reportEnv prints outcomes and gives the error that the exit code is made of: 3 when
// something waits for an approval or only some failed, 1 when all did.
func reportEnv(t *terminal, r api.EnvReply) error {
	if t.json {
		if err := t.encode(r); err != nil {
			return err
		}
	} else {
		t.notices(r.Notices)
		for _, o := range r.Outcomes {
			if o.Env != "" {
				t.print("%s", outcomeWords(o))
			}
			t.notices(o.Notices)
			for _, file := range o.Missing {
				t.print("missing: %s", file)
			}
		}
	}
	failed, waits := 0, 0
	for _, o := range r.Outcomes {
		switch o.Did {
		case api.EnvFailed:
			failed++
		case api.EnvWaits:
			waits++
		}
	}
	switch {
	case failed > 0 && failed == len(r.Outcomes), notice.List(r.Notices).HasErrors() && len(r.Outcomes) == 0:
		return errReported
	case failed > 0, waits > 0, notice.List(r.Notices).HasErrors():
		return errors.Join(errReported, errPartly)
	}
	return nil
}

// outcomeWords is one line: the environment, the sentence for the teacher, and where
// that left the labels.
func outcomeWords(o api.EnvOutcome) string {
	s := didWords(o)
	if o.Sentence != "" && o.Did != api.EnvFailed && o.Did != api.EnvUnchanged {
		s += " " + sentence(o.Sentence)
	}
	if l := labelWords(o.Labels); l != "" && o.Did != api.EnvUnchanged {
		s += " (" + l + ")"
	}
	return o.Env + ": " + s
}

// sentence gives words the beginning and the end of a sentence.
func sentence(s string) string {
	if s == "" {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + strings.TrimSuffix(s[n:], ".") + "."
}

// didWords says what was done, in the words of somebody who did not read the manual.
func didWords(o api.EnvOutcome) string {
	named := o.Tag
	if named == "" && o.Generation > 0 {
		named = fmt.Sprintf("generation %d", o.Generation)
	}
	if named == "" {
		named = "it"
	}
	switch o.Did {
	case api.EnvUnchanged:
		return "nothing to do."
	case api.EnvResolved:
		return "the exact list of packages is written down; nothing is built yet."
	case api.EnvTagged:
		return named + " names this list of packages now."
	case api.EnvDeployed:
		return named + " is built and tested; nobody uses it yet."
	case api.EnvPromoted:
		return named + " is in use: kernels that start from now on have it."
	case api.EnvWaits:
		return named + " is ready and waits for an OK (conjured env promote " + o.Env + ")."
	case api.EnvRolledBack:
		return "back to " + named + ": kernels that start from now on have it."
	case api.EnvLabelled:
		if o.Generation == 0 {
			return "the label is gone."
		}
		return "the label points at " + named + "."
	case api.EnvPinned:
		return named + " is kept until it is unpinned."
	case api.EnvUnpinned:
		return named + " may be removed when nothing needs it."
	case api.EnvWasReset:
		return "built anew, the same packages as before, as " + named + "."
	case api.EnvVerified:
		return named + " is exactly what its list says, and its kernel works."
	case api.EnvRemoved:
		return "removed."
	case api.EnvRepaired:
		return "the history agrees with what is on the disk again."
	case api.EnvImported:
		return "imported."
	case api.EnvExported:
		return "exported."
	case api.EnvFailed:
		return "not done; it is exactly as it was."
	}
	return string(o.Did) + "."
}
