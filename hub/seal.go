package hub

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxLeft is how much else than its socket a server may have left in its place.
const maxLeft = 16

// sealPlace takes a place from its student once the socket is there: nothing can be
// put beside it or instead of it any more, neither a link to somebody else's socket
// nor as much as fills the run directory, which is everybody's. What else came there
// before that, from a student's own Jupyter settings, is removed; very much of it
// fails the start.
func (h *Hub) sealPlace(id string) error {
	d, err := openPlace(h.paths.place(id))
	if err != nil {
		return err
	}
	defer d.Close()
	if os.Geteuid() == 0 {
		if err := d.Chown(0, 0); err != nil {
			return fmt.Errorf("cannot close the server's place: %w", err)
		}
	}
	if err := d.Chmod(0o711); err != nil {
		return fmt.Errorf("cannot close the server's place: %w", err)
	}
	names, err := d.Readdirnames(maxLeft + 2)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("cannot look at the server's place: %w", err)
	}
	if len(names) > maxLeft+1 {
		return errors.New("your Jupyter settings put files beside your server's socket, where none belong")
	}
	for _, name := range names {
		if name == filepath.Base(h.paths.sock(id)) {
			continue
		}
		if err := unix.Unlinkat(int(d.Fd()), name, 0); err != nil {
			if err := unix.Unlinkat(int(d.Fd()), name, unix.AT_REMOVEDIR); err != nil {
				return errors.New("your Jupyter settings made folders beside your server's socket, where none belong")
			}
		}
	}
	return nil
}

func openPlace(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the server's place: %w", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}
