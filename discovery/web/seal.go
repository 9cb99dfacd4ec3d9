package web

import (
	"encoding/base64"

	"github.com/domicile-sso/domicile/discovery"
)

// maxSealed is more than anything we seal comes to.
const maxSealed = 2 << 10

// A sealer seals small values that a browser keeps for us, as base64url text.
type sealer struct{ discovery.Sealer }

func newSealer(secrets discovery.Secrets, purpose string) (sealer, error) {
	s, err := secrets.Sealer("domicile front door " + purpose)
	return sealer{s}, err
}

func (s sealer) seal(plain []byte) string {
	return base64.RawURLEncoding.EncodeToString(s.Seal(plain, nil))
}

func (s sealer) open(text string) ([]byte, error) {
	if len(text) > maxSealed {
		return nil, discovery.ErrSealed
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, discovery.ErrSealed
	}
	return s.Open(sealed, nil)
}
