package statics

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// shortestProof is the least number of hex digits that prove a content: Lab's bundler
// writes 16 of xxhash64, Lab's builder of extensions 20 of SHA-256.
const shortestProof = 16

// hashes are one content's, in hex.
type hashes struct {
	sha256, xx64, sha512 string
}

func hashesOf(content []byte) hashes {
	a, b := sha256.Sum256(content), sha512.Sum512(content)
	return hashes{hex.EncodeToString(a[:]), fmt.Sprintf("%016x", xxhash.Sum64(content)), hex.EncodeToString(b[:])}
}

// proves tells whether h is the beginning of one of the hashes. SHA-512 is the one in
// the ?v= of tornado, the others are in the names of files.
func (s hashes) proves(h string) bool {
	return len(h) >= shortestProof && (strings.HasPrefix(s.sha256, h) || strings.HasPrefix(s.xx64, h) || strings.HasPrefix(s.sha512, h))
}

// named tells whether one of the parts of a file's name proves its content, as in
// main.efd36b46f3b45eb8.js.
func (s hashes) named(name string) bool {
	for part := range strings.SplitSeq(path.Base(name), ".") {
		if s.proves(part) {
			return true
		}
	}
	return false
}

// versioned is the value of a query that is nothing but v=..., and whether the query
// is that or empty.
func versioned(query string) (v string, ok bool) {
	if query == "" {
		return "", true
	}
	v, ok = strings.CutPrefix(query, "v=")
	if !ok || strings.ContainsAny(v, "&;") {
		return "", false
	}
	v, err := url.QueryUnescape(v)
	return v, err == nil
}
