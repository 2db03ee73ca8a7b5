// Package systemd tells the supervisor how the daemon is: ready, stopping, alive.
// Each call does nothing where no supervisor listens (NOTIFY_SOCKET is not set).
// The unit files lie beside this one. [Listeners] takes over the sockets it has opened.
package systemd

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that the front door answers.
func Ready() error { return notify(daemon.SdNotifyReady) }

// Stopping says that the daemon has begun to stop.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// Status shows one line in `systemctl status`.
func Status(line string) error { return notify("STATUS=" + line) }

// Feed feeds the watchdog, if the unit has one, each time alive says that the daemon
// has done a real turn of work since the last time. It returns when ctx ends.
func Feed(ctx context.Context, alive func() bool) error {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil || limit == 0 {
		return err
	}
	tick := time.NewTicker(limit / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if alive() {
				if err := notify(daemon.SdNotifyWatchdog); err != nil {
					return err
				}
			}
		}
	}
}

func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("cannot notify the supervisor: %w", err)
	}
	return nil
}
