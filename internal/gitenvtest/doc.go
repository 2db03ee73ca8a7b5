// Package gitenvtest is conda-gitenv for tests: it makes the repositories that tool makes,
// and demands of one what that tool demands.
package gitenvtest
