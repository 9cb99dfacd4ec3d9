package rotation

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// frontKeys are the keys in the configuration of the front doors.
type frontKeys struct {
	cookie  [][]byte            // cookie_key_files
	blind   discovery.BlindKeys // blind_id_keys
	signing ed25519.PrivateKey  // ticket_key_file
	roots   []ed25519.PublicKey // catalogue.root_keys
}

// regionKeys are the keys in the configuration of a region's servers.
type regionKeys struct {
	data       [][]byte            // keys.data_key_files
	ticket     []ticket.Key        // keys.ticket_key_files
	publishing ed25519.PrivateKey  // keys.publishing_key_file
	blind      discovery.BlindKeys // blind_id_keys
	signing    []ed25519.PublicKey // front_door.ticket_keys
}

// described is what stands under the keys in the region's description.
type described struct {
	ticket     []regions.TicketKey
	publishing []regions.PublishingKey
}

func random() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return b
}

func signingKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(random()) }

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func publishingKey(k ed25519.PrivateKey) regions.PublishingKey {
	return regions.PublishingKey{ID: regions.KeyID(public(k)), Public: public(k)}
}

func ticketKey(t testing.TB) ticket.Key {
	t.Helper()
	k, err := ticket.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
