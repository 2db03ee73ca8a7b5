package layers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/moby/buildkit/client"
	ocidigest "github.com/opencontainers/go-digest"

	"github.com/conjuring/conjured/progress"
)

// tailLines is how much of a step's output is kept to explain a failure.
const tailLines = 400

// longestLine bounds what is held back for the end of a line, in bytes.
const longestLine = 8 << 10

// output is one of the streams that a step writes to: they are cut independently.
type output struct {
	vertex ocidigest.Digest
	stream int // 1 or 2
}

// watcher turns what BuildKit says into progress. One goroutine owns it.
type watcher struct {
	sink     progress.Sink
	stage    string
	expected map[string]float64 // seconds by step, from earlier builds
	took     map[string]float64 // seconds by step, in this one
	vertices map[ocidigest.Digest]*client.Vertex
	order    []ocidigest.Digest
	lines    []string
	partial  map[output]string // what has not come to the end of its line
	failed   string            // name of the step that failed, "[base 3/4] RUN make"
	step     string
	done     int64
	total    int64
}

func newWatcher(job solve, expected map[string]float64, sink progress.Sink) *watcher {
	return &watcher{
		sink: sink, stage: job.stage, expected: expected, took: map[string]float64{},
		vertices: map[ocidigest.Digest]*client.Vertex{}, partial: map[output]string{},
	}
}

// take handles one report. Every vertex is announced before the first one starts, so
// the total is known from the start.
func (w *watcher) take(s *client.SolveStatus) {
	for _, v := range s.Vertexes {
		if strings.HasPrefix(v.Name, "[internal]") {
			continue
		}
		if w.vertices[v.Digest] == nil {
			w.order = append(w.order, v.Digest)
		}
		w.vertices[v.Digest] = v
		if v.Error != "" && !strings.Contains(v.Error, "context canceled") {
			w.failed = v.Name
		}
		if v.Started != nil && v.Completed != nil && !v.Cached && v.Error == "" {
			w.took[w.slot(v.Name)] = v.Completed.Sub(*v.Started).Seconds()
		}
	}
	if len(s.Vertexes) > 0 {
		w.tell("")
	}
	for _, l := range s.Logs {
		from := output{l.Vertex, l.Stream}
		for line := range strings.Lines(w.partial[from] + string(l.Data)) {
			if !strings.HasSuffix(line, "\n") && len(line) < longestLine {
				w.partial[from] = line
				break
			}
			w.partial[from] = ""
			w.print(line)
		}
	}
	if n := len(w.lines) - tailLines; n > 0 {
		w.lines = slices.Delete(w.lines, 0, n)
	}
}

// slot is the name under which a step's duration is remembered. The keys of images
// are left out of it: they change with every build.
func (w *watcher) slot(vertex string) string {
	return w.stage + ": " + imageKey.ReplaceAllString(vertex, "")
}

var imageKey = regexp.MustCompile(`[0-9a-f]{64}`)

// print takes one line of output.
func (w *watcher) print(line string) {
	if line = strings.TrimSpace(line); line != "" {
		w.lines = append(w.lines, line)
		w.tell(line)
	}
}

// tell reports where the build stands.
func (w *watcher) tell(line string) {
	w.done, w.total = 0, int64(len(w.order))
	var eta float64
	running := ""
	for _, d := range w.order {
		v := w.vertices[d]
		if v.Completed != nil {
			w.done++
			continue
		}
		left := w.expected[w.slot(v.Name)]
		if v.Started != nil {
			running = words(v.Name)
			left = max(0, left-time.Since(*v.Started).Seconds())
		}
		eta += left
	}
	if running != "" {
		w.step = running
	}
	if w.step == "" {
		w.step = "preparing the build of " + w.stage
	}
	w.sink.Progress(progress.Event{Job: Job, Step: w.step, Done: w.done, Total: w.total, Unit: "steps", Line: line, Eta: eta})
}

// tail is the newest output, for when the build has failed.
func (w *watcher) tail() []string {
	for _, line := range w.partial {
		w.print(line)
	}
	return w.lines
}

// words says what a step of the Dockerfile does.
func words(vertex string) string {
	for _, s := range []struct{ mark, words string }{
		{"apt.sh core", "installing Python, git and other basics"},
		{"apt.sh /opt/conjured/lib/apt.txt", "installing the packages of apt.txt"},
		{"install.sh hub", "installing JupyterHub"},
		{"install.sh lab", "installing JupyterLab and Notebook"},
		{"groupadd", "making the group of the class"},
		{"COPY layers/", "copying conjured's own files"},
		{"--from=launcher", "copying conjured's own files"},
		{"load .dockerignore", "preparing the files of the build"},
		{"load from client", "preparing the files of the build"},
		{"load metadata", "looking at the image below"},
		{"--from=environments", "putting the environments into the image"},
		{"exporting", "saving the image"},
	} {
		if strings.Contains(vertex, s.mark) {
			return s.words
		}
	}
	if _, rest, ok := strings.Cut(vertex, "] "); ok {
		vertex = rest
	}
	if len(vertex) > 70 {
		vertex = strings.ToValidUTF8(vertex[:70], "") + "…"
	}
	return vertex
}

func (b *Builder) durationsPath() string { return filepath.Join(b.dir, "durations.json") }

// readDurations gives how long each step took, in seconds. It is only for estimates:
// without the file there are none.
func (b *Builder) readDurations() map[string]float64 {
	m := map[string]float64{}
	data, err := os.ReadFile(b.durationsPath())
	if err == nil && json.Unmarshal(data, &m) != nil {
		return map[string]float64{}
	}
	return m
}

func (b *Builder) saveDurations(took map[string]float64) {
	m := b.readDurations()
	if len(m) > 500 { // steps of Dockerfiles long gone
		m = map[string]float64{}
	}
	for k, v := range took {
		m[k] = v
	}
	data, err := json.Marshal(m)
	if err == nil {
		err = renameio.WriteFile(b.durationsPath(), data, 0o600)
	}
	if err != nil {
		b.log.Debug("cannot remember how long a build took", "error", err)
	}
}
