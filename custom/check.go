package custom

import (
	"context"

	"github.com/conjuring/conjured/notice"
)

// Report is what `conjured check DIR --json` prints.
type Report struct {
	Notices      notice.List         `json:"notices"`
	Roster       []ReportAccount     `json:"roster"`
	Environments []ReportEnvironment `json:"environments"`
}

// ReportAccount is one account of users.csv, never with a password.
type ReportAccount struct {
	User  string `json:"user"`
	Admin bool   `json:"admin"`
	Row   int    `json:"row"` // 1-based line in users.csv
}

// ReportEnvironment is one environment*.yml of a [Report], or one course's folder.
type ReportEnvironment struct {
	Name string `json:"name"`
	File string `json:"file"`
}

// OK tells whether the folder can become a class: no notice is an error.
func (r Report) OK() bool { return !r.Notices.HasErrors() }

// Check reads dir and tells what is in it. It runs nothing, writes nothing, and
// opens nothing outside dir.
func Check(ctx context.Context, dir string, policy Policy) Report {
	f, l := Read(ctx, dir, Options{Policy: policy})
	return report(f, l)
}

func report(f *Folder, l notice.List) Report {
	r := Report{Notices: l, Roster: []ReportAccount{}, Environments: []ReportEnvironment{}}
	if r.Notices == nil {
		r.Notices = notice.List{}
	}
	if f == nil {
		return r
	}
	for _, row := range f.roster.Rows {
		r.Roster = append(r.Roster, ReportAccount{User: row.User, Admin: row.Admin, Row: row.Line})
	}
	for _, e := range f.environments {
		r.Environments = append(r.Environments, ReportEnvironment{Name: e.Name, File: e.File})
	}
	for _, s := range f.specs {
		if s.Course != "" {
			r.Environments = append(r.Environments, ReportEnvironment{Name: s.Display, File: s.Course + "/"})
		}
	}
	return r
}
