package discovery

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
)

// Secrets are the live secrets of the front doors, the newest first: what is
// made is made with the first, what was made with any of them is accepted. All
// front doors on one database share them. They print as "<secret>".
type Secrets [][]byte

// Check reports why the secrets cannot be used.
func (s Secrets) Check() error {
	if len(s) == 0 {
		return errors.New("no secret of the front door")
	}
	for _, secret := range s {
		if len(secret) < 32 {
			return fmt.Errorf("secret of the front door: want 32 bytes or more, have %d", len(secret))
		}
	}
	return nil
}

// Keys derives 32 bytes of each secret for one purpose, which must be no other's.
func (s Secrets) Keys(purpose string) ([][sha256.Size]byte, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	keys := make([][sha256.Size]byte, len(s))
	for i, secret := range s {
		key, err := hkdf.Key(sha256.New, secret, nil, purpose, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("secret of the front door: %w", err)
		}
		copy(keys[i][:], key)
	}
	return keys, nil
}

func (s Secrets) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte("<secret>")) }
func (s Secrets) LogValue() slog.Value         { return slog.StringValue("<secret>") }
func (s Secrets) MarshalText() ([]byte, error) { return []byte("<secret>"), nil }

// A Sealer seals with the first secret and opens what any of them sealed:
// AES-256-GCM under a key of its own for each purpose.
type Sealer struct{ aeads []cipher.AEAD }

// Sealer makes the sealer of one purpose, which must be no other's.
func (s Secrets) Sealer(purpose string) (Sealer, error) {
	keys, err := s.Keys(purpose)
	if err != nil {
		return Sealer{}, err
	}
	var sealer Sealer
	for _, key := range keys {
		block, err := aes.NewCipher(key[:])
		if err != nil {
			return Sealer{}, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return Sealer{}, err
		}
		sealer.aeads = append(sealer.aeads, aead)
	}
	return sealer, nil
}

// ErrSealed means that a sealed value is not ours, or not for this place.
var ErrSealed = errors.New("not sealed by us")

// Seal encrypts plain for a place: it opens nowhere else.
func (s Sealer) Seal(plain, place []byte) []byte {
	return s.aeads[0].Seal(nil, nil, plain, place)
}

// Open reverses Seal. Every failure is ErrSealed.
func (s Sealer) Open(sealed, place []byte) ([]byte, error) {
	for _, aead := range s.aeads {
		if plain, err := aead.Open(nil, nil, sealed, place); err == nil {
			return plain, nil
		}
	}
	return nil, ErrSealed
}
