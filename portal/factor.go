package portal

import (
	"slices"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// StepSeconds is how long a TOTP code is shown (RFC 6238, section 4.1).
const StepSeconds = 30

// StepAt is the number of the TOTP step at a time.
func StepAt(t time.Time) int64 { return t.Unix() / StepSeconds }

// A FactorKind is a sort of second factor.
type FactorKind string

const (
	TOTPFactor    FactorKind = "totp"    // codes of an authenticator app (RFC 6238)
	SMSFactor     FactorKind = "sms"     // codes sent to a cell number
	PasskeyFactor FactorKind = "passkey" // WebAuthn
)

// RecoveryCode is not a factor of its own, but what stands in for one that was
// lost: it counts once.
const RecoveryCode = "code"

// A Factor is a second factor of an account, without what is secret about it.
type Factor struct {
	ID        string
	Account   string
	Kind      FactorKind
	Name      string // "Phone in the kitchen": given by its owner
	Created   time.Time
	Confirmed time.Time // zero: being set up, counts for nothing
	Used      time.Time // zero: never
}

// Ways are how an account can be signed in to, and what of it protects it.
type Ways struct {
	Password       bool   // it has one, and the portal lets it be used
	Connection     string // the organisation's own sign-in; empty: none
	ConnectionName string
	Factors        []Factor // confirmed ones, the oldest first
	Codes          int      // recovery codes that are left
	CodesMade      time.Time
	Trusted        int  // browsers that need not show a factor
	Demanded       bool // the portal's policy demands a factor of this account
}

// Has reports whether there is a factor of the kind.
func (w Ways) Has(kind FactorKind) bool {
	return slices.ContainsFunc(w.Factors, func(f Factor) bool { return f.Kind == kind })
}

// MayRemove reports why a factor may not be removed by its owner, or nil: not the
// last one where the portal demands one. Who wants another one adds it first.
func (w Ways) MayRemove(id string) error {
	left := slices.ContainsFunc(w.Factors, func(f Factor) bool { return f.ID != id })
	if w.Demanded && !left {
		return &discovery.Error{Kind: discovery.Conflict, Code: "factor_last",
			Say: "This portal demands a second factor, and this is your only one. Add another one first, then remove this."}
	}
	return nil
}

// A Half is half a sign-in as its pages show it.
type Half struct {
	Account   Account
	Next      Next // NeedsSecond or NeedsEnrol
	Purpose   AttemptPurpose
	ReturnTo  string
	Ways      Ways
	Phones    []Phone // telephones that a code can be sent to
	Sent      bool    // one was, and still counts
	TrustDays int     // 0: trust in the browser is not offered
	Texts     bool    // the region can send text messages
}

// A Phone is a telephone that is a factor, in the words of somebody who has proved
// the first step only.
type Phone struct {
	Factor string // its ID
	Hint   string // the last two digits
}

// A FactorTry is a code and what it is meant to be.
type FactorTry struct {
	Way   string // totp, sms or [RecoveryCode]
	Code  Secret
	Trust bool // spare this browser the factor from now on
}

// Shape reports why the text is no code at all, or nil. That is no guess and is
// not counted.
func (t FactorTry) Shape() error {
	switch t.Way {
	case string(TOTPFactor), string(SMSFactor):
		if TypedCode(t.Code) == "" {
			return ErrFactorShape
		}
	case RecoveryCode:
		if RecoveryDigest("", t.Code) == nil {
			return &discovery.Error{Kind: discovery.Invalid, Field: "code", Code: "recovery_code_shape",
				Say: "A recovery code has sixteen letters and digits. Enter it as it was shown to you."}
		}
	default:
		return ErrAttempt
	}
	return nil
}

// A FactorEvent is what a mail about second factors tells.
type FactorEvent string

const (
	FactorAdded          FactorEvent = "added"
	FactorRemoved        FactorEvent = "removed"
	FactorRemovedByOther FactorEvent = "removed-by-administrator"
	FactorGuessed        FactorEvent = "guessed" // the first step was right and five codes were wrong
	CodesDrawn           FactorEvent = "codes"
	CodeUsed             FactorEvent = "code-used"
)

// FactorNews is what has happened to the factors of an account.
type FactorNews struct {
	What FactorEvent
	Kind FactorKind `json:",omitempty"`
	Name string     `json:",omitempty"`
	Left int        `json:",omitempty"` // recovery codes
}
