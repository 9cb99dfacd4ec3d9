package serve

import (
	"net/http"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
)

// Hosts hands a request to the site of its host, compared exactly with its port
// and in lower case. A host that is nobody's is answered 421 by unknown: a page
// must never be made for a host that somebody else chose.
func Hosts(of func(host string) http.Handler, unknown http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := of(r.Host); h != nil {
			h.ServeHTTP(w, r)
			return
		}
		unknown.ServeHTTP(w, r)
	})
}

// OnlyHost serves h to one host, in whatever case a client writes it.
func OnlyHost(host string, h http.Handler, refuse func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Host, host) {
			refuse(w, r, &discovery.Error{Kind: discovery.Misdirected, Code: "host_unknown"})
			return
		}
		h.ServeHTTP(w, r)
	})
}
