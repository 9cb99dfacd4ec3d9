// Package passkeytest is an authenticator in software: what a browser and a
// security key do together, for tests. It answers the challenges of a page
// rightly, or wrongly in every way that its fields allow.
package passkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
)

// Flags of authenticator data (WebAuthn, section 6.1).
const (
	present  = 1 << 0
	verified = 1 << 2
	attested = 1 << 6
)

// A Key is one passkey.
type Key struct {
	t      testing.TB
	key    *ecdsa.PrivateKey
	ID     []byte
	RPID   string // it was made for
	Origin string // of the page that the browser shows
	Owner  []byte // user handle

	Counter    uint32
	Unverified bool   // it only felt a touch
	Alg        int    // told at its making; 0: ES256, which it is
	Challenge  string // answers another one than it was asked; "": the right one
	Format     string // of its attestation; "": none
	Type       string // of the ceremony in what is signed; "": the right one
}

// New is a key that is not any portal's yet, in a browser that shows a page of an
// origin.
func New(t testing.TB, origin string) *Key {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	return &Key{t: t, key: key, ID: id, Origin: origin}
}

// options are what of a page's challenge matters here.
type options struct {
	PublicKey struct {
		Challenge string
		RPID      string `json:"rpId"`
		RP        struct{ ID string }
		User      struct{ ID string }

		AuthenticatorSelection struct{ ResidentKey, UserVerification string }
		UserVerification       string
		ExcludeCredentials     []struct{ ID string }
		AllowCredentials       []struct{ ID string }
	}
}

func (k *Key) read(page string) options {
	k.t.Helper()
	var o options
	if err := json.Unmarshal([]byte(page), &o); err != nil {
		k.t.Fatalf("options %q: %v", page, err)
	}
	if k.Challenge != "" {
		o.PublicKey.Challenge = k.Challenge
	}
	return o
}

// Excluded reports whether the page says that it knows the key already.
func (k *Key) Excluded(page string) bool {
	for _, c := range k.read(page).PublicKey.ExcludeCredentials {
		if c.ID == text(k.ID) {
			return true
		}
	}
	return false
}

// Allowed are how many keys the page would take.
func (k *Key) Allowed(page string) int { return len(k.read(page).PublicKey.AllowCredentials) }

// Challenge reads the challenge out of a page's options.
func Challenge(t testing.TB, page string) string {
	t.Helper()
	return (&Key{t: t}).read(page).PublicKey.Challenge
}

// Create answers the challenge of a page that makes a passkey.
func (k *Key) Create(page string) string {
	k.t.Helper()
	o := k.read(page).PublicKey
	if o.AuthenticatorSelection.ResidentKey != "required" || o.AuthenticatorSelection.UserVerification != "required" {
		k.t.Errorf("the page wants less than a passkey: %s", page)
	}
	if k.RPID == "" {
		k.RPID = o.RP.ID
	}
	k.Owner, _ = base64.RawURLEncoding.DecodeString(o.User.ID)
	alg := k.Alg
	if alg == 0 {
		alg = -7
	}
	point, err := k.key.PublicKey.Bytes()
	if err != nil {
		k.t.Fatal(err)
	}
	public := k.cbor(map[int]any{1: 2, 3: alg, -1: 1, -2: point[1:33], -3: point[33:]})
	data := k.data(attested)
	data = append(data, make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.ID)))
	data = append(append(data, k.ID...), public...)
	format := k.Format
	if format == "" {
		format = "none"
	}
	return k.answer("webauthn.create", o.Challenge, map[string]any{
		"attestationObject": text(k.cbor(map[string]any{"fmt": format, "attStmt": map[string]any{}, "authData": data})),
	}, nil)
}

// Get answers the challenge of a page that asks for a passkey.
func (k *Key) Get(page string) string {
	k.t.Helper()
	o := k.read(page).PublicKey
	if o.UserVerification != "required" {
		k.t.Errorf("the page wants no verified user: %s", page)
	}
	k.Counter++
	data := k.data(0)
	return k.answer("webauthn.get", o.Challenge, map[string]any{
		"authenticatorData": text(data), "userHandle": text(k.Owner),
	}, data)
}

// answer is what the page's script would send. data is signed if there is any.
func (k *Key) answer(kind, challenge string, response map[string]any, data []byte) string {
	k.t.Helper()
	if k.Type != "" {
		kind = k.Type
	}
	client, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": k.Origin, "crossOrigin": false})
	if err != nil {
		k.t.Fatal(err)
	}
	response["clientDataJSON"] = text(client)
	if data != nil {
		sum := sha256.Sum256(client)
		digest := sha256.Sum256(append(data, sum[:]...))
		signature, err := ecdsa.SignASN1(rand.Reader, k.key, digest[:])
		if err != nil {
			k.t.Fatal(err)
		}
		response["signature"] = text(signature)
	}
	out, err := json.Marshal(map[string]any{"id": text(k.ID), "rawId": text(k.ID), "type": "public-key",
		"clientExtensionResults": map[string]any{}, "response": response})
	if err != nil {
		k.t.Fatal(err)
	}
	return string(out)
}

// data is authenticator data without what follows the counter.
func (k *Key) data(flags byte) []byte {
	flags |= present
	if !k.Unverified {
		flags |= verified
	}
	rp := sha256.Sum256([]byte(k.RPID))
	return binary.BigEndian.AppendUint32(append(rp[:], flags), k.Counter)
}

func (k *Key) cbor(v any) []byte {
	k.t.Helper()
	b, err := webauthncbor.Marshal(v)
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
