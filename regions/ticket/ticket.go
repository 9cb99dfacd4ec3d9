// Package ticket seals what the front door knows about a person on the way to
// one region, and opens it there.
//
// The front door knows the address because it was just typed; the region is the
// one place that may learn it. Between the two lie the browser's history,
// proxies and logs. So the address travels sealed with HPKE (RFC 9180,
// X25519+ML-KEM-768 hybrid, HKDF-SHA256, AES-256-GCM) to a key that only the
// region holds, bound to the region, the portal and the purpose, and signed
// inside by the front door.
//
// A ticket is a hint. It fills in an address and picks a connection; whoever
// forges one gains a filled-in form. It lives for a minute and is used once,
// which the region's database decides by [Ticket.ID].
package ticket

import (
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/domicile-sso/domicile/regions"
)

// Life is how long a ticket lives.
const Life = time.Minute

const (
	version = 1
	purpose = "sign-in"

	idSize  = 8 // of a key ID in the header
	encSize = 1120
	tagSize = 16
	block   = 512 // payloads are padded to a multiple, so that length says nothing of the address

	maxPayload = 4 * block
	maxSealed  = 1 + idSize + encSize + maxPayload + tagSize
)

// A Ticket is the front door's hint to one portal of one region.
type Ticket struct {
	ID         string // random; the region's unique index makes the ticket single-use
	Region     string
	Portal     string
	Connection string // the federation to go on to; empty: the portal decides
	Address    string // normalised, in clear: the reason for the sealing
	Issued     time.Time
	Expires    time.Time
}

// String names no person.
func (t Ticket) String() string {
	return fmt.Sprintf("ticket %s for portal %s in %s: <address>", t.ID, t.Portal, t.Region)
}

// Format keeps the address out of every verb.
func (t Ticket) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue keeps the address out of logs.
func (t Ticket) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalJSON keeps the address out of whatever is encoded by accident.
func (t Ticket) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// payload is a ticket on the wire. Like a region record it has one accepted
// text: what encoding/json writes for this struct.
type payload struct {
	ID         string `json:"jti"`
	Address    string `json:"address"`
	Connection string `json:"connection,omitempty"`
	Issued     int64  `json:"iat"` // Unix seconds
	Expires    int64  `json:"exp"`
}

// Seal makes the text of t for the region to, signed by the front door's key.
// An empty ID is made up, a zero Expires is [Life] after Issued, an empty Region
// is to's. The text is base64url and fits a URL.
func Seal(to regions.Record, frontDoor ed25519.PrivateKey, t Ticket) (string, error) {
	if t.Region != "" && t.Region != to.Region {
		return "", fmt.Errorf("seal ticket: it is for region %s, not %s", t.Region, to.Region)
	}
	if t.Portal == "" || t.Address == "" || t.Issued.IsZero() {
		return "", errors.New("seal ticket: it lacks a portal, an address or the time of issue")
	}
	if len(frontDoor) != ed25519.PrivateKeySize {
		return "", errors.New("seal ticket: the front door's key is not an Ed25519 private key")
	}
	if len(to.TicketKeys) == 0 {
		return "", fmt.Errorf("seal ticket: region %s has no ticket key", to.Region)
	}
	if t.ID == "" {
		t.ID = rand.Text()
	}
	if t.Expires.IsZero() {
		t.Expires = t.Issued.Add(Life)
	}
	body, err := json.Marshal(payload{t.ID, t.Address, t.Connection, t.Issued.Unix(), t.Expires.Unix()})
	if err != nil {
		return "", fmt.Errorf("seal ticket: %w", err)
	}

	public := to.TicketKeys[0].Public
	head := header(public)
	info := info(to.Region, t.Portal)
	plain := pad(append(ed25519.Sign(frontDoor, signedText(head, info, body)), body...))
	if len(plain) > maxPayload {
		return "", errors.New("seal ticket: the payload is too long")
	}
	key, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("seal ticket: ticket key of region %s: %w", to.Region, err)
	}
	enc, sender, err := hpke.NewSender(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
	if err != nil {
		return "", fmt.Errorf("seal ticket: %w", err)
	}
	box, err := sender.Seal(head, plain)
	if err != nil {
		return "", fmt.Errorf("seal ticket: %w", err)
	}
	out := append(append(head, enc...), box...)
	return base64.RawURLEncoding.EncodeToString(out), nil
}

// header is what stands in clear in front of a sealed ticket, and is bound to it
// as additional data: the version and which key opens it.
func header(public []byte) []byte {
	return append([]byte{version}, keyID(public)...)
}

// info is HPKE's info: a ticket opened for another region, portal or purpose
// does not decrypt. Each part has its length in front, so that no two lists of
// parts are the same bytes.
func info(region, portal string) []byte {
	b := []byte("domicile-ticket")
	b = append(b, version)
	for _, part := range []string{region, portal, purpose} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

// signedText is what the front door signs: the payload and everything around
// it, so that a region cannot pass a ticket on as one for somebody else.
func signedText(head, info, body []byte) []byte {
	b := append([]byte("domicile-ticket-signature\x00"), head...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(info)))
	b = append(b, info...)
	return append(b, body...)
}

// pad puts the length in front and zeros behind.
func pad(b []byte) []byte {
	n := 2 + len(b)
	out := make([]byte, (n+block-1)/block*block)
	binary.BigEndian.PutUint16(out, uint16(len(b)))
	copy(out[2:], b)
	return out
}

func unpad(b []byte) ([]byte, bool) {
	if len(b) == 0 || len(b)%block != 0 {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-2 {
		return nil, false
	}
	for _, c := range b[2+n:] {
		if c != 0 {
			return nil, false
		}
	}
	return b[2 : 2+n], true
}
