package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"golang.org/x/time/rate"
)

// Limits bound how often the front door is asked. Zero values mean the usual.
type Limits struct {
	PerClient   int // tries a minute of one client: an IPv4 address or an IPv6 /64; 0: 240
	ClientBurst int // 0: half of PerClient
	Global      int // tries a second of all together; 0: 2000
	GlobalBurst int // 0: twice Global

	// DangerouslyUnlimited lets anybody try out addresses as fast as they can.
	// It is for load tests.
	DangerouslyUnlimited bool
}

func (l Limits) orUsual() Limits {
	usual := func(v *int, n int) {
		if *v <= 0 {
			*v = n
		}
	}
	usual(&l.PerClient, 240)
	usual(&l.ClientBurst, max(1, l.PerClient/2))
	usual(&l.Global, 2000)
	usual(&l.GlobalBurst, 2*l.Global)
	return l
}

const (
	// Clients remembered before the older half is forgotten.
	maxClients = 1 << 16

	patience = 100 * time.Millisecond // for Redis
	sulk     = time.Second            // without Redis after it failed
)

// A limiter counts in this process and, when there is a Redis, across all front
// doors. Without Redis, or while it does not answer, this process's own count
// is what holds.
type limiter struct {
	Limits
	now func() time.Time
	log *slog.Logger
	all *rate.Limiter

	mu         sync.Mutex
	young, old map[netip.Addr]*rate.Limiter

	shared *redis_rate.Limiter
	secret []byte // names of clients in Redis are keyed hashes
	until  atomic.Int64
}

func newLimiter(o Options) *limiter {
	l := &limiter{Limits: o.Limits.orUsual(), now: o.Now, log: o.Log, young: make(map[netip.Addr]*rate.Limiter), secret: o.Secret}
	l.all = rate.NewLimiter(rate.Limit(l.Global), l.GlobalBurst)
	if o.Redis != nil {
		l.shared = redis_rate.NewLimiter(o.Redis)
	}
	return l
}

// wait spends a try and returns 0, or says how long the client has to wait.
func (l *limiter) wait(ctx context.Context, client netip.Addr) time.Duration {
	if l.DangerouslyUnlimited {
		return 0
	}
	client = bucket(client)
	now := l.now()
	if d := spend(l.client(client), now); d > 0 {
		return d
	}
	if d := spend(l.all, now); d > 0 {
		return d
	}
	if l.shared == nil || now.UnixMicro() < l.until.Load() {
		return 0
	}
	return l.waitShared(ctx, client, now)
}

// bucket is the network whose tries are counted together: whoever has one IPv6
// address has the whole /64.
func bucket(a netip.Addr) netip.Addr {
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

func (l *limiter) waitShared(ctx context.Context, client netip.Addr, now time.Time) time.Duration {
	quick, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, limit := range []struct {
		key   string
		limit redis_rate.Limit
	}{
		{"domicile:client:" + l.name(client), redis_rate.Limit{Rate: l.PerClient, Burst: l.ClientBurst, Period: time.Minute}},
		{"domicile:all", redis_rate.Limit{Rate: l.Global, Burst: l.GlobalBurst, Period: time.Second}},
	} {
		res, err := l.shared.Allow(quick, limit.key, limit.limit)
		if err != nil {
			l.failed(ctx, now, err)
			return 0
		}
		if res.Allowed == 0 {
			return max(res.RetryAfter, time.Millisecond)
		}
	}
	return 0
}

// name keeps addresses of clients out of Redis.
func (l *limiter) name(client netip.Addr) string {
	mac := hmac.New(sha256.New, l.secret)
	mac.Write([]byte("client"))
	mac.Write(client.AsSlice())
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func (l *limiter) failed(ctx context.Context, now time.Time, err error) {
	if ctx.Err() != nil {
		return // the caller hung up
	}
	if old := l.until.Swap(now.Add(sulk).UnixMicro()); now.UnixMicro()-old > time.Minute.Microseconds() {
		l.log.Warn("Redis does not answer; each front door counts by itself", "err", err)
	}
}
