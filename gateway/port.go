package gateway

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/conjuring/conjured/notice"
)

// explainListen words why address cannot be listened on.
func explainListen(address string, err error) error {
	n := notice.Notice{
		Severity: notice.SeverityError,
		Means:    "students cannot reach the class at this address",
	}
	_, port, _ := net.SplitHostPort(address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		who := "another program"
		if p, perr := strconv.ParseUint(port, 10, 16); perr == nil {
			who = cmp.Or(portOwner("/proc", uint16(p)), who)
		}
		n.Code = "port-taken"
		n.What = fmt.Sprintf("port %s is already used by %s", port, who)
		n.Do = "stop that program, or start conjured with another port: --listen :" + other(port)
	case errors.Is(err, syscall.EACCES):
		n.Code = "port-not-allowed"
		n.What = fmt.Sprintf("this user may not open port %s", port)
		n.Do = "start conjured with sudo, or with a port above 1023: --listen :8989"
	default:
		n.Code = "address-not-usable"
		n.What = fmt.Sprintf("the address %s cannot be listened on", address)
		n.Do = "give an address of this machine, or only a port: --listen :8989"
	}
	return &notice.Error{Notice: n, Err: err}
}

func other(port string) string {
	if port == "8990" {
		return "8991"
	}
	return "8990"
}

// portOwner names the process that listens on a TCP port, "" when it cannot be
// found out (another user's, another network namespace). proc is "/proc".
func portOwner(proc string, port uint16) string {
	inodes := map[string]bool{}
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		f, err := os.Open(filepath.Join(proc, table))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if inode, ok := listening(lines.Text(), port); ok {
				inodes["socket:["+inode+"]"] = true
			}
		}
		_ = f.Close()
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob(filepath.Join(proc, "[0-9]*/fd/*"))
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && inodes[to] {
			dir := filepath.Dir(filepath.Dir(fd))
			name, _ := os.ReadFile(filepath.Join(dir, "comm"))
			return fmt.Sprintf("the program %s (process %s)", strings.TrimSpace(string(name)), filepath.Base(dir))
		}
	}
	return ""
}

// listening reads a line of /proc/net/tcp (proc(5)): the socket's inode, if it
// listens (state 0A) on port.
func listening(line string, port uint16) (inode string, ok bool) {
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != "0A" {
		return "", false
	}
	_, hex, found := strings.Cut(f[1], ":")
	p, err := strconv.ParseUint(hex, 16, 16)
	return f[9], found && err == nil && uint16(p) == port
}
