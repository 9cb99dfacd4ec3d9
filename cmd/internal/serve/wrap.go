// Package serve is everything between the socket and the router: listeners,
// the chain that every request passes, probes, and the private listener with
// metrics and profiles.
//
// The chain stands outside the router, because a router's own middleware does
// not run on its 404, its 405 and its redirects. In order: the request gets a
// reference, the address of its client and an end, then its access log line and a
// net under panics; every answer gets the security headers; what is malformed,
// oversized or ambiguous is refused; and so is what another site forged.
package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Options of the chain. The zero value is a plain HTTP site behind no proxy.
type Options struct {
	Site    string // "discovery", "portal": in logs and metrics
	Log     *slog.Logger
	Metrics prometheus.Registerer // may be nil
	Tracer  trace.Tracer          // nil: no traces
	// ContinueTraces says that callers are processes of ours, which may say under
	// which span a request belongs.
	ContinueTraces bool

	// Routes are what the site answers, as "METHOD /path" with {name} for one
	// segment: what logs, metrics and traces call a request.
	Routes []string

	// HTTPS says that browsers reach the site by https, whoever ends TLS.
	HTTPS bool
	// TrustedProxies may tell the client's address in X-Forwarded-For.
	TrustedProxies []netip.Prefix
	// CountryHeader is what a trusted proxy tells the client's country in, as an
	// ISO 3166-1 code. Empty: nobody is believed about that.
	CountryHeader string
	// Error answers a request that the chain refuses.
	Error func(w http.ResponseWriter, r *http.Request, err error)
	// Ready reports why the site cannot serve, or nil. May be nil.
	Ready func(ctx context.Context) error

	// SessionCookie is the cookie that carries authority.
	SessionCookie string
	// CrossSite are the exact routes other sites may post to, such as
	// "/saml/*/acs"; a star stands for one segment of [a-z0-9-].
	CrossSite []string
	// BodyLimits are exceptions from 64 KiB, by the same patterns.
	BodyLimits map[string]int64
	// Uploads are the routes that take a form with a file in it, by the same
	// patterns; elsewhere multipart forms are refused.
	Uploads []string
	// Timeout ends a request's context. Zero means 20 s.
	Timeout time.Duration
}

const (
	defaultBody    = 64 << 10
	defaultTimeout = 20 * time.Second
)

// Wrap puts h behind the chain.
func Wrap(h http.Handler, o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Error == nil {
		o.Error = plainError
	}
	m := newMetrics(o.Metrics, o.Site)
	h = o.sameSite(h)
	h = o.probes(h)
	h = o.limits(h)
	h = o.headers(h)
	h = o.recovered(h, m)
	h = o.logged(h, m)
	return o.introduced(h)
}

// introduced gives the request what all others look at: the short word by which
// a person and an operator speak about it, whose it is, and an end. A reference
// that came from outside is ignored: it could be anything.
func (o Options) introduced(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ref := page.NewReference()
		w.Header().Set("X-Request-Id", ref)
		ctx, cancel := context.WithTimeout(r.Context(), o.Timeout)
		defer cancel()
		country := o.country(r)
		ctx = page.WithCountry(page.WithClient(page.WithReference(ctx, ref), o.client(r)), country)
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// recovered turns a panic into the dull 500 page. What was half written already
// cannot be mended, so that connection is cut.
func (o Options) recovered(h http.Handler, m metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			m.panics.Inc()
			// The type, not the value: a panic may quote what it choked on.
			o.Log.LogAttrs(r.Context(), slog.LevelError, "panic",
				slog.String("reference", page.Reference(r.Context())),
				slog.String("type", fmt.Sprintf("%T", v)),
				slog.String("stack", string(debug.Stack())))
			if rec, ok := w.(*recorder); !ok || rec.status != 0 {
				panic(http.ErrAbortHandler)
			}
			for name := range w.Header() {
				delete(w.Header(), name)
			}
			w.Header().Set("X-Request-Id", page.Reference(r.Context()))
			o.setHeaders(w.Header(), r)
			o.Error(w, r, &discovery.Error{Kind: discovery.Internal, Code: "panic"})
		}()
		h.ServeHTTP(w, r)
	})
}

// match reports whether path is one of the patterns, and exactly so: no empty
// segment, no escape, no trailing slash.
func match(pattern, path string) bool {
	for {
		want, patternLeft, more := strings.Cut(pattern, "/")
		got, pathLeft, longer := strings.Cut(path, "/")
		if more != longer || want != got && !(want == "*" && isName(got)) {
			return false
		}
		if !more {
			return true
		}
		pattern, path = patternLeft, pathLeft
	}
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return s != ""
}

func plainError(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if e, ok := err.(*discovery.Error); ok {
		status = e.Kind.Status()
	}
	http.Error(w, fmt.Sprintf("%s (reference %s)", http.StatusText(status), page.Reference(r.Context())), status)
}
