// Package ticket seals what the front door knows about a person on the way to
// one region, and opens it there.
//
// The front door knows the address because it was just typed; the region is the
// one place that may learn it. Between the two lie the browser's history,
// proxies and logs. So the address travels sealed with HPKE (RFC 9180,
// X25519+ML-KEM-768 hybrid, HKDF-SHA256, AES-256-GCM) to a key that only the
// region holds, bound to the region, the portal and the purpose, under the front
// door's signature.
//
// A ticket is a hint. It fills in an address, and says which connection the
// directory has for it; the portal's own domains decide where that address signs
// in. Whoever forges one gains a filled-in form. It lives for a minute and is used once,
// which the region's database decides by [Ticket.ID].
package ticket

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// Life is how long a ticket lives.
const Life = time.Minute

// The wire form of a ticket. A ticket is sealed over a channel, because
// encapsulating a key and signing cost a hundred times what the rest of a lookup
// does; the front door does both once for a portal and a few seconds:
//
//	head   = version ‖ key ID ‖ enc ‖ last ‖ signature over all of it and the info
//	ticket = base64url(head ‖ nonce ‖ box)
//
// The box is the padded payload under AES-256-GCM with the secret that HPKE
// exports (RFC 9180 section 5.3) and the head as additional data. Only who signed
// the encapsulated key knows that secret, besides the region it was made for; so
// the signature vouches for every ticket of the channel, and for none that says
// it was issued after last.
const (
	version = 1
	purpose = "sign-in"

	idSize    = 8 // of a key ID
	encSize   = 1120
	lastSize  = 8 // Unix seconds
	nonceSize = 12
	tagSize   = 16
	headSize  = 1 + idSize + encSize + lastSize + ed25519.SignatureSize

	lengthSize = 2   // in front of a payload
	block      = 512 // payloads are padded to a multiple, so that length says nothing of the address
	maxPayload = 3 * block
	maxSealed  = headSize + nonceSize + maxPayload + tagSize

	exported = "domicile-ticket-channel" // HPKE's exporter context
)

// A Ticket is the front door's hint to one portal of one region.
type Ticket struct {
	ID         string // random; the region's unique index makes the ticket single-use
	Region     string
	Portal     string
	Connection string // what the directory has for the domain; a hint: the portal's own domains decide
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

// signedText is what the front door signs of a channel: the head in front of the
// signature, and the info, so that a region cannot pass a channel on as one to
// another region or portal.
func signedText(head, info []byte) []byte {
	b := append([]byte("domicile-ticket-signature\x00"), head...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(info)))
	return append(b, info...)
}

// pad appends b with its length in front and zeros behind.
func pad(to, b []byte) []byte {
	to = binary.BigEndian.AppendUint16(to, uint16(len(b)))
	to = append(to, b...)
	return append(to, zeros[:(block-(lengthSize+len(b))%block)%block]...)
}

var zeros [block]byte

func unpad(b []byte) ([]byte, bool) {
	if len(b) == 0 || len(b)%block != 0 {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-lengthSize {
		return nil, false
	}
	for _, c := range b[lengthSize+n:] {
		if c != 0 {
			return nil, false
		}
	}
	return b[lengthSize : lengthSize+n], true
}
