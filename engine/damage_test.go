package engine

import (
	"errors"
	"testing"

	"github.com/conjuring/conjured/notice"
)

// What Engine 20.10 said, in an experiment, of a store whose files were taken away or
// emptied, and what it says of things that are no damage.
func TestDamaged(t *testing.T) {
	const store = "Error response from daemon: "
	for words, want := range map[string]bool{
		store + "stat /var/lib/docker/overlay2/xojwjsp3s1w3cmzy8pfa2r8f0: no such file or directory":                 true, // the layer's directory
		store + "open /var/lib/docker/overlay2/xojwjsp3s1w3cmzy8pfa2r8f0/committed: no such file or directory":       true,
		store + "open /var/lib/docker/overlay2/xojwjsp3s1w3cmzy8pfa2r8f0/link: no such file or directory":            true,
		store + "readlink /var/lib/docker/overlay2: invalid argument":                                                true, // lower is empty
		store + "readlink /var/lib/docker/overlay2/l/W5FTRXR3KQOHTENMKE4YLVJU5S: no such file or directory":          true,
		store + "error creating overlay mount to /var/lib/docker/overlay2/46-init/merged: no such file or directory": true, // diff is gone
		store + "layer does not exist":                                                                                                 true, // layerdb's cache-id, diff, size or parent is empty
		"failed to solve: layer does not exist":                                                                                        true, // BuildKit's containerdmeta.db is empty
		"failed to solve: can not convert active v6w7uwd8 to layer":                                                                    true, // BuildKit's snapshots.db is empty
		store + "failed to prune build cache: failed to remove k7fdeseu: lease \"k7fdeseu\": not found":                                true,
		store + "read /var/lib/docker/overlay2/abc/diff/usr/lib/x: input/output error":                                                 true,
		store + "No such image: conjuring/conjuring:core":                                                                              false,
		store + "invalid mount config for type \"bind\": bind source path does not exist: /srv/x":                                      false,
		store + "failed to create shim task: runc create failed: exec: \"/bin/nothing\": stat /bin/nothing: no such file or directory": false,
		store + "error creating overlay mount to /var/lib/docker/overlay2/46/merged: no space left on device":                          false,
		store + "open /var/lib/docker/tmp/x: no such file or directory":                                                                false,
		"failed to mount local volume: mount overlay:/var/lib/docker/volumes/x/_data, data: lowerdir=/a: no such file or directory":    false,
		"building system failed: cp: cannot stat '/usr/share/x': No such file or directory":                                            false,
	} {
		if got := Damaged(errors.New(words)); got != want {
			t.Errorf("Damaged(%q) = %v", words, got)
		}
	}
	if Damaged(nil) || StoreDamaged(nil) != nil {
		t.Error("no error is damage")
	}
	err := StoreDamaged(StoreDamaged(errors.New("x")))
	if l := notice.For(err); !errors.Is(err, ErrDamaged) || !Damaged(err) || len(l) != 1 || l[0].Code != "docker-damaged" {
		t.Errorf("got %v, %+v", err, l)
	}
}
