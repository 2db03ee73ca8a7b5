// Package dockertest gives a test a Docker Engine of its own, with directories and a
// network of its own, so that it can be killed and its store be taken apart: the
// machine's own goes on untouched.
package dockertest
