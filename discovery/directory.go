package discovery

import "context"

// SignIn is one way into a portal.
type SignIn string

const (
	Password SignIn = "password"
	SAML     SignIn = "saml"
	OIDC     SignIn = "oidc"
)

// Disclosure says to whom the front door may name a portal.
type Disclosure string

const (
	Listed Disclosure = "listed" // to whoever types an address that leads there
	Proven Disclosure = "proven" // only to a browser that proved itself, or by mail
)

// A Portal is what the directory knows of one organisation's space. It is
// claimed, and signed, by the region the portal lives in.
type Portal struct {
	ID         string     `json:"id"`   // "acme": unique over all regions
	Name       string     `json:"name"` // "Acme Corporation": shown in the chooser
	URL        string     `json:"url"`  // "https://acme.eu.example.com", no path
	Disclosure Disclosure `json:"disclosure"`
	Region     string     `json:"region"`

	// Standbys are where the portal is served while its region is down. The
	// region claims them; a front door uses one only while the signed records of
	// both regions agree, so a claim alone leads nobody there.
	Standbys []Standby `json:"standbys,omitempty"`
}

// A Standby is a portal's second address, in a region that stands in for its own.
type Standby struct {
	Region string `json:"region"`
	URL    string `json:"url"` // bare origin, like that of the portal
}

// A Route leads everybody with an address in a domain to a portal.
type Route struct {
	Domain     string   `json:"domain"` // A-labels: "acme.example", or "*.acme.example" for subdomains only
	Portal     string   `json:"portal"`
	Connection string   `json:"connection,omitempty"` // set when exactly one federation serves the domain
	SignIn     []SignIn `json:"sign_in"`
}

// An Entry leads one person to a portal. The front door knows the person by
// blind ID only.
type Entry struct {
	Blind  BlindID  `json:"blind"`
	Portal string   `json:"portal"`
	SignIn []SignIn `json:"sign_in"`
}

// Directory is the global index of account entries: the part of a lookup that
// needs I/O. Domain routes and portal records come from a [Snapshot] in memory.
type Directory interface {
	// Entries returns what regions have claimed for any of ids, which are the
	// same address under each live key version. It returns an empty slice, and
	// nil, only when no region has claimed them. Any error means the answer is
	// not known right now: callers show "try again", never "no such account",
	// and cache nothing. Entries that come with an error are right, or were a
	// moment ago, and there may be more.
	Entries(ctx context.Context, ids []BlindID) ([]Entry, error)
}
