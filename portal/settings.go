package portal

import "time"

// Settings are what a portal's administrators decide for it. Lengths of time
// that are zero are the operator's.
type Settings struct {
	Portal       string
	Version      int64 // of what is stored; an edit of an older one is refused
	Zone         string
	Language     string
	Sender       string // account ID whose address invitations come from (S14); empty: the operator's
	SecondFactor SecondFactorPolicy
	TrustDays    int // how long "trust this browser" holds; 0: not offered
	Lifetimes    Lifetimes
	PasswordMin  int // characters; 0: [PasswordMin]

	// Of the portal itself, changed along with the others.
	KeepSigned bool   // "keep me signed in" is offered (S15)
	Contact    string // shown on the sign-in pages: whom to ask for an invitation (S01)
}

// A SecondFactorPolicy says who needs a second factor. Whoever has set one up is
// asked for it in any case.
type SecondFactorPolicy string

const (
	FactorOptional    SecondFactorPolicy = "optional"
	FactorForPassword SecondFactorPolicy = "password" // whoever signs in with a portal password
	FactorForEveryone SecondFactorPolicy = "everyone" // also through the organisation's own sign-in
)

// DefaultSettings are those of a new portal.
func DefaultSettings(portalID string) Settings {
	return Settings{Portal: portalID, Version: 1, Zone: "UTC", Language: "en", SecondFactor: FactorOptional, TrustDays: 30}
}

// Location is the portal's time zone; UTC when this system does not know it.
func (s Settings) Location() *time.Location { return location(s.Zone, time.UTC) }

// Location is the account's own time zone, or the portal's.
func (a Account) Location(s Settings) *time.Location { return location(a.Zone, s.Location()) }

func location(name string, other *time.Location) *time.Location {
	if name == "" {
		return other
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return other
	}
	return l
}

// Month is the month that usage at t counts for: it rolls over at midnight in
// the portal's time zone.
func (s Settings) Month(t time.Time) string { return t.In(s.Location()).Format("2006-01") }
