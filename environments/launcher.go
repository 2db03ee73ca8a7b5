package environments

import _ "embed"

// Launcher is the POSIX shell script at /opt/conjured/bin/launch in the class image:
// `launch ENV@LABEL PROG ARG...` runs a program of the generation that a label points
// at now. It needs readlink and flock (coreutils, util-linux).
//
//go:embed launch.sh
var Launcher []byte
