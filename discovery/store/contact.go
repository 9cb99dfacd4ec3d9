package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// A Source is where the portals and routes that lookups see were read.
type Source string

const (
	FromNowhere  Source = "none"
	FromDisk     Source = "disk"     // the snapshot file, at the start
	FromReplica  Source = "replica"  // at the start, while the primary was away
	FromDatabase Source = "database" // though it may have gone away since
)

// A State is how a Store stands with its database.
type State struct {
	Source  Source
	AsOf    time.Time // when what lookups see was last compared with the database
	Checked bool      // the database may be used
	Away    time.Time // since when the database fails; zero: it answers
	Err     error     // how it failed last
}

// A contact is what a Store knows of its database from asking it regularly, so
// that no probe has to. The Store may be made before the database answers, and
// outlives it. Nothing of the database is used before Options.Check has passed
// once; until then lookups by blind ID fail at once, which reads as "try again",
// and portals and routes come from the snapshot file.
type contact struct {
	check   func(context.Context) error
	checked atomic.Bool
	met     chan struct{} // closed when checked

	mu     sync.Mutex
	source Source
	away   time.Time
	err    error
}

func (c *contact) begin(check func(context.Context) error) {
	c.check, c.met, c.source = check, make(chan struct{}), FromNowhere
	if check == nil {
		c.checked.Store(true)
		close(c.met)
	}
}

// errUnchecked is the answer of a database that has not been asked yet whether
// it is ours.
var errUnchecked = errors.New("the database has not answered since the start, or not as it must")

// usable reports why nothing of the database may be used, or nil.
func (c *contact) usable() error {
	if !c.checked.Load() {
		return errUnchecked
	}
	return nil
}

// pass makes the database usable when it is what it must be. Callers take turns.
func (c *contact) pass(ctx context.Context) error {
	if c.checked.Load() {
		return nil
	}
	if err := c.check(ctx); err != nil {
		return err
	}
	c.checked.Store(true)
	close(c.met)
	return nil
}

// note takes down how asking went.
func (c *contact) note(now time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	switch {
	case err == nil:
		c.source, c.away = FromDatabase, time.Time{}
	case c.away.IsZero():
		c.away = now
	}
}

func (c *contact) from(s Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.source = s
}

// Met is closed once the database has answered and passed Options.Check.
func (s *Store) Met() <-chan struct{} { return s.contact.met }

// State is how things stand, without asking anybody.
func (s *Store) State() State {
	c := &s.contact
	c.mu.Lock()
	defer c.mu.Unlock()
	return State{Source: c.source, AsOf: s.snapshot.AsOf(), Checked: c.checked.Load(), Away: c.away, Err: c.err}
}

// measure registers what tells of the contact.
func (s *Store) measure(m promauto.Factory) {
	m.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "domicile_directory_snapshot_age_seconds",
		Help: "How long ago the portals and routes that lookups see were last compared with the database.",
	}, func() float64 {
		asOf := s.snapshot.AsOf()
		if asOf.IsZero() {
			return 0 // and the source is none
		}
		return max(0, s.now().Sub(asOf).Seconds())
	})
	for _, source := range []Source{FromNowhere, FromDisk, FromReplica, FromDatabase} {
		m.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "domicile_directory_source",
			Help:        "1 for where the portals and routes that lookups see were read: database, disk (the snapshot, at the start), replica (the same) or none.",
			ConstLabels: prometheus.Labels{"source": string(source)},
		}, func() float64 {
			if s.State().Source == source {
				return 1
			}
			return 0
		})
	}
	s.metrics.kept = m.NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_directory_snapshot_writes_total",
		Help: "Times the directory was kept on disk for a start without the database, by result: written or failed.",
	}, []string{"result"})
	s.metrics.unread = m.NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_directory_snapshot_refused_total",
		Help: "Kept directories that were not believed at the start, by reason: form (bent, cut off or of another version), foreign (not under our secret) or unreadable.",
	}, []string{"reason"})
}
