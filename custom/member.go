package custom

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/conjuring/conjured/users"
)

// Words of courses.csv that stand for more than one account.
const (
	everybody = "*"
	teachers  = "teachers"
)

// readMembers reads courses.csv: rows of a course and a student, who then sees the
// kernel of that course. Teachers see every kernel, and everybody sees the kernel of
// a course that has no row.
func (r *reader) readMembers() {
	data, ok := r.text(CoursesCSV, MaxText)
	if data == nil || !ok {
		return
	}
	m := members{reader: r, of: map[string][]string{}, all: map[string]bool{}, known: map[string]bool{}}
	for _, row := range r.f.roster.Rows {
		m.known[row.User] = true
	}
	for _, name := range r.f.roster.Held {
		m.known[name] = true
	}
	m.rows(string(data))
	for name, a := range r.asked {
		_, named := m.of[name]
		switch {
		case named && !m.all[name]:
			a.spec.Students = m.students(name)
		case !named && a.spec.Course != "":
			r.info("courses-open", a.spec.Course, 0, fmt.Sprintf("%s names nobody for the course %s", CoursesCSV, printable(a.spec.Course)),
				"everybody sees its kernel", "to change that, add a line for each student: "+printable(a.spec.Course)+",NAME")
		}
	}
}

type members struct {
	*reader

	of    map[string][]string // accounts by environment; there when courses.csv has a row for it
	all   map[string]bool     // environments that everybody sees
	known map[string]bool     // accounts
}

// students is who sees an environment of which some are named: they and the teachers.
func (m *members) students(name string) []string {
	out := append([]string{}, m.of[name]...)
	for _, row := range m.f.roster.Rows {
		if row.Admin {
			out = append(out, row.User)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (m *members) rows(text string) {
	in := csv.NewReader(strings.NewReader(text))
	in.Comma, in.Comment, in.FieldsPerRecord, in.TrimLeadingSpace = memberSeparator(text), '#', -1, true
	for count := 0; ; count++ {
		row, err := in.Read()
		var bad *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return
		case errors.As(err, &bad):
			m.error("courses-row", CoursesCSV, bad.Line, fmt.Sprintf("%s line %d has a quotation mark without a partner", CoursesCSV, bad.Line), "remove it, or put another one at the end of the cell")
			return
		case count > MaxMembers:
			m.error("courses-too-many", CoursesCSV, 0, fmt.Sprintf("%s has more than %d rows", CoursesCSV, MaxMembers), "write "+everybody+" for everybody")
			return
		}
		line, _ := in.FieldPos(0)
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		if count == 0 && m.asks(row[0]) == nil && (len(row) < 2 || !m.known[users.Normalise(row[1])]) { // the heading
			continue
		}
		m.row(line, row)
	}
}

// memberSeparator is what a spreadsheet put between the columns.
func memberSeparator(text string) rune {
	if i := strings.IndexAny(text, ",;\t"); i >= 0 {
		return rune(text[i])
	}
	return ','
}

// asks is the environment that a teacher means, however its name is written.
func (m *members) asks(name string) *asking {
	if !envName.MatchString(name) {
		return nil
	}
	return m.asked[mapName(name)]
}

func (m *members) row(line int, row []string) {
	where := fmt.Sprintf("%s line %d", CoursesCSV, line)
	a := m.asks(row[0])
	switch {
	case row[0] == "" && len(strings.Join(row, "")) == 0:
		return
	case row[0] == "":
		m.warn("courses-course", CoursesCSV, line, where+" names no course", "the row does nothing", "write the course before the student")
		return
	case a == nil && len(row) > 1 && m.asks(row[1]) != nil && m.known[users.Normalise(row[0])]:
		m.warn("courses-course", CoursesCSV, line, where+" has the student before the course", "the row does nothing", fmt.Sprintf("write it as: %s,%s", short(row[1]), short(row[0])))
		return
	case a == nil:
		m.warn("courses-course", CoursesCSV, line, fmt.Sprintf("%s: there is no course called %q", where, short(row[0])),
			"the row does nothing", m.choices())
		return
	case a.spec.Name == BaseEnvironment:
		m.warn("courses-course", CoursesCSV, line, where+" is about base", "base is everybody's; the row does nothing", "remove the row")
		return
	}
	name := a.spec.Name
	m.of[name] = append(m.of[name], m.accounts(line, row[1:])...)
	m.all[name] = m.all[name] || slices.Contains(row[1:], everybody)
}

// choices says which names may stand in the first column.
func (m *members) choices() string {
	var out []string
	for _, a := range m.asked {
		if a.spec.Name != BaseEnvironment {
			out = append(out, a.spec.Display)
		}
	}
	if len(out) == 0 {
		return "make a folder for the course, with a requirements.txt in it"
	}
	slices.Sort(out)
	return "write the name of a course's folder, or of an environment file: " + short(strings.Join(out, ", "))
}

// accounts is the students of one row; any number of columns may name one.
func (m *members) accounts(line int, cells []string) []string {
	where := fmt.Sprintf("%s line %d", CoursesCSV, line)
	var out []string
	empty := true
	for _, cell := range cells {
		if cell == "" {
			continue
		}
		empty = false
		if cell == everybody || strings.EqualFold(cell, teachers) {
			continue
		}
		name := users.Normalise(cell)
		if err := users.CheckName(name); err != nil {
			m.warn("courses-student", CoursesCSV, line, fmt.Sprintf("%s: the name %q %v", where, short(cell), err), "nobody sees the kernel because of this cell", "write the name as in "+UsersCSV)
			continue
		}
		if !m.known[name] && (m.f.roster.Read || m.opt.saved) {
			m.warn("courses-student", CoursesCSV, line, fmt.Sprintf("%s: %s is not in %s", where, short(cell), UsersCSV), "nobody sees the kernel because of this cell", "check the spelling, or add the account")
		}
		out = append(out, name)
	}
	if empty {
		m.warn("courses-student", CoursesCSV, line, where+" names no student", "only teachers see the kernel because of this row", "write a name behind the course, or "+everybody+" for everybody")
	}
	return out
}
