// Package conjured holds the files that the class image is made from, so that the
// program can build it on a machine that has nothing else of this repository.
package conjured

import "embed"

// Image is the Dockerfile of the class image and what it copies, at the paths they
// have here.
//
//go:embed Dockerfile layers/image/* layers/lock/*.txt
var Image embed.FS
