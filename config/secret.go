package config

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
)

// A Secret is a password, a URL with one, or a key. However it is printed,
// logged or encoded, it says <secret>; [Secret.Reveal] and [Secret.Bytes] are
// the ways to its content.
//
// The content is behind a pointer because fmt prints a struct's members, and
// asks no method, for a verb that does not fit it, such as %p.
type Secret struct{ text *string }

const hidden = "<secret>"

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the content.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Bytes returns the content of a key.
func (s Secret) Bytes() []byte { return []byte(s.Reveal()) }

// Ed25519 returns the signing key whose seed the secret is.
func (s Secret) Ed25519() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(s.Bytes()) }

// IsZero reports whether nothing was set.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

func (Secret) String() string               { return hidden }
func (Secret) GoString() string             { return hidden }
func (Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, hidden) }
func (Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
func (Secret) MarshalYAML() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
