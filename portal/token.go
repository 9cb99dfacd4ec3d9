package portal

import (
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// A Purpose is what a token may be used for; it is good for nothing else.
type Purpose string

const (
	ForReset      Purpose = "reset"
	ForInvitation Purpose = "invitation"
	ForAlias      Purpose = "alias"
	ForRecovery   Purpose = "recovery"
	ForCancel     Purpose = "recovery-cancel"
)

// Life is how long a token of this purpose counts.
func (p Purpose) Life() time.Duration {
	switch p {
	case ForInvitation:
		return 72 * time.Hour
	case ForAlias:
		return 24 * time.Hour
	case ForRecovery:
		return RecoveryLink
	case ForCancel:
		return RecoveryAsk + RecoveryLink
	}
	return 30 * time.Minute
}

// A Token is the row of a link that was mailed. The link holds the secret, the
// row its digest; the row names the address the link proves.
type Token struct {
	Purpose Purpose
	Portal  string
	Account string
	Address discovery.Address
	Expires time.Time
	Used    time.Time // zero: not used
}

// Usable reports why the token cannot be used at now, or nil.
func (t Token) Usable(p Purpose, now time.Time) error {
	if t.Purpose != p || !t.Used.IsZero() || !now.Before(t.Expires) {
		return ErrLink
	}
	return nil
}

// ErrLink: a mailed link that is unknown, used, replaced by a newer one, or too
// old. They are one refusal, because telling them apart tells who has what.
var ErrLink = &discovery.Error{
	Kind: discovery.Forbidden,
	Code: "link_refused",
	Say:  "This link has been used, has been replaced by a newer one or is too old. Please ask for a new one.",
}
