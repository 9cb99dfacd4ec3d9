package span

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/domicile-sso/domicile/discovery"
)

func TestPermits(t *testing.T) {
	for kv, want := range map[attribute.KeyValue]bool{
		attribute.String("http.route", "/saml/*/acs"):               true,
		attribute.String("http.route", "other"):                     true,
		attribute.String("http.route", "/x?email=ada@acme.example"): false,
		attribute.String("http.route", "/Ada"):                      false,
		attribute.String("http.request.method", "POST"):             true,
		attribute.String("http.request.method", "ADA"):              false,
		attribute.Int("http.response.status_code", 200):             true,
		attribute.String("http.response.status_code", "200"):        false,
		attribute.String("domicile.door", "json"):                   true,
		attribute.String("domicile.door", "ada"):                    false,
		attribute.String("domicile.region", "eu-central"):           true,
		attribute.String("domicile.region", "ada@acme.example"):     false,
		attribute.String("domicile.code", "ticket_spent"):           true,
		attribute.String("domicile.code", "Ada Lovelace"):           false,
		attribute.Bool("domicile.code", true):                       false,
		attribute.String("client.address", "192.0.2.1"):             false,
		attribute.String("user_agent.original", "Mozilla"):          false,
		attribute.String("url.path", "/login"):                      false,
	} {
		if got := Permits(kv); got != want {
			t.Errorf("%s = %s: %v, want %v", kv.Key, kv.Value.String(), got, want)
		}
	}
	for name, want := range map[string]bool{
		"lookup": true, "POST /v1/discover": true, "other other": true,
		"ada@acme.example": false, "GET /login?ticket=x": false, "ADA /": false, "": false,
	} {
		if got := Known(name); got != want {
			t.Errorf("name %q: %v, want %v", name, got, want)
		}
	}
}

// Where nothing is recorded, a span costs no memory, whatever is asked of it.
func TestOffCostsNothing(t *testing.T) {
	chosen := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	unchosen, _ := Request(t.Context(), chosen.Tracer(Scope), "GET", "/")
	for name, ctx := range map[string]context.Context{"off": t.Context(), "not chosen": unchosen} {
		allocs := testing.AllocsPerRun(100, func() {
			ctx, s := Start(ctx, Lookup)
			s.Text(Outcome, "one")
			s.Number(Count, 1)
			Inject(ctx, nil)
			s.End(nil)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

func TestSpans(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)).Tracer(Scope)

	ctx, request := Request(t.Context(), tracer, "POST", "/")
	_, below := Start(ctx, Lookup)
	below.End(&discovery.Error{Kind: discovery.Unavailable, Code: "directory_unavailable", Err: errors.New("ada@acme.example")})
	request.End(nil)
	_, job := Start(With(t.Context(), tracer), Publish)
	job.End(&discovery.Error{Kind: discovery.Forbidden, Code: "claims_stale"})

	got := rec.Ended()
	if len(got) != 3 {
		t.Fatalf("%d spans", len(got))
	}
	lookup, root, publish := got[0], got[1], got[2]
	if lookup.Parent().SpanID() != root.SpanContext().SpanID() || root.Parent().IsValid() || publish.Parent().IsValid() {
		t.Error("the spans do not hang together")
	}
	if lookup.Status() != (sdktrace.Status{Code: codes.Error}) || len(lookup.Events()) != 0 {
		t.Errorf("of a failure there is %+v %v", lookup.Status(), lookup.Events())
	}
	if publish.Status().Code != codes.Unset {
		t.Error("a refusal is no failure")
	}
	if a := lookup.Attributes(); len(a) != 1 || a[0] != attribute.String("domicile.code", "directory_unavailable") {
		t.Errorf("attributes %v", a)
	}
}

func TestCarriedBetweenOurProcesses(t *testing.T) {
	tracer := sdktrace.NewTracerProvider().Tracer(Scope)
	ctx, here := Start(With(t.Context(), tracer), Publish)
	h := http.Header{}
	Inject(ctx, h)
	h.Set("Tracestate", "vendor=ada")
	ctx, there := Request(Extract(t.Context(), h), tracer, "POST", "/claims")
	if here.Trace() == "" || there.Trace() != here.Trace() {
		t.Errorf("trace %q goes on as %q", here.Trace(), there.Trace())
	}
	next := http.Header{}
	Inject(ctx, next)
	if next.Get("Traceparent") == "" || next.Get("Tracestate") != "" {
		t.Errorf("carried on: %v", next)
	}
	if _, alone := Request(Extract(t.Context(), http.Header{}), tracer, "POST", "/claims"); alone.Trace() == here.Trace() {
		t.Error("without a header, the trace goes on")
	}
}

func BenchmarkOff(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ctx, s := Start(b.Context(), Lookup)
		s.Text(Outcome, "one")
		Inject(ctx, nil)
		s.End(nil)
	}
}
