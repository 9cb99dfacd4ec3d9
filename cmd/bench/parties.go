package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"path/filepath"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// parties are the keys of everybody: an operator, a region and its front doors.
type parties struct {
	root       ed25519.PublicKey
	tickets    ed25519.PrivateKey // of the front doors
	publishing ed25519.PrivateKey // of the region
	opens      ticket.Key
	blind      discovery.BlindKeys
	record     regions.Record
	catalogue  string // the file of its signed record
}

// parties makes them, once for all measurements.
func (b *bench) parties() (*parties, error) {
	if b.known != nil {
		return b.known, nil
	}
	p := &parties{blind: discovery.BlindKeys{discovery.NewBlindKey(1, make([]byte, 32))}, catalogue: filepath.Join(b.dir, "catalogue")}
	var root ed25519.PrivateKey
	var publishing ed25519.PublicKey
	var err error
	if p.root, root, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	if publishing, p.publishing, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	if _, p.tickets, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	if p.opens, err = ticket.GenerateKey(); err != nil {
		return nil, err
	}
	now := time.Now().Truncate(time.Second)
	p.record = regions.Record{
		Region: "eu-central", Jurisdiction: "EU", Name: "Frankfurt", Version: 1, Issued: now, Expires: now.AddDate(0, 1, 0),
		Hosts: []string{"*.eu.example.com"}, TicketKeys: []regions.TicketKey{p.opens.Public()},
		PublishingKeys: []regions.PublishingKey{{ID: regions.KeyID(publishing), Public: publishing}},
	}
	signed, err := regions.Sign(p.record, root)
	if err != nil {
		return nil, err
	}
	b.known = p
	return p, regions.WriteFile(p.catalogue, []string{signed})
}
