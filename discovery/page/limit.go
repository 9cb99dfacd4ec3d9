package page

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits bound how often strangers may ask for something that costs. Zero values
// mean what is usual for the site.
type Limits struct {
	PerClient   int // a minute, of one client: an IPv4 address or an IPv6 /64
	ClientBurst int // 0: half of PerClient
	Global      int // a second, of all together
	GlobalBurst int // 0: twice Global

	// DangerouslyUnlimited lets anybody ask as often as they can. It is for load
	// tests.
	DangerouslyUnlimited bool
}

// Or fills in what is usual for a site.
func (l Limits) Or(perClient, global int) Limits {
	usual := func(v *int, n int) {
		if *v <= 0 {
			*v = n
		}
	}
	usual(&l.PerClient, perClient)
	usual(&l.ClientBurst, max(1, l.PerClient/2))
	usual(&l.Global, global)
	usual(&l.GlobalBurst, 2*l.Global)
	return l
}

// Clients remembered before the older half is forgotten.
const maxClients = 1 << 16

// A Limiter counts in this process what each [Client] asks, and all together.
type Limiter struct {
	Limits
	all *rate.Limiter

	mu         sync.Mutex
	young, old map[netip.Addr]*rate.Limiter
}

// NewLimiter wants limits that are filled in.
func NewLimiter(l Limits) *Limiter {
	return &Limiter{Limits: l, all: rate.NewLimiter(rate.Limit(l.Global), l.GlobalBurst), young: make(map[netip.Addr]*rate.Limiter)}
}

// Wait spends one and returns 0, or says how long the client has to wait. What a
// client is refused does not count against the others.
func (l *Limiter) Wait(client netip.Addr, now time.Time) time.Duration {
	if l.DangerouslyUnlimited {
		return 0
	}
	if d := spend(l.client(Network(client)), now); d > 0 {
		return d
	}
	return spend(l.all, now)
}

// Network is whose asking is counted together: whoever has one IPv6 address has
// the whole /64. Requests of unknown origin are one client.
func Network(a netip.Addr) netip.Addr {
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
func (l *Limiter) client(a netip.Addr) *rate.Limiter {
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
