package attacks

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/domicile-sso/domicile/cmd/internal/app"
)

// A recorder is a collector of traces that keeps what it is sent.
type recorder struct {
	server *httptest.Server

	mu   sync.Mutex
	sent [][]byte // requests, headers and all
	span []recorded
	bad  []error
}

// A recorded span is what an export says of it.
type recorded struct {
	Name, Trace, ID, Parent string
}

func newRecorder() *recorder {
	c := new(recorder)
	c.server = httptest.NewServer(c)
	return c
}

func (c *recorder) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var plain *gzip.Reader
		if plain, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(plain)
		}
	}
	var export collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &export)
	}
	var head bytes.Buffer
	_ = r.Header.Write(&head)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, append(head.Bytes(), body...), []byte(r.URL.String()))
	if err != nil {
		c.bad = append(c.bad, err)
	}
	for _, resource := range export.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				c.span = append(c.span, recorded{s.Name, string(s.TraceId), string(s.SpanId), string(s.ParentSpanId)})
			}
		}
	}
}

// spans are those recorded under a name.
func (c *recorder) spans(name string) (found []recorded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.span {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// tracedWorld is a world of the test's own that traces every request.
func tracedWorld(t *testing.T) (*world, *recorder) {
	t.Helper()
	c := newRecorder()
	t.Cleanup(c.server.Close)
	w, err := start(t.TempDir(), func(w *world) { w.tracing = app.Tracing{Endpoint: c.server.URL, Sample: 1} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
	return w, c
}

// untold looks for people in everything that was sent to the collector, once
// every kind of span has come.
func (c *recorder) untold(t *testing.T, w *world, lists ...[]string) {
	t.Helper()
	for _, name := range []string{
		"POST /", "POST /v1/discover", "POST /login/password", "GET /login", "POST /saml/*/acs", "GET /oidc/*/callback", "POST /claims", "GET /invitation",
		"lookup", "cache", "query", "ticket.seal", "ticket.open", "claims.apply", "federation.verify", "publish",
	} {
		w.settled(t, func() bool { return len(c.spans(name)) > 0 })
	}
	// The region's batch and what the front door did with it are one trace; what a
	// browser asked is its own.
	joined := 0
	for _, there := range c.spans("POST /claims") {
		for _, here := range c.spans("publish") {
			if there.Trace == here.Trace && there.Parent == here.ID {
				joined++
			}
		}
	}
	if joined == 0 {
		t.Error("no batch is one trace from region to front door")
	}
	for _, name := range []string{"POST /", "POST /v1/discover", "POST /login/password", "POST /saml/*/acs"} {
		for _, s := range c.spans(name) {
			if s.Parent != "" {
				t.Errorf("%s goes on from somebody else's trace", name)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range c.bad {
		t.Error(err)
	}
	for _, sent := range c.sent {
		absent(t, "an export of traces", sent, lists...)
	}
}
