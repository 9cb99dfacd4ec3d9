package portal

import (
	"net/url"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// A Next is what a sign-in whose first step was right leads to.
type Next string

const (
	In          Next = ""       // a session
	NeedsSecond Next = "factor" // the second factor
	NeedsEnrol  Next = "enrol"  // setting one up: the portal demands one
	IsProved    Next = "proved" // no new sign-in: what was to be proved is
)

// A FirstStep is everything the rule about second factors looks at.
type FirstStep struct {
	Purpose AttemptPurpose
	Method  discovery.SignIn
	Double  bool // it was two factors already: a passkey that verified its user
	Has     bool // the account has a confirmed second factor
	Trusted bool // the browser need not show it
}

// NeedsFactor is the rule for what comes after a right password, an answer of
// an IdP, or a passkey:
//
//   - Whoever has set up a second factor is asked for it, whatever the portal
//     demands and however they come: its owner wanted it.
//   - A trusted browser is spared it at sign-ins, and at nothing else: trust is
//     for the person's comfort, and proves nobody.
//   - Whoever has none and needs one by the portal's policy sets it up before
//     there is a session.
//   - A proof (confirm, merge) asks for what there is and sets up nothing.
func NeedsFactor(set Settings, f FirstStep) Next {
	signIn := f.Purpose == ForSignIn || f.Purpose == ""
	done := In
	if !signIn {
		done = IsProved
	}
	switch {
	case f.Double, f.Purpose == ForLoss: // whoever allowed the recovery stands for the second factor
		return done
	case f.Has && signIn && f.Trusted && set.TrustDays > 0:
		return done
	case f.Has:
		return NeedsSecond
	case signIn && set.Demands(f.Method):
		return NeedsEnrol
	}
	return done
}

// Demands reports whether whoever signs in by the method needs a second factor.
func (s Settings) Demands(method discovery.SignIn) bool {
	switch s.SecondFactor {
	case FactorForEveryone:
		return true
	case FactorForPassword:
		return method == discovery.Password
	}
	return false
}

// How long half a sign-in and a proof that waits to be used may last, and how
// many codes may be tried in one.
const (
	HalfLife  = 15 * time.Minute
	ProofLife = 10 * time.Minute
	HalfTries = 5
)

// How long ago a person may have proved who they are for a sensitive page, and
// for what is sent from it: somebody who was fresh when the form was shown has
// ten more minutes to fill it in.
const (
	FreshPage = 10 * time.Minute
	FreshForm = 20 * time.Minute
)

// Fresh reports whether the person proved who they are no longer than limit ago.
func (s Session) Fresh(now time.Time, limit time.Duration) bool {
	age := now.Sub(s.Proved)
	return !s.Proved.IsZero() && age < limit && age > -time.Minute
}

// ErrProofOther: a proof was given, but for another account than the one that is
// signed in.
var ErrProofOther = &discovery.Error{Kind: discovery.Forbidden, Code: "proof_other_account",
	Say: "That was another account than the one you are signed in with. Please confirm with your own."}

// ErrProofStale: an IdP vouched for a sign-in of long ago though it was asked
// for a new one.
var ErrProofStale = &discovery.Error{Kind: discovery.Forbidden, Code: "proof_stale",
	Say: "Your organisation’s sign-in did not ask you anew who you are. Please try again, and sign in there when you are asked."}

// idpBehind is how far an IdP's clock may be behind ours.
const idpBehind = time.Minute

// FreshProof reports ErrProofStale when an IdP's sign-in, of the time it says,
// is older than the request for it. An IdP that names no time proves nothing.
func FreshProof(authenticated, asked time.Time) error {
	if authenticated.IsZero() || asked.IsZero() || authenticated.Before(asked.Add(-idpBehind)) {
		return ErrProofStale
	}
	return nil
}

// ProofPath is the local path a proof leads back to: where it was asked for,
// with the handle by which it is found.
func ProofPath(returnTo, handle string) string {
	sep := "?"
	if strings.Contains(returnTo, "?") {
		sep = "&"
	}
	return returnTo + sep + "attempt=" + url.QueryEscape(handle)
}
