package ticket

import (
	"bytes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrRefused is what every failure to open a ticket is. The person hears of
// none of the reasons; a [*Refusal] keeps them for the operator.
var ErrRefused = errors.New("ticket refused")

// A Refusal is why a ticket was not opened. It is [ErrRefused].
type Refusal struct {
	Code   string // malformed | unknown_key | sealed_otherwise | forged | expired | not_yet | too_long_lived
	Detail string
}

func (r *Refusal) Error() string        { return ErrRefused.Error() + ": " + r.Code + ": " + r.Detail }
func (r *Refusal) Is(target error) bool { return target == ErrRefused }

// maxSkew is how far the front door's clock may run ahead of the region's.
// There is none in the other direction: a minute is a minute.
const maxSkew = 5 * time.Second

// An Opener opens the tickets of one region.
type Opener struct {
	Region     string
	Keys       []Key               // the newest first; older ones still open what was sealed to them
	FrontDoors []ed25519.PublicKey // whose signature inside is accepted
	Now        func() time.Time
}

// Open opens a sealed ticket for a portal of this region. Every failure is
// [ErrRefused]. A ticket that opens may still have been used: the caller's
// unique index decides that.
func (o *Opener) Open(sealed, portal string) (Ticket, error) {
	// The decoder skips line breaks; they are no part of a ticket.
	if len(sealed) > base64.RawURLEncoding.EncodedLen(maxSealed) || strings.ContainsAny(sealed, "\r\n") {
		return Ticket{}, &Refusal{"malformed", "too long, or not base64url"}
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return Ticket{}, &Refusal{"malformed", "not base64url"}
	}
	if len(raw) < headSize+nonceSize+block+tagSize || raw[0] != version {
		return Ticket{}, &Refusal{"malformed", "too short, or of another version"}
	}
	head, box := raw[:headSize], raw[headSize:]
	aead, err := o.accept(head, info(o.Region, portal))
	if err != nil {
		return Ticket{}, err
	}
	plain, err := aead.Open(nil, nil, box, head)
	if err != nil {
		return Ticket{}, &Refusal{"sealed_otherwise", "altered, or of another channel"}
	}
	body, ok := unpad(plain)
	if !ok {
		return Ticket{}, &Refusal{"malformed", "padding"}
	}
	t, err := o.read(body, portal)
	if err != nil {
		return Ticket{}, err
	}
	if last := head[1+idSize+encSize:][:lastSize]; t.Issued.Unix() > int64(binary.BigEndian.Uint64(last)) {
		return Ticket{}, &Refusal{"forged", "issued after its channel had ended"}
	}
	return t, nil
}

// accept opens the channel that a head stands for. The signature comes first: it
// costs less than the key exchange, and strangers fail it.
func (o *Opener) accept(head, info []byte) (cipher.AEAD, error) {
	id, enc := head[1:][:idSize], head[1+idSize:][:encSize]
	text, signature := head[:headSize-ed25519.SignatureSize], head[headSize-ed25519.SignatureSize:]
	key, ok := o.key(id)
	if !ok {
		return nil, &Refusal{"unknown_key", fmt.Sprintf("sealed to key %x, which is not ours", id)}
	}
	if !o.signed(signedText(text, info), signature) {
		return nil, &Refusal{"forged", "not signed by the front door for this region, portal and purpose"}
	}
	recipient, err := hpke.NewRecipient(enc, key.private, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
	if err != nil {
		return nil, &Refusal{"sealed_otherwise", "the encapsulated key does not open"}
	}
	secret, err := recipient.Export(exported, 32)
	if err != nil {
		return nil, &Refusal{"sealed_otherwise", "no secret can be exported"}
	}
	aead, err := channelAEAD(secret)
	if err != nil {
		return nil, &Refusal{"sealed_otherwise", "no cipher"}
	}
	return aead, nil
}

// read decodes the payload of a ticket that opened and judges its times.
func (o *Opener) read(body []byte, portal string) (Ticket, error) {
	var p payload
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return Ticket{}, &Refusal{"malformed", "payload"}
	}
	if again, err := json.Marshal(p); err != nil || !bytes.Equal(again, body) || p.ID == "" || p.Address == "" {
		return Ticket{}, &Refusal{"malformed", "payload"}
	}
	t := Ticket{
		ID:         p.ID,
		Region:     o.Region,
		Portal:     portal,
		Connection: p.Connection,
		Address:    p.Address,
		Issued:     time.Unix(p.Issued, 0).UTC(),
		Expires:    time.Unix(p.Expires, 0).UTC(),
	}
	now := o.Now()
	switch {
	case !now.Before(t.Expires):
		return Ticket{}, &Refusal{"expired", fmt.Sprintf("%s ago", now.Sub(t.Expires).Round(time.Second))}
	case t.Issued.After(now.Add(maxSkew)):
		return Ticket{}, &Refusal{"not_yet", "issued in the future: compare the clocks"}
	case t.Expires.Sub(t.Issued) > Life:
		return Ticket{}, &Refusal{"too_long_lived", "it was to live for more than a minute"}
	}
	return t, nil
}

func (o *Opener) key(id []byte) (*pair, bool) {
	for _, k := range o.Keys {
		if k.pair != nil && bytes.Equal(keyID((*k.pair).public), id) {
			return *k.pair, true
		}
	}
	return nil, false
}

func (o *Opener) signed(text, signature []byte) bool {
	for _, public := range o.FrontDoors {
		if len(public) == ed25519.PublicKeySize && ed25519.Verify(public, text, signature) {
			return true
		}
	}
	return false
}
