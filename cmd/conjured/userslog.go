package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/client"
	"github.com/conjuring/conjured/users"
)

func newUsersLog(g *global) *cobra.Command {
	var q api.LogQuery
	var since string
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Who logged in, who tried to, and what was changed about accounts",
		Long: `log prints one line for each login, each wrong password, each password that was set and each
account that came or went, the oldest first. It holds no passwords; a name that nobody has
is shown as four digits, since people type passwords into the wrong field. It works while
the daemon is down too.

  conjured users log --since 1h           the last hour
  conjured users log --user amira         one account
  conjured users log --since 2026-11-20   since a day
  conjured users log --follow             and what comes, until Ctrl-C`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.Since, err = parseSince(since, time.Now()); err != nil {
				return usageError{err}
			}
			q.User = users.Normalise(q.User)
			return runUsersLog(cmd.Context(), g, q)
		},
	}
	cmd.Flags().StringVar(&q.User, "user", "", "only this account")
	cmd.Flags().StringVar(&since, "since", "", "only what is younger: 90s, 20m, 8h, 3d, or a day as 2026-11-20")
	cmd.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with what comes")
	return cmd
}

// parseSince reads an age or a day; "" is always.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.DateTime, "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	age, unit := s, time.Duration(1)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		age, unit = days+"h", 24
	}
	d, err := time.ParseDuration(age)
	if err != nil || d < 0 || d > 100*365*24*time.Hour {
		return time.Time{}, fmt.Errorf("--since %s is neither an age (20m, 8h, 3d) nor a day (2026-11-20)", s)
	}
	return now.Add(-d * unit), nil
}

func runUsersLog(ctx context.Context, g *global, q api.LogQuery) error {
	_, p, err := g.load()
	if err != nil {
		return err
	}
	c := client.New(p.apiSocket())
	defer c.Close()
	err = printLog(g.t, c.AccountLog(ctx, q))
	if errors.Is(err, client.ErrNotRunning) {
		err = printLog(g.t, accountLog(ctx, p, q))
	}
	if q.Follow && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// printLog prints entries until there is an error or no more.
func printLog(t *terminal, entries iter.Seq2[api.LogEntry, error]) error {
	lines := json.NewEncoder(t.out)
	lines.SetEscapeHTML(false)
	for e, err := range entries {
		switch {
		case err != nil:
			return err
		case t.json:
			if err := lines.Encode(e); err != nil {
				return err
			}
		default:
			t.print("%s", logWords(e))
		}
	}
	return nil
}

// logWords is an entry as a line for people.
func logWords(e api.LogEntry) string {
	who := e.User
	if e.Unknown != "" {
		who = "(name " + e.Unknown + ")"
	}
	what := map[users.Event]string{
		users.EventLogin: "logged in", users.EventWrong: "wrong password", users.EventUnknown: "no such name",
		users.EventWait: "made to wait", users.EventRemoved: "not in the class any more",
		users.EventPassword: "new password", users.EventAdded: "new account", users.EventRestored: "account is back",
		users.EventGone: "account removed", users.EventRowPassword: "new password in users.csv",
		users.EventAdmin: "made a teacher", users.EventNoAdmin: "not a teacher any more",
	}[users.Event(e.Event)]
	if what == "" {
		what = e.Event
	}
	line := fmt.Sprintf("%s  %-24s  %-16s", e.Time.Local().Format(time.DateTime), what, who)
	if e.Address != "" {
		line += "  from " + e.Address
	}
	if users.Event(e.Event) == users.EventPassword {
		line += "  by the " + map[string]string{"generated": "box"}[e.By] + strings.TrimPrefix(e.By, "generated")
	}
	if e.More > 0 {
		line += fmt.Sprintf("  (and %d more)", e.More)
	}
	return strings.TrimRight(line, " ")
}

// accountLog reads the log where it lies.
func accountLog(ctx context.Context, p place, q api.LogQuery) iter.Seq2[api.LogEntry, error] {
	dir, f := p.join("users"), users.LogFilter{User: q.User, Since: q.Since}
	from := users.ReadLog(dir, f)
	if q.Follow {
		from = users.FollowLog(ctx, dir, f)
	}
	return func(yield func(api.LogEntry, error) bool) {
		for e, err := range from {
			if !yield(api.LogEntry{
				Time: e.Time, Event: string(e.Event), User: e.User, Unknown: e.Unknown,
				Address: e.Address, By: string(e.By), More: e.More,
			}, err) {
				return
			}
		}
	}
}

// AccountLog is what happened to accounts.
func (b *box) AccountLog(ctx context.Context, q api.LogQuery) iter.Seq2[api.LogEntry, error] {
	return accountLog(ctx, b.place, q)
}
