package page

import (
	"net/http"
	"strings"
)

// Policy is the Content-Security-Policy every answer has unless a page widens
// form-action: own style sheet and icon, own forms, no scripts, no frames.
const Policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// FormAction says where the forms of this answer may lead, redirects included:
// Chrome applies form-action to the whole chain, and an address form leads on to
// an identity provider by 303. Every other directive stays as it was.
func FormAction(w http.ResponseWriter, sources ...string) {
	policy := w.Header().Get("Content-Security-Policy")
	if policy == "" {
		policy = Policy
	}
	directives := strings.Split(policy, ";")
	kept := make([]string, 0, len(directives)+1)
	for _, d := range directives {
		d = strings.TrimSpace(d)
		if d != "" && !strings.HasPrefix(d, "form-action ") {
			kept = append(kept, d)
		}
	}
	kept = append(kept, "form-action "+strings.Join(sources, " "))
	w.Header().Set("Content-Security-Policy", strings.Join(kept, "; "))
}

// AllowScript lets a page run the site's own script, and that one alone: no page
// has any but those where a browser is asked for a passkey.
func AllowScript(w http.ResponseWriter) {
	policy := w.Header().Get("Content-Security-Policy")
	if policy == "" {
		policy = Policy
	}
	w.Header().Set("Content-Security-Policy", policy+"; script-src 'self'")
}

// AddressFormAction widens form-action for a page with an address form on the
// given host: to any https identity provider, and for a site that is itself on
// localhost to its neighbours there.
func AddressFormAction(w http.ResponseWriter, host string) {
	name, _, _ := strings.Cut(host, ":")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		FormAction(w, "'self'", "https:", "http://localhost:*", "http://*.localhost:*")
		return
	}
	FormAction(w, "'self'", "https:")
}
