package store

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/discovery"
)

// A change is what a batch of claims did to the directory, as far as other front
// doors must hear of it.
type change struct {
	region   string // empty: the position is not told
	position int64  // of the region, see position
	rerouted bool   // portals or routes are others now
	ids      []discovery.BlindID
	all      bool // too many ids to name: everything is to be dropped
}

// The channel on which front doors tell each other what to drop.
const channel = "domicile:drops"

const (
	// A lookup elsewhere may have read the database before the drop and may put
	// what it read into Redis after it, as long as its question may take; one
	// that asks a replica may do so until its front door knows of the change.
	settle = 2 * dbTimeout

	perMessage   = 800 // blind IDs, 17 bytes each
	mostMessages = 20  // of one change; beyond that, everything is dropped
	maxMessage   = 16 << 10
	maxOwed      = 1 << 20 // blind IDs waiting to be dropped again
	perPipeline  = 1000
	dropTime     = 10 * patience // worth more than a lookup: what stays lives on for a minute

	listenTick   = time.Second // silence after which the line is tried
	deadLine     = 3           // tries without an answer
	slowestRetry = 2 * time.Second
)

// drop forgets what is known of the blind IDs of a change: here, in Redis, and
// at the other front doors. It forgets again when whoever had asked before is
// done for certain; see [Cache.Listen].
func (c *Cache) drop(ctx context.Context, ch change) {
	c.dropNear(ch.ids)
	if c.redis == nil {
		return
	}
	d := debt{due: c.now().Add(settle), ids: ch.ids, times: 1}
	ch.all = len(ch.ids) > perMessage*mostMessages
	switch {
	case c.now().UnixMicro() < c.until.Load():
		d.due, d.times = c.now().Add(sulk), 2 // and nobody waits for a dead Redis
	case ch.all: // a sweep, which nobody waits for either
		d.due, d.times = c.now(), 2
		c.tell(ctx, ch)
	case c.dropFar(ctx, ch.ids):
		c.dropNear(ch.ids) // a lookup may have taken the old answer from Redis meanwhile
		c.tell(ctx, ch)
	default:
		d.due, d.times = c.now().Add(sulk), 2
	}
	c.owe(d)
}

func (c *Cache) dropNear(ids []discovery.BlindID) {
	c.putting.Lock()
	defer c.putting.Unlock()
	for _, id := range ids {
		c.drops[part(id)]++ // from here on, nobody puts back what was read before
		c.near.Del(string(id[:]))
	}
}

// dropAll forgets everything in this process.
func (c *Cache) dropAll() {
	c.putting.Lock()
	defer c.putting.Unlock()
	c.epoch.Add(1)
}

// dropFar has Redis forget, and says whether it has.
func (c *Cache) dropFar(ctx context.Context, ids []discovery.BlindID) bool {
	ctx = context.WithoutCancel(ctx)
	for len(ids) > 0 {
		some := ids[:min(len(ids), perPipeline)]
		quick, cancel := context.WithTimeout(ctx, dropTime)
		_, err := c.redis.Pipelined(quick, func(p redis.Pipeliner) error {
			for _, id := range some { // one by one: a cluster keeps them apart
				p.Del(quick, name(id))
			}
			return nil
		})
		cancel()
		if err != nil {
			c.failed(ctx, err)
			return false
		}
		ids = ids[len(some):]
	}
	return true
}

// A debt is what Redis has to forget later.
type debt struct {
	due   time.Time
	end   time.Time // by then everything in Redis has ended by itself
	ids   []discovery.BlindID
	times int
}

type owed struct {
	mu    sync.Mutex
	debts []debt
	ids   int
	lost  bool // logged
}

func (c *Cache) owe(d debt) {
	if len(d.ids) == 0 || c.redis == nil {
		return
	}
	if d.end.IsZero() {
		d.end = c.now().Add(settle + lifeFar)
	}
	o := &c.owed
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids+len(d.ids) > maxOwed {
		if !o.lost {
			c.log.Warn("too much to forget a second time; some answers may be old for as long as they live", "at_most", lifeFar)
		}
		o.lost = true
		return
	}
	o.debts, o.ids, o.lost = append(o.debts, d), o.ids+len(d.ids), false
}

// due takes what is due at now.
func (o *owed) due(now time.Time) []debt {
	o.mu.Lock()
	defer o.mu.Unlock()
	var due, rest []debt
	for _, d := range o.debts {
		if d.due.After(now) {
			rest = append(rest, d)
			continue
		}
		due, o.ids = append(due, d), o.ids-len(d.ids)
	}
	o.debts = rest
	return due
}

// pay drops what is due. What Redis did not take is due again a moment later.
func (c *Cache) pay(ctx context.Context) {
	for _, d := range c.owed.due(c.now()) {
		switch {
		case ctx.Err() != nil:
			c.owe(d) // for payAll
			continue
		case !c.now().Before(d.end):
			c.log.Warn("Redis did not forget some answers; by now they have ended by themselves", "answers", len(d.ids))
			continue
		case !c.dropFar(ctx, d.ids):
			d.due = c.now().Add(sulk)
			c.owe(d)
			continue
		}
		c.dropNear(d.ids)
		c.tell(ctx, change{ids: d.ids, all: len(d.ids) > perMessage*mostMessages})
		if d.times--; d.times > 0 {
			d.due = c.now().Add(settle)
			c.owe(d)
		}
	}
}

// payAll drops what is owed before this process ends, too early as some of it may
// be: nobody else knows of it.
func (c *Cache) payAll() {
	if c.now().UnixMicro() < c.until.Load() {
		return
	}
	for _, d := range c.owed.due(c.now().Add(time.Hour)) {
		if !c.dropFar(context.Background(), d.ids) {
			return
		}
	}
}

// tell has the other front doors hear of a change.
func (c *Cache) tell(ctx context.Context, ch change) {
	quick, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	var sent int
	_, err := c.redis.Pipelined(quick, func(p redis.Pipeliner) error {
		for _, m := range c.sealed(ch) {
			p.Publish(quick, channel, m)
			sent++
		}
		return nil
	})
	if err != nil {
		c.failed(ctx, err)
		c.told.failed.Add(float64(sent))
		return
	}
	c.told.sent.Add(float64(sent))
}

// A message is, sealed: who sends it (8 bytes), when (Unix milliseconds, 8
// bytes), flags (1 byte), the position (8 bytes), the length of the region's
// name (1 byte) and the name, and blind IDs.
const (
	flagAll = 1 << iota
	flagRerouted
)

var place = []byte(channel) // no value of the cache has this name

func (c *Cache) sealed(ch change) []string {
	var flags byte
	ids := ch.ids
	if ch.all {
		flags, ids = flagAll, nil
	}
	if ch.rerouted {
		flags |= flagRerouted
	}
	head := append([]byte(nil), c.self[:]...)
	head = binary.BigEndian.AppendUint64(head, uint64(c.now().UnixMilli()))
	head = append(head, flags)
	head = binary.BigEndian.AppendUint64(head, uint64(ch.position))
	head = append(head, byte(len(ch.region)))
	head = append(head, ch.region...)
	var all []string
	for first := true; first || len(ids) > 0; first = false {
		some := ids[:min(len(ids), perMessage)]
		plain := append([]byte(nil), head...)
		for _, id := range some {
			plain = append(plain, id[:]...)
		}
		all = append(all, string(c.seal.Seal(plain, place)))
		ids = ids[len(some):]
	}
	return all
}

var errMessage = errors.New("not a message of a front door of ours")

// read opens a message. One that is older than anything a cache holds is none:
// somebody kept it.
func (c *Cache) read(sealed string) (ch change, own bool, err error) {
	const size = len(discovery.BlindID{})
	if len(sealed) > maxMessage {
		return change{}, false, errMessage
	}
	plain, err := c.seal.Open([]byte(sealed), place)
	if err != nil || len(plain) < 26 || len(plain) < 26+int(plain[25]) {
		return change{}, false, errMessage
	}
	sent := time.UnixMilli(int64(binary.BigEndian.Uint64(plain[8:])))
	if c.now().Sub(sent).Abs() > lifeFar {
		return change{}, false, errMessage
	}
	rest := plain[26+int(plain[25]):]
	if len(rest)%size != 0 {
		return change{}, false, errMessage
	}
	ch = change{
		region:   string(plain[26 : 26+int(plain[25])]),
		position: int64(binary.BigEndian.Uint64(plain[17:])),
		rerouted: plain[16]&flagRerouted != 0,
		all:      plain[16]&flagAll != 0,
	}
	for ; len(rest) > 0; rest = rest[size:] {
		ch.ids = append(ch.ids, discovery.BlindID(rest[:size]))
	}
	return ch, [8]byte(plain) == c.self, nil
}

// hear does what a message says.
func (c *Cache) hear(sealed string) {
	ch, own, err := c.read(sealed)
	switch {
	case err != nil:
		c.told.refused.Inc()
		return
	case own:
		return
	}
	c.told.heard.Inc()
	if c.changed != nil {
		c.changed(ch) // first, so that whoever asks from here on knows how new an answer must be
	}
	if ch.all {
		c.dropAll()
		return
	}
	c.dropNear(ch.ids)
}

// Listen hears what other front doors drop, and drops a second time what this one
// has dropped, until ctx ends. A Cache with a Redis needs it. Without one it
// returns at once.
func (c *Cache) Listen(ctx context.Context) {
	if c.redis == nil {
		return
	}
	var paying sync.WaitGroup
	paying.Go(func() {
		tick := time.NewTicker(settle / 16)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				c.payAll()
				return
			case <-tick.C:
				c.pay(ctx)
			}
		}
	})
	defer paying.Wait()
	defer c.told.listening.Set(0)
	said := false
	for pause := time.Duration(0); ctx.Err() == nil; {
		heard, err := c.listen(ctx)
		c.told.listening.Set(0)
		if ctx.Err() != nil {
			return
		}
		if heard {
			pause, said = 0, false
		}
		if !said {
			c.log.Warn("messages of other front doors are not heard", "answers_at_most_old", lifeNear, "err", err)
			said = true
		}
		pause = min(max(2*pause, patience), slowestRetry)
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// listen subscribes and returns when the line is lost. heard says whether there
// was one.
func (c *Cache) listen(ctx context.Context) (heard bool, err error) {
	line := c.redis.Subscribe(ctx, channel)
	defer line.Close()
	defer context.AfterFunc(ctx, func() { _ = line.Close() })() // reading does not look at ctx
	for silent := 0; ; {
		got, err := line.ReceiveTimeout(ctx, listenTick)
		var late net.Error
		switch {
		case errors.As(err, &late) && late.Timeout() && heard && silent < deadLine:
			silent++
			if err := line.Ping(ctx); err != nil {
				return heard, err
			}
			continue
		case err != nil:
			return heard, err
		}
		silent = 0
		switch m := got.(type) {
		case *redis.Subscription:
			// Also when the client has connected again by itself: whatever was
			// said meanwhile is lost.
			c.dropAll()
			c.told.listening.Set(1)
			c.log.Info("messages of other front doors are heard")
			heard = true
		case *redis.Message:
			c.hear(m.Payload)
		}
	}
}

// messages counts them.
type messages struct {
	sent, failed, heard, refused prometheus.Counter
	listening                    prometheus.Gauge
}

func newMessages(to prometheus.Registerer) messages {
	count := promauto.With(to).NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_directory_cache_messages_total",
		Help: "Messages between front doors about answers to drop: sent, failed to be sent, heard, or refused for not being a front door's.",
	}, []string{"result"})
	return messages{
		sent: count.WithLabelValues("sent"), failed: count.WithLabelValues("failed"),
		heard: count.WithLabelValues("heard"), refused: count.WithLabelValues("refused"),
		listening: promauto.With(to).NewGauge(prometheus.GaugeOpts{
			Name: "domicile_directory_cache_listening",
			Help: "1 while messages of other front doors are heard through Redis.",
		}),
	}
}
