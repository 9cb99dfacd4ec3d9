package serve

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/domicile-sso/domicile/discovery/span"
)

const foreign = "4bf92f3577b34da6a3ce929d0e0e4736"

// A span of a request says its method, route and status, and nothing that came
// with it; a trace that a stranger began is not continued.
func TestTraces(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)).Tracer(span.Scope)
	ask := func(trusted bool) string {
		h, _ := site(t, func(o *Options) { o.Tracer, o.ContinueTraces, o.Site = tracer, trusted, "portal" })
		r := request("GET", "/nowhere/canary?email=canary", "", "User-Agent", "canary",
			"Traceparent", "00-"+foreign+"-00f067aa0ba902b7-01", "Tracestate", "v=canary", "Baggage", "who=canary")
		do(h, r)
		spans := rec.Ended()
		rec.Reset()
		if len(spans) != 1 {
			t.Fatalf("%d spans", len(spans))
		}
		s := spans[0]
		if s.Name() != "GET other" || len(s.Events()) != 0 || len(s.Links()) != 0 || s.SpanContext().TraceState().Len() != 0 {
			t.Errorf("span %q %v %v", s.Name(), s.Events(), s.Links())
		}
		var got []string
		for _, kv := range s.Attributes() {
			got = append(got, string(kv.Key)+"="+kv.Value.String())
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"domicile.site=portal", "http.request.method=GET", "http.response.status_code=404", "http.route=other"}, got); diff != "" {
			t.Error(diff)
		}
		return s.SpanContext().TraceID().String()
	}
	if ask(false) == foreign {
		t.Error("a stranger chose the trace")
	}
	if ask(true) != foreign {
		t.Error("a process of ours was not heard")
	}
}

func TestProbesAreNotTraced(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)).Tracer(span.Scope)
	h, _ := site(t, func(o *Options) { o.Tracer = tracer })
	for _, path := range []string{"/healthz", "/readyz", "/assets/x.css"} {
		do(h, request("GET", path, ""))
	}
	if n := len(rec.Ended()); n != 0 {
		t.Errorf("%d spans", n)
	}
	do(h, request("GET", "/panic", ""))
	if n := len(rec.Ended()); n != 1 {
		t.Errorf("a panic leaves %d spans", n)
	}
}

// Traces that are off cost a request nothing.
func TestTracesOffCostNothing(t *testing.T) {
	o := Options{}
	r := request("GET", "/", "")
	if n := testing.AllocsPerRun(100, func() {
		_, s := o.traced(r, http.MethodGet, "/")
		finish(s, http.StatusOK)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Nobody's own host is told to stay with https for two years.
func TestNoStrictTransportHere(t *testing.T) {
	for host, want := range map[string]bool{
		"login.example.com": true, "localhost.example.com": true, "notlocalhost": true,
		"localhost": false, "LOCALHOST:8443": false, "acme.eu.localhost": false, "acme.eu.localhost:8443": false,
	} {
		h := Options{HTTPS: true}.headers(http.NotFoundHandler())
		res := do(h, request("GET", "/", "", "Host", host))
		if got := res.Header.Get("Strict-Transport-Security") != ""; got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}
