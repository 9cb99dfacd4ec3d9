package store

import (
	"context"
	"crypto/rand"
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
	"github.com/domicile-sso/domicile/discovery/span"
)

// How long an answer may be believed. A negative one must not outlive a minute
// (whoever asks for an address before its owner arrives must not hide it), and
// the sealed value says so itself, whatever a carrier makes of its TTL. A positive
// one lives no longer: whoever asked twice and timed the second answer would know
// which it is, also of people in a portal that is not named to strangers.
const (
	lifeFar  = time.Minute
	lifeNear = 5 * time.Second // in this process, where a drop elsewhere may not be heard of

	patience  = 100 * time.Millisecond // for Redis, per lookup
	sulk      = time.Second            // without Redis after it failed
	dbTimeout = 2 * time.Second

	maxPlain  = 8 << 10
	maxSealed = maxPlain + 64 // nonce, tag and whatever else sealing adds
)

// CacheOptions configure a Cache. Secrets must be set.
type CacheOptions struct {
	Secrets discovery.Secrets     // the same at all front doors that share a Redis
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
//
// A drop at one front door reaches the others as a message through Redis, which
// [Cache.Listen] hears. Where it does not, an answer is at most lifeNear old.
type Cache struct {
	near  cache.LocalCache // what was opened, and until when
	far   *cache.Cache     // nil: no Redis
	redis redis.UniversalClient
	seal  discovery.Sealer
	now   func() time.Time
	log   *slog.Logger
	count struct{ near, far, miss, failed prometheus.Counter }

	asking singleflight.Group
	until  atomic.Int64 // Unix microseconds: leave Redis alone until then

	// A query that began before a drop must not put back what it read. Putting
	// holds the lock for reading, dropping for writing.
	putting sync.RWMutex
	drops   [parts]int64 // by part of the blind ID
	epoch   atomic.Int64 // counts what dropped everything in this process

	self    [8]byte      // tells our own messages from others'
	changed func(change) // hears of changes before the cache drops what they touch
	owed    owed
	told    messages

	ways [8][]discovery.SignIn
}

// NewCache returns an empty cache.
func NewCache(o CacheOptions) (*Cache, error) {
	seal, err := o.Secrets.Sealer("domicile directory cache")
	if err != nil {
		return nil, fmt.Errorf("cache key: %w", err)
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
	near := cache.NewTinyLFU(o.Size, lifeFar) // what it keeps says itself that it ends sooner
	near.UseRandomizedTTL(0)
	c := &Cache{near: near, redis: o.Redis, seal: seal, now: o.Now, log: o.Log}
	if o.Redis != nil {
		c.far = cache.New(&cache.Options{Redis: short{o.Redis}})
	}
	_, _ = rand.Read(c.self[:]) // never fails
	c.told = newMessages(o.Metrics)
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

// A short Redis gives no more of a value than tells that it is too long: whoever
// may write to Redis decides how long values are, and every lookup would hold one.
type short struct{ redis.UniversalClient }

func (s short) Get(ctx context.Context, key string) *redis.StringCmd {
	cmd := s.GetRange(ctx, key, 0, maxSealed) // the last place counts, too
	if cmd.Err() == nil && cmd.Val() == "" {
		cmd.SetErr(redis.Nil) // which this command does not tell from an empty value
	}
	return cmd
}

// order gives each way to sign in its bit.
var order = [...]discovery.SignIn{discovery.Password, discovery.SAML, discovery.OIDC}

// entries answers from the cache what it can and asks the database once for the
// rest; callers that ask the same at the same time share the question.
func (c *Cache) entries(ctx context.Context, ids []discovery.BlindID, p *pace, query queryFunc) ([]discovery.Entry, error) {
	var found []discovery.Entry
	var missed []discovery.BlindID
	for _, id := range ids {
		entries, ok := c.get(ctx, id, p)
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
	return append(found, fresh...), err
}

// A queryFunc answers from a database. What it says to keep may be remembered.
type queryFunc func(context.Context, []discovery.BlindID) (entries []discovery.Entry, keep bool, err error)

// ask puts the question in nobody's name: a caller who hangs up must not fail
// the others who wait for the same answer, and waits for it himself, which is
// dbTimeout at most. Whoever asks after a drop does not wait for an answer to a
// question from before it.
func (c *Cache) ask(ctx context.Context, ids []discovery.BlindID, query queryFunc) ([]discovery.Entry, error) {
	began := c.mark(ids...)
	key := make([]byte, 0, len(ids)*(len(discovery.BlindID{})+8))
	for i, id := range ids {
		key = append(key, id[:]...)
		key = binary.BigEndian.AppendUint64(key, uint64(began[i]))
	}
	answer, err, _ := c.asking.Do(string(key), func() (any, error) {
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), dbTimeout)
		defer cancel()
		entries, keep, err := query(shared, ids)
		if err == nil && keep {
			c.put(shared, began, ids, entries)
		}
		return entries, err
	})
	return answer.([]discovery.Entry), err
}

// name is the key of an answer. A blind ID is a keyed hash of fixed length:
// there is nothing in it to inject, and nobody to read.
func name(id discovery.BlindID) string { return "domicile:e1:" + id.String() }

// get looks in this process, then in Redis.
func (c *Cache) get(ctx context.Context, id discovery.BlindID, p *pace) ([]discovery.Entry, bool) {
	ctx, sp := span.Start(ctx, span.Cache)
	defer sp.End(nil)
	if entries, ok := c.getNear(id); ok {
		sp.Text(span.Source, "near")
		c.count.near.Inc()
		return entries, true
	}
	p.begin()
	if c.far != nil && c.now().UnixMicro() >= c.until.Load() {
		if entries, ok := c.getFar(ctx, id); ok {
			sp.Text(span.Source, "far")
			c.count.far.Inc()
			return entries, true
		}
	}
	sp.Text(span.Source, "miss")
	c.count.miss.Inc()
	return nil, false
}

func (c *Cache) getFar(ctx context.Context, id discovery.BlindID) ([]discovery.Entry, bool) {
	quick, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := c.mark(id)
	key, sealed := name(id), []byte(nil)
	if err := c.far.Get(quick, key, &sealed); err != nil {
		if !errors.Is(err, cache.ErrCacheMiss) {
			c.failed(ctx, err)
		}
		return nil, false
	}
	plain, err := c.open(key, sealed)
	if err != nil {
		return nil, false
	}
	entries, err := c.decode(id, plain)
	if err != nil {
		return nil, false
	}
	c.keepNear(id, began[0], plain)
	return entries, true
}

// A value in this process is: until when it may be used (Unix milliseconds, 8
// bytes), the epoch (8 bytes), and the answer.
const nearHeader = 16

func (c *Cache) getNear(id discovery.BlindID) ([]discovery.Entry, bool) {
	kept, ok := c.near.Get(string(id[:]))
	if !ok {
		return nil, false
	}
	if c.now().UnixMilli() >= int64(binary.BigEndian.Uint64(kept)) {
		return nil, false
	}
	if c.epoch.Load() != int64(binary.BigEndian.Uint64(kept[8:])) {
		return nil, false
	}
	entries, err := c.decode(id, kept[nearHeader:])
	return entries, err == nil
}

// putNear remembers an answer in this process. The caller holds putting.
func (c *Cache) putNear(id discovery.BlindID, plain []byte) {
	until := c.now().Add(lifeNear).UnixMilli()
	until = min(until, 1000*int64(binary.BigEndian.Uint64(plain)))
	kept := make([]byte, 0, nearHeader+len(plain))
	kept = binary.BigEndian.AppendUint64(kept, uint64(until))
	kept = binary.BigEndian.AppendUint64(kept, uint64(c.epoch.Load()))
	c.near.Set(string(id[:]), append(kept, plain...))
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

// mark is how often each of ids has been dropped. It changes with every drop.
func (c *Cache) mark(ids ...discovery.BlindID) []int64 {
	c.putting.RLock()
	defer c.putting.RUnlock()
	marks := make([]int64, len(ids))
	for i, id := range ids {
		marks[i] = c.at(id)
	}
	return marks
}

// at is one mark. Neither of its parts ever falls. The caller holds putting.
func (c *Cache) at(id discovery.BlindID) int64 { return c.drops[part(id)] + c.epoch.Load() }

const parts = 1 << 12

// part is of the hash, which begins after the version of its key.
func part(id discovery.BlindID) uint16 { return binary.BigEndian.Uint16(id[1:]) % parts }

// put remembers the answer to a question that began at those marks.
func (c *Cache) put(ctx context.Context, began []int64, ids []discovery.BlindID, entries []discovery.Entry) {
	for i, id := range ids {
		var mine []discovery.Entry
		for _, e := range entries {
			if e.Blind == id {
				mine = append(mine, e)
			}
		}
		plain := encode(c.now().Add(lifeFar), mine)
		if len(plain) > maxPlain || !c.keepNear(id, began[i], plain) || c.far == nil || c.now().UnixMicro() < c.until.Load() {
			continue
		}
		c.putFar(ctx, id, began[i], plain)
	}
}

// keepNear is putNear unless id has been dropped since.
func (c *Cache) keepNear(id discovery.BlindID, began int64, plain []byte) bool {
	c.putting.RLock()
	defer c.putting.RUnlock()
	if c.at(id) != began {
		return false
	}
	c.putNear(id, plain)
	return true
}

// putFar takes no lock, since Redis may take its time. A drop that came in
// between is made up for; one that comes later finds what was put.
func (c *Cache) putFar(ctx context.Context, id discovery.BlindID, began int64, plain []byte) {
	key := name(id)
	quick, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := c.far.Set(&cache.Item{Ctx: quick, Key: key, Value: c.seal.Seal(plain, []byte(key)), TTL: lifeFar})
	if err != nil {
		c.failed(ctx, err) // and yet it may have been put
	}
	if c.mark(id)[0] != began {
		c.owe(debt{due: c.now(), ids: []discovery.BlindID{id}, times: 1})
	}
}

// encode is: expiry (Unix seconds, 8 bytes), then for each entry its ways to
// sign in (1 byte), the length of its portal's ID (1 byte) and the ID.
func encode(expires time.Time, entries []discovery.Entry) []byte {
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
	return plain
}

var errSealed = errors.New("not an answer of ours, or no longer one")

// open returns the answer that was sealed under that key and has not expired.
func (c *Cache) open(key string, sealed []byte) ([]byte, error) {
	if len(sealed) > maxSealed {
		return nil, errSealed
	}
	plain, err := c.seal.Open(sealed, []byte(key))
	if err != nil || len(plain) < 8 {
		return nil, errSealed
	}
	if c.now().Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return nil, errSealed
	}
	return plain, nil
}

func (c *Cache) decode(id discovery.BlindID, plain []byte) ([]discovery.Entry, error) {
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
