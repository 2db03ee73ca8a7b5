package environments

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/conjuring/conjured/progress"
)

// reader turns the output of a build into progress and keeps its end for explanations.
type reader struct {
	sink     progress.Sink
	rest     []byte
	kept     []string
	python   string
	platform string

	token string        // what build.py says in the end; "" for another program
	said  chan struct{} // closed then
	after tail          // what comes later

	megabytes map[string]float64 // of each download
	loaded    float64
}

func newReader(sink progress.Sink, token string) *reader {
	return &reader{sink: sink, token: token, said: make(chan struct{})}
}

const (
	maxLine = 64 << 10
	maxKept = 400
)

var (
	countForm    = regexp.MustCompile(`^(Resolved|Prepared|Installed|Uninstalled|Checked) (\d+) packages? in`)
	downloadForm = regexp.MustCompile(`^(Downloading|\s*Downloaded) (\S+)(?: \(([0-9.]+)(KiB|MiB|GiB)\))?`)
)

// Write takes output as it comes. It never fails.
func (r *reader) Write(p []byte) (int, error) {
	select {
	case <-r.said:
		return r.after.Write(p)
	default:
	}
	r.rest = append(r.rest, p...)
	for {
		i := bytes.IndexByte(r.rest, '\n')
		if i < 0 {
			break
		}
		line := string(r.rest[:i])
		r.rest = r.rest[i+1:]
		if r.token != "" && line == "conjured: end "+r.token {
			close(r.said)
			return len(p), nil
		}
		r.line(line)
	}
	if len(r.rest) > maxLine {
		r.flush()
	}
	return len(p), nil
}

func (r *reader) flush() {
	if len(r.rest) > 0 {
		r.line(string(r.rest))
		r.rest = nil
	}
}

// text is the last lines that uv wrote.
func (r *reader) text() string { return strings.Join(r.kept, "\n") }

func (r *reader) event(e progress.Event) {
	e.Job = "environment"
	r.sink.Progress(e)
}

func (r *reader) line(s string) {
	s = strings.TrimRight(s, "\r")
	if rest, ok := strings.CutPrefix(s, "conjured: "); ok {
		r.own(strings.Fields(rest))
		return
	}
	r.kept = append(r.kept, s)
	if len(r.kept) > maxKept {
		r.kept = r.kept[1:]
	}
	if m := countForm.FindStringSubmatch(s); m != nil {
		n, _ := strconv.ParseInt(m[2], 10, 64)
		r.event(progress.Event{Step: strings.ToLower(m[1]) + " packages", Done: n, Total: n, Unit: "packages", Line: s})
		return
	}
	if m := downloadForm.FindStringSubmatch(s); m != nil {
		r.download(m, s)
		return
	}
	r.event(progress.Event{Step: "installing packages", Line: s})
}

// download counts megabytes. uv announces each large file, and says when it is there.
func (r *reader) download(m []string, line string) {
	if r.megabytes == nil {
		r.megabytes = map[string]float64{}
	}
	if m[1] == "Downloading" {
		size, _ := strconv.ParseFloat(m[3], 64)
		r.megabytes[m[2]] = size * map[string]float64{"KiB": 1.0 / 1024, "MiB": 1, "GiB": 1024}[m[4]]
	} else {
		r.loaded += r.megabytes[m[2]]
	}
	total := 0.0
	for _, v := range r.megabytes {
		total += v
	}
	r.event(progress.Event{Step: "downloading packages", Done: int64(r.loaded), Total: int64(total + 0.5), Unit: "MB", Line: line})
}

// steps are what build.py and conda.py do, in words, and what they count there.
func steps(name string) (step, unit string) {
	switch name {
	case "resolve", "conda-solve":
		return "choosing versions", ""
	case "conda-lists":
		return "asking what there is", ""
	case "conda-download":
		return "downloading packages", "MB"
	case "install", "conda-link":
		return "installing packages", "packages"
	case "compile":
		return "compiling packages", "modules"
	}
	return "", ""
}

// own reads the lines of build.py, finish.py and conda.py.
func (r *reader) own(f []string) {
	if len(f) < 2 {
		return
	}
	step, unit := steps(f[1])
	switch {
	case f[0] == "python" && len(f) == 3 && r.python == "": // said once, before anything strange is read
		r.python, r.platform = f[1], f[2]
	case f[0] == "step" && step != "":
		r.event(progress.Event{Step: step})
	case f[0] == "done" && len(f) == 4 && step != "":
		done, err1 := strconv.ParseInt(f[2], 10, 64)
		total, err2 := strconv.ParseInt(f[3], 10, 64)
		if err1 == nil && err2 == nil {
			r.event(progress.Event{Step: step, Done: done, Total: total, Unit: unit})
		}
	case f[0] == "note":
		r.kept = append(r.kept, fmt.Sprint(strings.Join(f[1:], " ")))
	}
}
