package systemd

import (
	"fmt"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
)

// Listeners are the stream sockets that the supervisor has opened for this process
// (sd_listen_fds(3)); none where it has opened none, and none from a second call. While
// the program is restarted the supervisor keeps them, so that nobody is turned away.
func Listeners() ([]net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("cannot take the supervisor's sockets: %w", err)
	}
	var streams []net.Listener
	for _, l := range all {
		if l != nil { // else it is no stream socket, and none of ours
			streams = append(streams, l)
		}
	}
	return streams, nil
}
