package serve

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page"
)

// owed are headers that no answer of ours goes without.
var owed = map[string]string{
	"Content-Security-Policy":      page.Policy,
	"Strict-Transport-Security":    "max-age=63072000; includeSubDomains",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
}

// HDR-01: through a listener as in production, by HTTP/1.1 and HTTP/2: what a router,
// the standard library's redirects, a limit and a panic answer all have the headers,
// whatever was asked.
func TestHDR01OverTheWire(t *testing.T) {
	h, _ := site(t, nil)
	f := newAuthority(t).issue(t.TempDir(), x509.ExtKeyUsageServerAuth)
	cert, err := LoadCertificate(Files{Cert: f.Cert, Key: f.Key})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Listen("public", "127.0.0.1:0", cert, h, quiet())
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { _ = s.Stop(t.Context()) })
	big := strings.Repeat("a", 70<<10)
	for version, second := range map[int]bool{1: false, 2: true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: second}
		t.Cleanup(transport.CloseIdleConnections)
		for name, tt := range map[string]struct {
			method, path, host, body string
			chunked                  bool
			status                   int
		}{
			"200":                    {status: 200},
			"405 of HEAD":            {method: "HEAD", status: 405},
			"301 to the clean path":  {path: "//x/../", status: 301},
			"303":                    {path: "/where", status: 303},
			"400":                    {path: "/?q=" + big[:9000], status: 400},
			"404":                    {path: "/nothing", status: 404},
			"405":                    {method: "PUT", status: 405},
			"405 of an invented one": {method: "FETCH", status: 405},
			"413 by length":          {method: "POST", body: "a=" + big, status: 413},
			"413 on the way":         {method: "POST", body: "a=" + big, chunked: true, status: 413},
			"421":                    {host: "evil.test", status: 421},
			"500 of a panic":         {path: "/panic", status: 500},
			"a probe":                {path: "/healthz", host: "10.0.0.1", status: 200},
		} {
			var body io.Reader
			switch {
			case tt.chunked:
				body = io.MultiReader(strings.NewReader(tt.body)) // of no known length
			case tt.body != "":
				body = strings.NewReader(tt.body)
			}
			r, err := http.NewRequestWithContext(t.Context(), tt.method, "https://"+s.Addr().String()+tt.path, body)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "portal.test"
			if tt.host != "" {
				r.Host = tt.host
			}
			if body != nil {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Errorf("HTTP/%d, %s: %v", version, name, err)
				continue
			}
			text, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if res.StatusCode != tt.status || res.ProtoMajor != version {
				t.Errorf("HTTP/%d, %s: %s %d, want %d", version, name, res.Proto, res.StatusCode, tt.status)
			}
			for header, want := range owed {
				if got := res.Header.Values(header); len(got) != 1 || got[0] != want {
					t.Errorf("HTTP/%d, %s: %s is %q, want %q", version, name, header, got, want)
				}
			}
			if res.Header.Get("Permissions-Policy") == "" || res.Header.Get("X-Request-Id") == "" || res.Header.Get("Set-Cookie") != "" || res.Header.Get("Server") != "" {
				t.Errorf("HTTP/%d, %s: %v", version, name, res.Header)
			}
			if bytes.Contains(text, []byte("marked-panic-text")) || bytes.Contains(text, []byte(".go:")) {
				t.Errorf("HTTP/%d, %s: the answer shows what happened: %s", version, name, text)
			}
		}
	}
}
