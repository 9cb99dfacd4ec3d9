package portal

import (
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// A LetterKind is one sort of mail the portal sends.
type LetterKind string

const (
	InvitationLetter LetterKind = "invitation" // you have been invited; the link leads in
	TemporaryLetter  LetterKind = "temporary"  // apart from it: the address to use and the temporary password
	ResetLetter      LetterKind = "reset"      // a link for a new password
	SSOLetter        LetterKind = "sso"        // a reset was asked for, but the organisation's own sign-in is used
	NoResetLetter    LetterKind = "noreset"    // a reset was asked for, but there is nothing to reset now
	ChangedLetter    LetterKind = "changed"    // the password was changed
	ActivationLetter LetterKind = "activation" // an app was activated for the account
	FactorLetter     LetterKind = "factor"     // something about second factors was changed, or tried
	MovedLetter      LetterKind = "moved"      // the organisation's own sign-in is used no more: choose a password

	RecoveryAskedLetter   LetterKind = "recovery-asked"   // somebody who lost every factor asked for help: the link cancels
	RecoveryAllowedLetter LetterKind = "recovery-allowed" // an administrator has allowed it: the link that leads back in
	RecoveryRefusedLetter LetterKind = "recovery-refused"
	RecoveryDoneLetter    LetterKind = "recovery-done" // every factor is gone

	AliasLetter         LetterKind = "alias"          // to a pending address: the link that confirms it
	AliasAddedLetter    LetterKind = "alias-added"    // to the primary one: an address was added and waits
	AliasPromotedLetter LetterKind = "alias-promoted" // to the old and the new primary address
	AliasRemovedLetter  LetterKind = "alias-removed"  // to the primary one
	AliasMergedLetter   LetterKind = "alias-merged"   // to the primary addresses of two accounts that are one now
)

// A Letter is a mail to be written, in values; portal/mail has the words. It is
// kept sealed until it is sent, and nowhere afterwards.
type Letter struct {
	Kind      LetterKind
	To        discovery.Address
	Name      string // of the person, may be empty
	Portal    string // name of the portal
	URL       string // of the portal: every link starts with it
	Contact   string // whom to ask; may be empty
	Token     Secret // of the link; empty: the link leads to the sign-in page
	Temporary Secret // the temporary password
	Federated bool
	Expires   time.Time
	App       string // of an activation: the app
	Device    string // and what its owner calls the device

	About  discovery.Address // the address it is about, where that is not To
	Factor FactorNews        // of a [FactorLetter]
	By     string            // the administrator who did it; empty: the person

	Language string            // what it is written in: "en", "fr", "de"
	Zone     string            // where the person reads times, an IANA name; empty: UTC
	Culture  string            // and how: "de-CH"; empty: as the language has it
	From     discovery.Address // whose address it comes from (S14); zero: the operator's
	Subject  string            // the portal's own words in place of ours; empty: ours
	Opening  string            // how it begins, in paragraphs; empty: as ours does
}

// Posted is a letter taken from the queue, to be reported sent or failed.
type Posted struct {
	ID    string
	Tries int // sent to the mail server before, without success
	Letter
	Text Text // instead of the letter, when its kind is [TextLetter]
}

// LetterLife is how long a letter is tried for when nothing in it expires
// sooner.
const LetterLife = 24 * time.Hour

// RetryLetter is how long to wait before try n+1.
func RetryLetter(n int) time.Duration {
	return min(10*time.Second<<min(n, 10), 30*time.Minute)
}

// ResetAnswer says which letter answers a request for a new password: a link
// only for an active account that has a password, or no other way in, where
// passwords are allowed.
func ResetAnswer(a Account, hasPassword, allowed bool) LetterKind {
	switch {
	case a.Status != Active:
		return NoResetLetter
	case !allowed || !hasPassword:
		return SSOLetter
	}
	return ResetLetter
}
