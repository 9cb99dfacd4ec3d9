package portal

import (
	"slices"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// An ApprovedDomain is one in which a portal's administrators may add members
// (S33). The domains that people of the portal sign in with count as approved.
type ApprovedDomain struct {
	Name     string // A-labels, exact or "*.acme.example"
	Added    time.Time
	By       string // account ID of who approved it; empty: the operator
	SignIn   bool   // it is a domain of the portal's sign-in, which only the operator changes
	Accounts int64  // whose primary address it covers, and no more specific domain of the list
}

// MayJoin reports why an address may not be added to a portal with a role, or
// nil. Guests come from anywhere; everybody else from an approved domain.
func MayJoin(role Role, address discovery.Address, approved []ApprovedDomain) error {
	if role == Guest {
		return nil
	}
	for _, d := range approved {
		if (Domain{Name: d.Name}).Covers(address.Domain()) {
			return nil
		}
	}
	return &discovery.Error{Kind: discovery.Invalid, Field: "email", Code: "domain_not_approved",
		Say: "The domain of this address is not approved for this portal. Approve it first, or invite the person as a guest."}
}

// CoveringDomain is the most specific of the domains that cover a name; -1: none
// does.
func CoveringDomain(name string, approved []ApprovedDomain) int {
	for _, candidate := range Candidates(name) {
		i := slices.IndexFunc(approved, func(d ApprovedDomain) bool { return d.Name == candidate })
		if i >= 0 && (Domain{Name: candidate}).Covers(name) {
			return i
		}
	}
	return -1
}
