// Package store is the directory in SQL: what regions have claimed, how far
// each of them has got, and the cache in front of it. SQLite and Postgres run
// the same text.
//
// # In, out, and in memory
//
// [Store.Apply] is the only way in (claims.go, entries.go). It applies a region's
// signed batch in one transaction, once and in order, and gives every row a tag
// under the front doors' [TagKey]: a row without one was written by somebody else,
// is dropped, and has the regions publish again (tag.go, retag.go).
//
// [Store.Entries] is the way out (lookup.go):
//
//	Cache: this process ──► Redis ──► replica, if it is as new as it must be ──► primary
//
// A [Cache] is never asked for the truth, and may be away (cache.go). What Apply
// touches is dropped from it; other front doors hear of that in [Cache.Listen], or
// their answers end within seconds (invalidate.go). A replica is believed only when
// it has got as far as this front door knows that the primary has (replica.go).
//
// Portals and routes are few and live in a [discovery.Snapshot], which
// [Store.Refresh] reads anew when a counter has moved and [Store.Watch] keeps up to
// date with what other front doors apply (refresh.go).
//
// # When the database is away
//
// A Store may be made before its database answers and outlives it; [Store.State]
// says how they stand (contact.go). What lookups see was then read from the
// [SnapshotFile] that [Store.Keep] wrote (snapshot.go), or from the replica. A
// database that comes back from a backup goes through [Restored] (restore.go).
//
// Nothing in these tables tells who anybody is: people are blind IDs.
package store

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/domicile-sso/domicile/discovery"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Migrations holds the schema, 0001_….sql and so on.
var Migrations fs.FS = migrations()

func migrations() fs.FS {
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// Options of a Store. Snapshot and Tags must be set.
type Options struct {
	Snapshot *discovery.Snapshot
	Tags     TagKey
	Room     Room
	Cache    *Cache  // nil: every lookup asks the database
	Replica  *sql.DB // nil: every lookup asks the primary

	// Check reports why the database may not be used, when it has answered at
	// last. nil: it may.
	Check func(context.Context) error
	File  *SnapshotFile // for starts without the database; nil: none

	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
	Now     func() time.Time      // nil: time.Now
}

// A Store is the directory. It is a [discovery.Directory].
type Store struct {
	db       *sql.DB
	snapshot *discovery.Snapshot
	tags     TagKey
	room     Room
	cache    *Cache
	contact  contact
	file     *SnapshotFile
	log      *slog.Logger
	now      func() time.Time
	metrics  metrics

	primary reader
	replica *replica      // nil: none
	nudge   chan struct{} // look now, do not wait for the next time

	loading sync.Mutex // one reload at a time, so that an older one cannot win
	loaded  int64      // the change counter of what the snapshot holds; -1: not from the database
	kept    Saved      // what is in the file, without the contents; of Keep alone
}

type metrics struct {
	claims   *prometheus.CounterVec
	last     *prometheus.GaugeVec
	failures *prometheus.CounterVec
	forged   *prometheus.CounterVec
	kept     *prometheus.CounterVec
	unread   *prometheus.CounterVec
	retag    prometheus.Gauge
}

// New returns a directory on db, which must be at the newest of Migrations once
// Options.Check has passed, and may be away until then. It panics without a tag
// key, which would be one that everybody knows.
// The snapshot is empty until Refresh.
func New(db *sql.DB, o Options) *Store {
	if len(o.Tags.keys) == 0 {
		panic("discovery/store: no tag key")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := promauto.With(o.Metrics)
	s := &Store{
		db: db, snapshot: o.Snapshot, tags: o.Tags, room: o.Room.orUsual(), cache: o.Cache, file: o.File, log: o.Log, now: o.Now, loaded: -1,
		metrics: metrics{
			claims: m.NewCounterVec(prometheus.CounterOpts{
				Name: "domicile_directory_claims_total",
				Help: "Claims of regions by what became of them: applied, refused or skipped as known.",
			}, []string{"result"}),
			last: m.NewGaugeVec(prometheus.GaugeOpts{
				Name: "domicile_directory_last_claim_timestamp_seconds",
				Help: "When a batch of the region was last applied.",
			}, []string{"region"}),
			failures: m.NewCounterVec(prometheus.CounterOpts{
				Name: "domicile_directory_failures_total",
				Help: "Operations of the directory that failed: entries, apply, refresh or records.",
			}, []string{"operation"}),
			forged: m.NewCounterVec(prometheus.CounterOpts{
				Name: "domicile_directory_rows_refused_total",
				Help: "Rows of the database that no claim has written, by table. They are dropped, and the regions publish again.",
			}, []string{"table"}),
		},
	}
	s.contact.begin(o.Check)
	s.metrics.retag = newRetagGauge(o.Metrics)
	s.primary.db, s.nudge = db, make(chan struct{}, 1)
	if o.Replica != nil {
		s.replica = newReplica(o.Replica, o.Metrics)
	}
	if s.cache != nil {
		s.cache.changed = s.heard
	}
	s.measure(m)
	m.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "domicile_directory_portals", Help: "Portals that lookups see.",
	}, func() float64 { n, _ := s.snapshot.Len(); return float64(n) })
	m.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "domicile_directory_routes", Help: "Domain routes that lookups see.",
	}, func() float64 { _, n := s.snapshot.Len(); return float64(n) })
	return s
}

func joinWays(ways []discovery.SignIn) string {
	text := make([]string, len(ways))
	for i, w := range ways {
		text[i] = string(w)
	}
	return strings.Join(text, ",")
}

func splitWays(text string) []discovery.SignIn {
	var ways []discovery.SignIn
	for w := range strings.SplitSeq(text, ",") {
		ways = append(ways, discovery.SignIn(w))
	}
	return ways
}
