package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/domicile-sso/domicile/discovery/span"
)

// Tracing says where traces go; the zero value is nowhere.
type Tracing struct {
	Endpoint string  // origin of a collector that speaks OTLP over HTTP; empty: off
	Sample   float64 // how many of all requests, 0 to 1
}

// How much of traces may wait for a collector, and for how long it is waited
// for. What does not fit is dropped: a request waits for none of it.
const (
	spansWaiting = 2048
	spansAtOnce  = 512
	spanEvery    = 2 * time.Second
	spanPatience = 5 * time.Second
	spanGoodbye  = 5 * time.Second
	tracesPath   = "/v1/traces"
)

// trace turns traces on, if there is somewhere for them to go.
func (p *process) trace(ctx context.Context, role string) error {
	if p.Tracing.Endpoint == "" {
		return nil
	}
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(p.Tracing.Endpoint+tracesPath),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}), // the next batch is the retry
		otlptracehttp.WithHTTPClient(&http.Client{
			Timeout:       spanPatience,
			Transport:     &http.Transport{MaxIdleConns: 1, IdleConnTimeout: time.Minute}, // no proxy
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}))
	if err != nil {
		return fmt.Errorf("tracing: %w", err)
	}
	c := &collector{SpanExporter: exporter, log: p.Log, spans: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_trace_spans_total", Help: "Spans of traces, by whether the collector took them: sent or failed.",
	}, []string{"result"})}
	p.Registry.MustRegister(c.spans)
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "domicile"), attribute.String("service.version", version()), attribute.String("domicile.role", role))),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(p.Tracing.Sample))),
		sdktrace.WithSpanProcessor(sdktrace.NewBatchSpanProcessor(c,
			sdktrace.WithMaxQueueSize(spansWaiting), sdktrace.WithMaxExportBatchSize(spansAtOnce),
			sdktrace.WithBatchTimeout(spanEvery), sdktrace.WithExportTimeout(spanPatience))),
	)
	p.tracer = provider.Tracer(span.Scope)
	p.undo = append(p.undo, func() error {
		// What the collector has not got by then is no reason to call the end a failure.
		ctx, cancel := context.WithTimeout(context.Background(), spanGoodbye)
		defer cancel()
		_ = provider.Shutdown(ctx)
		return nil
	})
	return nil
}

// A collector takes spans, stripped of whatever [span.Permits] does not. Its
// failures are ours to count and to log once; OpenTelemetry would print each.
type collector struct {
	sdktrace.SpanExporter
	log     *slog.Logger
	spans   *prometheus.CounterVec
	failing atomic.Bool
}

func (c *collector) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	var told []sdktrace.ReadOnlySpan
	for _, s := range spans {
		if span.Known(s.Name()) {
			told = append(told, stripped{s})
		}
	}
	if len(told) == 0 {
		return nil
	}
	err := c.SpanExporter.ExportSpans(ctx, told)
	result := "sent"
	if err != nil {
		result = "failed"
	}
	c.spans.WithLabelValues(result).Add(float64(len(told)))
	switch was := c.failing.Swap(err != nil); {
	case err != nil && !was:
		c.log.Warn("the collector of traces does not take them; what comes meanwhile is lost", "err", err)
	case err == nil && was:
		c.log.Info("the collector of traces takes them again")
	}
	return nil
}

// stripped is a span without anything that was not foreseen.
type stripped struct{ sdktrace.ReadOnlySpan }

func (s stripped) Attributes() []attribute.KeyValue {
	return slices.DeleteFunc(slices.Clone(s.ReadOnlySpan.Attributes()), func(kv attribute.KeyValue) bool { return !span.Permits(kv) })
}

func (s stripped) Events() []sdktrace.Event { return nil }
func (s stripped) Links() []sdktrace.Link   { return nil }
func (s stripped) Status() sdktrace.Status {
	return sdktrace.Status{Code: s.ReadOnlySpan.Status().Code}
}
