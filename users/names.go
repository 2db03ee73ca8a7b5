package users

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// Normalise gives the one spelling of a name that is used everywhere: no blanks at
// the edges, lower case as JupyterHub makes it at login, Unicode form NFC.
func Normalise(name string) string {
	if len(name) > 8*MaxName {
		return name // too long in every form; the tables of Unicode are slow on megabytes
	}
	s := norm.NFC.String(strings.TrimSpace(name))
	// Full Unicode rules, as Python's str.lower has them; strings.ToLower differs
	// for a few letters, and then the hub would ask for a name we don't know.
	return norm.NFC.String(cases.Lower(language.Und).String(s))
}

// CheckName says why a normalised name can't be an account, in words that follow
// "the name ... "; nil means it can.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("is empty")
	case !utf8.ValidString(name):
		return fmt.Errorf("is not UTF-8 text")
	case len(name) > MaxName:
		return fmt.Errorf("is longer than %d bytes", MaxName)
	case reserved(name):
		return fmt.Errorf("belongs to the system")
	}
	for i, r := range name {
		letter := unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_'
		if i == 0 && !letter {
			return fmt.Errorf("begins with %s", spell(r))
		}
		if !letter && !unicode.Is(unicode.M, r) && !strings.ContainsRune(".-@", r) {
			return fmt.Errorf("holds %s", spell(r))
		}
	}
	// Letters with a plainer twin (ligatures, full-width, superscripts) look the
	// same on a login card and are not the same to a computer.
	if norm.NFKC.String(name) != name {
		return fmt.Errorf("holds a look-alike letter")
	}
	return nil
}

// spell names a character so that a person can find it, even an invisible one.
func spell(r rune) string {
	switch {
	case r == ' ':
		return "a blank"
	case unicode.IsGraphic(r) && !unicode.IsSpace(r):
		return "the character " + string(r)
	}
	return fmt.Sprintf("an invisible character (U+%04X)", r)
}

// reserved tells whether a name belongs to Debian's own accounts (UID below 1000 in
// base-passwd, and those of services in the image) or to this product. The name
// admin is free: `conjured users gen` makes it.
func reserved(name string) bool {
	switch name {
	case "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news",
		"uucp", "proxy", "www-data", "backup", "list", "irc", "gnats", "_apt", "nobody",
		"nogroup", "messagebus", "sshd", "systemd-network", "systemd-resolve",
		"systemd-timesync", "systemd-journal", "dnsmasq", "avahi", "polkitd",
		"hub", "jupyterhub", "jupyter", "conjured", "conjuring", "shared", "services":
		return true
	}
	return false
}
