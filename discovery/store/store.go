// Package store is the directory in SQL: what regions have claimed, how far
// each of them has got, and the cache in front of it. SQLite and Postgres run
// the same text.
//
// [Store.Apply] is the only way in. It applies a region's signed batch in one
// transaction, once and in order, drops what the cache knew of the addresses it
// touched, and reloads the [discovery.Snapshot]. [Store.Entries] is the way
// out. Other front doors on the same database see a new portal or route through
// [Store.Watch], within its interval, and a new entry when their cached answer
// ends, at most a minute later.
//
// Nothing in these tables tells who anybody is: people are blind IDs.
package store

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
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
	Cache    *Cache // nil: every lookup asks the database
	Log      *slog.Logger
	Metrics  prometheus.Registerer // nil: none
	Now      func() time.Time      // nil: time.Now
}

// A Store is the directory. It is a [discovery.Directory].
type Store struct {
	db       *sql.DB
	snapshot *discovery.Snapshot
	tags     TagKey
	cache    *Cache
	log      *slog.Logger
	now      func() time.Time
	metrics  metrics

	prepared sync.Map // number of ids → *sql.Stmt

	loading sync.Mutex // one reload at a time, so that an older one cannot win
	loaded  int64      // the change counter of what the snapshot holds
}

type metrics struct {
	claims   *prometheus.CounterVec
	last     *prometheus.GaugeVec
	failures *prometheus.CounterVec
	forged   *prometheus.CounterVec
}

// New returns a directory on db, which must be at the newest of Migrations. It
// panics without a tag key, which would be one that everybody knows.
// The snapshot is empty until Refresh.
func New(db *sql.DB, o Options) *Store {
	if o.Tags == (TagKey{}) {
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
		db: db, snapshot: o.Snapshot, tags: o.Tags, cache: o.Cache, log: o.Log, now: o.Now, loaded: -1,
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
	m.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "domicile_directory_portals", Help: "Portals that lookups see.",
	}, func() float64 { n, _ := s.snapshot.Len(); return float64(n) })
	m.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "domicile_directory_routes", Help: "Domain routes that lookups see.",
	}, func() float64 { _, n := s.snapshot.Len(); return float64(n) })
	return s
}

// Entries implements [discovery.Directory].
func (s *Store) Entries(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, error) {
	if s.cache != nil {
		return s.cache.entries(ctx, ids, s.query)
	}
	return s.query(ctx, ids)
}

// query asks the database, with one statement however many ids there are.
func (s *Store) query(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, error) {
	entries, err := s.find(ctx, ids)
	if err != nil {
		if err := s.forgetOf(ctx, err); err != nil {
			s.log.Error("a row that nobody claimed is not used, and stays", "err", err)
		}
		s.metrics.failures.WithLabelValues("entries").Inc()
		return nil, fmt.Errorf("find entries: %w", err)
	}
	return entries, nil
}

func (s *Store) find(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, error) {
	if len(ids) == 0 {
		return nil, errors.New("no blind ID")
	}
	find, err := s.statement(ctx, len(ids))
	if err != nil {
		return nil, err
	}
	args := make([]any, len(ids))
	for i := range ids {
		args[i] = ids[i][:]
	}
	rows, err := find.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []discovery.Entry
	for rows.Next() {
		var row entryRow
		var tag []byte
		if err := rows.Scan(&row.blind, &row.portal, &row.region, &row.signIn, &row.seq, &tag); err != nil {
			return nil, err
		}
		if !hmac.Equal(tag, s.tags.entry(row)) {
			return nil, row.forged(tag)
		}
		e := discovery.Entry{Portal: row.portal, SignIn: splitWays(row.signIn)}
		if copy(e.Blind[:], row.blind) != len(e.Blind) {
			return nil, errors.New("an entry's blind ID has the wrong length")
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// statement is the query for n ids. An entry counts only while its portal is
// claimed by the region that claimed the entry.
func (s *Store) statement(ctx context.Context, n int) (*sql.Stmt, error) {
	if st, ok := s.prepared.Load(n); ok {
		return st.(*sql.Stmt), nil
	}
	marks := make([]string, n)
	for i := range marks {
		marks[i] = "$" + strconv.Itoa(i+1)
	}
	st, err := s.db.PrepareContext(ctx, `
		SELECT e.blind, e.portal, e.region, e.sign_in, e.seq, e.tag
		FROM entries e JOIN portals p ON p.id = e.portal AND p.region = e.region
		WHERE e.blind IN (`+strings.Join(marks, ", ")+`) AND NOT p.gone
		ORDER BY e.portal, e.blind`)
	if err != nil {
		return nil, err
	}
	if first, there := s.prepared.LoadOrStore(n, st); there {
		_ = st.Close()
		return first.(*sql.Stmt), nil
	}
	return st, nil
}

// Refresh reloads the snapshot if portals or routes have changed since.
func (s *Store) Refresh(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	if err := s.refresh(ctx); err != nil {
		s.metrics.failures.WithLabelValues("refresh").Inc()
		return fmt.Errorf("refresh the snapshot: %w", err)
	}
	return nil
}

var errForged = errors.New("rows that nobody claimed keep coming")

// refresh reads until it reads nothing but what was claimed.
func (s *Store) refresh(ctx context.Context) error {
	for range 3 {
		forged, err := s.load(ctx)
		if err != nil || len(forged) == 0 {
			return err
		}
		if err := s.forget(ctx, forged); err != nil {
			return err
		}
	}
	return errForged
}

// load replaces the snapshot, unless there are rows without a tag of ours. It
// reads the counter before the rows: a change in between is read twice rather
// than never.
func (s *Store) load(ctx context.Context) ([]*forgery, error) {
	var n int64
	if err := s.db.QueryRowContext(ctx, `SELECT n FROM changes WHERE id = 1`).Scan(&n); err != nil {
		return nil, err
	}
	if n == s.loaded {
		return nil, nil
	}
	incomplete, err := s.incomplete(ctx)
	if err != nil {
		return nil, err
	}
	portals, forged, err := s.portals(ctx)
	if err != nil {
		return nil, err
	}
	routes, more, err := s.routes(ctx, portals)
	if err != nil {
		return nil, err
	}
	if forged = append(forged, more...); len(forged) > 0 {
		return forged, nil
	}
	s.snapshot.Replace(portals, routes, incomplete...)
	s.loaded = n
	return nil, nil
}

// portals reads the portals that were claimed, and what else is in the table.
func (s *Store) portals(ctx context.Context) (portals []discovery.PortalState, forged []*forgery, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, region, name, url, disclosure, gone, seq, tag FROM portals`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p portalRow
		var tag []byte
		if err := rows.Scan(&p.id, &p.region, &p.name, &p.url, &p.disclosure, &p.gone, &p.seq, &tag); err != nil {
			return nil, nil, err
		}
		if !hmac.Equal(tag, s.tags.portal(p)) {
			forged = append(forged, p.forged(tag))
			continue
		}
		portals = append(portals, discovery.PortalState{Gone: p.gone, Portal: discovery.Portal{
			ID: p.id, Region: p.region, Name: p.name, URL: p.url, Disclosure: discovery.Disclosure(p.disclosure),
		}})
	}
	return portals, forged, rows.Err()
}

// routes reads the routes that were claimed, and what else is in the table. A
// route counts only while its portal is claimed by the region that claimed it.
func (s *Store) routes(ctx context.Context, portals []discovery.PortalState) (routes []discovery.Route, forged []*forgery, err error) {
	regions := make(map[string]string, len(portals))
	for _, p := range portals {
		if !p.Gone {
			regions[p.ID] = p.Region
		}
	}
	rows, err := s.db.QueryContext(ctx, `SELECT domain, portal, region, connection, sign_in, seq, tag FROM routes`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r routeRow
		var tag []byte
		if err := rows.Scan(&r.domain, &r.portal, &r.region, &r.connection, &r.signIn, &r.seq, &tag); err != nil {
			return nil, nil, err
		}
		if !hmac.Equal(tag, s.tags.route(r)) {
			forged = append(forged, r.forged(tag))
			continue
		}
		if regions[r.portal] != r.region {
			continue
		}
		routes = append(routes, discovery.Route{Domain: r.domain, Portal: r.portal, Connection: r.connection, SignIn: splitWays(r.signIn)})
	}
	return routes, forged, rows.Err()
}

// Watch keeps the snapshot up to date with what other front doors apply, until
// ctx ends. While the database does not answer, the last good snapshot stays.
func (s *Store) Watch(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for {
		err := s.Refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.log.Error("the directory cannot be read; the last good snapshot stays", "err", err)
		case err == nil && failing:
			s.log.Info("the directory can be read again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
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
