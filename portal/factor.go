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
	TOTP    FactorKind = "totp"    // codes of an authenticator app (RFC 6238)
	SMS     FactorKind = "sms"     // codes sent to a cell number
	Passkey FactorKind = "passkey" // WebAuthn
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
	Trusted        int      // browsers that need not show a factor
	Demanded       bool     // the portal's policy demands a factor of this account
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
