package portal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// A Vault seals what the region's database must not hold in clear: client
// secrets, private keys, letters waiting to be sent. AES-256-GCM; the
// additional data is the identity of the row, so that a sealed value moved to
// another row, portal or region does not open there.
//
// The first key seals, all of them open: a key is replaced by putting the new
// one in front.
type Vault struct{ keys []vaultKey }

type vaultKey struct {
	id   [4]byte
	aead cipher.AEAD
}

// NewVault takes keys of 32 bytes each.
func NewVault(keys ...[]byte) (Vault, error) {
	if len(keys) == 0 {
		return Vault{}, errors.New("vault: no key")
	}
	var v Vault
	for _, key := range keys {
		if len(key) != 32 {
			return Vault{}, fmt.Errorf("vault: a key has %d bytes, 32 are needed", len(key))
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return Vault{}, fmt.Errorf("vault: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return Vault{}, fmt.Errorf("vault: %w", err)
		}
		sum := sha256.Sum256(append([]byte("domicile vault key "), key...))
		v.keys = append(v.keys, vaultKey{id: [4]byte(sum[:4]), aead: aead})
	}
	return v, nil
}

// NewVaultKey draws a key for [NewVault].
func NewVaultKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
}

// ErrSealed means that a sealed value does not open here: another key, another
// row, or changed bytes.
var ErrSealed = errors.New("sealed value does not open")

// Seal encrypts plain for the row named by place. Nothing seals to nothing.
func (v Vault) Seal(place string, plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return []byte{}, nil
	}
	if len(v.keys) == 0 {
		return nil, errors.New("vault: no key")
	}
	k := v.keys[0]
	return k.aead.Seal(k.id[:], nil, plain, []byte(place)), nil
}

// Open reverses Seal. Every failure is ErrSealed.
func (v Vault) Open(place string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	if len(sealed) < 4 {
		return nil, ErrSealed
	}
	for _, k := range v.keys {
		if k.id != [4]byte(sealed[:4]) {
			continue
		}
		if plain, err := k.aead.Open(nil, nil, sealed[4:], []byte(place)); err == nil {
			return plain, nil
		}
	}
	return nil, ErrSealed
}

// KeyID is what a value sealed now begins with; Which is the place in the list
// of the key that sealed a value which begins so, or -1: of none of them.
func (v Vault) KeyID() []byte { return v.keys[0].id[:] }

func (v Vault) Which(id []byte) int {
	return slices.IndexFunc(v.keys, func(k vaultKey) bool { return string(k.id[:]) == string(id) })
}

func (v Vault) String() string   { return hidden }
func (v Vault) GoString() string { return hidden }
