package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/domicile-sso/domicile/discovery"
)

// Of the dbTimeout that a lookup has, this much is for the replica and then for
// the primary; the rest is for a replica that was not asked at first.
const (
	replicaTime = 300 * time.Millisecond
	primaryTime = 1200 * time.Millisecond

	distrust = 10 * time.Second // without a replica that has rows nobody claimed
)

// A replica is a copy of the primary that may be behind it. Lookups ask it first
// and believe it only when it has got as far as this front door knows that the
// primary has.
type replica struct {
	reader
	known positions

	until   atomic.Int64 // Unix microseconds: leave the replica alone until then
	primary atomic.Int64 // the same of the primary, while there are old answers to be had

	stale  atomic.Bool
	count  struct{ used, behind, failed prometheus.Counter }
	staled prometheus.Counter
}

func newReplica(db *sql.DB, to prometheus.Registerer) *replica {
	r := &replica{reader: reader{db: db, positioned: true}}
	asked := promauto.With(to).NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_directory_replica_total",
		Help: "Questions to the read replica: used, behind the primary, or failed.",
	}, []string{"result"})
	r.count.used, r.count.behind, r.count.failed = asked.WithLabelValues("used"), asked.WithLabelValues("behind"), asked.WithLabelValues("failed")
	r.staled = promauto.With(to).NewCounter(prometheus.CounterOpts{
		Name: "domicile_directory_stale_answers_total",
		Help: "Answers of a replica that is behind, used because the primary did not answer.",
	})
	return r
}

// errStale comes with entries: they may be offered, never followed unasked, and
// that there are none means nothing.
var errStale = errors.New("the primary does not answer, and the replica is behind it")

// queryBoth asks the replica, and the primary where the replica cannot be
// believed. Only when the primary does not answer does an old answer count.
func (s *Store) queryBoth(ctx context.Context, ids []discovery.BlindID) (entries []discovery.Entry, keep bool, err error) {
	r := s.replica
	asked := s.now().UnixMicro() >= r.until.Load()
	var old *answer
	if asked {
		a, current := s.askReplica(ctx, ids)
		if current {
			return a.entries, true, nil
		}
		old = a
	}
	if old == nil || s.now().UnixMicro() >= r.primary.Load() {
		if entries, err = s.askPrimary(ctx, ids); err == nil {
			s.fresh()
			return entries, true, nil
		}
		var f *forgery
		if errors.As(err, &f) {
			return nil, false, err // it answers
		}
	}
	if !asked { // better than nothing
		a, current := s.askReplica(ctx, ids)
		if current {
			return a.entries, true, nil
		}
		old = a
	}
	if old == nil {
		return nil, false, err
	}
	r.staled.Inc()
	if !r.stale.Swap(true) {
		s.log.Warn("the primary database does not answer and the replica is behind it; lookups make do with old answers", "err", err)
	}
	return old.entries, false, errStale
}

// fresh notes that the primary answers.
func (s *Store) fresh() {
	if s.replica.stale.Load() && s.replica.stale.Swap(false) {
		s.log.Info("the primary database answers again")
	}
}

func (s *Store) askPrimary(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, error) {
	quick, cancel := context.WithTimeout(ctx, primaryTime)
	defer cancel()
	entries, err := s.queryPrimary(quick, ids)
	if err != nil && ctx.Err() == nil {
		s.replica.primary.Store(s.now().Add(sulk).UnixMicro())
	}
	return entries, err
}

// askReplica returns nil when there is no answer. One with rows that nobody
// claimed is none: where they are in the primary too, asking that mends it.
func (s *Store) askReplica(ctx context.Context, ids []discovery.BlindID) (a *answer, current bool) {
	r := s.replica
	quick, cancel := context.WithTimeout(ctx, replicaTime)
	defer cancel()
	got, err := r.find(quick, ids, s.tags)
	if err != nil {
		s.replicaFailed(ctx, err)
		return nil, false
	}
	if !r.known.reached(got.position) {
		r.count.behind.Inc()
		return &got, false
	}
	r.count.used.Inc()
	return &got, true
}

// replicaFailed leaves the replica alone for a while, so that a dead one does not
// cost every lookup its time. A caller who hung up proves nothing.
func (s *Store) replicaFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r := s.replica
	r.count.failed.Inc()
	now, pause, say := s.now(), sulk, "the replica does not answer; lookups go to the primary"
	var f *forgery
	if errors.As(err, &f) {
		pause, say = distrust, "the replica has rows without the tag of a claim; lookups go to the primary"
	}
	if last := r.until.Swap(now.Add(pause).UnixMicro()); now.UnixMicro()-last > time.Minute.Microseconds() {
		s.log.Warn(say, "err", err)
	}
}

// LoadReplica makes what the replica has the state that lookups see, if there is
// none yet: for a start while the primary is away. How old it is nobody knows, so
// that something is not there means nothing.
func (s *Store) LoadReplica(ctx context.Context) error {
	if s.replica == nil {
		return errNoReplica
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.snapshot.Ready() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	from := &Store{db: s.replica.db, tags: s.tags} // only reads
	read, forged, err := from.read(ctx)
	switch {
	case err != nil:
		return err
	case len(forged) > 0:
		return errForged
	}
	s.snapshot.Replace(read.Portals, read.Routes, read.Incomplete...)
	s.snapshot.Confirm(s.now())
	s.snapshot.Doubt()
	s.contact.from(FromReplica)
	return nil
}

var errNoReplica = errors.New("there is no replica")

// heard takes in what another front door says of a change.
func (s *Store) heard(ch change) {
	s.raise(ch)
	if ch.rerouted {
		select {
		case s.nudge <- struct{}{}:
		default: // it will look anyway
		}
	}
}

func (s *Store) raise(ch change) {
	if s.replica != nil && ch.region != "" {
		s.replica.known.raise(ch.region, ch.position)
	}
}

// learn reads how far the primary is.
func (s *Store) learn(ctx context.Context) error {
	if s.replica == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	before := s.replica.known.all()
	rows, err := s.db.QueryContext(ctx, `SELECT region, changed FROM progress`)
	if err != nil {
		return err
	}
	defer rows.Close()
	now := map[string]int64{}
	for rows.Next() {
		var region string
		var changed int64
		if err := rows.Scan(&region, &changed); err != nil {
			return err
		}
		now[region] = changed
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if s.replica.known.learn(before, now) {
		s.log.Warn("the directory has gone back: it was restored, or another server took over before it had everything")
	}
	s.fresh()
	return nil
}

// Positions are how far the claims of each region are known to have been applied
// in the primary. Each region has its own count, raised in the transaction that
// applies a batch: of one count for all, or of a sum, a replica that has another
// region's batch in place of ours could not be told from one that has ours.
type positions struct {
	mu    sync.Mutex
	known map[string]int64
	asked bool   // the primary, once: until then too little is known to believe anything
	last  string // a position that has reached all of them
}

// raise notes that a region got that far.
func (p *positions) raise(region string, to int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if to <= p.known[region] {
		return
	}
	if p.known == nil {
		p.known = map[string]int64{}
	}
	p.known[region], p.last = to, ""
}

func (p *positions) all() map[string]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.known)
}

// learn takes in what the primary said after it was known to be at before. What
// it has less than that, it has lost.
func (p *positions) learn(before, now map[string]int64) (lost bool) {
	for region, to := range now {
		p.raise(region, to)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = true
	for region, was := range before {
		if to, ok := now[region]; (!ok || to < was) && p.known[region] == was {
			p.known[region], lost = to, true
		}
	}
	return lost
}

// reached reports whether a database at that position has all that is known. It
// looks like "eu-central:17,us-east:4", in any order.
func (p *positions) reached(position string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asked {
		return false
	}
	if position == p.last && position != "" {
		return true
	}
	at := make(map[string]int64, len(p.known))
	for part := range strings.SplitSeq(position, ",") {
		region, n, _ := strings.Cut(part, ":")
		if changed, err := strconv.ParseInt(n, 10, 64); err == nil {
			at[region] = changed
		}
	}
	for region, known := range p.known {
		if at[region] < known {
			return false
		}
	}
	p.last = position
	return true
}
