package portal

import "time"

// AccountFilter narrows a list of a portal's accounts; zero members do not.
type AccountFilter struct {
	Query      string // words of a name or an address, or how they begin; all must match
	Status     Status
	Role       Role
	Plan       string // ID of a plan
	Domain     string // of any confirmed address
	Invitation InvitationState

	// A list goes on behind the account After, or ends before the account Before:
	// IDs of this portal. Anything else is the beginning.
	After, Before string
	Limit         int // at most 500; 0: 50
}

// An InvitationState is how far somebody is who was invited and has not come.
type InvitationState string

const (
	InvitationWaiting InvitationState = "waiting" // it can be taken up
	InvitationLapsed  InvitationState = "lapsed"  // it was not, in time
)

// A ListedAccount is one line of such a list.
type ListedAccount struct {
	Account
	Plan        string    // name of its plan; empty: no licence
	LicenceEnds time.Time // zero: never, or no licence
}

// An AccountPage is a part of a list, in the order of names.
type AccountPage struct {
	Accounts []ListedAccount
	Earlier  bool // there are some before the first
	Later    bool // there are some behind the last
}
