package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redis/cache/v9"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"github.com/domicile-sso/domicile/discovery"
)

// How long an answer may be believed. A negative one must not outlive a minute
// (whoever asks for an address before its owner arrives must not hide it), and
// the sealed value says so itself, whatever a carrier makes of its TTL. A positive
// one lives no longer: whoever asked twice and timed the second answer would know
// which it is, also of people in a portal that is not named to strangers.
const (
	lifeFar  = time.Minute
	lifeNear = 15 * time.Second // in this process, where other nodes' drops do not reach

	patience  = 100 * time.Millisecond // for Redis, per lookup
	sulk      = time.Second            // without Redis after it failed
	dbTimeout = 2 * time.Second

	maxSealed = 8 << 10
)

// CacheOptions configure a Cache. Key must be set.
type CacheOptions struct {
	Key     []byte                // 32 secret bytes or more, the same at all front doors that share a Redis
	Redis   redis.UniversalClient // nil: the cache lives in this process alone
	Size    int                   // answers kept in this process; 0: 100 000
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
	Now     func() time.Time      // nil: time.Now
}

// A Cache remembers what the directory answered for a blind ID: in this
// process, and in Redis when there is one. It is never asked for the truth. A
// slow, broken or lying cache is a miss: values are sealed (AES-256-GCM) with
// their key's name as additional data and opened before anything is decoded.
type Cache struct {
	near  cache.LocalCache
	both  *cache.Cache // near, then far
	far   redis.UniversalClient
	seal  cipher.AEAD
	now   func() time.Time
	log   *slog.Logger
	count struct{ near, far, miss, failed prometheus.Counter }

	asking singleflight.Group
	until  atomic.Int64 // Unix microseconds: leave Redis alone until then

	// A query that began before a drop must not put back what it read. Putting
	// holds the lock for reading, dropping for writing.
	putting sync.RWMutex
	drops   int64

	ways [8][]discovery.SignIn
}

// NewCache returns an empty cache.
func NewCache(o CacheOptions) (*Cache, error) {
	if len(o.Key) < 32 {
		return nil, fmt.Errorf("cache key: want 32 bytes or more, have %d", len(o.Key))
	}
	if o.Size == 0 {
		o.Size = 100_000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	key, err := hkdf.Key(sha256.New, o.Key, nil, "domicile directory cache", 32)
	if err != nil {
		return nil, fmt.Errorf("cache key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cache key: %w", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("cache key: %w", err)
	}
	c := &Cache{near: cache.NewTinyLFU(o.Size, lifeNear), far: o.Redis, seal: seal, now: o.Now, log: o.Log}
	options := &cache.Options{LocalCache: c.near}
	if o.Redis != nil { // a nil client in the interface would not be nil
		options.Redis = o.Redis
	}
	c.both = cache.New(options)
	count := promauto.With(o.Metrics).NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_directory_cache_total",
		Help: "Lookups in the cache: hit in this process (near) or in Redis (far), miss, or error of Redis.",
	}, []string{"result"})
	c.count.near, c.count.far = count.WithLabelValues("near"), count.WithLabelValues("far")
	c.count.miss, c.count.failed = count.WithLabelValues("miss"), count.WithLabelValues("error")
	for mask := range c.ways {
		for i, way := range order {
			if mask&(1<<i) != 0 {
				c.ways[mask] = append(c.ways[mask], way)
			}
		}
	}
	return c, nil
}

// order gives each way to sign in its bit.
var order = [...]discovery.SignIn{discovery.Password, discovery.SAML, discovery.OIDC}

// entries answers from the cache what it can and asks the database once for the
// rest; callers that ask the same at the same time share the question.
func (c *Cache) entries(ctx context.Context, ids []discovery.BlindID, query queryFunc) ([]discovery.Entry, error) {
	var found []discovery.Entry
	var missed []discovery.BlindID
	for _, id := range ids {
		entries, ok := c.get(ctx, id)
		if !ok {
			missed = append(missed, id)
			continue
		}
		found = append(found, entries...)
	}
	if len(missed) == 0 {
		return found, nil
	}
	fresh, err := c.ask(ctx, missed, query)
	if err != nil {
		return nil, err
	}
	return append(found, fresh...), nil
}

type queryFunc func(context.Context, []discovery.BlindID) ([]discovery.Entry, error)

// ask puts the question in nobody's name: a caller who hangs up must not fail
// the others who wait for the same answer.
func (c *Cache) ask(ctx context.Context, ids []discovery.BlindID, query queryFunc) ([]discovery.Entry, error) {
	key := make([]byte, 0, len(ids)*len(discovery.BlindID{}))
	for _, id := range ids {
		key = append(key, id[:]...)
	}
	answer := c.asking.DoChan(string(key), func() (any, error) {
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), dbTimeout)
		defer cancel()
		c.putting.RLock()
		began := c.drops
		c.putting.RUnlock()
		entries, err := query(shared, ids)
		if err == nil {
			c.put(shared, began, ids, entries)
		}
		return entries, err
	})
	select {
	case a := <-answer:
		if a.Err != nil {
			return nil, a.Err
		}
		return a.Val.([]discovery.Entry), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// name is the key of an answer. A blind ID is a keyed hash of fixed length:
// there is nothing in it to inject, and nobody to read.
func name(id discovery.BlindID) string { return "domicile:e1:" + id.String() }

func (c *Cache) get(ctx context.Context, id discovery.BlindID) ([]discovery.Entry, bool) {
	key := name(id)
	if sealed, ok := c.near.Get(key); ok {
		if entries, err := c.open(key, id, sealed); err == nil {
			c.count.near.Inc()
			return entries, true
		}
		c.near.Del(key)
	}
	if c.far != nil && c.now().UnixMicro() >= c.until.Load() {
		quick, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var sealed []byte
		err := c.both.Get(quick, key, &sealed)
		if err == nil {
			var entries []discovery.Entry
			if entries, err = c.open(key, id, sealed); err == nil {
				c.count.far.Inc()
				return entries, true
			}
			c.near.Del(key) // both.Get has put it there
		} else if !errors.Is(err, cache.ErrCacheMiss) {
			c.failed(ctx, err)
		}
	}
	c.count.miss.Inc()
	return nil, false
}

// failed leaves Redis alone for a while, so that a dead one does not cost every
// lookup its patience. A caller who hung up proves nothing.
func (c *Cache) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	c.count.failed.Inc()
	now := c.now()
	if old := c.until.Swap(now.Add(sulk).UnixMicro()); now.UnixMicro()-old > time.Minute.Microseconds() {
		c.log.Warn("Redis does not answer; lookups go to the database", "err", err)
	}
}

// put remembers the answer to a question that began after that many drops.
func (c *Cache) put(ctx context.Context, began int64, ids []discovery.BlindID, entries []discovery.Entry) {
	c.putting.RLock()
	defer c.putting.RUnlock()
	if began != c.drops {
		return
	}
	for _, id := range ids {
		var mine []discovery.Entry
		for _, e := range entries {
			if e.Blind == id {
				mine = append(mine, e)
			}
		}
		key := name(id)
		sealed := c.encode(key, c.now().Add(lifeFar), mine)
		if len(sealed) > maxSealed {
			continue
		}
		if c.far == nil || c.now().UnixMicro() < c.until.Load() {
			c.near.Set(key, sealed)
			continue
		}
		quick, cancel := context.WithTimeout(ctx, patience)
		if err := c.both.Set(&cache.Item{Ctx: quick, Key: key, Value: sealed, TTL: lifeFar}); err != nil {
			c.failed(ctx, err)
		}
		cancel()
	}
}

// drop forgets what is known of ids, here and in Redis.
func (c *Cache) drop(ctx context.Context, ids []discovery.BlindID) {
	if len(ids) == 0 {
		return
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = name(id)
	}
	c.putting.Lock()
	c.drops++ // from here on, nobody puts back what was read before
	c.putting.Unlock()
	c.dropNear(keys)
	if c.far == nil {
		return
	}
	defer c.dropNear(keys) // a lookup may have taken the old answer from Redis meanwhile
	// Worth more patience than a lookup: what stays lives on for a minute.
	quick, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*patience)
	defer cancel()
	_, err := c.far.Pipelined(quick, func(p redis.Pipeliner) error {
		for _, key := range keys { // one by one: a cluster keeps them apart
			p.Del(quick, key)
		}
		return nil
	})
	if err != nil {
		c.failed(ctx, err)
		c.log.Warn("Redis did not forget some answers; they end by themselves", "answers", len(keys), "at_most", lifeFar)
	}
}

func (c *Cache) dropNear(keys []string) {
	for _, key := range keys {
		c.near.Del(key)
	}
}

// encode is: expiry (Unix seconds, 8 bytes), then for each entry its ways to
// sign in (1 byte), the length of its portal's ID (1 byte) and the ID; sealed.
func (c *Cache) encode(key string, expires time.Time, entries []discovery.Entry) []byte {
	plain := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	for _, e := range entries {
		var mask byte
		for i, way := range order {
			for _, w := range e.SignIn {
				if w == way {
					mask |= 1 << i
				}
			}
		}
		plain = append(plain, mask, byte(len(e.Portal)))
		plain = append(plain, e.Portal...)
	}
	return c.seal.Seal(nil, nil, plain, []byte(key))
}

var errSealed = errors.New("not an answer of ours, or no longer one")

func (c *Cache) open(key string, id discovery.BlindID, sealed []byte) ([]discovery.Entry, error) {
	if len(sealed) > maxSealed {
		return nil, errSealed
	}
	plain, err := c.seal.Open(nil, nil, sealed, []byte(key))
	if err != nil || len(plain) < 8 {
		return nil, errSealed
	}
	if c.now().Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return nil, errSealed
	}
	var entries []discovery.Entry
	for rest := plain[8:]; len(rest) > 0; {
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) || int(rest[0]) >= len(c.ways) {
			return nil, errSealed
		}
		end := 2 + int(rest[1])
		entries = append(entries, discovery.Entry{Blind: id, Portal: string(rest[2:end]), SignIn: c.ways[rest[0]]})
		rest = rest[end:]
	}
	return entries, nil
}
