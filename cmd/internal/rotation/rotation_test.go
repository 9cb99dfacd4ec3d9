package rotation

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal/store"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// TestRotation replaces every key twice in a week, while people sign in. Nobody
// may fail to, nobody may be told an untruth, and at the end nothing may depend
// on a key of the beginning.
func TestRotation(t *testing.T) {
	f := newFleet(t)
	f.until("the directory knows everybody, at both front doors", func() bool {
		return f.published("1") && !slices.ContainsFunc(f.front.all(), func(n *node) bool { return sum(t, n, "domicile_directory_routes") != 3 })
	})
	began, first := f.clock.Now(), f.allKeys()
	f.people()
	f.everybody()
	for _, rotate := range []func(*fleet){cookieKeys, blindKeys, ticketKeys, publishingKeys, signingKeys, rootKeys, dataKeys} {
		for range 2 {
			rotate(f)
			f.everybody()
		}
	}
	if week := f.clock.Now().Sub(began); week < 6*24*time.Hour || week > 8*24*time.Hour {
		t.Errorf("the week had %v", week)
	}
	for name, keys := range f.allKeys() {
		for _, k := range keys {
			if slices.ContainsFunc(first[name], func(old []byte) bool { return bytes.Equal(old, k) }) {
				t.Errorf("%s: a key of the beginning is in use", name)
			}
		}
	}
	f.nothingLeft()
	for _, bad := range []string{"without the tag", "claim refused", "record was refused", "not believed", "level=ERROR"} {
		if i := strings.Index(f.log.String(), bad); i >= 0 {
			t.Errorf("the log says %q: %.300s", bad, f.log.String()[i:])
		}
	}
	done, _ := f.load.counts()
	t.Logf("journeys: %v", done)
}

// Cookie keys.
func cookieKeys(f *fleet) {
	old, fresh := f.frontKeys.cookie[0], random()
	f.step("cookie key, 1: the new key behind the old one at the front doors", func() {
		f.frontKeys.cookie = [][]byte{old, fresh}
		f.restart(&f.front)
	})
	f.step("cookie key, 2: the new key in front", func() {
		f.frontKeys.cookie = [][]byte{fresh, old}
		f.restart(&f.front)
	})
	f.step("cookie key, 3: directory status says that no row depends on the old key", func() {
		f.until("no row has a tag of the old key", func() bool { return f.census().Older == 0 })
	})
	f.step("cookie key, 4: the new key alone", func() {
		f.frontKeys.cookie = [][]byte{fresh}
		f.restart(&f.front)
	})
}

// Blind-ID keys.
func blindKeys(f *fleet) {
	old := f.frontKeys.blind[0]
	fresh := discovery.NewBlindKey(old.Version+1, random())
	f.step("blind-ID key, 1: the new version beside the old one at the front doors", func() {
		f.frontKeys.blind = discovery.BlindKeys{old, fresh}
		f.restart(&f.front)
	})
	f.step("blind-ID key, 2: the new version in front in the regions", func() {
		f.regionKeys.blind = discovery.BlindKeys{fresh, old}
		f.restart(&f.region)
		f.until("everything is claimed under both", func() bool { return f.published(both(old.Version)) })
	})
	f.equalCost()
	f.step("blind-ID key, 3: the new version alone in the regions", func() {
		f.regionKeys.blind = discovery.BlindKeys{fresh}
		f.restart(&f.region)
		f.until("nothing is claimed under the old one", func() bool {
			return f.published(one(fresh.Version)) && f.census().Entries[old.Version] == 0
		})
	})
	f.step("blind-ID key, 4: the new version alone at the front doors", func() {
		f.frontKeys.blind = discovery.BlindKeys{fresh}
		f.restart(&f.front)
	})
}

// Ticket keys of a region.
func ticketKeys(f *fleet) {
	old, fresh := f.regionKeys.ticket[0], ticketKey(f.t)
	f.step("ticket key, 1: the new key in front of the old one in the region", func() {
		f.regionKeys.ticket = []ticket.Key{fresh, old}
		f.restart(&f.region)
	})
	f.step("ticket key, 2: the record with the new key alone", func() {
		f.described.ticket = []regions.TicketKey{fresh.Public()}
		f.sign()
	})
	f.step("ticket key, 3: the new key alone in the region", func() {
		f.regionKeys.ticket = []ticket.Key{fresh}
		f.restart(&f.region)
	})
}

// Publishing keys of a region.
func publishingKeys(f *fleet) {
	fresh := signingKey()
	f.step("publishing key, 1: the record with both keys", func() {
		f.described.publishing = append(f.described.publishing, publishingKey(fresh))
		f.sign()
	})
	f.step("publishing key, 2: the new key in the region", func() {
		f.regionKeys.publishing = fresh
		f.restart(&f.region)
	})
	f.step("publishing key, 3: the record with the new key alone", func() {
		f.described.publishing = []regions.PublishingKey{publishingKey(fresh)}
		f.sign()
		f.withRegion(func(s *store.Store) error { return s.Republish(f.t.Context()) })
		f.until("claims by the new key are taken", func() bool { return f.published(one(f.regionKeys.blind[0].Version)) })
	})
}

// Front-door ticket-signing keys.
func signingKeys(f *fleet) {
	fresh := signingKey()
	f.step("signing key, 1: both public keys in the regions", func() {
		f.regionKeys.signing = append(f.regionKeys.signing, public(fresh))
		f.restart(&f.region)
	})
	f.step("signing key, 2: the new key at the front doors", func() {
		f.frontKeys.signing = fresh
		f.restart(&f.front)
	})
	f.step("signing key, 3: the new public key alone in the regions", func() {
		f.regionKeys.signing = []ed25519.PublicKey{public(fresh)}
		f.restart(&f.region)
	})
}

// Root keys.
func rootKeys(f *fleet) {
	fresh := signingKey()
	f.step("root key, 1: both public keys at the front doors", func() {
		f.frontKeys.roots = append(f.frontKeys.roots, public(fresh))
		f.restart(&f.front)
	})
	f.step("root key, 2: every record by the new key", func() {
		f.root = fresh
		f.sign()
	})
	f.step("root key, 3: the new public key alone at the front doors", func() {
		f.frontKeys.roots = []ed25519.PublicKey{public(fresh)}
		f.restart(&f.front)
	})
}

// Data keys of a region.
func dataKeys(f *fleet) {
	old, fresh := f.regionKeys.data[0], random()
	f.step("data key, 1: the new key behind the old one in the region", func() {
		f.regionKeys.data = [][]byte{old, fresh}
		f.restart(&f.region)
	})
	f.step("data key, 2: the new key in front", func() {
		f.regionKeys.data = [][]byte{fresh, old}
		f.restart(&f.region)
	})
	f.step("data key, 3: keys reseal, until keys status says that nothing depends on the old key", func() {
		f.withRegion(func(s *store.Store) error {
			n, err := s.Reseal(f.t.Context())
			if n == 0 {
				f.t.Error("nothing was sealed by the old key")
			}
			return err
		})
	})
	f.step("data key, 4: the new key alone", func() {
		f.regionKeys.data = [][]byte{fresh}
		f.restart(&f.region)
	})
}

// step does one step, lets people sign in and look up since, and some hours pass.
func (f *fleet) step(name string, do func()) {
	f.t.Helper()
	began := time.Now()
	do()
	f.somebody()
	if _, failures := f.load.counts(); len(failures) > 0 {
		f.t.Fatalf("%s: %d failures, such as\n%s\nand the log says\n%s", name, len(failures),
			strings.Join(failures[:min(len(failures), 5)], "\n"), troubles(&f.log))
	}
	f.t.Logf("%-80s %v", name, time.Since(began).Round(time.Millisecond))
	f.pass(3*time.Hour + 30*time.Minute)
}

// pass moves the clock, at a moment when nobody is signing in.
func (f *fleet) pass(d time.Duration) {
	f.gate.Lock()
	defer f.gate.Unlock()
	f.clock.pass(d)
}

func (f *fleet) restart(r *role) {
	f.t.Helper()
	if err := r.restart(f.t.Context(), f.everybody); err != nil {
		f.t.Fatal(err)
	}
}

// sign signs the region's description, and waits until all front doors know.
func (f *fleet) sign() {
	f.t.Helper()
	f.writeRecord()
	f.until("the front doors know the record", func() bool {
		return !slices.ContainsFunc(f.front.all(), func(n *node) bool {
			return sum(f.t, n, "domicile_region_record_version") != float64(f.version)
		})
	})
}

// everybody waits until every journey has been made since.
func (f *fleet) everybody() {
	f.t.Helper()
	f.journeysSince(func(made, kinds int) bool { return made == kinds })
}

// somebody waits until a journey of every queue has been made since.
func (f *fleet) somebody() {
	f.t.Helper()
	f.journeysSince(func(made, _ int) bool { return made > 0 })
}

// journeysSince waits until enough kinds of journeys of each queue have been made
// since, or one has failed.
func (f *fleet) journeysSince(enough func(made, kinds int) bool) {
	f.t.Helper()
	before, _ := f.load.counts()
	f.until("people have signed in", func() bool {
		now, failures := f.load.counts()
		for _, queue := range f.journeys() {
			made := 0
			for _, j := range queue {
				if now[j.kind] > before[j.kind] {
					made++
				}
			}
			if !enough(made, len(queue)) {
				return len(failures) > 0
			}
		}
		return true
	})
}

func (f *fleet) until(what string, done func() bool) {
	f.t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			_, failures := f.load.counts()
			f.t.Fatalf("never: %s; %d failures %.500q; the log says\n%s", what, len(failures), failures, troubles(&f.log))
		}
	}
}

// published is domicile keys status: the directory has confirmed everything under
// these versions of the blinding key.
func (f *fleet) published(versions string) (all bool) {
	f.t.Helper()
	f.withRegion(func(s *store.Store) error {
		got, waiting, err := s.Published(f.t.Context())
		all = got == versions && waiting == 0
		return err
	})
	return all
}

func one(v byte) string { return string('0' + rune(v)) }

func both(v byte) string { return one(v) + "," + one(v+1) }

// sum adds up a metric of a node over its labels.
func sum(t testing.TB, n *node, name string) (total float64) {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			switch family.GetType() {
			case dto.MetricType_GAUGE:
				total += m.GetGauge().GetValue()
			case dto.MetricType_COUNTER:
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

// equalCost is REG-03: while there are two versions, a lookup asks for both of
// them, whoever it is about.
func (f *fleet) equalCost() {
	f.t.Helper()
	f.gate.Lock()
	defer f.gate.Unlock()
	asked := func() (n float64) {
		for _, node := range f.front.all() {
			n += sum(f.t, node, "domicile_directory_cache_total")
		}
		return n
	}
	for address, portals := range map[string][]string{pat: {"acme"}, mia: {"acme", "beta"}, eve: nil} {
		before := asked()
		if err := f.visitor().looksUp(f.t.Context(), address, portals...); err != nil {
			f.t.Error(err)
		}
		if n := asked() - before; n != 2 {
			f.t.Errorf("looking up %s asked for %v blind IDs", address, n)
		}
	}
}

// allKeys are the keys of all configurations, and the one that lies offline.
func (f *fleet) allKeys() map[string][][]byte {
	keys := map[string][][]byte{
		"cookie": f.frontKeys.cookie, "data": f.regionKeys.data, "root": {f.root},
		"signing": {f.frontKeys.signing}, "publishing": {f.regionKeys.publishing},
	}
	for _, k := range slices.Concat(f.frontKeys.blind, f.regionKeys.blind) {
		keys["blind"] = append(keys["blind"], []byte{k.Version})
	}
	for _, k := range f.regionKeys.ticket {
		keys["ticket"] = append(keys["ticket"], []byte(k.Text()))
	}
	for _, k := range slices.Concat(f.frontKeys.roots, f.regionKeys.signing) {
		keys["believed"] = append(keys["believed"], k)
	}
	for _, k := range f.described.ticket {
		keys["in the record"] = append(keys["in the record"], k.Public)
	}
	for _, k := range f.described.publishing {
		keys["in the record"] = append(keys["in the record"], k.Public)
	}
	return keys
}

// nothingLeft insists that both databases are what they were, under the keys of
// now alone.
func (f *fleet) nothingLeft() {
	f.t.Helper()
	got := f.census()
	if got.Portals != 2 || got.Routes != 3 || got.Older != 0 || got.Forged != 0 || !got.Whole || len(got.Entries) != 1 || got.Entries[3] != 6 {
		f.t.Errorf("the directory holds %+v", got)
	}
	f.withRegion(func(s *store.Store) error {
		all, err := s.SealedValues(f.t.Context())
		for _, v := range all {
			if v.Older > 0 || v.Unknown > 0 {
				f.t.Errorf("%d %s by older keys, %d by unknown ones", v.Older, v.What, v.Unknown)
			}
		}
		return err
	})
	for _, n := range f.front.all() {
		if forged := sum(f.t, n, "domicile_directory_rows_refused_total"); forged != 0 {
			f.t.Errorf("%v rows were taken for forged", forged)
		}
	}
}
