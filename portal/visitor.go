package portal

import (
	"net/netip"
	"time"
)

// A Visitor is the browser behind a use case: who to bind, throttle and audit.
type Visitor struct {
	Browser   Secret     // value of __Host-browser; only its digest is stored
	Client    netip.Addr // address of the client, behind trusted proxies
	Reference string     // the reference shown to the person if this is refused
	Actor     string     // account ID of who is signed in; empty: nobody, or the operator
	Agent     string     // browser and system, in the words of [AgentName]
	Country   string     // ISO 3166-1, if a trusted proxy said so
}

// Network is the part of a client's address that one subscriber may roam in
// and the only part of it that is ever stored: IPv4 /24, IPv6 /48.
func Network(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return ""
	case a.Is4():
		p, _ := a.Prefix(24)
		return p.String()
	}
	p, _ := a.Prefix(48)
	return p.String()
}

// SignedIn is what came of a sign-in's step. Without Next and MustChange it is a
// session. With MustChange the temporary password was right and has to be replaced
// first. With Next there is no session yet, or, when Next is "proved", no new one:
// Attempt is the handle to go on with. A proof for the session that is there
// (step-up) gives it a new token.
type SignedIn struct {
	Token      Secret // for __Host-session; empty when there is none to set
	ReturnTo   string // the page first asked for: a local path
	Kept       bool   // the cookie may outlive the browser, until Absolute
	Absolute   time.Time
	MustChange bool
	Next       Next
	Attempt    string // set with Next
	UsedCode   bool   // a recovery code stood in for the factor …
	CodesLeft  int    // … and so many are left
	Account    Account
}

// Ended is a session that was signed out.
type Ended struct {
	Account    string // account ID; empty when there was no such session
	Connection string
	IDToken    Secret // OIDC only: id_token_hint for the IdP's own sign-out
}
