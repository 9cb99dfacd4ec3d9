package web

import (
	"net/http"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// noticeCookie tells the page behind a redirect what has just been done, once.
// It is no parameter of the URL: a link could make the page say it to anybody.
const (
	noticeCookie = "__Host-notice"
	noticeLife   = time.Minute
)

// note leaves word for the page behind a redirect of what has just been done.
func (v *visit) note(what string) {
	v.setCookie(noticeCookie, portal.Secret(what), noticeLife, http.SameSiteLaxMode)
}

// noticed is what the answer before this one left to be said, once; "" when it is
// none of these words.
func (v *visit) noticed(words map[string]string) string {
	c, err := v.r.Cookie(noticeCookie)
	if err != nil || v.passive() || words[c.Value] == "" {
		return ""
	}
	v.dropCookie(noticeCookie, http.SameSiteLaxMode)
	return words[c.Value]
}

// backTo leads to a page of this site that says, once, what has been done.
func (v *visit) backTo(path, notice string) error {
	v.note(notice)
	return v.redirect(path)
}
