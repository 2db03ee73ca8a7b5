// Package chp is the front door's engine as a program of its own: a stand-in for
// configurable-http-proxy 5 (CHP) with the same command line, environment, REST API,
// log lines, metrics and exit codes, so that whatever starts the original can start
// this one. JupyterHub does, under that name.
//
// Terms are those of package gateway. The original's behaviour is taken from its
// documentation, its --help and its answers. Where this program answers otherwise on
// purpose, doc/adr/0020 says so and why, and differential_test.go holds the same list
// against the original itself.
package chp
