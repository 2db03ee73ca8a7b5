package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/conjuring/conjured/notice"
)

// settingsFile holds the box's own settings. A stick cannot change it.
const settingsFile = "/etc/conjured/conjured.yaml"

// settings are the keys of conjured.yaml; every one is optional, and flags win.
type settings struct {
	State  string   `yaml:"state"`  // directory; default /var/lib/conjured
	Listen []string `yaml:"listen"` // addresses of the front door; default ":8989"
	Images string   `yaml:"images"` // repository of our images; default conjuring/conjuring
	Class  string   `yaml:"class"`  // "auto": everybody's server is started after boot; "manual": by class begin
	Limits limits   `yaml:"limits"`
	Policy policy   `yaml:"policy"`

	StudentsNetwork string   `yaml:"students_network"` // "internet" (default) or "none"
	StudentsReach   []string `yaml:"students_reach"`   // neighbours that students may reach all the same

	AutoPromote     string `yaml:"auto_promote"`     // which tested packages are used without asking: "tested" (default: all), "add-only", "never"
	PipIndex        string `yaml:"pip_index"`        // URL of a mirror of https://pypi.org/simple; "" is the original
	CondaChannel    string `yaml:"conda_channel"`    // URL of a mirror of https://conda.anaconda.org; "" is the original
	AnacondaLicence bool   `yaml:"anaconda_licence"` // this place may use Anaconda's own channels (defaults, pkgs/...)

	// SealAfter is how long nobody's server may have been starting before latest is
	// made: that takes a core for up to a minute. Default one minute.
	SealAfter time.Duration `yaml:"seal_after"`
}

// policy lists what docker-compose.override.yml may ask of this box beyond the usual;
// custom.Policy says what each key means.
type policy struct {
	Privileged bool     `yaml:"privileged"`
	HostPaths  []string `yaml:"host_paths"`
	Devices    []string `yaml:"devices"`
	HostNet    bool     `yaml:"host_net"`
	HostPID    bool     `yaml:"host_pid"`
	HostIPC    bool     `yaml:"host_ipc"`
	CapAdd     []string `yaml:"cap_add"`

	AnacondaChannels bool   `yaml:"-"` // anaconda_licence says it for the folder and for what is fetched
	Index            string `yaml:"-"` // pip_index says it, likewise
}

func defaultSettings() settings {
	return settings{State: defaultState, Listen: []string{":8989"}, Images: "conjuring/conjuring", SealAfter: time.Minute}
}

// readSettings reads path over the defaults. A missing file is fine; unknown keys
// are errors with their line and the nearest name.
func readSettings(path string) (settings, error) {
	s := defaultSettings()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("cannot read the settings: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return s, settingsErrors(path, err)
	}
	return s, s.check(path, b).Err()
}

// settingsErrors words each complaint of the YAML library as a notice.
func settingsErrors(path string, err error) error {
	var l notice.List
	line := regexp.MustCompile(`line (\d+)`)
	field := regexp.MustCompile(`field (\S+) not found`)
	for _, msg := range strings.Split(err.Error(), "\n") {
		m := line.FindStringSubmatch(msg)
		if m == nil {
			continue
		}
		n, _ := strconv.Atoi(m[1])
		what, do := strings.TrimSpace(msg), "correct the line; every key is optional and may be left out"
		if f := field.FindStringSubmatch(msg); f != nil {
			what = fmt.Sprintf("there is no setting called %q", f[1])
			do = fmt.Sprintf("did you mean %q? Otherwise remove the line", nearest(f[1], settingNames()))
		}
		l = append(l, notice.Notice{
			Code: "settings-bad", Severity: notice.SeverityError, File: path, Line: n,
			What: what, Means: "conjured did not start, so that no setting is silently ignored", Do: do,
		})
	}
	if len(l) == 0 {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	return l
}

func settingNames() []string {
	return []string{
		"state", "listen", "images", "class", "limits", "policy", "seal_after", "memory_mb", "cpus", "pids", "estimate_mb",
		"auto_promote", "pip_index", "conda_channel", "anaconda_licence", "students_network", "students_reach", "student", "teacher", "tmp_mb", "shm_mb", "open_files", "disk_mb",
		"privileged", "host_net", "host_pid", "host_ipc", "host_paths", "devices", "cap_add",
	}
}

// nearest is the name with the smallest edit distance to s.
func nearest(s string, names []string) string {
	best, at := "", 1<<30
	for _, n := range names {
		if d := distance(s, n); d < at {
			best, at = n, d
		}
	}
	return best
}

// alike tells whether near may be what somebody meant who wrote s.
func alike(s, near string) bool { return near != "" && distance(s, near) <= max(2, len(s)/2) }

// distance is Levenshtein's, over bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag = row[j]
			row[j] = min(row[j]+1, row[j-1]+1, cost)
		}
	}
	return row[len(b)]
}
