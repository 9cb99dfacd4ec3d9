// Package regions is the map of the world: which regions exist, which
// jurisdiction each one lies in, and which keys speak for it.
//
// The only fact the front door believes about a region is a [Record] that the
// operator's root key signed. Files, Consul and databases carry records; none
// of them is an authority. A [Catalogue] verifies every record itself and keeps
// the last good one when a worse one arrives.
package regions

import (
	"crypto/ed25519"
	"time"
)

// A Record is what the operator's root key says about one region. On disk and
// on the wire it is a compact JWS (RFC 7515, EdDSA) with the header
// typ "domicile-region+jwt"; [Sign] makes one and [Verify] reads one.
type Record struct {
	Region       string    // "eu-central": lower-case letters, digits and hyphens
	Jurisdiction string    // "EU": the legal territory; data never leaves it unasked
	Name         string    // "Frankfurt": shown to people
	Version      int64     // rises with every signing; a lower one is a roll-back
	Issued       time.Time // whole seconds
	Expires      time.Time // the record means nothing from then on

	// Hosts bounds where portals of this region may live: exact host names or
	// "*.eu.example.com", each with an optional ":port". A portal record that
	// names another host is refused, whoever signed it.
	Hosts []string

	// TicketKeys are the region's HPKE public keys. The first seals new
	// tickets; the others are being retired and still open old ones.
	TicketKeys []TicketKey

	// PublishingKeys verify the claims this region sends. Any of them will do,
	// so that a key can be rolled over.
	PublishingKeys []PublishingKey
}

// TicketKey is an HPKE public key (X25519+ML-KEM-768 hybrid).
type TicketKey struct {
	ID     string // first 8 bytes of SHA-256 of Public, in hexadecimal
	Public []byte
}

// PublishingKey is an Ed25519 public key.
type PublishingKey struct {
	ID     string // first 8 bytes of SHA-256 of Public, in hexadecimal
	Public ed25519.PublicKey
}
