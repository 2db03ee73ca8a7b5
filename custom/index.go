package custom

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// index judges the address of an index. None is followed but the box's own.
func (q *requirements) index(rel string, line int, text, value string) {
	u, err := url.Parse(value)
	switch {
	case q.usualIndex(value): // where packages come from anyway
	case err != nil || u.Host == "" || strings.ContainsAny(value, " \t"):
		q.refuse("requirements-index", rel, line, text, "is no address of an index", "write it as: --index-url https://example.org/simple")
	case u.User != nil:
		q.refuse("requirements-credentials", rel, line, text, "holds a user name or a password", "remove them; a stick is no place for a password")
	case u.Scheme != "https":
		q.refuse("requirements-index", rel, line, text, "does not use https", "write https:// or remove the line")
	default:
		q.warn("requirements-index", rel, line, fmt.Sprintf("%s line %d: packages of %s are not used", printable(rel), line, short(u.Host)),
			"all packages come from the usual index, because on a second one anybody can offer another package under a known name; one that is not on the usual index stops the change, and the class stays as it is",
			"put the wheels of such packages into the folder and write ./NAME.whl, or have the machine's administrator name the index in /etc/conjured/conjured.yaml (pip_index)")
	}
}

// usualIndex tells whether an address is that of the box's own index, or of the one that
// it is a mirror of.
func (q *requirements) usualIndex(address string) bool {
	return slices.ContainsFunc([]string{"https://pypi.org/simple", "https://pypi.python.org/simple", q.opt.Policy.Index}, func(own string) bool {
		return own != "" && strings.TrimRight(address, "/") == strings.TrimRight(own, "/")
	})
}
