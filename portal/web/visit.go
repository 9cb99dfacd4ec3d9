package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// Cookies without authority. browserCookie binds attempts to a browser and lets
// the throttle know a device again. ssoCookie binds federated legs; it must be
// sent with the form that an identity provider posts from its own site, hence
// SameSite=None. Both hold a random value, so two tabs need one cookie each.
const (
	browserCookie = "__Host-browser"
	ssoCookie     = "__Host-sso"

	browserLife = 180 * 24 * time.Hour
)

type portalKey struct{}

func withPortal(ctx context.Context, p portal.Portal) context.Context {
	return context.WithValue(ctx, portalKey{}, p)
}

func portalOf(ctx context.Context) portal.Portal {
	p, _ := ctx.Value(portalKey{}).(portal.Portal)
	return p
}

// A visit is one request to one portal.
type visit struct {
	site       *Site
	w          http.ResponseWriter
	r          *http.Request
	portal     portal.Portal
	connection string          // of the path, if it names one
	account    string          // of the path, if it names one
	member     *portal.Session // set on member routes
	browser    portal.Secret   // the value of browserCookie that this answer sets
	chosen     *portal.Settings
}

// passive reports whether nobody is there to read the answer: a HEAD request, or
// a browser that loads ahead. What counts once must not be used up by it.
func (v *visit) passive() bool {
	if v.r.Method == http.MethodHead {
		return true
	}
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		if strings.Contains(strings.ToLower(v.r.Header.Get(name)), "prefetch") {
			return true
		}
	}
	return false
}

// nobody answers a passive request without doing anything. Browsers drop what
// they loaded ahead when it is not a success, and ask again when it is wanted.
func (v *visit) nobody() error {
	if v.r.Method == http.MethodHead {
		v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		v.w.WriteHeader(http.StatusOK)
		return nil
	}
	return &discovery.Error{Kind: discovery.Unavailable, Code: "prefetch", Retry: time.Second}
}

// token reads a cookie that holds a random value of ours; "" for anything else.
func (v *visit) token(name string) portal.Secret {
	c, err := v.r.Cookie(name)
	if err != nil || !tokenShaped(c.Value) {
		return ""
	}
	return portal.Secret(c.Value)
}

// tokenShaped reports whether s could be a random value that we made: base64url
// of some 16 to 64 bytes.
func tokenShaped(s string) bool {
	if len(s) < 20 || len(s) > 90 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func (v *visit) setCookie(name string, value portal.Secret, life time.Duration, site http.SameSite) {
	http.SetCookie(v.w, &http.Cookie{
		Name: name, Value: value.Clear(), Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: site,
	})
}

func (v *visit) dropCookie(name string, site http.SameSite) {
	http.SetCookie(v.w, &http.Cookie{Name: name, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: site})
}

// visitor is the browser as the store needs it. Its Browser is empty when the
// cookie did not come along, as with a form posted from another site; giving it
// a new one then would cut off the attempts of the old one.
func (v *visit) visitor() portal.Visitor {
	who := portal.Visitor{
		Browser:   v.token(browserCookie),
		Client:    page.Client(v.r.Context()),
		Reference: page.Reference(v.r.Context()),
		Agent:     portal.AgentName(v.r.UserAgent()),
		Country:   page.Country(v.r.Context()),
	}
	if v.member != nil {
		who.Actor = v.member.Account.ID
	}
	return who
}

// newVisitor is visitor for the start of an attempt: a browser without the
// cookie gets one.
func (v *visit) newVisitor() portal.Visitor {
	who := v.visitor()
	if v.browser == "" {
		if v.browser = who.Browser; v.browser == "" {
			v.browser = portal.NewSecret()
		}
		v.setCookie(browserCookie, v.browser, browserLife, http.SameSiteLaxMode)
	}
	who.Browser = v.browser
	return who
}

// session is the browser's session at this portal, or portal.ErrNoSession.
func (v *visit) session() (portal.Session, error) {
	token := v.token(SessionCookie)
	if token == "" {
		return portal.Session{}, portal.ErrNoSession
	}
	return v.site.Store.SessionByToken(v.r.Context(), v.portal.ID, token)
}

// attempt reads the attempt named by a handle of the URL or of a form.
func (v *visit) attempt(handle string) (portal.Attempt, error) {
	if !tokenShaped(handle) || v.token(browserCookie) == "" {
		return portal.Attempt{}, portal.ErrAttempt
	}
	return v.site.Store.AttemptByHandle(v.r.Context(), v.portal.ID, v.visitor(), handle)
}

// enter gives the browser its new session and sends it to the page first asked
// for, or to what is missing for that. A session it had before ends: one browser,
// one session.
func (v *visit) enter(in portal.SignedIn) error {
	switch in.Next {
	case portal.NeedsSecond, portal.NeedsEnrol:
		return v.redirect("/login/" + string(in.Next) + "?attempt=" + in.Attempt)
	}
	v.openSession(in)
	return v.redirect(v.site.returnPath(in.ReturnTo))
}

// openSession gives the browser the session that came of a sign-in, or the new
// token of the one it has.
func (v *visit) openSession(in portal.SignedIn) {
	if in.Token == "" {
		return // it was a proof for something else
	}
	if old := v.token(SessionCookie); old != "" && in.Next == portal.In {
		// The new session stands whether or not this works; the old one runs out.
		_, _ = v.site.Store.SignOut(v.r.Context(), v.portal.ID, v.visitor(), old)
	}
	v.setSession(in)
}

func (v *visit) setSession(in portal.SignedIn) {
	var life time.Duration
	if in.Kept {
		life = in.Absolute.Sub(v.site.Now())
	}
	v.setCookie(SessionCookie, in.Token, life, http.SameSiteLaxMode)
}

// redirect leads to a path of this site, or to an address that a connection's
// settings name, always by GET.
func (v *visit) redirect(to string) error {
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

func (v *visit) render(status int, name string, data any) error {
	if err := v.site.pages.Render(v.w, v.r, status, name, data); err != nil {
		return &discovery.Error{Kind: discovery.Internal, Code: "render", Err: err}
	}
	return nil
}

// shown decides how a form is told what went wrong: on the page itself, with the
// status and the Retry-After of the failure. It returns the failure when it is
// not one that the person can put right there, and when a program is asking.
func (v *visit) shown(err error) (*discovery.Error, error) {
	var e *discovery.Error
	if !errors.As(err, &e) || page.ForPrograms(v.r) {
		return nil, err
	}
	switch e.Kind {
	case discovery.Invalid, discovery.Forbidden, discovery.TooMany, discovery.Conflict:
	default:
		return nil, err
	}
	if e.Kind == discovery.TooMany {
		v.site.pages.Record(v.r, err) // a refusal is in the audit log; this may not be
	}
	c := *e
	if c.Say == "" {
		c.Say = "That did not work. Please try again."
	}
	page.RetryAfter(v.w, c.Retry)
	return v.told(&c), nil
}
