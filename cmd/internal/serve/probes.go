package serve

import (
	"context"
	"net/http"
	"net/http/pprof"
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
			probe(w, r, nil, false)
		case "/readyz":
			probe(w, r, o.Ready, false)
		}
	})
}

// probe says whether the process lives or, with check, whether it can serve.
func probe(w http.ResponseWriter, r *http.Request, check func(context.Context) error, reasons bool) {
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
			if reasons {
				_, _ = w.Write([]byte(err.Error() + "\n"))
			} else {
				_, _ = w.Write([]byte("not ready\n"))
			}
			return
		}
	}
	_, _ = w.Write([]byte("ok\n"))
}

// Private is the handler of the private listener: metrics, profiles, and probes
// that say why. It has no protection of its own, so it belongs on an address that
// only operators reach.
func Private(metrics prometheus.Gatherer, ready func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { probe(w, r, nil, true) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) { probe(w, r, ready, true) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
