// Package regions is the map of the world: which regions exist, which
// jurisdiction each one lies in, and which keys speak for it.
//
// The only fact the front door believes about a region is a [Record] that the
// operator's root key signed. Files, Consul and databases carry records; none
// of them is an authority. A [Catalogue] verifies every record itself and keeps
// the last good one when a worse one arrives.
//
// A record may name standbys, regions of its jurisdiction whose processes serve
// its portals while its own are down. [Health] is what somebody says of processes;
// it picks among what records name, and no record is doubted or believed for it.
package regions

import (
	"crypto/ed25519"
	"slices"
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

	// Standbys are regions of the same jurisdiction that stand in for this one
	// while its processes are down, the first choice first. They work on this
	// region's database, so nothing personal goes anywhere else.
	Standbys []string

	// TicketKeys are the region's HPKE public keys. The first seals new
	// tickets; the others are being retired and still open old ones.
	TicketKeys []TicketKey

	// PublishingKeys verify the claims this region sends. Any of them will do,
	// so that a key can be rolled over.
	PublishingKeys []PublishingKey
}

// StandsInFor reports whether r may serve the portals of home while home's own
// processes are down: home's record names it, and both records put their data
// in the same jurisdiction. The two records are signed apart, so both are looked
// at each time.
func (r Record) StandsInFor(home Record) bool {
	return r.Region != home.Region && r.Jurisdiction == home.Jurisdiction && slices.Contains(home.Standbys, r.Region)
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
