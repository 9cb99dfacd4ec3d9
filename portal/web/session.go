package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/client"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
)

// home says who you are, where your data is and how you came in.
func (s *Site) home(v *visit) error {
	sess := v.member
	method, err := s.methodName(v, sess)
	if err != nil {
		return err
	}
	a := sess.Account
	p := homePage{
		Portal: v.portal.Name, Host: v.r.Host,
		Name: a.GivenName, FullName: strings.TrimSpace(a.GivenName + " " + a.FamilyName), Address: a.Primary.Clear(),
		Jurisdiction: s.Jurisdiction, Region: cmp.Or(s.StandsInFor, s.RegionName), // where the data lies
		Method: method, Ends: v.when(sess.Absolute),
	}
	idle, _ := v.settings().Lifetimes.Within(s.Store.Lifetimes).Of(sess.Kept)
	p.Idle = v.t("Earlier if you do not use it for %s", v.length(idle))
	p.Console = a.Role.May(portal.SeeConsole)
	if s.remembers() {
		p.Remember = "/remember"
	}
	return v.render(http.StatusOK, "home", p)
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

func (s *Site) remembers() bool { return s.FrontDoor != "" && len(s.Publishing) > 0 }

// remember vouches for this browser at the front door, which may then offer this
// portal first. The proof names the portal and nobody.
func (s *Site) remember(v *visit) error {
	if !s.remembers() {
		return &discovery.Error{Kind: discovery.NotFound, Code: "no_front_door"}
	}
	if v.passive() {
		return v.nobody()
	}
	proof, err := client.Proof(s.Publishing, s.Region, v.portal.ID, s.FrontDoor, s.Now())
	if err != nil {
		return &discovery.Error{Kind: discovery.Internal, Code: "proof", Err: err}
	}
	return v.redirect(strings.TrimSuffix(s.FrontDoor, "/") + "/remember?proof=" + url.QueryEscape(proof))
}
