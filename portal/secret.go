package portal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
)

// A Secret is a password or a token. It prints, logs and marshals as
// "<secret>"; [Secret.Clear] is the one way to its text.
type Secret string

const hidden = "<secret>"

// Clear is the text itself, for the one place that must send or compare it.
func (s Secret) Clear() string { return string(s) }

func (s Secret) String() string               { return hidden }
func (s Secret) GoString() string             { return hidden }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Format covers the verbs that would go round String (%x, %d, %q).
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// NewSecret draws 256 random bits as URL-safe text.
func NewSecret() Secret {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return Secret(base64.RawURLEncoding.EncodeToString(b[:]))
}

// Digest is what is stored of a token: its SHA-256. The empty secret has no
// digest, so that a blank token can never match a row.
func (s Secret) Digest() []byte {
	if s == "" {
		return nil
	}
	d := sha256.Sum256([]byte(s))
	return d[:]
}
