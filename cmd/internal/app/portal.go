package app

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"net/http"
	netmail "net/mail"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/client"
	"github.com/domicile-sso/domicile/federation/oidc"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/mail"
	"github.com/domicile-sso/domicile/portal/publish"
	"github.com/domicile-sso/domicile/portal/sms"
	"github.com/domicile-sso/domicile/portal/store"
	"github.com/domicile-sso/domicile/portal/web"
	"github.com/domicile-sso/domicile/regions/consul"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// PortalOptions are the values a region's portals run on.
type PortalOptions struct {
	Common

	Region       string // "eu-central"
	RegionName   string // "Frankfurt"
	Jurisdiction string // "EU"
	HTTPS        bool   // browsers reach the portals by https

	// StandsInFor is the region whose portals are served here, from its database,
	// while its own processes are down; Region and its keys are this one's. Empty:
	// its own portals are.
	StandsInFor     string
	StandsInForName string // as people read it; empty: StandsInFor

	VaultKeys  [][]byte // the first seals
	TicketKeys []ticket.Key

	FrontDoor     string              // public URL of the global page; empty: the region stands alone
	FrontDoorKeys []ed25519.PublicKey // whose tickets are believed
	ClaimsURL     string              // of the front door's internal listener; empty: nothing is published
	ClaimsClient  *http.Client        // nil: one with a timeout
	ClaimsTLS     *serve.Certificate  // makes the client, if there is none: what to show, and whom to believe; may be nil
	Publishing    ed25519.PrivateKey
	BlindKeys     discovery.BlindKeys

	CountryHeader string // in which trusted proxies say the client's country; empty: they do not

	Lifetimes portal.Lifetimes // of sessions; zero: the usual
	Limits    web.Limits       // on strangers; zero: the usual

	Mail        mail.Sender // nil: letters stay in the queue
	MailFrom    netmail.Address
	MailReplyTo netmail.Address // zero: none
	Texts       sms.Sender      // nil: no text messages, and no factors that need them

	Outbound *http.Client // made by fetch.New: for addresses that customers typed

	Consul    *consul.Options // where to tell whether this process is ready; nil: nowhere
	Advertise string          // host:port where operators find this process
}

// Portal is the role of one region: all its portals, by host.
type Portal struct {
	*process
	store *store.Store
}

// Other processes, such as the operator's commands, change the same database.
// This is how long what they did may go unnoticed.
const lookEvery = 500 * time.Millisecond

// NewPortal wires the role. What was opened before an error is closed again.
func NewPortal(ctx context.Context, o PortalOptions) (_ *Portal, err error) {
	p := &Portal{process: newProcess(o.Common)}
	defer func() {
		if err != nil {
			_ = p.Stop(ctx)
		}
	}()
	if err := p.trace(ctx, "portal"); err != nil {
		return nil, err
	}
	vault, err := portal.NewVault(o.VaultKeys...)
	if err != nil {
		return nil, err
	}
	db, err := p.open(ctx, store.Migrations)
	if err != nil {
		return nil, err
	}
	p.store = store.New(db, vault, p.Now)
	if err := p.store.Settle(ctx, cmp.Or(o.StandsInFor, o.Region), o.Jurisdiction); err != nil {
		return nil, err
	}
	p.store.Lifetimes = o.Lifetimes
	p.store.Texts = o.Texts != nil && o.Mail != nil // one worker sends both
	if o.StandsInFor != "" {
		p.store.StandIn = o.Region
	}

	site, err := web.New(web.Options{
		Store: p.store, Now: p.Now,
		RelyingParty: oidc.New(o.Outbound, p.Now),
		Tickets:      &ticket.Opener{Region: o.Region, Keys: o.TicketKeys, FrontDoors: o.FrontDoorKeys, Now: p.Now},
		Region:       o.Region, RegionName: o.RegionName, Jurisdiction: o.Jurisdiction,
		StandsInFor: cmp.Or(o.StandsInForName, o.StandsInFor),
		FrontDoor:   o.FrontDoor, Publishing: o.Publishing, Product: o.Product,
		Limits: o.Limits, Log: p.Log, Metrics: p.Registry,
	})
	if err != nil {
		return nil, err
	}
	ready := p.ready(check{"database", p.serves(db)})
	p.handler = serve.Wrap(site, serve.Options{
		Site: "portal", Log: p.Log, Metrics: p.Registry, HTTPS: o.HTTPS, TrustedProxies: p.TrustedProxies, CountryHeader: o.CountryHeader,
		Error: site.Error, Ready: ready, Tracer: p.tracer, Routes: web.Routes(),
		SessionCookie: web.SessionCookie, CrossSite: web.CrossSite(), BodyLimits: web.BodyLimits(), Uploads: web.Uploads(),
	})
	if err := p.mail(o); err != nil {
		return nil, err
	}
	if err := p.imports(); err != nil {
		return nil, err
	}
	p.tellings()
	p.publish(o)
	p.every(time.Minute, "cleaning up", p.clean)
	p.watchStore(p.store)
	self := consul.Instance{Region: o.Region, Jurisdiction: o.Jurisdiction, StandsInFor: o.StandsInFor}
	if err := p.register(ctx, o.Consul, self, o.Advertise, ready); err != nil {
		return nil, err
	}

	if err := p.listen("public", p.Listen, p.Certificate, p.handler); err != nil {
		return nil, err
	}
	if err := p.listen("private", p.Private, nil, serve.Private(p.Registry, ready, p.degraded)); err != nil {
		return nil, err
	}
	return p, nil
}

// serves reports why the region's database cannot be worked with: everything a
// person does reads it and writes it.
func (p *Portal) serves(db *sql.DB) func(context.Context) error {
	asked := &probe{ask: func(ctx context.Context) error {
		if err := p.store.Answers(ctx); err != nil {
			return err
		}
		return sqldb.Writable(ctx, db)
	}}
	return asked.ready
}

// Store is the region's database, for the demo and for tests.
func (p *Portal) Store() *store.Store { return p.store }

func (p *Portal) mail(o PortalOptions) error {
	if o.Mail == nil {
		p.Log.Warn("no mail server: letters stay in the queue")
		return nil
	}
	w := &mail.Worker{Queue: p.store, Sender: o.Mail, From: o.MailFrom, ReplyTo: o.MailReplyTo, Log: p.Log, Now: p.Now, Every: lookEvery}
	if o.Texts != nil {
		desk, err := sms.NewDesk(o.Texts, p.Now, p.Registry)
		if err != nil {
			return err
		}
		w.Texts = desk
	}
	p.job(w.Run)
	return nil
}

func (p *Portal) publish(o PortalOptions) {
	if o.StandsInFor != "" {
		// Claims are signed by the region that the portals live in. What changes
		// here waits in the outbox for its processes.
		p.Log.Info("standing in: nothing is published", "for", o.StandsInFor)
		return
	}
	if o.ClaimsURL == "" {
		p.Log.Warn("no front door: nothing is published to the directory")
		return
	}
	if o.ClaimsClient == nil && o.ClaimsTLS != nil {
		o.ClaimsClient = o.ClaimsTLS.Client(30 * time.Second)
		p.watchCertificate("claims_client", o.ClaimsTLS)
	}
	box := outbox{p.store, make(chan struct{}, 1)}
	p.job(box.watch)
	p.job(publish.New(publish.Options{
		Region: o.Region, Keys: o.BlindKeys, Outbox: box, Log: p.Log, Now: p.Now, Metrics: p.Registry,
		Directory: &client.Client{URL: o.ClaimsURL, FrontDoor: o.FrontDoor, Region: o.Region, Key: o.Publishing, HTTP: o.ClaimsClient, Now: p.Now},
	}).Run)
}

// An outbox is the store's, and notices also what another process puts in.
type outbox struct {
	*store.Store
	changed chan struct{}
}

func (b outbox) Changed() <-chan struct{} { return b.changed }

func (b outbox) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.Store.Changed():
		case <-tick.C:
			if age, err := b.OutboxAge(ctx); err != nil || age == 0 {
				continue
			}
		}
		select {
		case b.changed <- struct{}{}:
		default: // the publisher has been told and has not looked yet
		}
	}
}

const cleanAtOnce = 1000

// clean removes what has expired, in small steps so that nobody waits for it.
func (p *Portal) clean(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := p.store.Cleanup(ctx, cleanAtOnce)
		if err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
		if n == 0 {
			return nil
		}
	}
	return nil
}
