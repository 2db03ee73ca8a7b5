package layers

import (
	"fmt"
	"strings"
)

// Inputs is what a class asks of its images. The zero value is the built-in class:
// Debian, JupyterHub and Lab, nothing else.
type Inputs struct {
	BaseDockerfile []byte    // base.Dockerfile with LF; empty for the built-in base
	AptPackages    []Package // apt.txt, in order
	GroupID        int       // the class's group (A6); 0 means 1000
	// FallbackBase lets a base.Dockerfile whose FROM is not to be had be replaced by
	// the built-in base, with a warning. It is for a first boot only: when a class is
	// being served it would change the system under it.
	FallbackBase bool
	// Doubt has images that are there and were tested be tested once more: something
	// that starts from them has failed in a way that Docker's store may be the cause of.
	Doubt bool

	repairing bool // what is new stands for something damaged, and fails for the same reason
}

// Package is one package of apt.txt and where it stands.
type Package struct {
	Name    string // with ":arch" when one was written
	Version string // "" for any
	File    string // relative to the teacher's folder
	Line    int    // 1-based
}

// Spec is the package as apt-get takes it.
func (p Package) Spec() string {
	if p.Version == "" {
		return p.Name
	}
	return p.Name + "=" + p.Version
}

func (in Inputs) groupID() int {
	if in.GroupID == 0 {
		return 1000
	}
	return in.GroupID
}

// aptList is the apt.txt that the build gets to see: one package a line, nothing else,
// so that a comment moved or a line ending changed builds nothing.
func (in Inputs) aptList() string {
	var b strings.Builder
	for _, p := range in.AptPackages {
		fmt.Fprintln(&b, p.Spec())
	}
	return b.String()
}
