// Package wheeltest makes Python wheels, source packages and an index of them for tests:
// honest ones and ones that lie, over a network that can be made bad.
//
// Everything is deterministic: the same Wheel is the same bytes.
package wheeltest
