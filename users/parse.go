package users

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/conjuring/conjured/notice"
)

// parser gathers the roster and everything worth saying about it.
type parser struct {
	file    string
	roster  Roster
	notices notice.List
	extra   int // column of the id, or -1
	comma   rune
	typed   map[int]string // line -> the name as it was typed
}

func (p *parser) say(s notice.Severity, code string, line int, what, means, do string) {
	p.notices = append(p.notices, notice.Notice{
		Code: code, Severity: s, File: p.file, Line: line, What: what, Means: means, Do: do,
	})
}

// refuse says why the file as a whole is not used.
func (p *parser) refuse(code, what, do string) bool {
	p.say(notice.SeverityError, code, 0, what, "no account was changed; everybody who could log in before still can", do)
	return false
}

// readable looks at the file as a whole.
func (p *parser) readable(data []byte) bool {
	utf8CSV := "open it in the spreadsheet program, choose Save As, and pick CSV UTF-8 (comma delimited)"
	switch {
	case len(data) > MaxFile:
		return p.refuse("users-too-large", fmt.Sprintf("the file is larger than %d MB", MaxFile>>20), "check that this is the list of accounts, with one line per account")
	case bytes.HasPrefix(data, []byte("PK\x03\x04")), bytes.HasPrefix(data, []byte("\xd0\xcf\x11\xe0")):
		return p.refuse("users-not-text", "the file is a spreadsheet, not a text file", utf8CSV)
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")), looksUTF16(data):
		return p.refuse("users-utf16", "the file is written in UTF-16 (\"Unicode text\")", utf8CSV)
	case bytes.IndexByte(data, 0) >= 0:
		return p.refuse("users-not-text", "the file is not a text file", utf8CSV)
	}
	if n := len(splitLines(data)) - 1; n > 4*MaxRows {
		return p.tooMany(n)
	}
	return true
}

func (p *parser) tooMany(n int) bool {
	return p.refuse("users-too-many", fmt.Sprintf("the file has %d rows; up to %d can be used", n, MaxRows), "keep only the accounts of this class in the file")
}

// looksUTF16 finds UTF-16 without its mark: every second byte of the start is 0.
func looksUTF16(data []byte) bool {
	n := min(len(data), 64) / 2
	if n < 2 {
		return false
	}
	var even, odd int
	for i := range n {
		if data[2*i] == 0 {
			even++
		}
		if data[2*i+1] == 0 {
			odd++
		}
	}
	return even > n*3/4 || odd > n*3/4
}

func (p *parser) parse(raw []string) {
	p.comma = separator(raw)
	if p.comma != ',' {
		p.say(notice.SeverityWarning, "legacy-U2", 1, "the cells are separated by "+spellSeparator(p.comma)+" instead of a comma",
			"the accounts are read as they are meant; the old Conjuring would have understood none of them", "nothing needs to be done; CSV UTF-8 (comma delimited) is the safer choice")
	}
	head, _ := splitCells(strings.TrimRight(raw[0], "\r"), p.comma)
	p.extra = slices.IndexFunc(head, func(s string) bool { return strings.EqualFold(s, "id") })
	lines, err := decode(raw, p.comma, p.extra)
	if err != nil {
		p.refuse("users-not-text", "the file is not a table", "make one line per account: name,password,admin")
		return
	}
	rows := slices.DeleteFunc(lines[p.heading(head, lines):], func(l line) bool {
		return l.User == "" && l.Password == "" && l.Admin == ""
	})
	if len(rows) > MaxRows {
		p.tooMany(len(rows))
		return
	}
	p.roster.Read = true
	p.carriageReturns(rows)
	for _, l := range rows {
		if r, ok := p.row(l); ok {
			p.roster.Rows = append(p.roster.Rows, r)
		}
	}
	p.clashes()
	if len(p.roster.Rows) == 0 && len(p.roster.Held) == 0 {
		p.say(notice.SeverityWarning, "users-none", 0, "the file names no accounts", "nobody can log in", "write one line per account below the heading: name,password,admin")
	}
}

// separator guesses what stands between cells: spreadsheets in many countries write
// semicolons. Only a heading and a first row that both lack commas say so.
func separator(raw []string) rune {
	for _, sep := range ";\t" {
		s := string(sep)
		if len(raw) > 1 && strings.Contains(raw[0], s) && strings.Contains(raw[1], s) &&
			!strings.Contains(raw[0], ",") && !strings.Contains(raw[1], ",") {
			return sep
		}
	}
	return ','
}

func spellSeparator(r rune) string {
	if r == '\t' {
		return "a tab"
	}
	return "a semicolon"
}

// heading gives the number of lines to skip: line 1 whatever it holds (U1), and
// line 2 when it is plainly the heading that line 1 should have been.
func (p *parser) heading(head []string, lines []line) int {
	isHead := func(user, password string) (bool, bool) {
		u := slices.Contains([]string{"user", "username", "user name", "name", "login", "student", "account"}, strings.ToLower(user))
		w := slices.Contains([]string{"password", "passwd", "pwd", "pass", "passphrase"}, strings.ToLower(password))
		return u, w
	}
	if len(lines) > 1 {
		if u, w := isHead(lines[1].User, lines[1].Password); u && w {
			p.say(notice.SeverityWarning, "legacy-U1", 2, "line 2 is the heading", "it is skipped; the old Conjuring would have made an account of it", "make the heading the first line")
			return 2
		}
	}
	for len(head) < 2 {
		head = append(head, "")
	}
	u, w := isHead(head[0], head[1])
	if head[0] != "" && !u && !w && !strings.HasPrefix(head[0], "#") {
		name := head[0]
		if CheckName(Normalise(name)) == nil {
			p.say(notice.SeverityWarning, "users-heading", 1, fmt.Sprintf("the first line is always a heading, and this one looks like an account (%s)", name),
				fmt.Sprintf("%s gets no account from this line; all others are ready", name), "put the line name,password,admin above it")
		}
	}
	return 1
}

// carriageReturns reports U5 once for the file: it is the same in every row.
func (p *parser) carriageReturns(rows []line) {
	n, first := 0, 0
	for _, l := range rows {
		if strings.HasSuffix(l.Raw, "\r") && legacyReading(l.Raw) != legacyReading(strings.TrimRight(l.Raw, "\r")) {
			if n++; first == 0 {
				first = l.Number
			}
		}
	}
	if n > 0 {
		p.say(notice.SeverityInfo, "legacy-U5", first, fmt.Sprintf("%d rows end as Windows ends lines", n),
			"they are read as they are meant; in the old Conjuring nobody could have logged in with them", "nothing needs to be done")
	}
}

// reject leaves a row out and holds the account it names.
func (p *parser) reject(l line, name, code, what, do string) (Row, bool) {
	means := "this row is left out; all other rows are ready"
	if name = Normalise(name); CheckName(name) == nil {
		p.hold(name)
		means = fmt.Sprintf("all other rows are ready; %s stays as before, and can't log in yet if the name is new", name)
	}
	p.say(notice.SeverityError, code, l.Number, what, means, do)
	return Row{}, false
}

func (p *parser) hold(name string) {
	if !slices.Contains(p.roster.Held, name) {
		p.roster.Held = append(p.roster.Held, name)
	}
}

// row reads one line, or says why it can't be an account.
func (p *parser) row(l line) (Row, bool) {
	if len(l.Raw) > maxLine {
		return p.reject(l, l.User, "users-line-long", fmt.Sprintf("line %d is longer than %d bytes", l.Number, maxLine), "keep to the columns user, password and admin in this line")
	}
	name, password := Normalise(l.User), norm.NFC.String(l.Password)
	switch {
	case !utf8.ValidString(l.Raw):
		return p.reject(l, strings.ToValidUTF8(l.User, "\xff"), "users-encoding", fmt.Sprintf("line %d holds letters that are not written in UTF-8", l.Number), "save the file again as CSV UTF-8")
	case l.Unclosed:
		return p.reject(l, l.User, "users-quote", fmt.Sprintf("line %d has a quotation mark without a partner", l.Number), "put a quotation mark at the end of that cell, or remove the first one")
	case name == "":
		return p.reject(l, "", "users-no-name", fmt.Sprintf("line %d has no name", l.Number), "type a name in the first column, or delete the line")
	}
	if err := CheckName(name); err != nil {
		code := "users-name"
		if reserved(name) {
			code = "users-name-reserved"
		}
		return p.reject(l, "", code, fmt.Sprintf("line %d: the name %.60q %v", l.Number, l.User, err),
			fmt.Sprintf("choose a name of up to %d letters and digits, for instance %s", MaxName, suggest(name)))
	}
	if len(password) > MaxPassword {
		return p.reject(l, name, "users-password-long", fmt.Sprintf("line %d: the password of %s is longer than %d bytes", l.Number, name, MaxPassword), "choose a shorter one")
	}
	if strings.ContainsFunc(password, unicode.IsControl) {
		return p.reject(l, name, "users-password-characters", fmt.Sprintf("line %d: the password of %s holds a character that can't be typed", l.Number, name), "type the password again")
	}
	if len(l.Extra) > maxID || strings.ContainsFunc(l.Extra, unicode.IsControl) {
		return p.reject(l, name, "users-id", fmt.Sprintf("line %d: the id of %s is too long or holds a character that can't be typed", l.Number, name), fmt.Sprintf("use up to %d letters and digits", maxID))
	}
	r := Row{Line: l.Number, User: name, Password: password, Admin: isAdmin(l.Admin), ID: l.Extra}
	p.typed[r.Line] = norm.NFC.String(l.User)
	p.compare(l, r)
	return r, true
}

// suggest makes a name that would do out of one that does not.
func suggest(name string) string {
	s := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, norm.NFKC.String(name))
	for len(s) > MaxName-1 {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	if s == "" || CheckName(s) != nil {
		s += "1"
	}
	if CheckName(s) != nil {
		return "student1"
	}
	return s
}

// compare reports where the old start script would have read another account.
func (p *parser) compare(l line, r Row) {
	old := legacyReading(strings.TrimRight(l.Raw, "\r"))
	differs := old.name != l.User || old.password != l.Password || old.admin != r.Admin
	switch {
	case p.comma != ',': // said once for the file
	case differs && l.Password == "":
		p.say(notice.SeverityWarning, "legacy-U3", l.Number, fmt.Sprintf("%s has no password in line %d", r.User, l.Number),
			"a passphrase is made and shown to you once; the old Conjuring would have taken the next cell for the password", "give the passphrase to the student, or type a password in the second column")
	case differs:
		p.say(notice.SeverityWarning, "legacy-U2", l.Number, fmt.Sprintf("line %d, %s: a blank, quotation mark or backslash is read differently now", l.Number, r.User),
			oldMeaning(old, l, r), "check that the name, the password and the admin column are as you mean them")
	case l.Password == "":
		p.say(notice.SeverityInfo, "users-password-generated", l.Number, fmt.Sprintf("%s has no password in line %d", r.User, l.Number),
			"a passphrase is made when the account is new, and shown to you once", "give it to the student, or type a password in the second column")
	}
	if r.User != norm.NFC.String(l.User) {
		p.say(notice.SeverityWarning, "legacy-U6", l.Number, fmt.Sprintf("the name %s is used as %s", l.User, r.User),
			"the student may type it either way; files are kept under "+r.User, "nothing needs to be done")
	}
}

// oldMeaning says what changed for the lesson, without showing a password.
func oldMeaning(old reading, l line, r Row) string {
	var s []string
	if old.name != l.User {
		s = append(s, fmt.Sprintf("the name would have been %q", old.name))
	}
	if old.password != l.Password {
		s = append(s, "the password would have been another one")
	}
	if old.admin != r.Admin {
		s = append(s, "the admin right would have been the opposite")
	}
	return fmt.Sprintf("%s can log in with the password exactly as it stands in the cell; in the old Conjuring %s", r.User, strings.Join(s, " and "))
}

// clashes settles rows that ask for the same name. The very same name again: the
// last row wins (U6). Two spellings of one name, or one id twice: neither is used,
// since nobody can tell who is meant.
func (p *parser) clashes() {
	last, byID, bad := map[string]Row{}, map[string]Row{}, map[string]bool{}
	for _, r := range p.roster.Rows {
		if o, ok := byID[r.ID]; ok && r.ID != "" && o.User != r.User {
			p.say(notice.SeverityError, "users-id-twice", r.Line, fmt.Sprintf("%s in line %d and %s in line %d have the same id", o.User, o.Line, r.User, r.Line),
				"both rows are left out; all other rows are ready", "give each person an id of their own")
			bad[o.User], bad[r.User] = true, true
		}
		byID[r.ID] = r
		o, ok := last[r.User]
		switch {
		case ok && p.typed[o.Line] != p.typed[r.Line]:
			p.say(notice.SeverityError, "users-name-clash", r.Line, fmt.Sprintf("%s in line %d and %s in line %d are the same name to the box (%s)", p.typed[o.Line], o.Line, p.typed[r.Line], r.Line, r.User),
				"both rows are left out; all other rows are ready", "give one of them another name, for instance with a digit at the end")
			bad[r.User] = true
		case ok:
			p.say(notice.SeverityWarning, "legacy-U6", r.Line, fmt.Sprintf("%s is in line %d and again in line %d", r.User, o.Line, r.Line),
				fmt.Sprintf("line %d counts; the old Conjuring would have kept the password of line %d", r.Line, o.Line), "delete the line that is not right")
		}
		last[r.User] = r
	}
	p.roster.Rows = slices.DeleteFunc(p.roster.Rows, func(r Row) bool {
		if bad[r.User] {
			p.hold(r.User)
		}
		return bad[r.User] || slices.Contains(p.roster.Held, r.User) || last[r.User].Line != r.Line
	})
}

// limited is the notices in order, and no more than a person can read.
func (p *parser) limited() notice.List {
	notice.Sort(p.notices)
	if len(p.notices) <= maxNotices {
		return p.notices
	}
	// Errors first: they are what somebody must act on.
	var keep, rest notice.List
	for _, n := range p.notices {
		if n.Severity == notice.SeverityError {
			keep = append(keep, n)
		} else {
			rest = append(rest, n)
		}
	}
	all := append(keep, rest...)
	more := len(all) - maxNotices
	all = slices.Clone(all[:maxNotices])
	notice.Sort(all)
	return append(all, notice.Notice{
		Code: "users-more", Severity: notice.SeverityWarning, File: p.file,
		What:  fmt.Sprintf("there are %d more remarks about this file", more),
		Means: "they are like the ones above; the accounts without an error are ready", Do: "see to the lines above first, then check again",
	})
}
