// Package secret finds what looks like a password or a key in a text, by the forms that
// their makers publish so that they can be found.
package secret

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// Found is one secret in a text.
type Found struct {
	Line       int    // 1-based
	What       string // "a private key"
	Start, End int    // of the bytes to replace; a secret that is in no address has none: both are 0
	Host       string // of the address
}

// rule finds one kind of secret. A text without any of the words is not searched: most
// files have none of them, and some are long.
type rule struct {
	what string
	any  []string // in lower case
	form *regexp.Regexp
}

func rules(of ...rule) []rule { return of }

// movable are secrets in addresses: the group s, of the host in the group h.
var movable = rules(
	rule{"a name and a password in an address", []string{"://"}, regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://(?P<s>[^\s/@:'"]*:[^\s/'"]+)@(?P<h>[^\s/:@'"]+)`)},
	rule{"a key in an address", []string{"://"}, regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://(?P<s>[^\s/@:'"*]{16,})@(?P<h>[^\s/:@'"]+)`)},
	rule{"a channel's token", []string{"/t/"}, regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://(?:[^\s/@'"]+@)?(?P<h>[^\s/'"@]+)/t/(?P<s>[^\s/'"]{8,})`)},
)

// refused are secrets wherever they stand: the forms that their makers publish so that
// they can be found. None of them is in a manifest by accident.
var refused = rules(
	rule{"a private key", []string{"private key", "putty", "age-secret"}, regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File|AGE-SECRET-KEY-1`)},
	rule{"a GitHub token", []string{"gh", "github_pat"}, regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,})`)},
	rule{"a GitLab token", []string{"gl"}, regexp.MustCompile(`\bgl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_-]{20,}`)},
	rule{"an Amazon key", []string{"akia", "asia"}, regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`)},
	rule{"a Slack token", []string{"xox"}, regexp.MustCompile(`\bxox[abeoprs]-[A-Za-z0-9-]{10,}`)},
	rule{"a PyPI token", []string{"pypi-age"}, regexp.MustCompile(`\bpypi-AgE[A-Za-z0-9_-]{20,}`)},
	rule{"an npm token", []string{"npm_"}, regexp.MustCompile(`\bnpm_[A-Za-z0-9]{36}\b`)},
	rule{"a Hugging Face token", []string{"hf_"}, regexp.MustCompile(`\bhf_[A-Za-z0-9]{30,}\b`)},
	rule{"a Google key", []string{"aiza"}, regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}`)},
	rule{"an API key", []string{"sk-"}, regexp.MustCompile(`\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}`)},
	rule{"a web token", []string{"eyj"}, regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`)},
	rule{"an Anaconda token", []string{"-"}, regexp.MustCompile(`\b[a-z]{2}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)},
	rule{"a login of a .netrc", []string{"machine"}, regexp.MustCompile(`\bmachine\s+\S+\s+login\s+\S+\s+password\s+\S+`)},
	rule{"a password", []string{"passw", "secret", "key", "token"}, regexp.MustCompile(`(?i)(?:password|passwd|secret|api_?key|access_?key|auth_?token|token)['"]?\s*[=:]\s*['"]?[^\s'"=$<{(]{8,}`)},
)

// worth gives the rules that can find something in a text.
func worth(rs []rule, text string) []rule {
	text = strings.ToLower(text)
	return slices.DeleteFunc(slices.Clone(rs), func(r rule) bool {
		return !slices.ContainsFunc(r.any, func(word string) bool { return strings.Contains(text, word) })
	})
}

// placeholder is a secret that somebody has kept out already.
var placeholder = regexp.MustCompile(`^(?:[^:]*:)?\$(?:\{[A-Za-z_][A-Za-z0-9_]*\}|[A-Za-z_][A-Za-z0-9_]*)$`)

// Find gives the secrets of a text, those in addresses first on each line.
func Find(text string) []Found {
	var out []Found
	movable, refused := worth(movable, text), worth(refused, text)
	offset := 0
	for i, line := range strings.SplitAfter(text, "\n") {
		rest := []byte(line)
		for _, m := range movable {
			s, h := m.form.SubexpIndex("s"), m.form.SubexpIndex("h")
			for from := 0; ; {
				at := m.form.FindSubmatchIndex(rest[from:])
				if at == nil {
					break
				}
				start, end := from+at[2*s], from+at[2*s+1]
				host := string(rest[from+at[2*h] : from+at[2*h+1]])
				from = end // the host may begin the next address
				if placeholder.Match(rest[start:end]) {
					continue
				}
				out = append(out, Found{i + 1, m.what, offset + start, offset + end, host})
				copy(rest[start:end], bytes.Repeat([]byte("*"), end-start)) // found once is enough
			}
		}
		for _, m := range refused {
			if m.form.Match(rest) {
				out = append(out, Found{Line: i + 1, What: m.what})
				break
			}
		}
		offset += len(line)
	}
	return out
}
