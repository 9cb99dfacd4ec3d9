package web

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// stale marks lookups that were answered while the directory could not be read,
// from what was last known of portals and routes.
type stale struct {
	count *prometheus.CounterVec
	said  atomic.Int64 // Unix seconds of the last log line
}

func countStale(to prometheus.Registerer) *prometheus.CounterVec {
	return promauto.With(to).NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_discovery_stale_lookups_total",
		Help: "Lookups made while the directory could not be read, from portals and routes as last known, by door (page, choice, json, webfinger). An address that leads nowhere is then answered with \"try again\".",
	}, []string{"door"})
}

// noteStale counts the lookup, and says so once a minute: each would fill the log
// just when there is something in it to be found.
func (s *Site) noteStale(door string) {
	if !s.Resolver.Snapshot.Doubtful() {
		return
	}
	s.stale.count.WithLabelValues(door).Inc()
	now, last := s.Now().Unix(), s.stale.said.Load()
	if now-last >= int64(time.Minute/time.Second) && s.stale.said.CompareAndSwap(last, now) {
		s.Log.Warn("lookups are answered from portals and routes as last known", "as_of", s.Resolver.Snapshot.AsOf())
	}
}
