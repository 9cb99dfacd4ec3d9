package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"

	"github.com/domicile-sso/domicile/discovery/page"
)

// Limits bound how often the front door is asked. Zero values mean 240 tries a
// minute of one client and 2000 a second of all together.
type Limits = page.Limits

const (
	patience = 100 * time.Millisecond // for Redis
	sulk     = time.Second            // without Redis after it failed
)

// A limiter counts in this process and, when there is a Redis, across all front
// doors. Without Redis, or while it does not answer, this process's own count
// is what holds.
type limiter struct {
	*page.Limiter
	now func() time.Time
	log *slog.Logger

	shared *redis_rate.Limiter
	secret []byte // names of clients in Redis are keyed hashes; under a new secret everybody starts afresh
	until  atomic.Int64
}

func newLimiter(o Options) *limiter {
	l := &limiter{Limiter: page.NewLimiter(o.Limits.Or(240, 2000)), now: o.Now, log: o.Log, secret: o.Secrets[0]}
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
	now := l.now()
	if d := l.Wait(client, now); d > 0 {
		return d
	}
	if l.shared == nil || now.UnixMicro() < l.until.Load() {
		return 0
	}
	return l.waitShared(ctx, page.Network(client), now)
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
			if d := res.ResetAfter; d < 0 || d > longest(limit.limit)+slack { // below 0: more than fits
				l.failed(ctx, now, errTooFull)
				return 0
			}
			return max(res.RetryAfter, time.Millisecond)
		}
	}
	return 0
}

// longest is when the fullest bucket of a limit that counting can fill is empty. One
// that takes longer was filled by somebody else, or under the clock of another
// server that has failed since: it must not keep everybody out.
func longest(l redis_rate.Limit) time.Duration {
	return l.Period / time.Duration(l.Rate) * time.Duration(l.Burst)
}

const slack = time.Second

var errTooFull = errors.New("a limit in Redis is fuller than counting can make it")

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
