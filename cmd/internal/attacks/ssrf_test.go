package attacks

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/fetch"
)

// Addresses that a customer could type for a provider of theirs, and that no
// region of ours may call.
var forbidden = map[string][]string{
	"SRF-01": {"https://127.0.0.1/x", "https://0.0.0.0/x", "https://[::1]/x", "https://[::]/x", "https://localhost/x", "https://a.localhost/x"},
	"SRF-02": {"https://[::ffff:127.0.0.1]/x", "https://[::127.0.0.1]/x", "https://[::ffff:0:127.0.0.1]/x"},
	"SRF-03": {"https://[64:ff9b::7f00:1]/x", "https://[64:ff9b:1::1]/x", "https://[2002:7f00:1::]/x", "https://[2001::1]/x"},
	"SRF-04": {"https://169.254.169.254/latest", "https://[fd00:ec2::254]/x", "https://168.63.129.16/x", "https://100.64.0.1/x", "https://192.0.0.1/x",
		"https://198.18.0.1/x", "https://240.0.0.1/x", "https://[fec0::1]/x", "https://10.0.0.1/x", "https://172.16.0.1/x", "https://192.168.0.1/x"},
	"SRF-05": {"https://127.1/x", "https://2130706433/x", "https://0x7f.1/x", "https://0177.0.0.1/x", "https://\u2460\u2461\u2466.0.0.1/x", "https://[::1%25eth0]/x"},
	"SRF-08": {"http://idp.example/x", "https://idp.example:22/x", "https://user:pass@idp.example/x", "https://idp.example\\@127.0.0.1/x", "file:///etc/passwd", "gopher://idp.example/x", "https:///x", "https://idp.example%00.evil.example/x"},
}

// TestSSRF has a relying party sent, by what a customer configured, to addresses
// that are not the customer's to have called. What the person at the browser sees
// is one page, whatever was found there (SRF-11). The commands that fetch metadata
// and provider documents go through the same client: their sessions are in
// cmd/domicile.
func TestSSRF(t *testing.T) {
	w := shared(t)
	var called atomic.Int64
	internal := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	t.Cleanup(internal.Close)
	o := w.Regions[europe].options
	o.Registry, o.Outbound = prometheus.NewRegistry(), fetch.New(fetch.Options{Log: w.logger("outbound")})
	node, err := app.NewPortal(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	node.Start()
	t.Cleanup(func() {
		if err := node.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	pages := map[string]bool{}
	call := func(t *testing.T, via *app.Portal, at string) (a *answer) {
		t.Helper()
		t.Run(at, func(t *testing.T) { a = w.tokenFrom(t, via, at) })
		if a == nil {
			t.FailNow()
		}
		pages[strings.ReplaceAll(a.text(), a.reference(), "")] = true
		return a
	}
	for row, list := range forbidden {
		t.Run(row, func(t *testing.T) {
			for _, at := range list {
				call(t, node, at)
			}
		})
	}
	t.Run("SRF-01 a listener that is there", func(t *testing.T) {
		call(t, node, internal.URL)
		if n := called.Load(); n != 0 {
			t.Errorf("it was called %d times", n)
		}
	})
	if len(pages) != 1 {
		t.Errorf("SRF-11: %d different pages: %v", len(pages), pages)
	}
	t.Run("SRF-07 redirects", func(t *testing.T) {
		for _, status := range []int{301, 302, 303, 307, 308} {
			for _, to := range []string{internal.URL, "file:///etc/passwd", "http://169.254.169.254/"} {
				there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Location", to)
					w.WriteHeader(status)
				}))
				call(t, nil, there.URL)
				there.Close()
			}
		}
		if n := called.Load(); n != 0 {
			t.Errorf("the redirect was followed %d times", n)
		}
	})
	t.Run("SRF-10 too much, and of another kind", func(t *testing.T) {
		for kind, body := range map[string]string{
			"application/json": `{"access_token":"` + strings.Repeat("x", 2<<20) + `"}`,
			"text/html":        "<html>the inside of something: root:x:0:0</html>",
			"image/svg+xml":    "<svg onload='x'/>",
			"":                 "\x1f\x8b\x08" + strings.Repeat("\x00", 100),
		} {
			there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept-Encoding") != "" || r.Header.Get("Cookie") != "" || r.Header.Get("Referer") != "" {
					t.Errorf("asked with %v", r.Header)
				}
				w.Header().Set("Content-Type", kind)
				if kind == "" {
					w.Header().Set("Content-Encoding", "gzip")
				}
				_, _ = w.Write([]byte(body))
			}))
			mark := w.Log.Len()
			a := call(t, nil, there.URL)
			there.Close()
			if strings.Contains(a.Body+w.Log.Since(mark), "root:x") {
				t.Error("what was found is told")
			}
		}
	})
}

// tokenFrom comes back from a provider with a code while its token endpoint is
// said to be at an address, which must come to nothing.
func (w *world) tokenFrom(t *testing.T, via *app.Portal, at string) *answer {
	t.Helper()
	b := w.browser(t)
	who := w.IdPs.Person(t, "acme-oidc.example")
	back := b.departWith(acme, "acme-oidc", who.Address, "/").authorise(who).String()
	w.Configure(t, acme, "acme-oidc", func(c *federation.Connection) { c.OIDC.TokenURL = at })
	mark := w.Log.Len()
	a := b.via(via).crossGet(back)
	secured(t, a)
	dull(t, a)
	w.quiet(t, mark, who.Address)
	if a.Status != http.StatusServiceUnavailable && a.Status != http.StatusForbidden || a.session() != nil || strings.Contains(a.Body, at) {
		t.Errorf("%s: got %d: %s", at, a.Status, a.text())
	}
	return a
}
