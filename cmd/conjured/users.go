package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/client"
	"github.com/conjuring/conjured/custom"
	"github.com/conjuring/conjured/users"
)

func newUsers(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use: "users", Short: "Accounts: list them, make a users.csv, give a new password, see who logged in",
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUsersList(g), newUsersGen(g), newUsersPasswd(g), newUsersCheck(g), newUsersLog(g))
	return cmd
}

func newUsersList(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the accounts of the running class", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			all, err := c.Users(cmd.Context())
			if err != nil {
				return err
			}
			if g.t.json {
				return g.t.encode(all)
			}
			return printUsers(g.t.out, all)
		},
	}
}

func printUsers(out io.Writer, all []api.User) error {
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tUID\tROLE\tROW\tSTATE")
	for _, u := range all {
		role, row, state := "student", fmt.Sprint(u.Row), []string{}
		if u.Admin {
			role = "teacher"
		}
		if u.Removed {
			row, state = "-", append(state, "not in the class any more (home kept)")
		}
		if u.HasServer {
			state = append(state, "working")
		}
		if u.OwnChoice {
			state = append(state, "own password")
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", u.Name, u.UID, role, row, strings.Join(state, ", "))
	}
	return w.Flush()
}

func newUsersGen(g *global) *cobra.Command {
	var o users.GenOptions
	cmd := &cobra.Command{
		Use:   "gen FILE",
		Short: "Write a users.csv with made-up accounts",
		Long: `gen writes FILE with new accounts, or with --append adds them to those that are there.
It never writes over a file: move it away first, or use --append.`,
		Args: exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return runUsersGen(g.t, args[0], o) },
	}
	f := cmd.Flags()
	f.IntVar(&o.Num, "num", 20, "how many accounts")
	f.StringVar(&o.UserName, "usernm", "conjuring", "names are this and a number")
	f.IntVar(&o.PasswordLen, "pwdlen", 8, "characters of a password")
	f.StringVar(&o.UnsafePassword, "unsafe_pwd", "", "passwords are this and the number: easy to say, easy to guess")
	f.BoolVar(&o.CreateAdmin, "create_admin", false, "also make a teacher's account")
	f.StringVar(&o.AdminUser, "admin_user", "admin", "name of the teacher's account")
	f.IntVar(&o.AdminLen, "admin_len", 12, "characters of the teacher's password")
	f.BoolVar(&o.Append, "append", false, "add to the accounts of the file")
	return cmd
}

func runUsersGen(t *terminal, file string, o users.GenOptions) error {
	existing, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !o.Append:
		return usageError{fmt.Errorf("%s is there already: move it away, or add to it with --append", file)}
	}
	data, added, err := users.Generate(existing, o)
	if err != nil {
		return usageError{err}
	}
	if err := users.WriteCSV(file, data); err != nil {
		return err
	}
	if t.json {
		return t.encode(map[string]any{"file": file, "added": added})
	}
	t.print("%s: %s added. The passwords are in the file; keep it to yourself.", file, plural(len(added), "account"))
	return nil
}

func newUsersPasswd(g *global) *cobra.Command {
	var ask bool
	cmd := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Give an account a new password",
		Long: `passwd makes up a new password, or with --ask reads one from the terminal (or the first
line of standard input). It is valid at once, until the row in users.csv gets another one.`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runUsersPasswd(cmd.Context(), g, args[0], ask)
		},
	}
	cmd.Flags().BoolVar(&ask, "ask", false, "read the password instead of making one up")
	return cmd
}

func runUsersPasswd(ctx context.Context, g *global, name string, ask bool) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	if !ask {
		return setPassword(ctx, g.t, c, name, "")
	}
	password, err := readPassword(g.t)
	if err != nil {
		return err
	}
	if password == "" {
		return usageError{errors.New("the password is empty")}
	}
	return setPassword(ctx, g.t, c, name, password)
}

func setPassword(ctx context.Context, t *terminal, c *client.Client, name, password string) error {
	made, err := c.SetPassword(ctx, name, password)
	if err != nil {
		return err
	}
	switch {
	case t.json && password == "":
		return t.encode(api.Login{User: name, Password: made})
	case t.json:
		return t.encode(map[string]string{"user": name})
	case password == "":
		t.print("The new password of %s is  %s\nIt is shown now and kept nowhere.", name, made)
	default:
		t.print("The password of %s is changed.", name)
	}
	return nil
}

// readPassword takes a line without showing it. It never comes from the command line,
// where everybody on the machine could read it.
func readPassword(t *terminal) (string, error) {
	if term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprint(t.err, "New password: ")
		b, err := term.ReadPassword(int(os.Stdin.Fd()))
		t.say("")
		return string(b), err
	}
	b, err := io.ReadAll(io.LimitReader(os.Stdin, 4<<10))
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSuffix(line, "\r"), err
}

func newUsersCheck(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Read a users.csv and say everything that is wrong with it",
		Args:  exactly("FILE"),
		RunE:  func(_ *cobra.Command, args []string) error { return runUsersCheck(g.t, args[0]) },
	}
}

// maxUsersFile is more than any roster; a larger file is something else.
const maxUsersFile = 16 << 20

func runUsersCheck(t *terminal, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return usageError{err}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxUsersFile))
	if err != nil {
		return err
	}
	roster, l := users.Parse(custom.UsersCSV, data)
	if t.json {
		err = t.encode(map[string]any{"notices": l, "roster": roster.Rows})
	} else {
		t.notices(l)
		t.print("%s: %s", file, plural(len(roster.Rows), "account"))
	}
	if err == nil && l.HasErrors() {
		err = errReported
	}
	return err
}
