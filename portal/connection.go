package portal

import (
	"slices"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
)

// FixConnection gives a new connection the addresses its IdP will be told.
// They come from the portal's own host and from nothing else, and an update
// keeps them whatever it says: the portal can move and its customer need not
// touch the IdP.
func FixConnection(p Portal, c federation.Connection, old *federation.Connection) (federation.Connection, error) {
	if !ValidName(c.ID) {
		return c, invalid("id", "connection_id", "A connection's id consists of a–z, 0–9 and hyphens, 40 at the most.")
	}
	if slices.Contains([]string{"password", "method", "factor", "enrol", "passkey", "recovery"}, c.ID) {
		// /login/password and the like are pages, and nobody would get past them.
		return c, invalid("id", "connection_id", "A connection cannot be called that: the sign-in pages are.")
	}
	if old != nil && (old.Kind != c.Kind || old.Portal != c.Portal) {
		return c, &discovery.Error{Kind: discovery.Conflict, Field: "id", Code: "connection_taken",
			Say: "There is a connection of that name already, of another kind or in another portal."}
	}
	switch {
	case c.Kind == federation.SAML && c.SAML != nil:
		s := *c.SAML
		s.EntityID = p.URL + "/saml/" + c.ID + "/metadata"
		s.ACS = acsAt(p.URL, c.ID)
		if old != nil {
			s.EntityID, s.ACS = old.SAML.EntityID, old.SAML.ACS
		}
		c.SAML, c.OIDC = &s, nil
	case c.Kind == federation.OIDC && c.OIDC != nil:
		o := *c.OIDC
		o.RedirectURI = callbackAt(p.URL, c.ID)
		if old != nil {
			o.RedirectURI = old.OIDC.RedirectURI
		}
		c.OIDC, c.SAML = &o, nil
	default:
		return c, invalid("kind", "connection_kind", "A connection is either saml or oidc and has the settings of its kind.")
	}
	if old != nil {
		c.Created = old.Created
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	return c, nil
}

func acsAt(origin, id string) string      { return origin + "/saml/" + id + "/acs" }
func callbackAt(origin, id string) string { return origin + "/oidc/" + id + "/callback" }

// ConnectionAt is a connection as the processes of a region that stands in for
// the portal's own use it: answers are to come to their own address, and an
// answer to any other is refused. Who we are at the IdP (the entity ID, the
// client ID) stays. "" is the portal's own region.
func ConnectionAt(p Portal, c federation.Connection, standby string) federation.Connection {
	origin := p.At(standby)
	if standby == "" || origin == "" {
		return c
	}
	if c.SAML != nil {
		s := *c.SAML
		s.ACS = acsAt(origin, c.ID)
		c.SAML = &s
	}
	if c.OIDC != nil {
		o := *c.OIDC
		o.RedirectURI = callbackAt(origin, c.ID)
		c.OIDC = &o
	}
	return c
}

// Addresses are all the addresses that the IdP of a connection may send answers
// to: the one of the portal's own region, then those of its standbys.
func Addresses(p Portal, c federation.Connection) []string {
	var all []string
	switch {
	case c.SAML != nil:
		all = append(all, c.SAML.ACS)
		for _, s := range p.Standbys {
			all = append(all, acsAt(s.URL, c.ID))
		}
	case c.OIDC != nil:
		all = append(all, c.OIDC.RedirectURI)
		for _, s := range p.Standbys {
			all = append(all, callbackAt(s.URL, c.ID))
		}
	}
	return all
}

// ValidName reports whether s can name a portal or a connection.
func ValidName(s string) bool {
	if s == "" || len(s) > 40 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func invalid(field, code, say string, args ...any) error {
	return &discovery.Error{Kind: discovery.Invalid, Field: field, Code: code, Say: say, Args: args}
}
