package config

import (
	"crypto/hpke"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Kind is what a key is for. Its text begins with it.
type Kind string

const (
	RootKey       Kind = "domicile-root-key"    // Ed25519 seed: signs region records; kept offline
	RootPublic    Kind = "domicile-root-public" // in every front door's configuration
	TicketKey     Kind = "domicile-ticket-key"  // HPKE X25519+ML-KEM-768: opens tickets in one region
	TicketPublic  Kind = "domicile-ticket-public"
	PublishingKey Kind = "domicile-publishing-key" // Ed25519 seed: signs a region's claims
	PublishPublic Kind = "domicile-publishing-public"
	FrontDoorKey  Kind = "domicile-front-door-key" // Ed25519 seed: signs inside tickets
	FrontDoorPub  Kind = "domicile-front-door-public"
	BlindKey      Kind = "domicile-blind-id-key" // 32 bytes: blinds addresses, the same everywhere
	CookieKey     Kind = "domicile-cookie-key"   // 32 bytes: the front door's cookies
	DataKey       Kind = "domicile-data-key"     // 32 bytes: seals secrets in a region's database
)

// EncodeKey is the text of a key.
func EncodeKey(kind Kind, key []byte) string {
	return string(kind) + ":" + base64.RawURLEncoding.EncodeToString(key)
}

// DecodeKey reads the text of a key of one kind: a single line, with blanks,
// empty lines and lines that begin with "#" around it at will. Its errors never
// repeat the text.
func DecodeKey(kind Kind, text string) ([]byte, error) {
	line, err := keyLine(text)
	if err != nil {
		return nil, err
	}
	prefix, code, ok := strings.Cut(line, ":")
	switch {
	case !ok || !strings.HasPrefix(prefix, "domicile-") || !known(Kind(prefix)):
		return nil, fmt.Errorf("not a key: want one line that begins with %q", string(kind)+":")
	case Kind(prefix) != kind:
		return nil, fmt.Errorf("a %s; want a %s", prefix, kind)
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(code)
	if err != nil {
		return nil, fmt.Errorf("the %s is damaged: not base64url", kind)
	}
	switch kind {
	case TicketPublic:
		_, err = hpke.MLKEM768X25519().NewPublicKey(key)
	default:
		if len(key) != 32 {
			err = errors.New("want 32 bytes")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the %s is damaged: it has %d bytes", kind, len(key))
	}
	return key, nil
}

func known(k Kind) bool {
	switch k {
	case RootKey, RootPublic, TicketKey, TicketPublic, PublishingKey, PublishPublic,
		FrontDoorKey, FrontDoorPub, BlindKey, CookieKey, DataKey:
		return true
	}
	return false
}

// keyLine finds the one line of text that is not blank or a remark.
func keyLine(text string) (string, error) {
	var found string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if found != "" {
			return "", errors.New("more than one line: want one key")
		}
		found = line
	}
	if found == "" {
		return "", errors.New("empty: want a key")
	}
	return found, nil
}
