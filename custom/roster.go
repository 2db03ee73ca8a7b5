package custom

import (
	"encoding/csv"
	"strings"
)

// readUsers reads users.csv; what it means is for package users to say.
func (r *reader) readUsers() {
	if r.opt.saved {
		return // the copy has a roster and no users.csv
	}
	if !r.listed(UsersCSV) {
		r.warn("users-absent", UsersCSV, 0, "there is no users.csv", "the class starts, and nobody can log in", "add users.csv with a line for each student: name,password,admin")
		return
	}
	data, ok := r.text(UsersCSV, MaxUsersCSV)
	if data == nil || !ok {
		return
	}
	r.f.users = data
	// Stands in until package users has landed.
	c := csv.NewReader(strings.NewReader(string(data)))
	c.FieldsPerRecord, c.LazyQuotes = -1, true
	rows, _ := c.ReadAll()
	for i, row := range rows[min(1, len(rows)):] {
		if name := strings.TrimSpace(row[0]); name != "" {
			r.f.roster = append(r.f.roster, RosterRow{User: name, Row: i + 2, Admin: len(row) > 2 && strings.TrimSpace(row[2]) == "true"})
		}
	}
}
