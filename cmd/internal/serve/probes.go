package serve

import (
	"context"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// probes answers /healthz and /readyz for any host, as a load balancer asks by
// address. The public hears yes or no; reasons are for the private listener.
func (o Options) probes(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
			h.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			o.Error(w, r, &discovery.Error{Kind: discovery.NotAllowed, Code: "method_refused"})
			return
		}
		switch r.URL.Path {
		case "/healthz":
			probe(w, r, nil, nil)
		case "/readyz":
			probe(w, r, o.Ready, nil)
		}
	})
}

// probe says whether the process lives or, with check, whether it can serve; with
// notes also why not, and what it does without.
func probe(w http.ResponseWriter, r *http.Request, check func(context.Context) error, notes func() []string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "This address can only be read.", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if check != nil {
		if err := check(ctx); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			if notes == nil {
				_, _ = w.Write([]byte("not ready\n"))
				return
			}
			tell(w, err.Error(), notes())
			return
		}
	}
	if notes == nil {
		_, _ = w.Write([]byte("ok\n"))
		return
	}
	tell(w, "ok", notes())
}

// tell writes a verdict and what there is to say beside it, a line each.
func tell(w http.ResponseWriter, verdict string, notes []string) {
	_, _ = w.Write([]byte(verdict + "\n"))
	for _, note := range notes {
		_, _ = w.Write([]byte("degraded: " + strings.ReplaceAll(note, "\n", " ") + "\n"))
	}
}

// Private is the handler of the private listener: metrics, profiles, and probes
// that say why and, by notes, what the process does without. It has no protection of its own, so it belongs on an address that
// only operators reach.
func Private(metrics prometheus.Gatherer, ready func(context.Context) error, notes func() []string) http.Handler {
	if notes == nil {
		notes = func() []string { return nil }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { probe(w, r, nil, nil) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) { probe(w, r, ready, notes) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
