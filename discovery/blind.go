package discovery

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"sync"
)

// A BlindID is the only form in which the global side knows a person: one byte
// of key version and the first 16 bytes of HMAC-SHA-256(key, "account" ‖
// address). Its text form is base64url without padding.
type BlindID [17]byte

var blindText = base64.RawURLEncoding.Strict()

func (b BlindID) String() string { return blindText.EncodeToString(b[:]) }

// MarshalText implements encoding.TextMarshaler, and so the JSON form too.
func (b BlindID) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText takes exactly what MarshalText gives.
func (b *BlindID) UnmarshalText(text []byte) error {
	if len(text) != blindText.EncodedLen(len(b)) {
		return errors.New("a blind ID has 23 characters")
	}
	var id BlindID
	if n, err := blindText.Decode(id[:], text); err != nil || n != len(id) {
		return errors.New("a blind ID is base64url without padding")
	}
	*b = id
	return nil
}

// A BlindKey is one version of the key that blinds addresses. It prints as
// "<secret>"; the key is behind a pointer because fmt prints a struct's members,
// and asks no method, for a verb such as %p and inside unexported fields. It is
// a pointer to a string because fmt follows one to a slice.
type BlindKey struct {
	Version byte
	key     *string
	macs    *sync.Pool // of hashes that have taken in the key, which is as much work as an address
}

// NewBlindKey makes a version of 32 bytes or more.
func NewBlindKey(version byte, key []byte) BlindKey {
	text := string(key)
	return BlindKey{version, &text, &sync.Pool{New: func() any { return hmac.New(sha256.New, []byte(text)) }}}
}

// Check reports why k cannot blind anything.
func (k BlindKey) Check() error {
	if n := len(k.bytes()); n < 32 {
		return fmt.Errorf("blind key version %d: want 32 bytes or more, have %d", k.Version, n)
	}
	return nil
}

func (k BlindKey) bytes() []byte {
	if k.key == nil {
		return nil
	}
	return []byte(*k.key)
}

func (k BlindKey) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte("<secret>")) }
func (k BlindKey) LogValue() slog.Value         { return slog.StringValue("<secret>") }
func (k BlindKey) MarshalText() ([]byte, error) { return []byte("<secret>"), nil }

// ID blinds an address under this key.
func (k BlindKey) ID(a Address) BlindID {
	mac := k.macs.Get().(hash.Hash)
	defer func() {
		mac.Reset()
		k.macs.Put(mac)
	}()
	mac.Write([]byte("account"))
	mac.Write([]byte(a.Clear()))
	var sum [sha256.Size]byte
	var id BlindID
	id[0] = k.Version
	copy(id[1:], mac.Sum(sum[:0]))
	return id
}

// BlindKeys are the live key versions, the current one first. While a key is
// being rotated there are two, and every lookup uses both, so that neither the
// answer nor its cost tells which one an entry was claimed under.
type BlindKeys []BlindKey

// IDs is a under every key, in the order of the keys.
func (k BlindKeys) IDs(a Address) []BlindID {
	ids := make([]BlindID, len(k))
	for i, key := range k {
		ids[i] = key.ID(a)
	}
	return ids
}

// Current is a under the current key: what a region claims.
func (k BlindKeys) Current(a Address) BlindID { return k[0].ID(a) }

// Check reports why the keys cannot be used together.
func (k BlindKeys) Check() error {
	if len(k) == 0 {
		return errors.New("no blind key")
	}
	seen := make(map[byte]bool, len(k))
	for _, key := range k {
		if err := key.Check(); err != nil {
			return err
		}
		if seen[key.Version] {
			return fmt.Errorf("blind key version %d is given twice", key.Version)
		}
		seen[key.Version] = true
	}
	return nil
}
