package portal

import (
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// How long a request for help waits for an administrator, and how long the link
// that answers it is good.
const (
	RecoveryAsk  = 72 * time.Hour
	RecoveryLink = 24 * time.Hour
)

// A Recovery is the way back for somebody who has lost every second factor and
// every recovery code. It takes three proofs that nobody has alone: the person's
// first step (password or organisation), before asking and again at the end; an
// administrator, who knows them by other means and allows it; and the person's
// mailbox, where the link goes. A password that was stolen, an administrator who
// turned, a mailbox that was broken into: none of them is enough.
type Recovery struct {
	ID       string
	Account  Account
	Asked    time.Time
	Expires  time.Time // of the request, or of the link once it is allowed
	Decided  time.Time // zero: it waits
	Decider  string    // account ID of the administrator; empty: the person, or the operator
	Allowed  bool
	Finished time.Time // zero: not yet
	Network  string    // where it was asked for from
	Agent    string
	Country  string
}

// Open reports why nobody can decide on the recovery at now, or nil.
func (r Recovery) Open(now time.Time) error {
	if !r.Decided.IsZero() || !now.Before(r.Expires) {
		return ErrRecoveryOver
	}
	return nil
}

// Usable reports why the recovery cannot be finished by an account at now, or nil.
func (r Recovery) Usable(accountID string, now time.Time) error {
	if r.Account.ID != accountID || !r.Allowed || r.Decided.IsZero() || !r.Finished.IsZero() || !now.Before(r.Expires) {
		return ErrLink
	}
	return nil
}

// MayAllow reports why actor may not decide on the recovery of target, or nil:
// nobody allows their own, and nobody that of a person above them.
func MayAllow(actor, target Account) error { return MayManage(actor, target) }

// Outgrown reports whether what was allowed about somebody of one role has to be
// allowed once more now that they have another: who decided looked at a person who
// could do less.
func Outgrown(from, to Role) bool { return HigherRole(from, to) != from }

// ErrRecoveryOver: somebody else has decided, the person has withdrawn it, or it
// waited for too long.
var ErrRecoveryOver = &discovery.Error{Kind: discovery.Conflict, Code: "recovery_over",
	Say: "This request is over: it has been decided on, was withdrawn or is too old."}

// perRecovery bounds what anybody with a password can make the portal write to
// its owner.
var perRecovery = Limit{Burst: 2, Every: 12 * time.Hour}

// RecoveryBucket is what a request for help counts against.
func RecoveryBucket(portalID, accountID string) Bucket {
	return Bucket{bucketKey("recovery", portalID, accountID), perRecovery}
}
