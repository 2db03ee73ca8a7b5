package chp

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// deviation is a place where the two programs answer a request differently on purpose,
// or by the nature of what they are made of. doc/adr/0020 has the same list, and what is
// not about requests.
type deviation struct {
	name    string
	why     string
	example string                                     // a path for which the answers do differ, on every table of example
	applies func(uri string, ours, theirs answer) bool // whether it is what happened
}

func deviations() []deviation {
	return []deviation{
		{
			"as it came", "the bytes of a path are between the browser and the target; the original writes them anew as a browser would",
			"/user/a|b/%7e/{x}/../y?", func(uri string, ours, theirs answer) bool {
				before, same := strings.CutSuffix(theirs.URI, whatwg(uri))
				return same && ours == answer{theirs.Status, theirs.Target, before + uri}
			},
		}, {
			"not ASCII", "Node.js refuses such a request line; browsers never send one, some programs do, and its meaning is clear",
			"/user/é", func(uri string, ours, theirs answer) bool {
				return theirs.Status == 400 && strings.IndexFunc(uri, func(r rune) bool { return r > '~' }) >= 0
			},
		}, {
			"no UTF-8", "the original fails with 500 in decodeURIComponent; here such a path has no route of its own and goes where its beginning leads",
			"/user/%FF", func(uri string, _, theirs answer) bool {
				path, _, _ := strings.Cut(uri, "?")
				plain, err := url.PathUnescape(path)
				return theirs.Status == 500 && err == nil && !utf8.ValidString(plain)
			},
		}, {
			"no escape", "a percent sign that is no escape: the original answers 500 with its error page, or removes it with the dots behind it; Go's server answers 400 before anybody is asked",
			"/user/%zz", func(uri string, ours, _ answer) bool {
				path, _, _ := strings.Cut(uri, "?")
				_, err := url.PathUnescape(path)
				return ours.Status == 400 && err != nil
			},
		}, {
			"two slashes first", "the original takes what follows them for a host name and looks up the rest: //evil/user/al leads to /user/al there; routed by hosts, it finds nothing behind two that are left of /..//user/al",
			"//user/al", func(uri string, ours, _ answer) bool {
				return strings.HasPrefix(strings.ReplaceAll(uri, `\`, "/"), "//") || strings.HasPrefix(whatwg(uri), "//")
			},
		}, {
			"dots behind an escaped slash", "a target that decodes a path sees them; here they count for the choice of the route as they do for it",
			"/user/x%2F..%2Fal", func(uri string, _, _ answer) bool {
				path, _, _ := strings.Cut(uri, "?")
				plain, _ := url.PathUnescape(path)
				return strings.Contains(strings.ToLower(path), "%2f") && strings.Contains(plain, "/..")
			},
		}, {
			"fragment", "a request line has none; what looks like one is part of the path here, and cut off by the original",
			"/user/al#f", func(uri string, _, _ answer) bool { return strings.Contains(uri, "#") },
		},
	}
}

// excused tells whether a difference is on the list.
func excused(uri string, ours, theirs answer) bool {
	for _, d := range deviations() {
		if d.applies(uri, ours, theirs) {
			return true
		}
	}
	return false
}
