package web

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// Limits bound how often strangers may make the region write something down: an
// attempt, a federated leg, a refusal in the audit log. Zero values mean the
// usual, which has room for a whole office behind one address at nine o'clock.
// Guessing is bounded elsewhere and more tightly, by the store.
type Limits struct {
	PerClient   int // steps a minute of one client: an IPv4 address or an IPv6 /64; 0: 600
	ClientBurst int // 0: half of PerClient
	Global      int // steps a second of all together; 0: 500
	GlobalBurst int // 0: twice Global

	// DangerouslyUnlimited lets anybody fill the database as fast as they can. It
	// is for load tests.
	DangerouslyUnlimited bool
}

func (l Limits) orUsual() Limits {
	usual := func(v *int, n int) {
		if *v <= 0 {
			*v = n
		}
	}
	usual(&l.PerClient, 600)
	usual(&l.ClientBurst, max(1, l.PerClient/2))
	usual(&l.Global, 500)
	usual(&l.GlobalBurst, 2*l.Global)
	return l
}

// Clients remembered before the older half is forgotten.
const maxClients = 1 << 16

// A limiter counts the steps of strangers in this process.
type limiter struct {
	Limits
	all *rate.Limiter

	mu         sync.Mutex
	young, old map[netip.Addr]*rate.Limiter
}

func newLimiter(l Limits) *limiter {
	l = l.orUsual()
	return &limiter{Limits: l, all: rate.NewLimiter(rate.Limit(l.Global), l.GlobalBurst), young: make(map[netip.Addr]*rate.Limiter)}
}

// wait spends a step and returns 0, or says how long the client has to wait.
// What a client is refused does not count against the others.
func (l *limiter) wait(client netip.Addr, now time.Time) time.Duration {
	if l.DangerouslyUnlimited {
		return 0
	}
	if d := spend(l.client(network(client)), now); d > 0 {
		return d
	}
	return spend(l.all, now)
}

// network is whose steps are counted together: whoever has one IPv6 address has
// the whole /64. Requests of unknown origin are one client.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

func spend(l *rate.Limiter, now time.Time) time.Duration {
	r := l.ReserveN(now, 1)
	d := r.DelayFrom(now)
	if d > 0 {
		r.CancelAt(now)
	}
	return d
}

// client returns a client's own limiter. Two generations bound the memory: a
// client is forgotten only when it has been quiet for a whole generation.
func (l *limiter) client(a netip.Addr) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.young[a]
	if c != nil {
		return c
	}
	if c = l.old[a]; c == nil {
		c = rate.NewLimiter(rate.Limit(float64(l.PerClient)/60), l.ClientBurst)
	}
	if len(l.young) >= maxClients/2 {
		l.old, l.young = l.young, make(map[netip.Addr]*rate.Limiter)
	}
	l.young[a] = c
	return c
}

// admit counts a step of somebody who is not signed in, before anything is
// written down for it.
func (v *visit) admit() error {
	if wait := v.site.limiter.wait(page.Client(v.r.Context()), v.site.Now()); wait > 0 {
		return portal.TooMany("rate_limited", wait)
	}
	return nil
}
