// Package span says what a trace may hold: which spans there are, which
// attributes they carry and what may stand in them. Nothing else leaves the
// process, whoever sets it: the exporter asks [Permits] for every attribute and
// [Known] for every name, and sends no events, links or messages of errors.
//
// There is no tracer to pass around. The chain around a site starts the span of
// a request, [With] gives jobs a tracer, and [Start] goes on from whatever is in
// the context. Where nothing is being recorded, Start gives back what it was
// given: it costs a look into the context and no memory.
package span

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/domicile-sso/domicile/discovery"
)

// A Name is what a span below a request, or a job's, is called. A request's own
// is its method and route; see [Request].
type Name string

// The spans there are.
const (
	Lookup      Name = "lookup"            // an address at the front door
	Cache       Name = "cache"             // one blind ID in the cache
	Query       Name = "query"             // the directory's database
	SealTicket  Name = "ticket.seal"       // for one region
	OpenTicket  Name = "ticket.open"       // in its region
	ApplyClaims Name = "claims.apply"      // a region's batch, at the front door
	Federation  Name = "federation.verify" // an identity provider's answer
	Publish     Name = "publish"           // a batch on its way to the front door
)

var names = []Name{Lookup, Cache, Query, SealTicket, OpenTicket, ApplyClaims, Federation, Publish}

// A Key is an attribute that a span may carry.
type Key string

// The attributes there are. None of them says who, for whom, or from where.
const (
	Site    Key = "domicile.site" // discovery, portal, claims
	Method  Key = "http.request.method"
	Route   Key = "http.route" // by pattern, never as asked for
	Status  Key = "http.response.status_code"
	Door    Key = "domicile.door"    // page, choice, json, webfinger
	Outcome Key = "domicile.outcome" // as the metric of lookups has it
	Source  Key = "domicile.source"  // near, far, miss; primary, replica
	Kind    Key = "domicile.kind"    // saml, oidc
	Code    Key = "domicile.code"    // why something was refused
	Region  Key = "domicile.region"
	Count   Key = "domicile.count" // of claims in a batch
)

var (
	methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}
	words   = map[Key][]string{
		Site:    {"discovery", "portal", "claims"},
		Method:  methods,
		Door:    {"page", "choice", "json", "webfinger"},
		Outcome: {"one", "several", "none", "partial", "failed"},
		Source:  {"near", "far", "miss", "primary", "replica"},
		Kind:    {"saml", "oidc"},
	}
	routes  = regexp.MustCompile(`^(other|/[a-z0-9*./-]{0,40})$`)
	regions = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	code    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
)

// Permits reports whether an attribute may leave the process.
func Permits(kv attribute.KeyValue) bool {
	k := Key(kv.Key)
	if k == Status || k == Count {
		return kv.Value.Type() == attribute.INT64
	}
	if kv.Value.Type() != attribute.STRING {
		return false
	}
	v := kv.Value.AsString()
	switch k {
	case Route:
		return routes.MatchString(v)
	case Region:
		return regions.MatchString(v)
	case Code:
		return code.MatchString(v)
	}
	return slices.Contains(words[k], v)
}

// Known reports whether a span may be called that.
func Known(name string) bool {
	if slices.Contains(names, Name(name)) {
		return true
	}
	method, route, ok := strings.Cut(name, " ")
	return ok && slices.Contains(methods, method) && routes.MatchString(route)
}

// A Span is being recorded, or it is zero and everything asked of it does
// nothing.
type Span struct{ span trace.Span }

type tracerKey struct{}

// With gives what runs under ctx, and belongs to no request, a tracer of its own.
func With(ctx context.Context, t trace.Tracer) context.Context {
	if t == nil {
		return ctx
	}
	return context.WithValue(ctx, tracerKey{}, t)
}

// Request starts the span of a request: below the one in ctx if a caller of ours
// has sent it along, or as a root.
func Request(ctx context.Context, t trace.Tracer, method, route string) (context.Context, Span) {
	return begin(ctx, t, method+" "+route, trace.WithSpanKind(trace.SpanKindServer))
}

// Start starts a span below the one of ctx, or as a root where ctx is a job's.
func Start(ctx context.Context, name Name) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if parent.IsRecording() {
		return begin(ctx, parent.TracerProvider().Tracer(Scope), string(name))
	}
	if parent.SpanContext().IsValid() {
		return ctx, Span{} // a trace that was not chosen
	}
	if t, ok := ctx.Value(tracerKey{}).(trace.Tracer); ok {
		return begin(ctx, t, string(name))
	}
	return ctx, Span{}
}

// Scope is what all spans are recorded as.
const Scope = "github.com/domicile-sso/domicile"

func begin(ctx context.Context, t trace.Tracer, name string, o ...trace.SpanStartOption) (context.Context, Span) {
	ctx, s := t.Start(ctx, name, o...)
	if !s.IsRecording() {
		return ctx, Span{}
	}
	return ctx, Span{s}
}

// Text sets an attribute.
func (s Span) Text(k Key, v string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String(string(k), v))
	}
}

// Number sets an attribute.
func (s Span) Number(k Key, n int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int(string(k), n))
	}
}

// Trace is the trace's ID for a log line, or "".
func (s Span) Trace() string {
	if s.span == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// End ends the span. Of err it keeps the code that a [discovery.Error] has, and
// whether the failure is ours.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		var e *discovery.Error
		known := errors.As(err, &e)
		if known && e.Code != "" {
			s.Text(Code, e.Code)
		}
		if !known || e.Kind == discovery.Internal || e.Kind == discovery.Unavailable {
			s.Fail()
		}
	}
	s.span.End()
}

// Fail marks the span as one of a failure, without a word.
func (s Span) Fail() {
	if s.span != nil {
		s.span.SetStatus(codes.Error, "")
	}
}
