package portal

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// RecoveryCodes is how many recovery codes are drawn at once. Each has 80 bits.
const RecoveryCodes = 10

// crockford leaves out the letters that are read as others: i, l, o and u.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// NewRecoveryCode draws 80 random bits: "3f7k-9q2m-x4tz-0abc".
func NewRecoveryCode() Secret {
	var b [16]byte
	_, _ = rand.Read(b[:])
	var s strings.Builder
	for i, c := range b {
		if i > 0 && i%4 == 0 {
			s.WriteByte('-')
		}
		s.WriteByte(crockford[c&31])
	}
	return Secret(s.String())
}

// RecoveryDigest is what is stored of a recovery code: it holds for one account,
// and for the code as it is typed, too, in capitals, without hyphens, or with an o
// for a 0. It is nil for what can be no code.
func RecoveryDigest(accountID string, code Secret) []byte {
	plain := strings.NewReplacer("-", "", " ", "", "\u00a0", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(code.Clear()))
	if len(plain) != 16 || strings.Trim(plain, crockford) != "" {
		return nil
	}
	d := sha256.Sum256([]byte("recovery code " + accountID + " " + plain))
	return d[:]
}

// Codes sent by SMS: six digits that count for five minutes and for five tries.
const (
	TextCodeLife  = 5 * time.Minute
	TextCodeTries = 5
)

// NewTextCode draws six digits, each of the million equally likely.
func NewTextCode() Secret {
	const digits = "0123456789"
	var s strings.Builder
	for s.Len() < 6 {
		var b [1]byte
		_, _ = rand.Read(b[:])
		if b[0] < 250 { // the rest would make the low digits likelier
			s.WriteByte(digits[b[0]%10])
		}
	}
	return Secret(s.String())
}

// SetUpLife is how long a factor may take to be set up.
const SetUpLife = 15 * time.Minute

// MaxFactors is how many factors of one kind an account may have: every further
// authenticator app makes a guessed code likelier to be right.
const MaxFactors = 3

// FactorName is what a person calls a factor: one line of at most 40 characters.
func FactorName(s string) string {
	if r := []rune(PersonName(s)); len(r) > 40 {
		return strings.TrimSpace(string(r[:40]))
	}
	return PersonName(s)
}

// Hint is a telephone number as it may be shown to somebody who has only proved
// the first step: its last two digits.
func (n E164) Hint() string {
	if len(n) < 4 {
		return ""
	}
	return "•••• " + string(n[len(n)-2:])
}

// What a second step can fail by. The person hears no more than that it was not
// right; the audit log has the code.
var (
	ErrFactorCode = &discovery.Error{Kind: discovery.Forbidden, Field: "code", Code: "factor_wrong",
		Say: "This code is not right, or has been used already. Codes of an app change every 30 seconds: wait for the next one and try again."}
	ErrFactorShape = &discovery.Error{Kind: discovery.Invalid, Field: "code", Code: "factor_shape",
		Say: "Enter the six digits of the code."}
	ErrRecoveryCode = &discovery.Error{Kind: discovery.Forbidden, Field: "code", Code: "recovery_code_wrong",
		Say: "This recovery code is not right, or has been used already. Check it, or use another one."}
	ErrTextCode = &discovery.Error{Kind: discovery.Forbidden, Field: "code", Code: "text_code_wrong",
		Say: "This code is not right or too old. Check it, or have a new one sent."}
	ErrFactorsMany = &discovery.Error{Kind: discovery.Conflict, Code: "factors_many",
		Say: "There are three of this kind already. Remove one first."}
	ErrSetUpOver = &discovery.Error{Kind: discovery.Conflict, Code: "set_up_over",
		Say: "Setting this up took too long or was started anew elsewhere. Please begin again."}
	ErrNoFactorYet = &discovery.Error{Kind: discovery.Conflict, Code: "codes_without_factor",
		Say: "Recovery codes stand in for a second factor. Set one up first."}
)

// ErrHalfOver: too many wrong codes. The first step has to be taken again.
var ErrHalfOver = &discovery.Error{Kind: discovery.Forbidden, Code: "half_over",
	Say: "There were too many wrong codes. Please sign in again from the beginning."}
