package portal

import (
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
	if c.ID == "password" || c.ID == "method" {
		// /login/password and /login/method are pages, and nobody would get past them.
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
		s.ACS = p.URL + "/saml/" + c.ID + "/acs"
		if old != nil {
			s.EntityID, s.ACS = old.SAML.EntityID, old.SAML.ACS
		}
		c.SAML, c.OIDC = &s, nil
	case c.Kind == federation.OIDC && c.OIDC != nil:
		o := *c.OIDC
		o.RedirectURI = p.URL + "/oidc/" + c.ID + "/callback"
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

// ValidName reports whether s can name a portal or a connection.
func ValidName(s string) bool {
	if s == "" || len(s) > 40 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func invalid(field, code, say string) error {
	return &discovery.Error{Kind: discovery.Invalid, Field: field, Code: code, Say: say}
}
