package app

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/regions"
)

// What a front door believes about regions stands in one catalogue. It comes from
// two carriers, a file and Consul, and lies in two places for the next start: the
// database, which all front doors share, and the snapshot folder. None of the four
// is an authority; the catalogue verifies each record, wherever it comes from.

// openCatalogue makes the catalogue and follows its carriers.
func (d *Discovery) openCatalogue(ctx context.Context, o DiscoveryOptions) error {
	d.catalogue = regions.NewCatalogue(o.Roots, d.Now)
	d.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_catalogue_refusals_total",
		Help: "Region records that the catalogue offered and the front door did not believe, by code; unreadable is the whole file.",
	}, []string{"code"})
	d.Registry.MustRegister(d.refused, newRecords(d.catalogue, o.Roots))
	d.reading = d.depend("catalogue")
	if d.file != "" {
		d.job(func(ctx context.Context) { regions.Watch(ctx, d.file, cmp.Or(o.Reread, 5*time.Second), d.take) })
	}
	d.every(cmp.Or(o.Reread, 5*time.Second), "trying records again that were too early", d.tryEarly)
	d.every(time.Second, "exchanging region records with the database", d.exchangeLater)
	if o.Consul == nil {
		return nil
	}
	with := *o.Consul
	with.Regions = d.catalogue
	c, err := d.consulClient(ctx, with)
	if err != nil {
		return err
	}
	d.consul, d.carrying = c, d.depend("consul")
	d.job(func(ctx context.Context) { c.Watch(ctx, d.hear) })
	d.job(c.WatchHealth)
	return nil
}

// firstRecords reads the catalogue. That its file cannot be read is no reason not
// to start as long as a region is known, and neither is that Consul is away: it
// will be back without anybody's help.
func (d *Discovery) firstRecords(ctx context.Context) error {
	d.ask(ctx)
	if d.file == "" {
		return nil
	}
	records, err := regions.ReadFile(d.file)
	if err != nil && len(d.catalogue.Regions()) == 0 && d.consul == nil {
		return err
	}
	d.take(records, err)
	return nil
}

// take applies what the catalogue's file holds.
func (d *Discovery) take(records []string, err error) {
	d.reading.tell(err)
	if err != nil {
		d.refused.WithLabelValues("unreadable").Inc()
		d.Log.Error("the catalogue cannot be read; the last good records stay", "err", err)
		return
	}
	d.accept(records, &d.inFile)
}

// accept applies the records of a carrier and keeps what is good.
func (d *Discovery) accept(records []string, from *carried) {
	lowered := from.lowers(records, d.roots)
	refused := d.catalogue.Apply(records)
	d.early.note(from, records, refused)
	for _, err := range refused {
		var refusal *regions.Refusal
		if errors.As(err, &refusal) {
			if refusal.Code == regions.RolledBack && d.carriers() > 1 && !lowered[refusal.Region] {
				d.Log.Info("a carrier of region records is behind the other one", "region", refusal.Region)
				continue
			}
			d.refused.WithLabelValues(string(refusal.Code)).Inc()
		}
		d.Log.Error("a region's record was refused; the last good one stays", "err", err)
	}
	d.exchanged.Store(false)
	if d.store.State().Away.IsZero() {
		if err := d.exchangeLater(context.Background()); err != nil {
			d.Log.Error("region records could not be saved yet", "err", err)
		}
	}
	d.keepRegions()
}

// Reload reads the catalogue again, now.
func (d *Discovery) Reload() {
	if d.file != "" {
		d.take(regions.ReadFile(d.file))
	}
	d.ask(context.Background())
}

// hear applies what Consul holds. Its being away is not the alarm that a record
// which is refused is.
func (d *Discovery) hear(records []string, err error) {
	d.carrying.tell(err)
	if err != nil {
		d.Log.Error("Consul cannot be read; the last good records stay", "err", err)
		return
	}
	d.accept(records, &d.inConsul)
}

// ask reads Consul's records once, now.
func (d *Discovery) ask(ctx context.Context) {
	if d.consul == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	d.hear(d.consul.Records(ctx))
}

// carriers is how many carriers of records there are.
func (d *Discovery) carriers() (n int) {
	if d.file != "" {
		n++
	}
	if d.consul != nil {
		n++
	}
	return n
}

// A carried is what one carrier has offered so far: of each region, the highest
// version. Of two carriers one may be behind the other, and that is no attack; a
// carrier that goes back behind what it had is.
type carried struct {
	mu      sync.Mutex
	highest map[string]int64
}

// lowers says of which regions records has a lower version than was offered.
func (c *carried) lowers(records []string, roots []ed25519.PublicKey) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.highest == nil {
		c.highest = map[string]int64{}
	}
	var offered []regions.Record
	for _, signed := range records {
		if r, err := regions.Inspect(signed, roots); err == nil {
			offered = append(offered, r)
			c.highest[r.Region] = max(c.highest[r.Region], r.Version)
		}
	}
	lowered := map[string]bool{}
	for _, r := range offered {
		lowered[r.Region] = lowered[r.Region] || r.Version < c.highest[r.Region]
	}
	return lowered
}

// remember fills the catalogue with the regions last believed.
func (d *Discovery) remember() {
	if d.folder == "" {
		return
	}
	kept, err := regions.ReadFile(filepath.Join(d.folder, keptRegions))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.Log.Warn("the regions last believed cannot be read", "err", err)
	}
	d.believe(kept)
}

// believe applies records that were believed before. One that no longer is, or is
// older than what is known by now, is no news.
func (d *Discovery) believe(kept []string) {
	for _, err := range d.catalogue.Apply(kept) {
		d.Log.Debug("a region's record kept from before is not believed", "err", err)
	}
}

// exchange brings the catalogue and the records in the database to the same
// versions, so that on either side an older record is a roll-back.
func (d *Discovery) exchange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	known, err := d.store.LoadRecords(ctx)
	if err != nil {
		return err
	}
	d.believe(known)
	if err := d.store.SaveRecords(ctx, d.catalogue.Signed()); err != nil {
		return err
	}
	d.exchanged.Store(true)
	return nil
}

// exchangeLater is exchange for when the database was away.
func (d *Discovery) exchangeLater(ctx context.Context) error {
	select {
	case <-d.store.Met():
	default:
		return nil
	}
	if d.exchanged.Load() {
		return nil
	}
	if err := d.exchange(ctx); err != nil {
		return err
	}
	d.keepRegions()
	return nil
}

// keepRegions writes the regions that are believed to the snapshot.
func (d *Discovery) keepRegions() {
	if d.folder == "" {
		return
	}
	if err := regions.WriteFile(filepath.Join(d.folder, keptRegions), d.catalogue.Signed()); err != nil {
		d.Log.Error("region records could not be kept for a start without the database", "err", err)
	}
}

// records is a collector of what the regions' records say. Expired ones are
// still told of: an alarm must not end because what it warned of has come.
type records struct {
	catalogue *regions.Catalogue
	roots     []ed25519.PublicKey
	expiry    *prometheus.Desc
	version   *prometheus.Desc
}

func newRecords(c *regions.Catalogue, roots []ed25519.PublicKey) records {
	return records{c, roots,
		prometheus.NewDesc("domicile_region_record_expiry_timestamp_seconds", "When the region's signed record ends.", []string{"region"}, nil),
		prometheus.NewDesc("domicile_region_record_version", "The version of the region's signed record.", []string{"region", "jurisdiction"}, nil),
	}
}

func (r records) Describe(ch chan<- *prometheus.Desc) { ch <- r.expiry; ch <- r.version }

func (r records) Collect(ch chan<- prometheus.Metric) {
	for _, signed := range r.catalogue.Signed() {
		record, err := regions.Inspect(signed, r.roots)
		if err != nil {
			continue // it was accepted, so its root is gone: nobody is led by it any more
		}
		ch <- prometheus.MustNewConstMetric(r.expiry, prometheus.GaugeValue, float64(record.Expires.Unix()), record.Region)
		ch <- prometheus.MustNewConstMetric(r.version, prometheus.GaugeValue, float64(record.Version), record.Region, record.Jurisdiction)
	}
}
