package web

import (
	"net/http"
	"slices"

	"github.com/domicile-sso/domicile/portal"
)

// note leaves word for the page behind a redirect of what has just been done.
func (v *visit) note(what string) {
	v.setCookie(noticeCookie, portal.Secret(what), noticeLife, http.SameSiteLaxMode)
}

// noted is the word left for this page, once; "" for none of those it knows.
func (v *visit) noted(known ...string) string {
	c, err := v.r.Cookie(noticeCookie)
	if err != nil || v.passive() || !slices.Contains(known, c.Value) {
		return ""
	}
	v.dropCookie(noticeCookie, http.SameSiteLaxMode)
	return c.Value
}
