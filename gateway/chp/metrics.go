package chp

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// meter counts under the original's names. It implements gateway.Meter.
type meter struct {
	set              *metrics.Set
	get, add, remove *metrics.Counter
	web, ws          *metrics.Counter
	finding          *metrics.Summary
}

const summaryWindow = 10 * time.Minute

func newMeter() *meter {
	s := metrics.NewSet()
	quantiles := []float64{0.01, 0.05, 0.5, 0.9, 0.95, 0.99, 0.999}     // prom-client's
	s.NewSummaryExt("last_activity_updating", summaryWindow, quantiles) // doc/adr/0020
	return &meter{
		set: s,
		get: s.NewCounter("api_route_get"), add: s.NewCounter("api_route_add"), remove: s.NewCounter("api_route_delete"),
		web: s.NewCounter("requests_web"), ws: s.NewCounter("requests_ws"),
		finding: s.NewSummaryExt("find_target_for_req", summaryWindow, quantiles),
	}
}

// Asked counts a request to the proxy.
func (m *meter) Asked(websocket bool) {
	if websocket {
		m.ws.Inc()
	} else {
		m.web.Inc()
	}
}

// Found notes how long a look-up in the table took.
func (m *meter) Found(took time.Duration) { m.finding.Update(took.Seconds()) }

// Answered counts an answer to a browser, a target's or ours in its place.
func (m *meter) Answered(status int) { m.labelled("requests_proxy", status) }

// api counts an answer of the REST API; a single route that is read is not counted,
// as in the original.
func (m *meter) api(r *http.Request, status int) {
	m.labelled("requests_api", status)
	whole := strings.Trim(r.URL.Path, "/") == "api/routes"
	switch {
	case r.Method == http.MethodGet && status == http.StatusOK && whole:
		m.get.Inc()
	case r.Method == http.MethodPost && status == http.StatusCreated:
		m.add.Inc()
	case r.Method == http.MethodDelete && (status == http.StatusNoContent || status == http.StatusNotFound):
		m.remove.Inc()
	}
}

func (m *meter) labelled(name string, status int) {
	m.set.GetOrCreateCounter(fmt.Sprintf("%s{status=%q}", name, fmt.Sprint(status))).Inc()
}

// ServeHTTP answers GET /metrics in Prometheus' text format.
func (m *meter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" {
		http.Error(w, http.StatusText(http.StatusNotFound), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	m.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}
