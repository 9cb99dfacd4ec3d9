package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/discovery/span"
)

// What was not foreseen does not leave the process, whoever put it into a span.
func TestOnlyForeseenLeaves(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	c := &collector{SpanExporter: kept, log: slog.New(slog.DiscardHandler), spans: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x"}, []string{"result"})}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(c)).Tracer("some library")
	for _, name := range []string{"lookup", "canary@acme.example"} {
		_, s := tracer.Start(t.Context(), name, trace.WithLinks(trace.Link{Attributes: []attribute.KeyValue{attribute.String("who", "canary")}}))
		s.SetAttributes(attribute.String("domicile.door", "json"), attribute.String("url.query", "email=canary"), attribute.String("domicile.region", "Canary"))
		s.AddEvent("canary")
		s.RecordError(errors.New("canary"))
		s.SetStatus(codes.Error, "canary")
		s.End()
	}
	got := kept.GetSpans()
	if len(got) != 1 {
		t.Fatalf("%d spans", len(got))
	}
	s := got[0]
	if diff := cmp.Diff([]attribute.KeyValue{attribute.String("domicile.door", "json")}, s.Attributes, cmp.Comparer(func(a, b attribute.Value) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if s.Name != "lookup" || len(s.Events) != 0 || len(s.Links) != 0 || s.Status != (sdktrace.Status{Code: codes.Error}) {
		t.Errorf("left: %+v", s)
	}
}

// A collector that fails, or takes everything and answers nothing, fails no
// request, holds up no end, and is spoken of once.
func TestCollectorFails(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	batches := make(chan struct{}, 100)
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		batches <- struct{}{}
	}))
	defer failing.Close()
	for name, endpoint := range map[string]string{"silent": "http://" + silent.Addr().String(), "failing": failing.URL} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			said := new(planttest.Log)
			w.at.Log = slog.New(slog.NewTextHandler(said, nil))
			w.at.Tracing = Tracing{Endpoint: endpoint, Sample: 1}
			d := w.front()
			for range 3 {
				for i := range 3 * spansAtOnce / 4 {
					if got := w.ask(d, fmt.Sprintf("nobody-%d@nowhere.example", i%10)); got != "" && !strings.HasPrefix(got, "429") {
						t.Fatalf("a lookup says %q", got)
					}
				}
				if name == "failing" {
					<-batches
				}
			}
			stopped(t, d)
			if n := strings.Count(said.String(), "collector of traces"); n > 1 || name == "failing" && n == 0 {
				t.Errorf("%d lines about the collector:\n%s", n, said.String())
			}
		})
	}
}

// Without an endpoint there is no tracer, no job and no metric of it.
func TestTracesAreOff(t *testing.T) {
	w := newWorld(t)
	d := w.front()
	if d.tracer != nil {
		t.Error("there is a tracer")
	}
	if _, s := span.Start(t.Context(), span.Lookup); s != (span.Span{}) {
		t.Error("a span is recorded")
	}
	if _, metrics := get(t, "http://"+d.Addr("private")+"/metrics", ""); strings.Contains(metrics, "domicile_trace") {
		t.Error("traces that are off are counted")
	}
}

// What was sampled comes to the collector when the process ends, at the latest.
func TestTracesEndWithTheProcess(t *testing.T) {
	var mu sync.Mutex
	taken := 0
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == tracesPath && r.Header.Get("Content-Type") == "application/x-protobuf" {
			taken++
		}
	}))
	defer server.Close()
	w := newWorld(t)
	w.at.Tracing = Tracing{Endpoint: server.URL, Sample: 1}
	d := w.front()
	w.ask(d, "nobody@nowhere.example")
	stopped(t, d)
	mu.Lock()
	defer mu.Unlock()
	if taken == 0 {
		t.Error("the last spans are lost")
	}
}
