package custom

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A checksum is in one form wherever it stood: its kind, a colon, and hex in small
// letters, such as sha256:9f86d08....

var (
	reqHash   = regexp.MustCompile(`\s--hash(?:\s*=\s*|\s+)(\S+)`)
	sumForm   = regexp.MustCompile(`^([a-z0-9_-]{2,20}):([0-9a-f]{2,256})$`)
	sumDigits = map[string]int{"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
)

// checksum is text in its one form. It may be of a kind that nobody here knows: then
// it is for whoever has the file to say so.
func checksum(text string) (string, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	m := sumForm.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	digits, known := sumDigits[m[1]]
	return text, !known || digits == len(m[2])
}

// cutHashes takes the checksums off a line of a requirements file.
func (q *requirements) cutHashes(rel string, line int, text string) (spec string, hashes []string, ok bool) {
	given := reqHash.FindAllStringSubmatch(text, -1)
	for _, m := range given {
		h, good := checksum(m[1])
		if kind, _, _ := strings.Cut(h, ":"); !good || !slices.Contains([]string{"sha256", "sha384", "sha512"}, kind) {
			q.refuse("requirements-hash-form", rel, line, m[1], "is no checksum that pip takes", "make the list again with its tool, or write --hash=sha256: and the 64 digits that `pip hash FILE` prints")
			return "", nil, false
		}
		hashes = append(hashes, h)
	}
	if len(given) > 0 {
		text = strings.TrimSpace(reqHash.ReplaceAllString(text, ""))
	}
	return text, hashes, true
}

// sums adds the checksums of a line to those that came with it in a list.
func (q *requirements) sums(hashes []string, rel string, line int) []string {
	if len(hashes) > 0 && !q.hashes {
		q.hashes = true
		q.info("requirements-hash", rel, line, fmt.Sprintf("%s line %d gives the checksum of a package", printable(rel), line),
			"only a file with a checksum that stands here is installed; packages without one come as the index has them", "nothing to do")
	}
	return oneOf(append(hashes, q.given...))
}

// oneOf is checksums of which any will do, each once; nil for none.
func oneOf(hashes []string) []string {
	if len(hashes) == 0 {
		return nil
	}
	slices.Sort(hashes)
	return slices.Compact(hashes)
}

// listed is the checksums of a package in a list. One that is none makes the list
// unfit, because what it was made for cannot be told.
func (a *asking) listed(rel string, line int, name string, given ...string) []string {
	var out []string
	for _, text := range given {
		if text == "" {
			continue
		}
		h, ok := checksum(text)
		if !ok {
			a.error("lock-hash", rel, line, fmt.Sprintf("%s line %d: %q is no checksum for %s", printable(rel), line, short(text), short(name)), "make the file again with its tool, or remove it")
			return nil
		}
		out = append(out, h)
	}
	if len(out) > 0 {
		a.summed++
	}
	return oneOf(out)
}

// withoutHash refuses lines without a checksum where --require-hashes says that there is
// none, as pip does. A wheel of the folder is its own.
func (a *asking) withoutHash() {
	if !a.req.out.Strict {
		return
	}
	has := map[string]bool{}
	for _, r := range a.req.out.Items {
		if len(r.Hashes) > 0 || isPath(r.Spec) {
			has[r.Name] = true
		}
	}
	for _, r := range a.req.out.Items {
		if !has[r.Name] && !r.Constraint {
			a.error("requirements-no-hash", r.File, r.Line, fmt.Sprintf("%s line %d gives no checksum for %s, and --require-hashes asks for one on every line", printable(r.File), r.Line, r.Name),
				"make the list again with its tool (pip-compile --generate-hashes), or take --require-hashes out")
		}
	}
}
