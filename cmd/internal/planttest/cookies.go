package planttest

import (
	"net/http"
	"net/url"
)

// Cookies are what a browser keeps of sites, by host and name. It keeps them as
// browsers do on this machine, Secure ones included, where the jar of net/http
// would not send them back over plain HTTP.
type Cookies map[string]map[string]*http.Cookie

// Keep does what an answer of a host says about cookies.
func (c Cookies) Keep(host string, said []*http.Cookie) {
	for _, cookie := range said {
		if c[host] == nil {
			c[host] = map[string]*http.Cookie{}
		}
		if cookie.MaxAge < 0 {
			delete(c[host], cookie.Name)
			continue
		}
		c[host][cookie.Name] = cookie
	}
}

// Dress gives a request the headers and cookies that a browser gives it when it
// is on a page of that origin; empty: the address was typed.
func (c Cookies) Dress(r *http.Request, from string) {
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	r.Header.Set("User-Agent", "Visitor/1")
	site := "none"
	switch {
	case from == Origin(r.URL):
		site = "same-origin"
	case from != "":
		site = "cross-site"
	}
	r.Header.Set("Sec-Fetch-Site", site)
	if from != "" && r.Method == http.MethodPost {
		r.Header.Set("Origin", from)
	}
	for _, cookie := range c[r.URL.Host] {
		if site != "cross-site" || r.Method == http.MethodGet || cookie.SameSite == http.SameSiteNoneMode {
			r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
		}
	}
}

// Origin is the site of an address: its scheme and host.
func Origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
