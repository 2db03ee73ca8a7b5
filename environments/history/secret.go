package history

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
)

// secret is one thing in a text that must not be in the history.
type secret struct {
	line       int    // 1-based
	what       string // "a private key"
	start, end int    // of the bytes to replace; a secret that is in no address has none
	host       string // of the address
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

// secretsIn finds the secrets of a text, those in addresses first on each line.
func secretsIn(text string) []secret {
	var out []secret
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
				out = append(out, secret{i + 1, m.what, offset + start, offset + end, host})
				copy(rest[start:end], bytes.Repeat([]byte("*"), end-start)) // found once is enough
			}
		}
		for _, m := range refused {
			if m.form.Match(rest) {
				out = append(out, secret{line: i + 1, what: m.what})
				break
			}
		}
		offset += len(line)
	}
	return out
}

// scrub gives f's text with the secrets in its addresses replaced, and says what it
// replaced. A notice of severity error means that f must not be written.
func (v *vault) scrub(f File) ([]byte, notice.List) {
	if len(f.Data) > maxFile {
		return nil, notice.List{refusal(f.Name, 0, "is larger than 1 MB", "shorten it, or split it")}
	}
	if bytes.IndexByte(f.Data, 0) >= 0 {
		return nil, notice.List{refusal(f.Name, 0, "is not a text", "save it as plain text")}
	}
	var told notice.List
	var out []byte
	last := 0
	for _, s := range ordered(secretsIn(string(f.Data))) {
		if s.end == 0 {
			told = append(told, refusal(f.Name, s.line, "holds what looks like "+s.what,
				"take it out of the file; whoever gave it to you should make a new one, because this one has been in a shared folder"))
			continue
		}
		if s.start < last {
			continue // a part of what was replaced
		}
		name := v.name(s.host, string(f.Data[s.start:s.end]))
		out = append(append(out, f.Data[last:s.start]...), "${"+name+"}"...)
		last = s.end
		told = append(told, notice.Notice{
			Code: "history-credential-moved", Severity: notice.SeverityInfo, File: f.Name, Line: s.line,
			What:  fmt.Sprintf("%s holds %s; in the history it is called ${%s}", f.Name, s.what, name),
			Means: "packages come from there as before; copies of the history do not give the password away",
			Do:    "nothing now; on another box write the password into the file again",
		})
	}
	return append(out, f.Data[last:]...), told
}

func refusal(name string, line int, what, do string) notice.Notice {
	return notice.Notice{
		Code: "history-refused", Severity: notice.SeverityError, File: name, Line: line, What: name + " " + what,
		Means: "this change is not written into the history, where it would stay for good and go into every copy; what the class uses does not move", Do: do,
	}
}
