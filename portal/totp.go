package portal

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/domicile-sso/domicile/discovery"
)

// totpWindow is how many steps before and after the present one count: clocks of
// telephones are not ours (RFC 6238, section 5.2 advises no more than one).
const totpWindow = 1

// NewTOTPSecret draws 160 bits (RFC 4226, section 4), as apps take them: in
// base32 without padding.
func NewTOTPSecret() Secret {
	var b [20]byte
	_, _ = rand.Read(b[:])
	return Secret(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// TOTPURL is what the QR code of a secret says. It holds the secret, so it is
// shown, and never in a log, a URL of ours or a mail.
func TOTPURL(p Portal, a discovery.Address, secret Secret) (Secret, error) {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret.Clear())
	if err != nil {
		return "", errors.New("totp secret is not base32")
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: strings.ReplaceAll(p.Name, ":", " "), AccountName: a.Clear(),
		Secret: raw, Period: StepSeconds, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return "", fmt.Errorf("totp address: %w", err)
	}
	return Secret(key.URL()), nil
}

// MatchTOTP finds the step whose code it is: the present one, or a neighbour, and
// later than last, the last one that was accepted. Whether it is accepted is
// decided where it is written down: each step counts once.
func MatchTOTP(secret, code Secret, now time.Time, last int64) (step int64, ok bool) {
	for step := StepAt(now) - totpWindow; step <= StepAt(now)+totpWindow; step++ {
		want, err := hotp.GenerateCode(secret.Clear(), uint64(step))
		if err == nil && step > last && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return step, true
		}
	}
	return 0, false
}

// TypedCode is a six-digit code as a person types it: blanks and hyphens between
// the digits are left out. It is empty when it is no code at all.
func TypedCode(s Secret) Secret {
	plain := strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(s.Clear())
	if len(plain) != 6 || strings.Trim(plain, "0123456789") != "" {
		return ""
	}
	return Secret(plain)
}

// InGroups writes a key in groups of four, for who types it.
func InGroups(s Secret) Secret {
	var b strings.Builder
	for i, r := range s.Clear() {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return Secret(b.String())
}
