package main

import (
	"net"
	"slices"

	"github.com/conjuring/conjured/systemd"
)

// doorSockets are the supervisor's open sockets, and those of addresses that still have to
// be opened: a port that the supervisor holds is not asked for again.
func doorSockets(addresses []string) (open []net.Listener, rest []string, err error) {
	if open, err = systemd.Listeners(); err != nil {
		return nil, nil, err
	}
	return open, besides(addresses, open), nil
}

func besides(addresses []string, open []net.Listener) []string {
	return slices.DeleteFunc(slices.Clone(addresses), func(address string) bool {
		_, port, err := net.SplitHostPort(address)
		return err == nil && slices.ContainsFunc(open, func(l net.Listener) bool {
			_, held, err := net.SplitHostPort(l.Addr().String())
			return err == nil && held == port
		})
	})
}
