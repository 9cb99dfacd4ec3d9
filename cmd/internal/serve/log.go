package serve

import (
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/span"
	"github.com/prometheus/client_golang/prometheus"
)

// A routeList are the addresses of a site, as logs and metrics name them. What is
// none of them is "other": neither grows with what is asked for.
type routeList struct {
	plain map[string]bool
	stars [][]string // segments; "*" is any one
}

// newRouteList reads what a site answers: "METHOD /path", where a {name} stands
// for one segment.
func newRouteList(lines []string) routeList {
	l := routeList{plain: map[string]bool{"/": true, "/healthz": true, "/readyz": true}}
	for _, line := range lines {
		_, path, _ := strings.Cut(line, " ")
		if !strings.Contains(path, "{") {
			l.plain[path] = true
			continue
		}
		segments := strings.Split(path, "/")
		for i, s := range segments {
			if strings.HasPrefix(s, "{") {
				segments[i] = "*"
			}
		}
		l.stars = append(l.stars, segments)
	}
	return l
}

func (l routeList) of(r *http.Request) string {
	path := r.URL.EscapedPath()
	if l.plain[path] {
		return path
	}
	if strings.HasPrefix(path, "/assets/") {
		return "/assets/*"
	}
	if len(l.stars) == 0 {
		return "other"
	}
	asked := strings.Split(path, "/")
	for _, star := range l.stars {
		if slices.EqualFunc(star, asked, func(s, a string) bool { return s == a || s == "*" && a != "" }) {
			return strings.Join(star, "/")
		}
	}
	return "other"
}

func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// logged writes one line for a request, and counts it. The line has no query, no
// path as typed, no header and no address of a client: put together with the
// audit log of a region it would otherwise say who was where.
func (o Options) logged(h http.Handler, m metrics) http.Handler {
	log, routes := o.Log.With("site", o.Site), newRouteList(o.Routes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w}
		route, method := routes.of(r), method(r)
		r, traced := o.traced(r, method, route)
		m.inFlight.Inc()
		defer func() {
			m.inFlight.Dec()
			status := rec.status
			if status == 0 {
				status = http.StatusOK
			}
			took := time.Since(start)
			m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
			m.seconds.WithLabelValues(route, class(status)).Observe(took.Seconds())
			line := [...]slog.Attr{
				slog.String("method", method),
				slog.String("route", route),
				slog.Int("status", status),
				slog.Int64("bytes", rec.bytes),
				slog.Duration("took", took),
				slog.String("reference", page.Reference(r.Context())),
				slog.String("trace", traced.Trace()),
			}
			shown := line[:]
			if traced == (span.Span{}) {
				shown = line[:len(line)-1]
			}
			log.LogAttrs(r.Context(), level(route), "request", shown...)
			finish(traced, status)
		}()
		h.ServeHTTP(rec, r)
	})
}

// traced starts the span of a request. A traceparent that somebody sent is not
// read, but where only regions of ours come.
func (o Options) traced(r *http.Request, method, route string) (*http.Request, span.Span) {
	if o.Tracer == nil || level(route) < slog.LevelInfo {
		return r, span.Span{}
	}
	ctx := r.Context()
	if o.ContinueTraces {
		ctx = span.Extract(ctx, r.Header)
	}
	ctx, s := span.Request(ctx, o.Tracer, method, route)
	s.Text(span.Site, o.Site)
	s.Text(span.Method, method)
	s.Text(span.Route, route)
	return r.WithContext(ctx), s
}

func finish(s span.Span, status int) {
	s.Number(span.Status, status)
	if status >= 500 {
		s.Fail()
	}
	s.End(nil)
}

// class is what most questions about a status are about: whose fault it was.
func class(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return classes[status/100-1]
}

var classes = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}

func level(route string) slog.Level {
	switch route {
	case "/healthz", "/readyz", "/assets/*":
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, site string) metrics {
	labels := prometheus.Labels{"site": site}
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "domicile_http_requests_total", Help: "Requests answered.", ConstLabels: labels,
		}, []string{"method", "route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "domicile_http_request_duration_seconds", Help: "Time to answer a request, by route and class of status.", ConstLabels: labels,
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "class"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "domicile_http_requests_in_flight", Help: "Requests being answered now.", ConstLabels: labels,
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "domicile_http_panics_total", Help: "Requests that ended in a mistake of the program; the log has the stack.", ConstLabels: labels,
		}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.seconds, m.inFlight, m.panics)
	}
	return m
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
