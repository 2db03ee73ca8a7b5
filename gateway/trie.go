package gateway

import (
	"hash/maphash"
	"iter"
)

// node is one place in the route table: the route that ends there, if any, and
// what lies below. Nodes are never changed once they can be seen by a reader: a
// change copies the nodes from the root to the place and shares all others.
type node struct {
	route *route
	kids  *branch
}

// branch is a node's children: a treap, a search tree by segment that is a heap by
// prio. As prio is a keyed hash of the segment its shape does not depend on
// history, and nobody outside can make it degenerate.
type branch struct {
	segment     string
	prio        uint64
	node        *node
	left, right *branch
}

func (b *branch) get(segment string) *node {
	for b != nil {
		switch {
		case segment == b.segment:
			return b.node
		case segment < b.segment:
			b = b.left
		default:
			b = b.right
		}
	}
	return nil
}

// put returns b with n at segment.
func (b *branch) put(seed maphash.Seed, segment string, n *node) *branch {
	if b == nil {
		return &branch{segment: segment, prio: maphash.String(seed, segment), node: n}
	}
	c := *b
	switch {
	case segment == b.segment:
		c.node = n
	case segment < b.segment:
		c.left = b.left.put(seed, segment, n)
		if l := c.left; l.prio > c.prio {
			up := *l
			c.left, up.right = l.right, &c
			return &up
		}
	default:
		c.right = b.right.put(seed, segment, n)
		if r := c.right; r.prio > c.prio {
			up := *r
			c.right, up.left = r.left, &c
			return &up
		}
	}
	return &c
}

// drop returns b without segment, which is there.
func (b *branch) drop(segment string) *branch {
	if segment == b.segment {
		return join(b.left, b.right)
	}
	c := *b
	if segment < b.segment {
		c.left = b.left.drop(segment)
	} else {
		c.right = b.right.drop(segment)
	}
	return &c
}

// join is one treap of two, when every segment of l sorts before every one of r.
func join(l, r *branch) *branch {
	switch {
	case l == nil:
		return r
	case r == nil:
		return l
	case l.prio > r.prio:
		c := *l
		c.right = join(l.right, r)
		return &c
	}
	c := *r
	c.left = join(l, r.left)
	return &c
}

// find is the route of the longest prefix of path, a decoded path without its
// slashes at both ends.
func (n *node) find(path string) *route {
	best := n.route
	for segment := range segments(path) {
		if n = n.kids.get(segment); n == nil {
			return best
		}
		if n.route != nil {
			best = n.route
		}
	}
	return best
}

// at is the place of exactly path, nil when nothing lies there.
func (n *node) at(path string) *node {
	for segment := range segments(path) {
		if n = n.kids.get(segment); n == nil {
			return nil
		}
	}
	return n
}

// with returns n with r at path.
func (n *node) with(seed maphash.Seed, path string, r *route) *node {
	var c node
	if n != nil {
		c = *n
	}
	segment, rest, more := cut(path)
	if !more {
		c.route = r
		return &c
	}
	c.kids = c.kids.put(seed, segment, c.kids.get(segment).with(seed, rest, r))
	return &c
}

// without returns n with no route at path, where there is one, and without the
// places that lead nowhere any more; nil when nothing is left.
func (n *node) without(seed maphash.Seed, path string) *node {
	c := *n
	segment, rest, more := cut(path)
	if !more {
		c.route = nil
	} else if kid := c.kids.get(segment).without(seed, rest); kid == nil {
		c.kids = c.kids.drop(segment)
	} else {
		c.kids = c.kids.put(seed, segment, kid)
	}
	if c.route == nil && c.kids == nil {
		return nil
	}
	return &c
}

// routes yields what lies at and below n, sorted.
func (n *node) routes() iter.Seq[*route] {
	return func(yield func(*route) bool) { n.each(yield) }
}

func (n *node) each(yield func(*route) bool) bool {
	if n == nil {
		return true
	}
	return (n.route == nil || yield(n.route)) && n.kids.each(yield)
}

func (b *branch) each(yield func(*route) bool) bool {
	return b == nil || b.left.each(yield) && b.node.each(yield) && b.right.each(yield)
}
