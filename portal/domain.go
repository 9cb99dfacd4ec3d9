package portal

import (
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
)

// Covers reports whether addresses in name belong to the domain: the same name,
// or, for "*.acme.example", any name below it (not acme.example itself).
func (d Domain) Covers(name string) bool {
	if parent, wild := strings.CutPrefix(d.Name, "*."); wild {
		return strings.HasSuffix(name, "."+parent) && len(name) > len(parent)+1
	}
	return d.Name == name
}

// Ways are the sign-in methods of addresses in the domain. kind is the protocol
// of its connection; it is not looked at when there is none.
func (d Domain) Ways(kind federation.Kind) []discovery.SignIn {
	var ways []discovery.SignIn
	switch {
	case d.Connection == "":
		return []discovery.SignIn{discovery.Password}
	case kind == federation.OIDC:
		ways = append(ways, discovery.OIDC)
	default:
		ways = append(ways, discovery.SAML)
	}
	if d.Password {
		ways = append(ways, discovery.Password)
	}
	return ways
}

// AllowsPassword reports whether addresses in the domain may use a portal
// password. Addresses in no domain of the portal (guests) always may.
func (d Domain) AllowsPassword() bool { return d.Connection == "" || d.Password }

// Candidates are the domain names that could cover name, most specific first:
// the name itself, then a wildcard for each parent.
func Candidates(name string) []string {
	out := []string{name}
	for {
		_, parent, ok := strings.Cut(name, ".")
		if !ok || parent == "" {
			return out
		}
		out = append(out, "*."+parent)
		name = parent
	}
}
