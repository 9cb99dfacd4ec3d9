package portal

import "github.com/domicile-sso/domicile/discovery"

// An Invitation is how an account of a person without federation comes to be.
// Its temporary password lives as long as its link and must be replaced on the
// way in (S10).
type Invitation struct {
	Portal     string
	Address    discovery.Address
	GivenName  string
	FamilyName string
	By         string // account ID of who invited; empty: the operator
	Federated  bool   // the person signs in with the organisation's own sign-in: no temporary password
}

// MayInvite reports why a person whose account is in this state cannot be
// invited (again), or nil. Inviting an active person changes nothing.
func MayInvite(s Status) error {
	if s == Disabled {
		return &discovery.Error{Kind: discovery.Conflict, Code: "account_disabled",
			Say: "This account is disabled. Enable it instead of inviting it."}
	}
	return nil
}

// ErrTemporaryExpired: the temporary password was right, but older than 72
// hours. It can be said, because only its receiver can have entered it.
var ErrTemporaryExpired = &discovery.Error{
	Kind: discovery.Forbidden,
	Code: "temporary_expired",
	Say:  "This temporary password is more than 72 hours old. Please ask for a new invitation.",
}
