package store_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
)

// A region has room for so many portals and routes, and no more: what is beyond is
// refused by itself, the rest of the batch stands, what the region has may change,
// and no other region is any worse off.
func TestRoom(t *testing.T) {
	for name, db := range map[string]func(*testing.T) *sql.DB{
		"sqlite":   func(t *testing.T) *sql.DB { return sqltest.SQLite(t, store.Migrations) },
		"postgres": func(t *testing.T) *sql.DB { return sqltest.Postgres(t, store.Migrations) },
	} {
		t.Run(name, func(t *testing.T) { testRoom(t, db(t)) })
	}
}

func testRoom(t *testing.T, db *sql.DB) {
	f := &fixture{t: t, snapshot: new(discovery.Snapshot), log: new(bytes.Buffer)}
	metrics := prometheus.NewRegistry()
	f.Store = store.New(db, store.Options{Snapshot: f.snapshot, Tags: tagKey(1), Room: store.Room{Portals: 2, Routes: 3},
		Log: slog.New(slog.NewTextHandler(f.log, nil)), Metrics: metrics})
	at := func(seq int64, id string) discovery.Claim {
		return portal(seq, "eu-central", id, "https://"+id+".eu.example.com")
	}
	gone := func(c discovery.Claim) discovery.Claim { c.Gone = true; return c }
	last := int64(0)
	// claims applies a batch and insists on what is refused of it, and on how many
	// portals and routes lookups see.
	claims := func(portals, routes int, refused map[int64]string, batch ...discovery.Claim) {
		t.Helper()
		r, err := f.Apply(t.Context(), eu, discovery.Batch{Region: eu.Region, After: last, Claims: batch})
		if err != nil {
			t.Fatal(err)
		}
		last = r.Last
		got := map[int64]string{}
		for _, r := range r.Refused {
			got[r.Seq] = r.Code
		}
		if refused == nil {
			refused = map[int64]string{}
		}
		if diff := cmp.Diff(refused, got); diff != "" {
			t.Errorf("refused (-want +got):\n%s", diff)
		}
		if p, r := f.snapshot.Len(); p != portals || r != routes {
			t.Errorf("lookups see %d portals and %d routes, want %d and %d", p, r, portals, routes)
		}
	}
	const fullPortals, fullRoutes = discovery.CodeFullPortals, discovery.CodeFullRoutes
	claims(2, 3, map[int64]string{3: fullPortals, 8: fullRoutes, 9: fullRoutes},
		at(1, "a"), at(2, "b"), at(3, "c"), at(4, "a"),
		route(5, "one.example", "a"), route(6, "two.example", "a"), route(7, "three.example", "b"), route(8, "four.example", "a"), route(9, "one.example", "b"))
	// In the next batch, too; and what is there may change.
	claims(2, 3, map[int64]string{10: fullPortals, 11: fullRoutes}, at(10, "c"), route(11, "four.example", "a"), route(12, "one.example", "a"), at(13, "b"))
	// A route that is gone makes room for another, a portal does not: its row stays,
	// and so do routes to it, unseen.
	claims(1, 2, map[int64]string{17: fullRoutes, 19: fullPortals},
		gone(route(14, "two.example", "a")), gone(route(15, "none.example", "a")), route(16, "four.example", "a"), route(17, "five.example", "a"),
		gone(at(18, "b")), at(19, "c"))
	claims(2, 3, nil, at(20, "b"))
	// Publishing everything again is no growth, and leaves as much room.
	claims(2, 1, map[int64]string{26: fullPortals}, at(21, "a"), at(22, "b"), route(23, "one.example", "a"), discovery.Claim{Seq: 24, Sweep: 21},
		route(25, "one.example", "a"), at(26, "c"))
	claims(2, 3, map[int64]string{29: fullRoutes}, route(27, "six.example", "a"), route(28, "seven.example", "a"), route(29, "eight.example", "a"))

	// Of what was refused nobody has taken anything: another region may.
	for i, id := range []string{"c", "d"} {
		if r, err := f.Apply(t.Context(), us, discovery.Batch{Region: us.Region, After: int64(i), Claims: []discovery.Claim{
			portal(int64(i+1), us.Region, id, fmt.Sprintf("https://%s.us.example.com", id)),
		}}); err != nil || len(r.Refused) > 0 {
			t.Errorf("the other region: %+v, %v", r, err)
		}
	}
	if n, _ := f.snapshot.Len(); n != 4 {
		t.Errorf("%d portals, want 4", n)
	}
	for _, want := range []string{"code=region_too_many_portals err=\"the region has 2 portals already", "code=region_too_many_routes err=\"the region has 3 routes already"} {
		if text := f.log.String(); !strings.Contains(text, want) {
			t.Errorf("the log says\n%s\nwant %s", text, want)
		}
	}
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(`
# HELP domicile_directory_claims_total Claims of regions by what became of them: applied, refused or skipped as known.
# TYPE domicile_directory_claims_total counter
domicile_directory_claims_total{result="applied"} 22
domicile_directory_claims_total{result="refused"} 9
domicile_directory_claims_total{result="skipped"} 0
`), "domicile_directory_claims_total"); err != nil {
		t.Error(err)
	}
}
