package serve

import (
	"errors"
	"net/http"

	"github.com/domicile-sso/domicile/discovery"
)

// sameSite refuses requests that another site made the browser send. The
// standard library's check passes when a request has neither Sec-Fetch-Site nor
// Origin, and takes http://host for https://host; with a session at stake, both
// are refused here.
func (o Options) sameSite(h http.Handler) http.Handler {
	standard := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.crossSite(r) {
			err := standard.Check(r)
			if err == nil {
				err = o.strict(r)
			}
			if err != nil {
				o.Error(w, r, &discovery.Error{Kind: discovery.Forbidden, Code: "cross_site", Err: err})
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// crossSite reports whether other sites may post here. The path is compared as
// it was sent: what a router would clean up first is another path.
func (o Options) crossSite(r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	for _, pattern := range o.CrossSite {
		if match(pattern, r.URL.EscapedPath()) {
			return true
		}
	}
	return false
}

func (o Options) strict(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if r.Header.Get("Sec-Fetch-Site") != "" {
		return nil
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		if _, err := r.Cookie(o.SessionCookie); o.SessionCookie != "" && err == nil {
			return errors.New("a session, and no word of where the request comes from")
		}
		return nil
	}
	scheme := "http://"
	if o.HTTPS {
		scheme = "https://"
	}
	if origin != scheme+r.Host {
		return errors.New("the origin differs in its scheme")
	}
	return nil
}
