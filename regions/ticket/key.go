package ticket

import (
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/domicile-sso/domicile/regions"
)

// Key opens tickets: the private half of a region's HPKE key pair. It prints as
// <secret> however it is printed. There are two pointers because fmt prints a
// struct's members, and asks no method, for a verb such as %p and inside
// unexported fields, and follows one pointer to a struct.
type Key struct{ pair **pair }

type pair struct {
	private hpke.PrivateKey
	seed    []byte // of private
	public  []byte
}

// keyPrefix marks the text form, so that a key of another kind is not taken for
// a ticket key.
const keyPrefix = "domicile-ticket-key:"

// GenerateKey makes a new key.
func GenerateKey() (Key, error) {
	k, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return Key{}, fmt.Errorf("generate ticket key: %w", err)
	}
	return newKey(k)
}

func newKey(k hpke.PrivateKey) (Key, error) {
	seed, err := k.Bytes()
	if err != nil {
		return Key{}, fmt.Errorf("read ticket key: %w", err)
	}
	p := &pair{private: k, seed: seed, public: k.PublicKey().Bytes()}
	return Key{&p}, nil
}

// ParseKey reads the text that [Key.Text] gives. Blanks around it, empty lines
// and lines that begin with "#" do not count. Its errors do not repeat the text.
func ParseKey(text string) (Key, error) {
	var found string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if found != "" {
			return Key{}, errors.New("parse ticket key: more than one key")
		}
		found = line
	}
	code, ok := strings.CutPrefix(found, keyPrefix)
	if !ok {
		return Key{}, fmt.Errorf("parse ticket key: want one line that begins with %q", keyPrefix)
	}
	seed, err := base64.RawURLEncoding.Strict().DecodeString(code)
	if err != nil {
		return Key{}, errors.New("parse ticket key: not base64url")
	}
	k, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
	if err != nil {
		return Key{}, errors.New("parse ticket key: not an X25519+ML-KEM-768 private key")
	}
	return newKey(k)
}

// Text is the one way to the secret: a single line for a key file, or "" for
// the zero Key.
func (k Key) Text() string {
	if k.pair == nil {
		return ""
	}
	return keyPrefix + base64.RawURLEncoding.EncodeToString((*k.pair).seed)
}

// Public is what goes into the region's record.
func (k Key) Public() regions.TicketKey {
	if k.pair == nil {
		return regions.TicketKey{}
	}
	public := (*k.pair).public
	return regions.TicketKey{ID: regions.KeyID(public), Public: public}
}

func (Key) String() string               { return "<secret>" }
func (Key) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, "<secret>") }
func (Key) LogValue() slog.Value         { return slog.StringValue("<secret>") }
func (Key) MarshalText() ([]byte, error) { return []byte("<secret>"), nil }

// keyID is a key's ID in the header of a ticket: the bytes that
// [regions.KeyID] writes in hexadecimal.
func keyID(public []byte) []byte {
	sum := sha256.Sum256(public)
	return sum[:idSize]
}
