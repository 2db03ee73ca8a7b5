package history

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // git's own name of an object
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// oid is the name of a git object, 40 hexadecimal digits.
type oid string

var oidForm = regexp.MustCompile(`^[0-9a-f]{40}$`)

func (id oid) ok() bool { return oidForm.MatchString(string(id)) }

// none is what update-ref calls a reference that is not there.
const none oid = "0000000000000000000000000000000000000000"

// kind is what an object is.
type kind string

const (
	commitKind kind = "commit"
	treeKind   kind = "tree"
	blobKind   kind = "blob"
	tagKind    kind = "tag"
)

// object is one git object, as it is hashed.
type object struct {
	kind kind
	data []byte
}

func (o object) id() oid {
	h := sha1.New() //nolint:gosec // see above
	fmt.Fprintf(h, "%s %d\x00", o.kind, len(o.data))
	h.Write(o.data)
	return oid(hex.EncodeToString(h.Sum(nil)))
}

// entry is one line of a tree.
type entry struct {
	mode, name string
	id         oid
}

const (
	fileMode = "100644"
	dirMode  = "40000"
)

// parseTree reads a tree: (MODE SP NAME NUL 20 bytes)*.
func parseTree(data []byte) ([]entry, error) {
	var es []entry
	for len(data) > 0 {
		sp, nul := bytes.IndexByte(data, ' '), bytes.IndexByte(data, 0)
		if sp < 1 || nul < sp || len(data) < nul+21 {
			return nil, errors.New("damaged tree")
		}
		es = append(es, entry{mode: string(data[:sp]), name: string(data[sp+1 : nul]), id: oid(hex.EncodeToString(data[nul+1 : nul+21]))})
		data = data[nul+21:]
	}
	return es, nil
}

// commit is what we use of a commit.
type commit struct {
	tree              oid
	parents           []oid
	author, committer identity
	message           string
}

// identity is a name, an address and a moment.
type identity struct {
	who  string // "NAME <ADDRESS>"
	when time.Time
}

// ourselves writes everything that is not imported: nobody's name is recorded.
const ourselves = "conjured <conjured@localhost>"

var identityForm = regexp.MustCompile(`^([^<>\x00-\x1f\x7f]{0,200})<([^<>\x00-\x1f\x7f]{0,200})> ([0-9]{1,10}) [+-][0-9]{4}$`)

// parseIdentity reads a line of a commit. A line of another form, or with bytes that
// could mislead a reader, becomes our own name at the beginning of time.
func parseIdentity(s string) identity {
	m := identityForm.FindStringSubmatch(s)
	if m == nil {
		return identity{who: ourselves, when: time.Unix(0, 0).UTC()}
	}
	sec, _ := strconv.ParseInt(m[3], 10, 64)
	who := strings.TrimSpace(strings.ToValidUTF8(m[1], "?"))
	if who == "" {
		who = "nobody"
	}
	who += " <" + strings.Join(strings.Fields(strings.ToValidUTF8(m[2], "?")), "") + ">"
	return identity{who: who, when: time.Unix(sec, 0).UTC()}
}

func (i identity) String() string { return fmt.Sprintf("%s %d +0000", i.who, i.when.Unix()) }

// header reads the "KEY VALUE" lines of a commit or tag, and what follows them.
func header(data []byte) (fields [][2]string, message string) {
	head, rest, _ := strings.Cut(string(data), "\n\n")
	for line := range strings.SplitSeq(head, "\n") {
		if key, value, ok := strings.Cut(line, " "); ok && key != "" { // a signature goes on with a space
			fields = append(fields, [2]string{key, value})
		}
	}
	return fields, rest
}

// parseCommit reads a commit, leaving out what we do not use.
func parseCommit(data []byte) (commit, error) {
	var c commit
	fields, message := header(data)
	for _, f := range fields {
		switch f[0] {
		case "tree":
			c.tree = oid(f[1])
		case "parent":
			c.parents = append(c.parents, oid(f[1]))
		case "author":
			c.author = parseIdentity(f[1])
		case "committer":
			c.committer = parseIdentity(f[1])
		}
	}
	c.message = message
	for _, id := range append([]oid{c.tree}, c.parents...) {
		if !id.ok() {
			return commit{}, errors.New("damaged commit")
		}
	}
	return c, nil
}

func (c commit) object() object {
	var b bytes.Buffer
	fmt.Fprintf(&b, "tree %s\n", c.tree)
	for _, p := range c.parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	fmt.Fprintf(&b, "author %s\ncommitter %s\n\n%s\n", c.author, c.committer, strings.TrimRight(c.message, "\n"))
	return object{commitKind, b.Bytes()}
}

// tagObject is an annotated tag of a commit.
func tagObject(name string, of oid, by identity, message string) object {
	return object{tagKind, fmt.Appendf(nil, "object %s\ntype commit\ntag %s\ntagger %s\n\n%s\n", of, name, by, strings.TrimRight(message, "\n"))}
}
