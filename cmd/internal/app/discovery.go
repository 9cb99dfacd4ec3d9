package app

import (
	"context"
	"crypto/ed25519"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
	"github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/consul"
)

// DiscoveryOptions are the values a front door runs on.
type DiscoveryOptions struct {
	Common

	URL                 string // public URL: scheme and host
	Internal            string // listener for the regions' claims
	InternalCertificate *serve.Certificate

	Tickets   ed25519.PrivateKey // signs tickets
	Secrets   discovery.Secrets  // the newest first: seal cookies and what the cache keeps, tag the rows of the directory
	BlindKeys discovery.BlindKeys

	Roots     []ed25519.PublicKey // whose region records are believed
	Catalogue string              // file of signed records; empty: Consul has them
	Snapshot  string              // folder that keeps what a start without the database needs; empty: none
	Reread    time.Duration       // how often the catalogue is read; 0: 5 s
	Consul    *consul.Options     // carries records and health; nil: none

	Health func(name string) regions.Health // of regions' processes; nil: as Consul has it

	Replica string // postgres://… that lookups ask first; empty: none

	Redis        redis.UniversalClient // nil: none; closed by Stop
	RedisExposed string                // its address, when it is reached over a network without TLS

	Room store.Room // for what one region claims

	Near   int // answers kept in this process; 0: 100 000
	Limits web.Limits
}

// Discovery is the role of the front door.
type Discovery struct {
	*process
	store    *store.Store
	snapshot *discovery.Snapshot
	folder   string // of the snapshot; empty: none

	catalogue *regions.Catalogue
	roots     []ed25519.PublicKey
	file      string         // of the catalogue; empty: none
	reading   *dependency    // the file
	inFile    carried        // what the file has offered
	consul    *consul.Client // nil: none
	carrying  *dependency    // Consul
	inConsul  carried        // what Consul has offered
	early     early          // what they have offered too early
	exchanged atomic.Bool    // the database has the records that the catalogue has
	refused   *prometheus.CounterVec
}

// NewDiscovery wires the role. What was opened before an error is closed again.
func NewDiscovery(ctx context.Context, o DiscoveryOptions) (_ *Discovery, err error) {
	d := &Discovery{process: newProcess(o.Common), file: o.Catalogue, folder: o.Snapshot, snapshot: new(discovery.Snapshot), roots: o.Roots}
	defer func() {
		if err != nil {
			_ = d.Stop(ctx)
		}
	}()
	if o.Redis != nil {
		d.undo = append(d.undo, o.Redis.Close)
	}
	if err := d.trace(ctx, "discovery"); err != nil {
		return nil, err
	}
	if err := o.BlindKeys.Check(); err != nil {
		return nil, err
	}
	if err := d.openDirectory(o); err != nil {
		return nil, err
	}
	if err := d.openCatalogue(ctx, o); err != nil {
		return nil, err
	}
	if err := d.begin(ctx); err != nil {
		return nil, err
	}

	resolver := &discovery.Resolver{Snapshot: d.snapshot, Directory: d.store, Keys: o.BlindKeys, Regions: d.catalogue, Health: o.Health}
	if d.consul != nil && o.Health == nil {
		resolver.Health = d.consul.Health
	}
	site, err := web.New(web.Options{
		Resolver: resolver,
		Regions:  d.catalogue, URL: o.URL, Tickets: o.Tickets, Secrets: o.Secrets,
		Limits: o.Limits, Redis: o.Redis, Product: o.Product, Log: d.Log, Metrics: d.Registry, Now: d.Now,
	})
	if err != nil {
		return nil, err
	}
	d.watchRedis(o.Redis)
	d.examineRedis(o.Redis, o.RedisExposed)
	if err := d.serve(o, site); err != nil {
		return nil, err
	}
	return d, nil
}

// serve binds the listeners: the site, what regions claim, and what operators see.
func (d *Discovery) serve(o DiscoveryOptions, site *web.Site) error {
	public, err := url.Parse(o.URL)
	if err != nil {
		return err
	}
	ready := d.ready(d.leads()...)
	around := serve.Options{
		Site: "discovery", Log: d.Log, Metrics: d.Registry, HTTPS: public.Scheme == "https", TrustedProxies: d.TrustedProxies,
		Error: site.Error, Ready: ready, Tracer: d.tracer, Routes: web.Routes(),
	}
	d.handler = serve.Wrap(serve.OnlyHost(public.Host, site, site.Error), around)

	around.Site, around.TrustedProxies, around.Timeout, around.ContinueTraces = "claims", nil, 25*time.Second, true
	around.Routes = []string{"POST /claims"}
	around.BodyLimits = map[string]int64{"/claims": web.MaxClaims}
	intake := serve.Wrap(web.Intake(web.IntakeOptions{URL: o.URL, Store: d.store, Regions: d.catalogue,
		Certified: o.InternalCertificate.AsksCallers(), Log: d.Log, Now: d.Now}), around)

	if err := d.listen("public", d.Listen, d.Certificate, d.handler); err != nil {
		return err
	}
	if err := d.listen("claims", o.Internal, o.InternalCertificate, intake); err != nil {
		return err
	}
	return d.listen("private", d.Private, nil, serve.Private(d.Registry, ready, d.degraded))
}

// Store is the directory, for the benchmark and for tests.
func (d *Discovery) Store() *store.Store { return d.store }

// Claims is the address of the internal listener.
func (d *Discovery) Claims() string { return d.Addr("claims") }
