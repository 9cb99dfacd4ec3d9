package portal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// A Joining is one of two accounts of a portal that are to become one, with what
// it brings along.
type Joining struct {
	Account
	Confirmed   []discovery.Address // the primary one first
	Pending     int
	Identities  []LinkedIdentity
	HasPassword bool // its own choice, not a temporary one
	Factors     int  // confirmed second factors
	Apps        int  // activations that were not removed
	Messages    int64
	Events      int64 // rows of the audit log
	Licence     Licence
	Void        bool // invited, and the invitation could not be taken up now: it gives nothing
}

// A LinkedIdentity is somebody at an IdP, who the account is.
type LinkedIdentity struct{ Connection, Issuer string }

// A Joint is what the two will be, told before it happens and done as told.
type Joint struct {
	Keep, Gone   Joining
	Role         Role
	Licence      Licence // the better one; zero: neither has one
	Released     Licence // the other; zero: none is
	LicenceMoves bool    // the better licence is the one of the account that goes

	// PasswordMoves: the account that stays has no password, and gets the other's.
	PasswordMoves bool
}

// Join is the rule for making one account of two (S21). keep is the one that is
// signed in; gone has proven itself as well, and is disabled for good. Their
// addresses, identities, second factors, apps and messages become keep's; the
// higher role and the better licence stay, and so the portal loses no owner. An
// invitation that does not count any more gives neither: to join it would be to
// take it up.
// Refused: what is over already, and two that an IdP knows as different people.
func Join(keep, gone Joining, now time.Time) (Joint, error) {
	switch {
	case keep.ID == gone.ID || keep.Portal != gone.Portal:
		return Joint{}, ErrLink
	case keep.Status != Active || keep.MergedInto != "":
		return Joint{}, errMergeOver
	case gone.Status == Disabled || gone.MergedInto != "":
		return Joint{}, &discovery.Error{Kind: discovery.Conflict, Code: "merge_disabled",
			Say: "The other account is disabled. Please ask the administrator of this portal."}
	}
	for _, id := range gone.Identities {
		if slices.Contains(keep.Identities, id) {
			return Joint{}, &discovery.Error{Kind: discovery.Conflict, Code: "merge_two_people",
				Say: "Your organisation’s own sign-in knows these two accounts as two different people. They cannot be joined. Please ask its administrator."}
		}
	}
	j := Joint{Keep: keep, Gone: gone, Role: HigherRole(keep.Role, gone.Role), Licence: keep.Licence, Released: gone.Licence,
		PasswordMoves: !keep.HasPassword && gone.HasPassword}
	if gone.Void {
		j.Role = keep.Role
	} else if betterLicence(gone.Licence, keep.Licence, now) {
		j.Licence, j.Released, j.LicenceMoves = gone.Licence, keep.Licence, true
	}
	return j, nil
}

// betterLicence reports whether l is the licence to keep, rather than other: one
// that is in force rather than one that has expired, then that of the higher
// plan, then the one that lasts longer.
func betterLicence(l, other Licence, now time.Time) bool {
	endless := func(l Licence) bool { return l.Ends.IsZero() || l.Renews }
	switch {
	case l.None() || other.None():
		return !l.None()
	case l.InForce(now) != other.InForce(now):
		return l.InForce(now)
	case l.Plan.Place != other.Plan.Place:
		return l.Plan.Place > other.Plan.Place
	case endless(l) || endless(other):
		return endless(l) && !endless(other)
	}
	return l.Ends.After(other.Ends)
}

// HigherRole is the one of two that may do more.
func HigherRole(a, b Role) Role {
	all := Roles()
	if slices.Index(all, b) < slices.Index(all, a) {
		return b
	}
	return a
}

// Mark names what a joint says, so that nobody agrees to one and gets another.
func (j Joint) Mark() string {
	var b []byte
	for _, s := range []Joining{j.Keep, j.Gone} {
		b = fmt.Appendf(b, "%s %d %s %t %t %v %d %d %d|", s.ID, s.Version, s.Role, s.Void, s.HasPassword, s.Identities, s.Factors, s.Apps, s.Pending)
		for _, a := range s.Confirmed {
			b = fmt.Appendf(b, "%s ", a.Clear())
		}
		b = fmt.Appendf(b, "%s %d|", s.Licence.Plan.ID, s.Licence.Ends.Unix())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// ErrMergeChanged: between the summary and the agreement one of the accounts
// changed.
var ErrMergeChanged = &discovery.Error{Kind: discovery.Conflict, Code: "merge_changed",
	Say: "One of the two accounts has changed in the meantime. Look at what will be joined once more."}

// ErrMergeProof: what was proven is another account than the one that has the
// address, or was not proven in this session.
var ErrMergeProof = &discovery.Error{Kind: discovery.Forbidden, Code: "merge_proof",
	Say: "That was not the account that this address belongs to. Sign in with the address itself."}

var errMergeOver = &discovery.Error{Kind: discovery.Conflict, Code: "merge_over",
	Say: "One of the two accounts has become part of another one in the meantime. Nothing was changed."}

// NeedsProof reports whether somebody has to sign in to the account before it is
// joined. An invitation that nobody has answered is taken up by what its mailbox
// holds, and a link that was sent there has proven that. Not so where people come
// in by their organisation's sign-in alone (passwords is false): a mailbox would
// not let its owner in, and does not let them join it either.
func (a Account) NeedsProof(passwords bool) bool { return a.Status != Invited || !passwords }

// ErrMerged: an account that has become part of another is disabled for good:
// everything that was its own is the other's now.
var ErrMerged = &discovery.Error{Kind: discovery.Conflict, Code: "account_merged",
	Say: "This account has become part of another one and cannot be enabled again."}

// MayEnable reports why a disabled account cannot be enabled, or nil.
func MayEnable(a Account) error {
	if a.MergedInto != "" {
		return ErrMerged
	}
	return nil
}
