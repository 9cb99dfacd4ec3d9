package web

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/client"
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
