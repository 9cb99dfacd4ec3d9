package portal

import "time"

// Settings are what a portal's administrators decide for it, on two pages that are
// saved apart from each other. A version is that of what is stored; an edit of an
// older one is refused.
type Settings struct {
	Portal string

	NotificationsVersion int64
	Zone                 string
	Language             string
	Sender               string // account ID whose address invitations come from (S14); empty: the operator's
	Contact              string // of the portal itself, shown on the sign-in pages: whom to ask for an invitation (S01)

	PolicyVersion int64
	SecondFactor  SecondFactorPolicy
	TrustDays     int       // how long "trust this browser" holds; 0: not offered
	Lifetimes     Lifetimes // what is zero is the operator's
	PasswordMin   int       // characters; 0: [PasswordMin]
	KeepSigned    bool      // of the portal itself: "keep me signed in" is offered (S15)
}

// WithNotifications are the settings s with the notifications of t.
func (s Settings) WithNotifications(t Settings) Settings {
	s.NotificationsVersion, s.Zone, s.Language, s.Sender, s.Contact = t.NotificationsVersion, t.Zone, t.Language, t.Sender, t.Contact
	return s
}

// WithPolicy are the settings s with the sign-in policy of t.
func (s Settings) WithPolicy(t Settings) Settings {
	t.Portal = s.Portal
	return t.WithNotifications(s)
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
	return Settings{Portal: portalID, NotificationsVersion: 1, Zone: "UTC", Language: "en", PolicyVersion: 1, SecondFactor: FactorOptional, TrustDays: 30}
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
