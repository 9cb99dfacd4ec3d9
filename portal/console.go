package portal

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/domicile-sso/domicile/federation"
)

// Attention is what the people who look after a portal should know of today.
// Counts stop at [ManyAttention].
type Attention struct {
	Recoveries   int           // asked for and not decided
	Lapsed       int           // invitations that nobody took up in time, within [LapsedSince]
	Lapsing      int           // invitations that will not wait much longer
	Expiring     int           // licences that end soon, or ended, and are not renewed
	Sender       bool          // invitations do not come from whom the settings name
	Unrouted     []string      // approved domains whose people have no sign-in of their own
	Certificates []Certificate // of SAML connections, that end soon or have ended
	Owners       int           // active ones; 2 means two or more
}

// A Certificate is one that a connection trusts.
type Certificate struct {
	Connection, Name string
	Ends             time.Time
}

// When things are worth saying beforehand, and for how long afterwards.
const (
	LapsingWithin     = 24 * time.Hour
	LapsedSince       = 30 * 24 * time.Hour
	ExpiringWithin    = 30 * 24 * time.Hour
	CertificateWithin = 30 * 24 * time.Hour
	ManyAttention     = 100
)

// ExpiringCertificate is what a SAML connection trusts if that ends before a
// time; ok is false while one of its certificates goes on: identity providers
// announce the next one beforehand, and the old one may end then.
func ExpiringCertificate(c federation.Connection, before time.Time) (last Certificate, ok bool) {
	if c.SAML == nil {
		return last, false
	}
	for _, der := range c.SAML.Certificates {
		cert, err := x509.ParseCertificate(der)
		if err == nil && cert.NotAfter.After(last.Ends) {
			last = Certificate{Connection: c.ID, Name: c.Name, Ends: cert.NotAfter}
		}
	}
	return last, !last.Ends.IsZero() && last.Ends.Before(before)
}

// Unrouted are the approved domains that no domain of the portal's sign-in
// covers: people there have accounts, and the front door does not know the way
// for the domain as a whole.
func Unrouted(approved []ApprovedDomain, domains []Domain) []string {
	var names []string
	for _, a := range approved {
		routed := a.SignIn || slices.ContainsFunc(domains, func(d Domain) bool { return d.Name == a.Name || d.Covers(a.Name) })
		if !routed {
			names = append(names, a.Name)
		}
	}
	return names
}
