package serve

import (
	"net/http"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
)

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
