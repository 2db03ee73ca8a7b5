package history

import (
	"bytes"
	"fmt"

	"github.com/conjuring/conjured/environments/secret"
	"github.com/conjuring/conjured/notice"
)

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
	for _, s := range ordered(secret.Find(string(f.Data))) {
		if s.End == 0 {
			told = append(told, refusal(f.Name, s.Line, "holds what looks like "+s.What,
				"take it out of the file; whoever gave it to you should make a new one, because this one has been in a shared folder"))
			continue
		}
		if s.Start < last {
			continue // a part of what was replaced
		}
		name := v.name(s.Host, string(f.Data[s.Start:s.End]))
		out = append(append(out, f.Data[last:s.Start]...), "${"+name+"}"...)
		last = s.End
		told = append(told, notice.Notice{
			Code: "history-credential-moved", Severity: notice.SeverityInfo, File: f.Name, Line: s.Line,
			What:  fmt.Sprintf("%s holds %s; in the history it is called ${%s}", f.Name, s.What, name),
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
