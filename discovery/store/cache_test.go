package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/discovery"
)

// A node is a front door's cache over a directory that counts its questions.
type node struct {
	*Cache
	t     *testing.T
	now   time.Time
	asked atomic.Int64
	err   error
	known map[discovery.BlindID][]discovery.Entry
}

func newNode(t *testing.T, rdb redis.UniversalClient) *node {
	t.Helper()
	n := &node{t: t, now: time.Unix(1_800_000_000, 0), known: map[discovery.BlindID][]discovery.Entry{}}
	c, err := NewCache(CacheOptions{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}, Redis: rdb, Now: func() time.Time { return n.now }})
	if err != nil {
		t.Fatal(err)
	}
	n.Cache = c
	return n
}

func (n *node) query(_ context.Context, ids []discovery.BlindID) ([]discovery.Entry, bool, error) {
	n.asked.Add(1)
	var all []discovery.Entry
	for _, id := range ids {
		all = append(all, n.known[id]...)
	}
	return all, true, n.err
}

// look asks for id and says how many questions that cost the directory.
func (n *node) look(id discovery.BlindID) ([]discovery.Entry, int64) {
	n.t.Helper()
	before := n.asked.Load()
	entries, err := n.entries(n.t.Context(), []discovery.BlindID{id}, new(pace), n.query)
	if err != nil {
		n.t.Fatal(err)
	}
	return entries, n.asked.Load() - before
}

func (n *node) wantCost(id discovery.BlindID, found int, cost int64) {
	n.t.Helper()
	entries, asked := n.look(id)
	if len(entries) != found || asked != cost {
		n.t.Errorf("%d entries for %d questions, want %d for %d", len(entries), asked, found, cost)
	}
}

func newRedis(t *testing.T) *redis.Client {
	t.Helper()
	return dial(t, servertest.Redis(t))
}

// dial makes a client like the one of a front door.
func dial(t *testing.T, addr string) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

var (
	ada = discovery.BlindID{1, 'a'}
	bob = discovery.BlindID{1, 'b'}
)

func entryOf(id discovery.BlindID, portal string) []discovery.Entry {
	return []discovery.Entry{{Blind: id, Portal: portal, SignIn: []discovery.SignIn{discovery.Password, discovery.OIDC}}}
}

func TestCacheRemembers(t *testing.T) {
	n := newNode(t, nil)
	n.known[ada] = entryOf(ada, "acme")
	n.wantCost(ada, 1, 1)
	n.wantCost(ada, 1, 0)
	got, _ := n.look(ada)
	if diff := cmp.Diff(n.known[ada], got); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	n.now = n.now.Add(lifeFar)
	n.wantCost(ada, 1, 1)
}

func TestDIS32NegativeAnswersAreShort(t *testing.T) {
	n := newNode(t, nil)
	n.wantCost(ada, 0, 1)
	n.wantCost(ada, 0, 0)
	n.known[ada] = entryOf(ada, "acme")
	n.now = n.now.Add(time.Minute)
	n.wantCost(ada, 1, 1)

	n.wantCost(bob, 0, 1)
	n.known[bob] = entryOf(bob, "acme")
	n.drop(t.Context(), change{ids: []discovery.BlindID{bob}})
	n.wantCost(bob, 1, 1)
}

// How long an answer is remembered must not tell which answer it is.
func TestAnswersLiveEquallyLong(t *testing.T) {
	n := newNode(t, nil)
	n.known[ada] = entryOf(ada, "hidden")
	n.wantCost(ada, 1, 1)
	n.wantCost(bob, 0, 1)
	for range 10 {
		n.now = n.now.Add(7 * time.Second)
		_, found := n.look(ada)
		_, absent := n.look(bob)
		if found != absent {
			t.Fatal("a known address is still remembered when an unknown one is not, or the other way round")
		}
	}
}

func TestErrorsAreNotRemembered(t *testing.T) {
	n := newNode(t, nil)
	n.err = errors.New("down")
	for range 2 {
		if _, err := n.entries(t.Context(), []discovery.BlindID{ada}, new(pace), n.query); err == nil {
			t.Error("an outage is an answer")
		}
	}
	n.err = nil
	n.wantCost(ada, 0, 1)
}

// A question that was put before a claim was applied must not bring back the
// old answer after it.
func TestDropDuringAQuestion(t *testing.T) {
	n := newNode(t, nil)
	slow := func(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, bool, error) {
		old, keep, err := n.query(ctx, ids)
		n.known[ada] = entryOf(ada, "acme")
		n.drop(ctx, change{ids: []discovery.BlindID{ada}})
		return old, keep, err
	}
	if entries, err := n.entries(t.Context(), []discovery.BlindID{ada}, new(pace), slow); err != nil || len(entries) != 0 {
		t.Fatalf("%v, %v", entries, err)
	}
	n.wantCost(ada, 1, 1)
}

func TestQuestionsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		n.known[ada] = entryOf(ada, "acme")
		answer := make(chan struct{})
		slow := func(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, bool, error) {
			<-answer
			return n.query(ctx, ids)
		}
		gone, cancel := context.WithCancel(t.Context())
		for i := range 50 {
			go func() {
				ctx := t.Context()
				if i == 0 {
					ctx = gone // who hangs up fails nobody else
				}
				entries, err := n.entries(ctx, []discovery.BlindID{ada}, new(pace), slow)
				if i > 0 && (err != nil || len(entries) != 1) {
					t.Errorf("%v, %v", entries, err)
				}
			}()
		}
		synctest.Wait() // all of them wait for the one question
		cancel()
		synctest.Wait()
		close(answer)
		synctest.Wait()
		if asked := n.asked.Load(); asked != 1 {
			t.Errorf("the directory was asked %d times", asked)
		}
	})
}

func TestNodesShareARedis(t *testing.T) {
	rdb := newRedis(t)
	one, two := newNode(t, rdb), newNode(t, rdb)
	one.known[ada], two.known[ada] = entryOf(ada, "acme"), entryOf(ada, "acme")
	one.wantCost(ada, 1, 1)
	two.wantCost(ada, 1, 0)
	one.drop(t.Context(), change{ids: []discovery.BlindID{ada}})
	one.known[ada] = nil
	one.wantCost(ada, 0, 1)

	ttl, err := rdb.TTL(t.Context(), name(ada)).Result()
	if err != nil || ttl <= 0 || ttl > time.Minute {
		t.Errorf("a negative answer stays for %v, %v", ttl, err)
	}
}

func TestDIS30TamperedValues(t *testing.T) {
	rdb := newRedis(t)
	n := newNode(t, rdb)
	n.known[ada], n.known[bob] = entryOf(ada, "acme"), entryOf(bob, "globex")
	n.look(ada)
	n.look(bob)
	get := func(id discovery.BlindID) string {
		t.Helper()
		s, err := rdb.Get(t.Context(), name(id)).Result()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := get(ada)
	if strings.Contains(good, "acme") {
		t.Error("Redis can read the answer")
	}
	bent := []byte(good)
	bent[len(bent)/2] ^= 1
	for what, value := range map[string]string{
		"swapped": get(bob), "bent": string(bent), "cut": good[:len(good)-1], "longer": good + "\x00", "empty": "",
		"CON-09 huge": strings.Repeat("\xff", 1<<20), "CON-09 msgpack": "\xc1\xdd\xff\xff\xff\xff\x01",
	} {
		fresh := newNode(t, rdb)
		fresh.known[ada] = entryOf(ada, "acme")
		if err := rdb.Set(t.Context(), name(ada), value, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		entries, asked := fresh.look(ada)
		if asked != 1 || len(entries) != 1 || entries[0].Portal != "acme" {
			t.Errorf("%s: %v after %d questions", what, entries, asked)
		}
	}
	other, err := NewCache(CacheOptions{Secrets: [][]byte{bytes.Repeat([]byte{2}, 32)}, Redis: rdb, Now: func() time.Time { return n.now }})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := other.get(t.Context(), ada, new(pace)); ok {
		t.Error("a front door with another key reads our answers")
	}
}

// Whoever may write to Redis cannot fill a front door's memory: of a value that
// is too long, no more is read than tells so.
func TestCON09LongValuesAreNotRead(t *testing.T) {
	rdb := newRedis(t)
	const long, lookups = 64 << 20, 20
	if err := rdb.Set(t.Context(), name(ada), strings.Repeat("\x00", long), time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, rdb)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range lookups {
		if _, ok := n.get(t.Context(), ada, new(pace)); ok {
			t.Fatal("nonsense is an answer")
		}
		if n.Cache.until.Load() != 0 {
			t.Error("Redis is taken to be silent")
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > long {
		t.Errorf("%d lookups took %d MiB", lookups, took>>20)
	}
}

// A value that Redis has and that is empty is no answer, and no failure.
func TestEmptyValueIsAMiss(t *testing.T) {
	rdb := newRedis(t)
	n := newNode(t, rdb)
	n.known[ada] = entryOf(ada, "acme")
	if err := rdb.Set(t.Context(), name(ada), "", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	n.wantCost(ada, 1, 1)
	if n.Cache.until.Load() != 0 {
		t.Error("Redis is taken to be silent")
	}
}

func TestCON05DeadRedisIsAMiss(t *testing.T) {
	n := newNode(t, dial(t, "127.0.0.1:1"))
	n.known[ada] = entryOf(ada, "acme")
	n.wantCost(ada, 1, 1)
	n.wantCost(ada, 1, 0) // this process remembers by itself
	n.drop(t.Context(), change{ids: []discovery.BlindID{ada}})
	n.wantCost(ada, 1, 1)
}

// A Redis that takes connections and never answers: forgetting waits for it, and
// nobody waits for the forgetting.
func TestSilentRedisHoldsUpNoLookup(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	n := newNode(t, dial(t, l.Addr().String()))
	n.look(ada)
	n.now = n.now.Add(2 * sulk) // and Redis is no longer known to be silent

	dropped := make(chan struct{})
	go func() { defer close(dropped); n.drop(context.Background(), change{ids: []discovery.BlindID{ada}}) }()
	for asked := int64(0); asked == 0; runtime.Gosched() {
		_, asked = n.look(ada) // until the drop has begun
	}
	n.look(bob)
	select {
	case <-dropped:
		t.Fatal("a lookup waited until Redis was given up")
	default:
	}
	<-dropped
}

func TestNewCacheRefuses(t *testing.T) {
	if _, err := NewCache(CacheOptions{Secrets: [][]byte{[]byte("short")}}); err == nil || strings.Contains(err.Error(), "short,") {
		t.Errorf("a short key: %v", err)
	}
}

func BenchmarkHit(b *testing.B) {
	c, err := NewCache(CacheOptions{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}})
	if err != nil {
		b.Fatal(err)
	}
	query := func(context.Context, []discovery.BlindID) ([]discovery.Entry, bool, error) {
		return entryOf(ada, "acme"), true, nil
	}
	for _, ids := range [][]discovery.BlindID{{ada}, {ada, bob}} {
		b.Run(fmt.Sprint(len(ids)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.entries(context.Background(), ids, new(pace), query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
