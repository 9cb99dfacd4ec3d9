package portal

import (
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// A Portal is one organisation's space. Its host is a value of its record,
// never computed from its region.
type Portal struct {
	ID         string // "acme": unique over all regions, [a-z0-9-]{1,40}
	Name       string // "Acme Corporation"
	URL        string // "https://acme.eu.example.com": scheme and host (and port), no path
	Disclosure discovery.Disclosure
	Contact    string // whom to ask for an invitation: an address or a sentence; may be empty
	KeepSigned bool   // "keep me signed in" is offered (S15)
	Created    time.Time

	// Standbys are where the portal is served while its own region is down, in
	// the order they were given.
	Standbys []discovery.Standby
}

// At is the portal's origin as the processes of a region that stands in for its
// own serve it; "" is its own region. An unknown region has none.
func (p Portal) At(standby string) string {
	if standby == "" {
		return p.URL
	}
	for _, s := range p.Standbys {
		if s.Region == standby {
			return s.URL
		}
	}
	return ""
}

// A Domain says that addresses in it belong to a portal, how they sign in, and
// how that was proven. An IdP speaks only for proven domains.
type Domain struct {
	Name       string // A-labels, exact or "*.acme.example"
	Portal     string
	Connection string // the federation that serves it; empty: portal password only
	Password   bool   // portal passwords are allowed as well (Cloud or Domain); true when Connection is empty
	JIT        bool   // an account is made on the first federated sign-in
	Proof      string // "operator"
	Proven     time.Time
}

// Status of an account. There is no deletion: a person is disabled (S13).
type Status string

const (
	Invited  Status = "invited" // has not signed in yet
	Active   Status = "active"
	Disabled Status = "disabled"
)

// An Account is a person in one portal.
type Account struct {
	ID         string // random, never reused
	Portal     string
	Status     Status
	Primary    discovery.Address
	GivenName  string
	FamilyName string
	Role       Role
	Generation int64  // sessions of an older generation are over
	Version    int64  // of the profile: an edit of an older one is refused
	Zone       string // IANA name; empty: the portal's
	Culture    string // how dates are written: "de-CH"; empty: as the language has it
	Language   string // "en", "fr", "de"; empty: the browser's
	Cell       string // E.164; empty: none
	SMSCountry string // ISO 3166-1: what cell numbers without a country code are taken for
	Protection ReturnProtection
	MergedInto string // the account this one has become part of; it is disabled for good (S21)
	MustChange bool   // the password is a temporary one
	Created    time.Time
	LastSignIn time.Time // zero: never
}

// ReturnProtection is what a recipient must pass to reply to somebody's secure
// message (S26); it takes a licence with the feature.
type ReturnProtection string

const (
	NoProtection        ReturnProtection = ""
	SMSProtection       ReturnProtection = "sms"
	MicrosoftProtection ReturnProtection = "microsoft"
)

// A Session is a signed-in browser.
type Session struct {
	ID         string // random, may be seen: it names the session in lists and forms
	Account    Account
	Portal     Portal
	Method     discovery.SignIn
	Connection string // the federation that signed it in; empty for a password
	Started    time.Time
	Seen       time.Time
	Idle       time.Time // ends then unless used before
	Absolute   time.Time // ends then whatever happens
	Kept       bool      // "keep me signed in"
	Proved     time.Time // when the person last proved who they are
	Network    string    // of the client at the sign-in: IPv4 /24, IPv6 /48
	Agent      string    // browser and system, in the words of [AgentName]
	Country    string    // ISO 3166-1, if a trusted proxy said so
}

// An Attempt is one sign-in in progress, bound to one browser by a cookie.
type Attempt struct {
	Purpose    AttemptPurpose
	Session    string            // ID of the session that a proof is for; empty for a sign-in
	Address    discovery.Address // zero until known
	ReturnTo   string            // a local path, checked when stored; "/" by default
	Keep       bool
	FromTicket bool
	Started    time.Time
	Expires    time.Time
}

// An Event is one row of the audit log of a region. It holds no token and no
// secret; an address appears only by account ID.
type Event struct {
	At        time.Time
	Portal    string
	Account   string // account ID, if one is known: whom it happened to
	Actor     string // account ID of who did it, where that is somebody else
	Action    string // "session.start", "session.refused", "account.disabled" …
	Code      string // the reason of a refusal
	Method    string // password | saml | oidc | ticket | operator
	Target    string // connection, domain or invitation it was about
	Reference string // the reference the person saw
	Client    string // network of the client: IPv4 /24, IPv6 /48
	Via       string // region whose processes stood in for this one; empty: none did
}
