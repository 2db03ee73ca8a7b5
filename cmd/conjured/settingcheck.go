package main

import (
	"fmt"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/conjuring/conjured/notice"
)

// The values of the setting auto_promote.
const (
	promoteTested  = "tested"   // whatever was built and has passed its tests
	promoteAddOnly = "add-only" // only what adds packages and changes none; the rest waits for an OK
	promoteNever   = "never"    // everything waits for an OK
)

// check finds values that the type of a key allows and its meaning does not, all of
// them, with their lines in the file.
func (s settings) check(path string, file []byte) notice.List {
	var l notice.List
	bad := func(key, what, do string) {
		l = append(l, notice.Notice{
			Code: "settings-bad", Severity: notice.SeverityError, File: path, Line: lineOf(file, key),
			What: what, Means: "conjured did not start, so that no setting is silently ignored", Do: do,
		})
	}
	switch s.Class {
	case "", classAuto, classManual:
	default:
		bad("class", fmt.Sprintf("class is %q, and can be auto or manual", s.Class),
			"write class: auto (servers are there when the machine has booted) or class: manual")
	}
	switch s.AutoPromote {
	case "", promoteTested, promoteAddOnly, promoteNever:
	default:
		bad("auto_promote", fmt.Sprintf("auto_promote is %q, and can be tested, add-only or never", s.AutoPromote),
			"write auto_promote: tested (the class uses what has passed its tests), add-only (only new packages come without asking) or never")
	}
	for key, address := range map[string]string{"conda_channel": s.CondaChannel, "pip_index": s.PipIndex} {
		if address != "" && !isMirror(address) {
			bad(key, fmt.Sprintf("%s is %.80q, which is no address of a mirror", key, address),
				"write an address such as https://mirror.example.org/conda, without a name or password in it")
		}
	}
	return l
}

// isMirror tells whether s can be fetched from. A password has no place in a file that
// everybody on the machine may read.
func isMirror(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" &&
		!strings.ContainsAny(s, " \t\n")
}

// lineOf is the line of a key at the top of a YAML file, 1-based; 0 when it is not found.
func lineOf(file []byte, key string) int {
	var doc yaml.Node
	if err := yaml.Unmarshal(file, &doc); err != nil || len(doc.Content) == 0 {
		return 0
	}
	top := doc.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		if top[i].Value == key {
			return top[i].Line
		}
	}
	return 0
}
