package ticket

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/domicile-sso/domicile/regions"
)

// A ticket of the second form is sealed over a channel. Encapsulating a key and
// signing cost a hundred times what the rest of a lookup does, so the front door
// does both once for a portal and a few seconds:
//
//	version ‖ key ID ‖ enc ‖ last ‖ signature over all of it and the info
//
// and then seals each ticket with AES-256-GCM under the secret that HPKE exports
// (RFC 9180 section 5.3), with that head as additional data. Only who signed the
// encapsulated key knows the secret, besides the region it was made for; so the
// signature vouches for every ticket of the channel, and for no ticket that says
// it was issued after last.
const (
	versionMany = 2
	lastSize    = 8
	nonceSize   = 12
	headMany    = 1 + idSize + encSize + lastSize + ed25519.SignatureSize

	// A channel serves this long and for this many tickets; random nonces of
	// 96 bits would do for far more.
	channelLife = 10 * time.Second
	channelUses = 1 << 20

	maxChannels = 10_000
	exported    = "domicile-ticket-channel"
)

// A Sealer seals tickets as [Seal] does, and for less: what does not depend on
// the person is done once in a while for each portal. It is safe for use by
// several goroutines.
type Sealer struct {
	frontDoor ed25519.PrivateKey
	now       func() time.Time

	mu       sync.Mutex
	channels map[channelName]*channel
}

type channelName struct{ region, portal, key string }

type channel struct {
	head []byte
	aead cipher.AEAD
	last time.Time
	uses int

	opening sync.Once
	err     error
}

// NewSealer returns a Sealer that signs as the front door.
func NewSealer(frontDoor ed25519.PrivateKey, now func() time.Time) (*Sealer, error) {
	if len(frontDoor) != ed25519.PrivateKeySize {
		return nil, errors.New("seal tickets: the front door's key is not an Ed25519 private key")
	}
	return &Sealer{frontDoor: frontDoor, now: now, channels: make(map[channelName]*channel)}, nil
}

// Seal makes the text of t for the region to, as the function Seal does. The
// ticket is issued now, whatever it says.
func (s *Sealer) Seal(to regions.Record, t Ticket) (string, error) {
	if t.Region != "" && t.Region != to.Region {
		return "", fmt.Errorf("seal ticket: it is for region %s, not %s", t.Region, to.Region)
	}
	if t.Portal == "" || t.Address == "" {
		return "", errors.New("seal ticket: it names no portal or no address")
	}
	if len(to.TicketKeys) == 0 {
		return "", fmt.Errorf("seal ticket: region %s has no ticket key", to.Region)
	}
	if t.ID == "" {
		t.ID = rand.Text()
	}
	now := s.now()
	if t.Expires.IsZero() {
		t.Expires = now.Add(Life)
	}
	body, err := json.Marshal(payload{t.ID, t.Address, t.Connection, now.Unix(), t.Expires.Unix()})
	if err != nil {
		return "", fmt.Errorf("seal ticket: %w", err)
	}
	plain := pad(body)
	if len(plain) > maxPayload-block { // leave what the first form's signature takes
		return "", errors.New("seal ticket: the payload is too long")
	}
	c, err := s.channel(to, t.Portal, now)
	if err != nil {
		return "", fmt.Errorf("seal ticket: %w", err)
	}
	out := make([]byte, headMany, headMany+nonceSize+len(plain)+tagSize)
	copy(out, c.head)
	return base64.RawURLEncoding.EncodeToString(c.aead.Seal(out, nil, plain, c.head)), nil
}

// channel returns the open channel to a portal, or opens one. Opening is slow
// and done outside the lock: nobody waits for a portal they do not go to.
func (s *Sealer) channel(to regions.Record, portal string, now time.Time) (*channel, error) {
	name := channelName{to.Region, portal, string(to.TicketKeys[0].Public)}
	s.mu.Lock()
	c := s.channels[name]
	if c == nil || now.After(c.last) || now.Before(c.last.Add(-channelLife)) || c.uses >= channelUses {
		if len(s.channels) >= maxChannels {
			clear(s.channels)
		}
		// Whole seconds: last is told that way, and so is when a ticket was issued.
		c = &channel{last: now.Truncate(time.Second).Add(channelLife)}
		s.channels[name] = c
	}
	c.uses++
	s.mu.Unlock()

	c.opening.Do(func() { c.err = c.open(s.frontDoor, to, portal) })
	if c.err != nil {
		s.mu.Lock()
		if s.channels[name] == c {
			delete(s.channels, name)
		}
		s.mu.Unlock()
	}
	return c, c.err
}

func (c *channel) open(frontDoor ed25519.PrivateKey, to regions.Record, portal string) error {
	public := to.TicketKeys[0].Public
	key, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return fmt.Errorf("ticket key of region %s: %w", to.Region, err)
	}
	info := infoMany(to.Region, portal)
	enc, sender, err := hpke.NewSender(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
	if err != nil {
		return err
	}
	secret, err := sender.Export(exported, 32)
	if err != nil {
		return err
	}
	if c.aead, err = channelAEAD(secret); err != nil {
		return err
	}
	head := append([]byte{versionMany}, keyID(public)...)
	head = append(head, enc...)
	head = binary.BigEndian.AppendUint64(head, uint64(c.last.Unix()))
	c.head = append(head, ed25519.Sign(frontDoor, signedMany(head, info))...)
	return nil
}

func channelAEAD(secret []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// infoMany is info with a label of its own: what HPKE derives for one form is
// of no use for the other.
func infoMany(region, portal string) []byte {
	return append([]byte("channel\x00"), info(region, portal)...)
}

// signedMany is what the front door signs of a channel.
func signedMany(head, info []byte) []byte {
	b := append([]byte("domicile-ticket-channel-signature\x00"), head...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(info)))
	return append(b, info...)
}

// openMany opens a ticket of the second form. The signature comes first: it
// costs less than the key exchange, and strangers fail it.
func (o *Opener) openMany(raw []byte, portal string) (Ticket, error) {
	if len(raw) < headMany+nonceSize+block+tagSize {
		return Ticket{}, &Refusal{"malformed", "too short"}
	}
	id, enc := raw[1:1+idSize], raw[1+idSize:1+idSize+encSize]
	signed := headMany - ed25519.SignatureSize
	head, box := raw[:headMany], raw[headMany:]
	key, ok := o.key(id)
	if !ok {
		return Ticket{}, &Refusal{"unknown_key", fmt.Sprintf("sealed to key %x, which is not ours", id)}
	}
	info := infoMany(o.Region, portal)
	if !o.signed(signedMany(head[:signed], info), head[signed:]) {
		return Ticket{}, &Refusal{"forged", "not signed by the front door for this region and portal"}
	}
	recipient, err := hpke.NewRecipient(enc, key.private, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
	if err != nil {
		return Ticket{}, &Refusal{"sealed_otherwise", "the encapsulated key does not open"}
	}
	secret, err := recipient.Export(exported, 32)
	if err != nil {
		return Ticket{}, &Refusal{"sealed_otherwise", "no secret can be exported"}
	}
	aead, err := channelAEAD(secret)
	if err != nil {
		return Ticket{}, &Refusal{"sealed_otherwise", "no cipher"}
	}
	plain, err := aead.Open(nil, nil, box, head)
	if err != nil {
		return Ticket{}, &Refusal{"sealed_otherwise", "altered"}
	}
	body, ok := unpad(plain)
	if !ok {
		return Ticket{}, &Refusal{"malformed", "padding"}
	}
	t, err := o.read(body, portal)
	if err != nil {
		return Ticket{}, err
	}
	if last := int64(binary.BigEndian.Uint64(head[signed-lastSize : signed])); t.Issued.Unix() > last {
		return Ticket{}, &Refusal{"forged", "issued after its channel had ended"}
	}
	return t, nil
}
