package chp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// options is the command line.
type options struct {
	public, api, metrics place
	publicTLS            tlsOptions
	apiTLS               tlsOptions
	clientTLS            tlsOptions
	protocol, ciphers    string
	rc4                  bool
	dhparam              string

	defaultTarget, errorTarget, errorPath string
	redirectPort, redirectTo              string
	pidFile, logLevel, storage            string
	custom                                headerFlag
	protocolRewrite                       string

	noForward, noPrepend, noInclude bool
	autoRewrite, changeOrigin       bool
	insecure, hostRouting           bool

	timeout, firstByte, keepAlive milliseconds
	help, version                 bool
}

// place is where one of the servers listens: a socket, or an address.
type place struct {
	ip     string
	port   port
	socket string
}

// tlsOptions are the flags of one side: --ssl-*, --api-ssl-* or --client-ssl-*.
type tlsOptions struct {
	key, cert, ca   string
	request, reject bool
}

func (o tlsOptions) wanted() bool { return o.key != "" || o.cert != "" }

// complaint is an error in the original's own words.
type complaint string

func (c complaint) Error() string { return string(c) }

// errShown is returned after --help or --version has been answered.
var errShown = errors.New("shown")

// parse reads a command line without the program's name. Its errors are those of the
// original's library (commander), word for word where programs may look at them.
func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return o, commander(flags, err)
	}
	switch {
	case o.help:
		usage(out, flags)
		return o, errShown
	case o.version:
		fmt.Fprintln(out, Version)
		return o, errShown
	case flags.NArg() > 0:
		return o, complaint(fmt.Sprintf("error: too many arguments. Expected 0 arguments but got %d: %s.", flags.NArg(), strings.Join(flags.Args(), ", ")))
	}
	return o, o.settle(flags)
}

// settle checks what belongs together and fills in what depends on something else.
func (o *options) settle(flags *pflag.FlagSet) error {
	for _, side := range []string{"", "api-", "metrics-"} {
		for _, other := range []string{"port", "ip"} {
			if flags.Changed(side+"socket") && flags.Changed(side+other) {
				return fmt.Errorf("error: option '--%ssocket <path>' cannot be used with option '--%s%s'", side, side, other)
			}
		}
	}
	if o.storage != "" {
		return errors.New("error: --storage-backend names a module of Node.js, which this proxy cannot load. Leave it out: routes are kept in memory")
	}
	if o.redirectPort != "" && !o.publicTLS.wanted() {
		return complaint("HTTPS redirection specified but certificates not provided.")
	}
	if o.errorTarget != "" && o.errorPath != "" {
		return complaint("Cannot specify both error-target and error-path. Pick one.")
	}
	if o.public.socket == "" && o.public.port == 0 {
		o.public.port = 8000
	}
	if o.api.socket == "" && o.api.port == 0 {
		o.api.port = 8001
		if o.public.port != 0 {
			o.api.port = o.public.port + 1
		}
	}
	if o.public.ip == "*" {
		o.public.ip = "" // an alias of the original's for every interface
	}
	return nil
}

// commander words an error of pflag as the original's library does.
func commander(flags *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	var empty *pflag.ValueRequiredError
	var bad *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		s := fmt.Sprintf("error: unknown option '--%s'", name)
		if unknown.GetSpecifiedShortnames() != "" {
			s = fmt.Sprintf("error: unknown option '-%s'", unknown.GetSpecifiedShortnames())
		}
		if near := nearest(flags, name); near != "" {
			s += "\n(Did you mean --" + near + "?)"
		}
		return errors.New(s)
	case errors.As(err, &empty):
		return fmt.Errorf("error: option '--%s <value>' argument missing", empty.GetSpecifiedName())
	case errors.As(err, &bad) && bad.GetFlag().Name == "custom-header":
		return errors.New(bad.Unwrap().Error())
	}
	return fmt.Errorf("error: %w", err)
}

// nearest is a flag that name may have been meant for, "" when none is near: one
// letter is missing, too many, or different, or two are swapped.
func nearest(flags *pflag.FlagSet, name string) (near string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if near == "" && close1(f.Name, name) {
			near = f.Name
		}
	})
	return near
}

func close1(a, b string) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	ra, rb := a[i:], b[i:]
	switch {
	case ra == "" || rb == "":
		return len(ra)+len(rb) == 1
	case ra[1:] == rb[1:], ra[1:] == rb, ra == rb[1:]:
		return true
	}
	return len(ra) > 1 && len(rb) > 1 && ra[0] == rb[1] && ra[1] == rb[0] && ra[2:] == rb[2:]
}

// address is what a place is for package net.
func (p place) address() (network, address string) {
	if p.socket != "" {
		return "unix", p.socket
	}
	return "tcp", net.JoinHostPort(p.ip, p.port.String())
}

func (p place) wanted() bool { return p.socket != "" || p.port != 0 }

// port is a TCP port; 0 is none.
type port uint16

func (p *port) String() string { return strconv.Itoa(int(*p)) }
func (p *port) Type() string   { return "n" }
func (p *port) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 16)
	*p = port(n)
	if err != nil {
		return errors.New("it must be a number from 0 to 65535")
	}
	return nil
}

// milliseconds is a length of time; 0 is none.
type milliseconds time.Duration

func (m *milliseconds) String() string {
	return strconv.FormatInt(time.Duration(*m).Milliseconds(), 10)
}
func (m *milliseconds) Type() string { return "n" }
func (m *milliseconds) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 32)
	*m = milliseconds(time.Duration(n) * time.Millisecond)
	if err != nil {
		return errors.New("it must be a number of milliseconds")
	}
	return nil
}

// headerFlag collects --custom-header "name: value"; the last of a name counts.
type headerFlag map[string]string

func (h *headerFlag) String() string { return "" }
func (h *headerFlag) Type() string   { return "header" }
func (h *headerFlag) Set(s string) error {
	s = strings.TrimSpace(s)
	name, value, ok := strings.Cut(s, ":")
	if !ok || name == "" {
		return complaint("A colon was expected in custom header: " + s)
	}
	if *h == nil {
		*h = headerFlag{}
	}
	(*h)[strings.TrimSpace(name)] = strings.TrimSpace(value)
	return nil
}
