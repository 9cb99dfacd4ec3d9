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
	"slices"
	"sync"
	"time"

	"github.com/domicile-sso/domicile/regions"
)

const (
	// A channel serves this long and for this many tickets; random nonces of
	// 96 bits would do for far more.
	channelLife = 10 * time.Second
	channelUses = 1 << 20

	maxChannels = 10_000
)

// A Sealer seals tickets. What does not depend on the person is done once in a
// while for each portal. It is safe for use by several goroutines.
type Sealer struct {
	frontDoor ed25519.PrivateKey
	now       func() time.Time

	mu       sync.Mutex
	channels map[channelName]*channel
}

type channelName struct{ region, portal, key string }

type channel struct {
	head []byte
	text string // head[:wholeHead] in base64url
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

// Seal makes the text of t for the region to. The ticket is issued now, whatever
// it says; an empty ID is made up, a zero Expires is [Life] from now, an empty
// Region is to's. The text is base64url and fits a URL.
func (s *Sealer) Seal(to regions.Record, t Ticket) (string, error) {
	text, err := s.Append(nil, to, t)
	return string(text), err
}

// Append is Seal behind a text that has been begun.
func (s *Sealer) Append(text []byte, to regions.Record, t Ticket) ([]byte, error) {
	if t.Region != "" && t.Region != to.Region {
		return text, fmt.Errorf("seal ticket: it is for region %s, not %s", t.Region, to.Region)
	}
	if t.Portal == "" || t.Address == "" {
		return text, errors.New("seal ticket: it names no portal or no address")
	}
	if len(to.TicketKeys) == 0 {
		return text, fmt.Errorf("seal ticket: region %s has no ticket key", to.Region)
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
		return text, fmt.Errorf("seal ticket: %w", err)
	}
	if len(body) > maxPayload-lengthSize {
		return text, errors.New("seal ticket: the payload is too long")
	}
	c, err := s.channel(to, t.Portal, now)
	if err != nil {
		return text, fmt.Errorf("seal ticket: %w", err)
	}
	return c.append(text, body), nil
}

// Seal seals one ticket over a channel of its own. It is issued when it says.
func Seal(to regions.Record, frontDoor ed25519.PrivateKey, t Ticket) (string, error) {
	if t.Issued.IsZero() {
		return "", errors.New("seal ticket: it does not say when it is issued")
	}
	s, err := NewSealer(frontDoor, func() time.Time { return t.Issued })
	if err != nil {
		return "", err
	}
	return s.Seal(to, t)
}

// channel returns the open channel to a portal, or opens one. Opening is slow
// and done outside the lock: nobody waits for a portal they do not go to.
func (s *Sealer) channel(to regions.Record, portal string, now time.Time) (*channel, error) {
	name := channelName{to.Region, portal, to.TicketKeys[0].ID}
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

	c.opening.Do(func() { c.err = c.open(s.frontDoor, to, info(to.Region, portal)) })
	if c.err != nil {
		s.mu.Lock()
		if s.channels[name] == c {
			delete(s.channels, name)
		}
		s.mu.Unlock()
	}
	return c, c.err
}

// open encapsulates a key to the region and signs it.
func (c *channel) open(frontDoor ed25519.PrivateKey, to regions.Record, info []byte) error {
	public := to.TicketKeys[0].Public
	key, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return fmt.Errorf("ticket key of region %s: %w", to.Region, err)
	}
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
	head := append([]byte{version}, keyID(public)...)
	head = append(head, enc...)
	head = binary.BigEndian.AppendUint64(head, uint64(c.last.Unix()))
	c.head = append(head, ed25519.Sign(frontDoor, signedText(head, info))...)
	c.spell()
	return nil
}

func (c *channel) spell() { c.text = base64.RawURLEncoding.EncodeToString(c.head[:wholeHead]) }

// wholeHead is as much of a head as base64 encodes by itself, three bytes at a
// time: it is the same in all tickets of a channel.
const wholeHead = headSize / 3 * 3

// append seals a payload where it was padded: nothing of it stays behind in the
// buffer, which is used again.
func (c *channel) append(text, body []byte) []byte {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	rest := append((*buffer)[:0], c.head[wholeHead:]...)
	rest = pad(rest, body)
	rest = c.aead.Seal(rest[:headSize-wholeHead], nil, rest[headSize-wholeHead:], c.head)
	*buffer = rest
	text = slices.Grow(text, len(c.text)+base64.RawURLEncoding.EncodedLen(len(rest)))
	return base64.RawURLEncoding.AppendEncode(append(text, c.text...), rest)
}

var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, headSize-wholeHead+nonceSize+maxPayload+tagSize)
	return &b
}}

func channelAEAD(secret []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
