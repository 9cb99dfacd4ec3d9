package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
	"github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/regions"
)

// DiscoveryOptions are the values a front door runs on.
type DiscoveryOptions struct {
	Common

	URL                 string // public URL: scheme and host
	Internal            string // listener for the regions' claims
	InternalCertificate *serve.Certificate

	Tickets   ed25519.PrivateKey // signs tickets
	Secret    []byte             // seals cookies and what the cache keeps
	BlindKeys discovery.BlindKeys

	Roots     []ed25519.PublicKey // whose region records are believed
	Catalogue string              // file of signed records
	LastGood  string              // file that keeps what was believed last; empty: the database alone does
	Reread    time.Duration       // how often the catalogue is read; 0: 5 s

	Redis  redis.UniversalClient // nil: none; closed by Stop
	Limits web.Limits
}

// Discovery is the role of the front door.
type Discovery struct {
	*process
	store     *store.Store
	catalogue *regions.Catalogue
	file      string
	lastGood  string
	refused   *prometheus.CounterVec
}

// NewDiscovery wires the role. What was opened before an error is closed again.
func NewDiscovery(ctx context.Context, o DiscoveryOptions) (_ *Discovery, err error) {
	d := &Discovery{process: newProcess(o.Common), file: o.Catalogue, lastGood: o.LastGood}
	defer func() {
		if err != nil {
			_ = d.Stop(ctx)
		}
	}()
	if o.Redis != nil {
		d.undo = append(d.undo, o.Redis.Close)
	}
	public, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	if err := o.BlindKeys.Check(); err != nil {
		return nil, err
	}
	db, err := d.open(ctx, store.Migrations)
	if err != nil {
		return nil, err
	}
	cache, err := store.NewCache(store.CacheOptions{Key: o.Secret, Redis: o.Redis, Log: d.Log, Metrics: d.Registry, Now: d.Now})
	if err != nil {
		return nil, err
	}
	tags, err := store.NewTagKey(o.Secret)
	if err != nil {
		return nil, err
	}
	snapshot := new(discovery.Snapshot)
	d.store = store.New(db, store.Options{Snapshot: snapshot, Tags: tags, Cache: cache, Log: d.Log, Metrics: d.Registry, Now: d.Now})
	d.catalogue = regions.NewCatalogue(o.Roots, d.Now)
	d.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_catalogue_refusals_total",
		Help: "Region records that the catalogue offered and the front door did not believe, by code; unreadable is the whole file.",
	}, []string{"code"})
	d.Registry.MustRegister(d.refused)
	if err := d.firstRecords(ctx); err != nil {
		return nil, err
	}

	site, err := web.New(web.Options{
		Resolver: &discovery.Resolver{Snapshot: snapshot, Directory: d.store, Keys: o.BlindKeys, Regions: d.catalogue},
		Regions:  d.catalogue, URL: o.URL, Tickets: o.Tickets, Secret: o.Secret,
		Limits: o.Limits, Redis: o.Redis, Product: o.Product, Log: d.Log, Metrics: d.Registry, Now: d.Now,
	})
	if err != nil {
		return nil, err
	}
	// The database is not asked: without it, domains and the last good snapshot
	// still lead people on.
	ready := d.ready(
		check{"snapshot", func(context.Context) error { return when(!snapshot.Ready(), "nothing read from the database yet") }},
		check{"catalogue", func(context.Context) error {
			return when(len(d.catalogue.Regions()) == 0, "no region has a valid record")
		}},
	)
	around := serve.Options{
		Site: "discovery", Log: d.Log, Metrics: d.Registry, HTTPS: public.Scheme == "https", TrustedProxies: d.TrustedProxies,
		Error: site.Error, Ready: ready,
	}
	d.handler = serve.Wrap(serve.OnlyHost(public.Host, site, site.Error), around)

	around.Site, around.TrustedProxies, around.Timeout = "claims", nil, 25*time.Second
	around.BodyLimits = map[string]int64{"/claims": web.MaxClaims}
	intake := serve.Wrap(web.Intake(web.IntakeOptions{Store: d.store, Regions: d.catalogue, Log: d.Log, Now: d.Now}), around)

	d.job(func(ctx context.Context) { d.store.Watch(ctx, time.Second) })
	d.job(func(ctx context.Context) { regions.Watch(ctx, d.file, or(o.Reread, 5*time.Second), d.take) })

	if _, err := d.listen("public", d.Listen, d.Certificate, d.handler); err != nil {
		return nil, err
	}
	if _, err := d.listen("claims", o.Internal, o.InternalCertificate, intake); err != nil {
		return nil, err
	}
	if _, err := d.listen("private", d.Private, nil, serve.Private(d.Registry, ready)); err != nil {
		return nil, err
	}
	return d, nil
}

// Store is the directory, for the benchmark and for tests.
func (d *Discovery) Store() *store.Store { return d.store }

// Claims is the address of the internal listener.
func (d *Discovery) Claims() string { return d.Addr("claims") }

// firstRecords fills the catalogue before the first request: with the last good
// records, then with what the file has now. A broken file is
// no reason not to start as long as something is known.
func (d *Discovery) firstRecords(ctx context.Context) error {
	known, err := d.store.LoadRecords(ctx)
	if err != nil {
		return err
	}
	if d.lastGood != "" {
		kept, err := regions.ReadFile(d.lastGood)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.Log.Warn("the regions last believed cannot be read", "err", err)
		}
		known = append(known, kept...)
	}
	for _, err := range d.catalogue.Apply(known) {
		d.Log.Debug("a region's record kept from before is not believed", "err", err)
	}
	records, err := regions.ReadFile(d.file)
	if err != nil && len(d.catalogue.Regions()) == 0 {
		return err
	}
	d.take(records, err)
	return nil
}

// take applies what the catalogue's file holds and keeps what is good.
func (d *Discovery) take(records []string, err error) {
	if err != nil {
		d.refused.WithLabelValues("unreadable").Inc()
		d.Log.Error("the catalogue cannot be read; the last good records stay", "err", err)
		return
	}
	for _, err := range d.catalogue.Apply(records) {
		var refusal *regions.Refusal
		if errors.As(err, &refusal) {
			d.refused.WithLabelValues(string(refusal.Code)).Inc()
		}
		d.Log.Error("a region's record was refused; the last good one stays", "err", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := d.store.SaveRecords(ctx, d.catalogue.Signed()); err != nil {
		d.Log.Error("region records could not be saved for the next start", "err", err)
	}
	if d.lastGood == "" {
		return
	}
	if err := regions.WriteFile(d.lastGood, d.catalogue.Signed()); err != nil {
		d.Log.Error("region records could not be kept in a file", "err", err)
	}
}

// Reload reads the catalogue again, now.
func (d *Discovery) Reload() { d.take(regions.ReadFile(d.file)) }

func when(bad bool, why string) error {
	if bad {
		return errors.New(why)
	}
	return nil
}

func or(d, usual time.Duration) time.Duration {
	if d == 0 {
		return usual
	}
	return d
}
