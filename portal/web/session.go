package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
)

// sessionsPage is where people see who is signed in to their account, and which
// apps may act for it.
type sessionsPage struct {
	page.Form
	Tabs     []tab
	Notice   string
	Sessions []sessionRow
	Others   bool // there are sessions beside this one
	Apps     []activationRow
	Gone     []activationRow
	Offered  bool // there are apps to activate
	App      page.Field
	Device   page.Field
}

// A sessionRow is a session as its owner reads about it.
type sessionRow struct {
	ID            string
	Agent, Place  string
	Method        string
	Current, Kept bool
	Seen, Started moment
	Used          string // when, in words
	Ends          moment
}

var fieldSession = field{"session", 64}

// What a notice on this page is about; see noticeCookie.
const (
	sessionEnded       = "session-ended"
	othersEnded        = "others-ended"
	activationMade     = "activation-made"
	activationRemoved  = "activation-removed"
	activationRestored = "activation-restored"
)

func (s *Site) sessions(v *visit) error {
	p, err := s.sessionsPage(v)
	if err != nil {
		return err
	}
	p.Notice = v.noticed(map[string]string{
		sessionEnded:       v.t("That session is over. With its next step, that browser has to sign in again."),
		othersEnded:        v.t("All other sessions are over. You are signed in here alone."),
		activationMade:     v.t("The app is activated. It will ask you to sign in when you start it."),
		activationRemoved:  v.t("The app’s activation is removed. Nothing that it was given is valid any more."),
		activationRestored: v.t("The app is activated again. It will ask you to sign in when you start it."),
	})
	return v.render(http.StatusOK, "sessions", p)
}

func (s *Site) sessionsPage(v *visit) (sessionsPage, error) {
	p := sessionsPage{Tabs: v.accountTabs("sessions")}
	all, err := s.Store.Sessions(v.r.Context(), v.portal.ID, v.member.Account.ID)
	if err != nil {
		return p, fmt.Errorf("read sessions: %w", err)
	}
	for i := range all {
		row, err := s.sessionRow(v, &all[i])
		if err != nil {
			return p, err
		}
		p.Sessions = append(p.Sessions, row)
		p.Others = p.Others || !row.Current
	}
	return p, s.listApps(v, &p)
}

func (s *Site) sessionRow(v *visit, ses *portal.Session) (sessionRow, error) {
	method, err := s.methodName(v, ses)
	return sessionRow{
		ID: ses.ID, Agent: v.agent(ses.Agent), Place: v.place(ses.Country, ses.Network), Method: method,
		Current: ses.ID == v.member.ID, Kept: ses.Kept,
		Seen: v.when(ses.Seen), Started: v.when(ses.Started), Used: v.ago(ses.Seen), Ends: v.when(ses.Absolute),
	}, err
}

// agent is what a browser called itself, in the words of the page.
func (v *visit) agent(name string) string {
	browser, system := portal.SplitAgent(name)
	switch {
	case browser == "" && system == "":
		return v.t("A browser we do not know")
	case browser == "":
		return v.t("A browser on %s", system)
	case system == "":
		return browser
	}
	return v.t("%s on %s", browser, system)
}

// place is where a session was begun: the country if a trusted proxy said so,
// else as much of the address as is ever stored.
func (v *visit) place(country, network string) string {
	if region, err := language.ParseRegion(country); err == nil && region.IsCountry() {
		if tag, err := language.Parse(v.lang()); err == nil {
			if name := display.Regions(tag).Name(region); name != "" {
				return name
			}
		}
	}
	prefix, err := netip.ParsePrefix(network)
	switch {
	case err != nil:
		return v.t("From somewhere we do not know")
	case prefix.Addr().IsLoopback(), prefix.Addr().IsUnspecified(): // ::1 is in ::/48
		return v.t("From the machine that this portal runs on")
	case prefix.Addr().IsPrivate(), prefix.Addr().IsLinkLocalUnicast():
		return v.t("From a private network, %s", network)
	}
	return v.t("From the network %s", network)
}

// ago is how long ago a time was, in words.
func (v *visit) ago(t time.Time) string {
	d := v.site.Now().Sub(t)
	switch {
	case d < 2*portal.SeenEvery:
		return v.t("Just now")
	case d < time.Hour:
		return v.t("%d minutes ago", int(d/time.Minute))
	case d < 48*time.Hour:
		return v.t("%d hours ago", int(d/time.Hour))
	}
	return v.t("%d days ago", int(d/(24*time.Hour)))
}

// endSession ends one session by its public ID. The one that asks is ended by
// signing out, and leads where that leads.
func (s *Site) endSession(v *visit) error {
	f, err := v.form(fieldSession)
	if err != nil {
		return err
	}
	if f["session"] == "" {
		return badField("session", "field_missing", "Choose the session that is to end.")
	}
	if f["session"] == v.member.ID {
		return s.signOutHere(v)
	}
	if err := s.Store.EndSession(v.r.Context(), v.portal.ID, v.visitor(), v.member.Account.ID, f["session"]); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return v.backTo("/account/sessions", sessionEnded)
}

func (s *Site) endOtherSessions(v *visit) error {
	if _, err := v.form(); err != nil {
		return err
	}
	if err := s.Store.EndOtherSessions(v.r.Context(), v.portal.ID, v.visitor(), v.member.Account.ID, v.member.ID); err != nil {
		return fmt.Errorf("end other sessions: %w", err)
	}
	return v.backTo("/account/sessions", othersEnded)
}

// endSessions signs the account out everywhere.
func (s *Site) endSessions(v *visit) error {
	if _, err := v.form(); err != nil {
		return err
	}
	if err := s.Store.SignOutAll(v.r.Context(), v.portal.ID, v.visitor(), v.member.Account.ID); err != nil {
		return fmt.Errorf("sign out everywhere: %w", err)
	}
	v.forget()
	return v.render(http.StatusOK, "signedout", signedoutPage{Portal: v.portal.Name, Everywhere: true})
}

// methodName says how a session was signed in, in words.
func (s *Site) methodName(v *visit, sess *portal.Session) (string, error) {
	if sess.Method == portal.ByPasskey {
		return v.t("Your passkey"), nil
	}
	if sess.Connection == "" {
		return v.t("Your password for this portal"), nil
	}
	name := v.t("Your organisation’s own sign-in")
	c, _, err := s.Store.Connection(v.r.Context(), v.portal.ID, sess.Connection)
	var e *discovery.Error
	if errors.As(err, &e) && e.Kind == discovery.NotFound {
		return name, nil // the connection has gone since; the session has not
	}
	if err != nil {
		return "", fmt.Errorf("read connection: %w", err)
	}
	protocol := "SAML"
	if c.Kind == federation.OIDC {
		protocol = "OpenID Connect"
	}
	return v.t("Your organisation’s own sign-in: %s (%s)", c.Name, protocol), nil
}

// askSignOut is for who follows a link to /logout: a GET never signs out.
func (s *Site) askSignOut(v *visit) error {
	sess, err := v.session()
	if errors.Is(err, portal.ErrNoSession) {
		return v.render(http.StatusOK, "signedout", signedoutPage{Portal: v.portal.Name})
	}
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "signout", signoutPage{Portal: v.portal.Name, Address: sess.Account.Primary.Clear()})
}

// signOut ends the session here, and offers to end the one at the organisation's
// provider, which is not ours to end.
func (s *Site) signOut(v *visit) error {
	if _, err := v.form(); err != nil {
		return err
	}
	return s.signOutHere(v)
}

func (s *Site) signOutHere(v *visit) error {
	p := signedoutPage{Portal: v.portal.Name}
	if token := v.token(SessionCookie); token != "" {
		ended, err := s.Store.SignOut(v.r.Context(), v.portal.ID, v.visitor(), token)
		if err != nil {
			return fmt.Errorf("sign out: %w", err)
		}
		p.EndSession = s.endSessionURL(v, ended)
	}
	v.forget()
	return v.render(http.StatusOK, "signedout", p)
}

// forget takes from the browser what belonged to the session. "cookies" is not
// in Clear-Site-Data: it would empty the jars of all sibling portals.
func (v *visit) forget() {
	v.dropCookie(SessionCookie, http.SameSiteLaxMode)
	v.dropCookie(ssoCookie, http.SameSiteNoneMode)
	v.w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
}

// endSessionURL is the provider's own sign-out, or "" where there is none. It is
// an offer: when it cannot be made, the sign-out here has still happened.
func (s *Site) endSessionURL(v *visit, ended portal.Ended) string {
	if ended.Connection == "" || s.RelyingParty == nil {
		return ""
	}
	c, _, err := s.Store.Connection(v.r.Context(), v.portal.ID, ended.Connection)
	if err != nil || c.OIDC == nil {
		return ""
	}
	to, err := s.RelyingParty.EndSessionURL(c, ended.IDToken.Clear(), "", "")
	if err != nil {
		return ""
	}
	return to
}
