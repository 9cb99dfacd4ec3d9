package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/directorytest"
	"github.com/domicile-sso/domicile/discovery/store"
	"github.com/domicile-sso/domicile/regions"
)

var cacheKey = bytes.Repeat([]byte{7}, 32)

func tagKey(n byte) store.TagKey {
	key, err := store.NewTagKey([][]byte{bytes.Repeat([]byte{n}, 32)})
	if err != nil {
		panic(err) // 32 bytes are enough
	}
	return key
}

func newCache(t *testing.T, client redis.UniversalClient) *store.Cache {
	t.Helper()
	c, err := store.NewCache(store.CacheOptions{Secrets: [][]byte{cacheKey}, Redis: client})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func subject(db *sql.DB, cache *store.Cache) directorytest.Subject {
	s := store.New(db, store.Options{Snapshot: new(discovery.Snapshot), Tags: tagKey(1), Cache: cache, Metrics: prometheus.NewRegistry()})
	return directorytest.Subject{Directory: s, Apply: s.Apply, Break: func() { _ = db.Close() }}
}

func TestDirectory(t *testing.T) {
	dbs := func(t *testing.T, run func(*testing.T, func(*testing.T) *sql.DB)) {
		t.Run("sqlite", func(t *testing.T) {
			run(t, func(t *testing.T) *sql.DB { return sqltest.SQLite(t, store.Migrations) })
		})
		t.Run("postgres", func(t *testing.T) {
			run(t, func(t *testing.T) *sql.DB { return sqltest.Postgres(t, store.Migrations) })
		})
	}
	dbs(t, func(t *testing.T, open func(*testing.T) *sql.DB) {
		t.Run("bare", func(t *testing.T) {
			directorytest.Test(t, func(t *testing.T) directorytest.Subject { return subject(open(t), nil) })
		})
		t.Run("cached", func(t *testing.T) {
			directorytest.Test(t, func(t *testing.T) directorytest.Subject { return subject(open(t), newCache(t, nil)) })
		})
	})
	t.Run("redis", func(t *testing.T) {
		addr := servertest.Redis(t)
		directorytest.Test(t, func(t *testing.T) directorytest.Subject {
			client := redis.NewClient(&redis.Options{Addr: addr})
			t.Cleanup(func() { _ = client.Close() })
			if err := client.FlushDB(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			return subject(sqltest.SQLite(t, store.Migrations), newCache(t, client))
		})
	})
	t.Run("redis that is not there", func(t *testing.T) {
		directorytest.Test(t, func(t *testing.T) directorytest.Subject {
			client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
			t.Cleanup(func() { _ = client.Close() })
			return subject(sqltest.SQLite(t, store.Migrations), newCache(t, client))
		})
	})
}

var (
	eu = regions.Record{Region: "eu-central", Jurisdiction: "EU", Version: 1, Hosts: []string{"*.eu.example.com"}}
	us = regions.Record{Region: "us-east", Jurisdiction: "US", Version: 1, Hosts: []string{"*.us.example.com", "*.eu.example.com"}}
)

type fixture struct {
	*store.Store
	t        *testing.T
	snapshot *discovery.Snapshot
	log      *bytes.Buffer
}

func newFixture(t *testing.T, db *sql.DB) *fixture {
	f := &fixture{t: t, snapshot: new(discovery.Snapshot), log: new(bytes.Buffer)}
	f.Store = store.New(db, store.Options{Snapshot: f.snapshot, Tags: tagKey(1), Log: slog.New(slog.NewTextHandler(f.log, nil))})
	return f
}

func (f *fixture) apply(by regions.Record, claims ...discovery.Claim) {
	f.t.Helper()
	r, err := f.Apply(f.t.Context(), by, discovery.Batch{Region: by.Region, Claims: claims})
	if err != nil {
		f.t.Fatal(err)
	}
	if want := claims[len(claims)-1].Seq; r.Last != want {
		f.t.Fatalf("the receipt says %d, want %d", r.Last, want)
	}
}

func (f *fixture) refused(want string) {
	f.t.Helper()
	if !strings.Contains(f.log.String(), want) {
		f.t.Errorf("no refusal for %q in the log:\n%s", want, f.log)
	}
	f.log.Reset()
}

func portal(seq int64, region, id, url string) discovery.Claim {
	return discovery.Claim{Seq: seq, Portal: &discovery.Portal{ID: id, Name: "The " + id, URL: url, Disclosure: discovery.Listed, Region: region}}
}

func route(seq int64, domain, portal string) discovery.Claim {
	return discovery.Claim{Seq: seq, Route: &discovery.Route{Domain: domain, Portal: portal, Connection: "idp", SignIn: []discovery.SignIn{discovery.SAML}}}
}

func gone(c discovery.Claim) discovery.Claim {
	c.Gone = true
	return c
}

func (f *fixture) leads(domain string, portals ...string) {
	f.t.Helper()
	got := []string{}
	for _, r := range f.snapshot.Routes(domain) {
		got = append(got, r.Portal)
	}
	if diff := cmp.Diff(append([]string{}, portals...), got); diff != "" {
		f.t.Errorf("%s (-want +got):\n%s", domain, diff)
	}
}

func TestApplyReloadsTheSnapshot(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f, other := newFixture(t, db), newFixture(t, db)
		if err := f.Refresh(t.Context()); err != nil || !f.snapshot.Ready() {
			t.Fatalf("an empty directory is no snapshot: %v", err)
		}
		f.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"), route(2, "acme.example", "acme"), route(3, "*.acme.example", "acme"))
		f.leads("acme.example", "acme")
		f.leads("a.b.acme.example", "acme")
		if err := other.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		other.leads("acme.example", "acme")

		f.apply(eu, gone(route(4, "acme.example", "acme")))
		f.leads("acme.example")
		f.apply(eu, gone(portal(5, "", "acme", "")))
		f.leads("a.b.acme.example")
		if _, ok := f.snapshot.Portal("acme"); ok {
			t.Error("a portal that is gone can be found")
		}
		// A portal may go and come back, in another region too.
		f.apply(us, portal(1, "us-east", "acme", "https://acme.us.example.com"))
		if p, _ := f.snapshot.Portal("acme"); p.Region != "us-east" {
			t.Errorf("the portal moved to %q, want us-east", p.Region)
		}
		f.leads("a.b.acme.example") // what the old region said of it is past
	})
}

func TestDIS06FirstClaimStays(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		f.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"))
		f.apply(us,
			portal(1, "us-east", "acme", "https://acme.us.example.com"),
			portal(2, "us-east", "evil", "https://acme.eu.example.com"),
			portal(3, "eu-central", "lent", "https://lent.us.example.com"),
			portal(4, "us-east", "far", "https://far.example.net"),
			route(5, "acme.example", "acme"),
			portal(6, "us-east", "fine", "https://fine.us.example.com"))
		if p, _ := f.snapshot.Portal("acme"); p.URL != "https://acme.eu.example.com" {
			t.Errorf("acme is now at %s", p.URL)
		}
		for _, id := range []string{"evil", "lent", "far"} {
			if _, ok := f.snapshot.Portal(id); ok {
				t.Errorf("%s was taken in", id)
			}
		}
		if _, ok := f.snapshot.Portal("fine"); !ok {
			t.Error("a refused claim holds up the next")
		}
		f.leads("acme.example")
		f.refused("another region")
	})
}

// Two regions claim one new ID at the same moment: the one that is written down
// first keeps it, although the other has looked before that.
func TestFirstClaimStaysInARace(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		f.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"))
		var tag []byte
		if err := db.QueryRow(`DELETE FROM portals WHERE id = 'acme' RETURNING tag`).Scan(&tag); err != nil {
			t.Fatal(err)
		}
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.Exec(`INSERT INTO portals (id, region, name, url, disclosure, gone, seq, tag)
			VALUES ('acme', 'eu-central', 'The acme', 'https://acme.eu.example.com', 'listed', FALSE, 1, $1)`, tag); err != nil {
			t.Fatal(err)
		}
		var second sync.WaitGroup
		second.Go(func() { f.apply(us, portal(1, "us-east", "acme", "https://acme.us.example.com")) })
		// SQLite lets it look only after us. PostgreSQL lets it look, and wait to write.
		for waiting := 0; waiting == 0; {
			if db.QueryRow(`SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting) != nil {
				break
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		second.Wait()
		f.refused("another region")
		var region string
		if err := db.QueryRow(`SELECT region FROM portals WHERE id = 'acme'`).Scan(&region); err != nil || region != "eu-central" {
			t.Errorf("acme now belongs to %s (%v)", region, err)
		}
	})
}

func TestDIS05DomainsOfNobody(t *testing.T) {
	f := newFixture(t, sqltest.SQLite(t, store.Migrations))
	f.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"))
	for i, domain := range []string{"co.uk", "*.co.uk", "com", "gmail.com", "*.gmail.com", "mail.gmail.com", "*.github.io", "Acme.example", "acme", ""} {
		f.apply(eu, route(int64(i)+2, domain, "acme"))
		f.refused("claim refused")
	}
	f.apply(eu, route(20, "acme.example", "acme"), route(21, "umbrella.test", "acme"), route(22, "acme.co.uk", "acme"))
	f.leads("acme.example", "acme")
	f.leads("umbrella.test", "acme")
	f.leads("acme.co.uk", "acme")
}

func TestSweep(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		id := func(n byte) discovery.BlindID { return discovery.BlindID{1, n} }
		entry := func(seq int64, n byte, portal string) discovery.Claim {
			return discovery.Claim{Seq: seq, Entry: &discovery.Entry{Blind: id(n), Portal: portal, SignIn: []discovery.SignIn{discovery.Password}}}
		}
		count := func(n byte) int {
			entries, err := f.Entries(t.Context(), []discovery.BlindID{id(n)})
			if err != nil {
				t.Fatal(err)
			}
			return len(entries)
		}
		f.apply(us, portal(1, "us-east", "other", "https://other.us.example.com"), entry(2, 3, "other"))
		f.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"), portal(2, "eu-central", "old", "https://old.eu.example.com"),
			route(3, "acme.example", "acme"), route(4, "old.example", "acme"), entry(5, 1, "acme"), entry(6, 2, "acme"))
		f.apply(eu, portal(7, "eu-central", "acme", "https://acme.eu.example.com"), route(8, "acme.example", "acme"), entry(9, 1, "acme"),
			discovery.Claim{Seq: 10, Sweep: 7})
		f.leads("acme.example", "acme")
		f.leads("old.example")
		if _, ok := f.snapshot.Portal("old"); ok {
			t.Error("a swept portal is still there")
		}
		if count(1) != 1 || count(2) != 0 || count(3) != 1 {
			t.Errorf("entries after the sweep: %d, %d, %d; want 1, 0, 1", count(1), count(2), count(3))
		}
		f.apply(eu, discovery.Claim{Seq: 11, Sweep: 12})
		f.refused("reaches back")
		f.apply(eu, discovery.Claim{Seq: 12})
		f.refused("exactly one thing")
	})
}

func TestApplyInParallel(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		f.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"))
		var all []discovery.Claim
		for i := range 50 {
			all = append(all, discovery.Claim{Seq: int64(i) + 2, Entry: &discovery.Entry{
				Blind: discovery.BlindID{1, byte(i)}, Portal: "acme", SignIn: []discovery.SignIn{discovery.Password}}})
		}
		var sending sync.WaitGroup
		for range 8 {
			sending.Go(func() {
				r, err := f.Apply(context.Background(), eu, discovery.Batch{Region: "eu-central", After: 1, Claims: all})
				if err != nil || r.Last != 51 {
					t.Errorf("sent by several at once: %d, %v", r.Last, err)
				}
			})
		}
		sending.Wait()
		var n int
		if err := db.QueryRow(`SELECT COUNT(*) FROM entries`).Scan(&n); err != nil || n != 50 {
			t.Errorf("%d entries, want 50 (%v)", n, err)
		}
	})
}

func TestRecordsRollBack(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		signed := func(region string, version int) string {
			body := fmt.Sprintf(`{"region":%q,"version":%d}`, region, version)
			return "e30." + strings.TrimRight(base64URL(body), "=") + ".c2ln"
		}
		for _, batch := range [][]string{{signed("a", 2), signed("b", 1)}, {signed("a", 1)}, {signed("b", 3)}} {
			if err := f.SaveRecords(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		got, err := f.LoadRecords(t.Context())
		if diff := cmp.Diff([]string{signed("a", 2), signed("b", 3)}, got); err != nil || diff != "" {
			t.Errorf("records (-want +got):\n%s%v", diff, err)
		}
		if err := f.SaveRecords(t.Context(), []string{"nonsense"}); err == nil {
			t.Error("nonsense was kept")
		}
	})
}

func base64URL(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) }
