package serve

import (
	"net"
	"net/http"
	"strings"

	"github.com/domicile-sso/domicile/discovery/page"
)

// headers are on every answer before anything else can fail. A page may widen
// one (an asset may be cached); none may be forgotten.
func (o Options) headers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.setHeaders(w.Header(), r)
		h.ServeHTTP(w, r)
	})
}

func (o Options) setHeaders(h http.Header, r *http.Request) {
	for name, value := range always {
		h[name] = value
	}
	if o.HTTPS && !onThisMachine(r.Host) {
		h["Strict-Transport-Security"] = transport
	}
}

// onThisMachine reports whether a host is everybody's own: a browser that was
// told to keep to https there would do so for all that runs on the machine.
func onThisMachine(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	return strings.EqualFold(name, "localhost") || len(name) > 10 && strings.EqualFold(name[len(name)-10:], ".localhost")
}

// Names in canonical form, so that they can be put straight into a header. The
// slices are shared: Set and Add put others in their place.
var (
	always = map[string][]string{
		"Content-Security-Policy":      one(page.Policy),
		"X-Content-Type-Options":       one("nosniff"),
		"X-Frame-Options":              one("DENY"), // frame-ancestors, for what predates it
		"Referrer-Policy":              one("no-referrer"),
		"Cross-Origin-Opener-Policy":   one("same-origin"),
		"Cross-Origin-Resource-Policy": one("same-origin"),
		"Permissions-Policy":           one("camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
		"Cache-Control":                one("no-store"),
	}
	transport = one("max-age=63072000; includeSubDomains")
)

// one is a slice that grows elsewhere.
func one(s string) []string { return []string{s}[:1:1] }
