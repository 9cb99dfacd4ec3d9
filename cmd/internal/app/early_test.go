package app

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/regions"
)

// A record that was signed under a clock that is ahead counts when its time has
// come, though nothing changes at its carrier then.
func TestREG31EarlyRecords(t *testing.T) {
	w := newWorld(t)
	var ahead atomic.Int64
	w.at.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	d := w.front()
	refusals := func() float64 { return metric(t, d.Registry, "domicile_catalogue_refusals_total") }
	signed := w.record(w.root, func(r *regions.Record) { r.Version, r.Issued = 2, r.Issued.Add(10*time.Minute) })
	if err := regions.WriteFile(w.at.Catalogue, []string{signed}); err != nil {
		t.Fatal(err)
	}
	w.until("the record is refused", func() bool { return refusals() == 1 })
	if r, _ := d.catalogue.Region("eu-central"); r.Version != 1 {
		t.Fatalf("version %d", r.Version)
	}
	ahead.Store(int64(10 * time.Minute))
	w.until("it is taken", func() bool { r, _ := d.catalogue.Region("eu-central"); return r.Version == 2 })
	w.until("nothing is early any more", func() bool { return d.early.of(&d.inFile) == nil })
	if refusals() != 1 {
		t.Errorf("%v alarms of one record", refusals())
	}
}
