package demo

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"net/http"
	netmail "net/mail"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/sms"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// keys are all private keys of the demo. In earnest each lies with its owner.
type keys struct {
	root, tickets          ed25519.PrivateKey
	secret, blind          []byte
	regions                map[string]*regionKeys
	acme, umbrella, globex *rsa.PrivateKey // of the identity providers
}

type regionKeys struct {
	ticket     ticket.Key
	publishing ed25519.PrivateKey
	data       []byte
}

func readKeys(ring keyring) (*keys, error) {
	k := &keys{regions: map[string]*regionKeys{}}
	var g errgroup.Group // making an RSA key takes a while
	for name, to := range map[string]**rsa.PrivateKey{"idp-acme": &k.acme, "idp-umbrella": &k.umbrella, "idp-globex": &k.globex} {
		g.Go(func() (err error) { *to, err = ring.rsa(name + ".pem"); return err })
	}
	g.Go(func() (err error) { k.root, err = ring.ed25519("root.key", config.RootKey); return err })
	g.Go(func() (err error) { k.tickets, err = ring.ed25519("front-door.key", config.FrontDoorKey); return err })
	g.Go(func() (err error) { k.secret, err = ring.bytes("cookie.key", config.CookieKey); return err })
	g.Go(func() (err error) { k.blind, err = ring.bytes("blind-id.key", config.BlindKey); return err })
	for _, t := range territories {
		r := new(regionKeys)
		k.regions[t.region] = r
		g.Go(func() (err error) { r.ticket, err = ring.ticket(t.region + "-ticket.key"); return err })
		g.Go(func() (err error) {
			r.publishing, err = ring.ed25519(t.region+"-publishing.key", config.PublishingKey)
			return err
		})
		g.Go(func() (err error) { r.data, err = ring.bytes(t.region+"-data.key", config.DataKey); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return k, nil
}

func (k *keys) blindKeys() discovery.BlindKeys {
	return discovery.BlindKeys{discovery.NewBlindKey(1, k.blind)}
}

func (d *Demo) catalogue() string { return filepath.Join(d.folder, "regions.jws") }

func (d *Demo) database(name string) string {
	return "sqlite:" + filepath.Join(d.folder, "databases", name+".db")
}

// signRecords does what an operator does with "domicile region sign".
func (d *Demo) signRecords() error {
	var signed []string
	now := d.o.Now()
	for _, t := range territories {
		k := d.keys.regions[t.region]
		public := k.publishing.Public().(ed25519.PublicKey)
		record, err := regions.Sign(regions.Record{
			Region: t.region, Jurisdiction: t.jurisdiction, Name: t.name,
			Version: now.UnixMilli(), Issued: now.Truncate(time.Second), Expires: now.Truncate(time.Second).AddDate(1, 0, 0),
			Hosts:          []string{"*." + hostOf(d.host(t.zone))},
			TicketKeys:     []regions.TicketKey{k.ticket.Public()},
			PublishingKeys: []regions.PublishingKey{{ID: regions.KeyID(public), Public: public}},
		}, d.keys.root)
		if err != nil {
			return err
		}
		signed = append(signed, record)
	}
	return regions.WriteFile(d.catalogue(), signed)
}

// roles wires the front door and the regions, each on its own database.
func (d *Demo) roles(ctx context.Context) (err error) {
	common := func(name string) app.Common {
		return app.Common{Database: d.database(name), Migrate: true, Log: d.o.Log.With("role", name), Now: d.o.Now}
	}
	d.Front, err = app.NewDiscovery(ctx, app.DiscoveryOptions{
		Common: common("discovery"), URL: d.URL, Internal: "127.0.0.1:0",
		Tickets: d.keys.tickets, Secrets: [][]byte{d.keys.secret}, BlindKeys: d.keys.blindKeys(),
		Roots: []ed25519.PublicKey{d.keys.root.Public().(ed25519.PublicKey)}, Catalogue: d.catalogue(),
	})
	if err != nil {
		return fmt.Errorf("front door: %w", err)
	}
	for _, t := range territories {
		k := d.keys.regions[t.region]
		o := app.PortalOptions{
			Common: common(t.region), Region: t.region, RegionName: t.name, Jurisdiction: t.jurisdiction,
			VaultKeys: [][]byte{k.data}, TicketKeys: []ticket.Key{k.ticket}, Publishing: k.publishing,
			FrontDoor: d.URL, FrontDoorKeys: []ed25519.PublicKey{d.keys.tickets.Public().(ed25519.PublicKey)},
			ClaimsURL: "http://" + d.Front.Claims(), BlindKeys: d.keys.blindKeys(),
			Mail: d.Mailbox, MailFrom: netmail.Address{Name: "Domicile", Address: "no-reply@" + t.zone + ".domicile.example"},
			Texts:    sms.Log{Log: d.o.Log, Keep: func(to portal.E164, text string) { d.Mailbox.KeepText(to, text, d.o.Now()) }},
			Outbound: d.outbound(),
		}
		if d.Regions[t.region], err = app.NewPortal(ctx, o); err != nil {
			return fmt.Errorf("region %s: %w", t.region, err)
		}
	}
	return nil
}

// outbound reaches the identity providers of the demo, on this very machine.
func (d *Demo) outbound() *http.Client {
	return fetch.New(fetch.Options{
		DangerouslyAllowLoopback: true, Log: d.o.Log,
		Dial: map[string]string{hostOf(d.host("idp")): d.server.Addr().String()},
	})
}
