package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/discovery"
)

// listening runs Listen until the test ends, and returns when it hears.
func (n *node) listening() {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); n.Listen(ctx) }()
	n.t.Cleanup(func() { cancel(); <-ended })
	n.waits("it does not listen", func() bool { return testutil.ToFloat64(n.told.listening) == 1 })
}

// waits until something is so.
func (n *node) waits(what string, so func() bool) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			n.t.Fatal(what)
		case <-tick.C:
		}
	}
}

func (n *node) kept(id discovery.BlindID) bool {
	_, ok := n.getNear(id)
	return ok
}

func TestDropsReachOtherFrontDoors(t *testing.T) {
	rdb := newRedis(t)
	one, two := newNode(t, rdb), newNode(t, rdb)
	var heard []change
	two.changed = func(ch change) {
		if !two.kept(ada) {
			t.Error("an answer is dropped before the position is known that the next one must have")
		}
		heard = append(heard, ch)
	}
	one.listening()
	two.listening()
	for _, id := range []discovery.BlindID{ada, bob} {
		one.known[id], two.known[id] = entryOf(id, "acme"), entryOf(id, "acme")
		one.wantCost(id, 1, 1)
		two.wantCost(id, 1, 0)
		two.wantCost(id, 1, 0)
	}
	one.drop(t.Context(), change{region: "eu-central", position: 7, rerouted: true, ids: []discovery.BlindID{ada}})
	two.waits("the message does not arrive", func() bool { return !two.kept(ada) })
	two.known[ada] = nil
	two.wantCost(ada, 0, 1)
	two.wantCost(bob, 1, 0) // and nothing else is dropped
	want := []change{{region: "eu-central", position: 7, rerouted: true, ids: []discovery.BlindID{ada}}}
	if diff := cmp.Diff(want, heard, cmp.AllowUnexported(change{})); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	if n := testutil.ToFloat64(one.told.heard); n != 0 {
		t.Errorf("it listens to itself: %v", n)
	}
}

// The bound where no message arrives.
func TestLifeInThisProcess(t *testing.T) {
	if lifeNear != 5*time.Second {
		t.Errorf("the documented bound is 5 s, not %v", lifeNear)
	}
	redis := servertest.ControlledRedis(t)
	rdb := dial(t, redis.Addr)
	one, two := newNode(t, rdb), newNode(t, rdb)
	one.known[ada], two.known[ada] = entryOf(ada, "acme"), entryOf(ada, "acme")
	one.wantCost(ada, 1, 1)
	two.wantCost(ada, 1, 0)
	redis.Kill()
	one.drop(t.Context(), change{ids: []discovery.BlindID{ada}})
	one.known[ada], two.known[ada] = nil, nil
	one.wantCost(ada, 0, 1)
	two.now = two.now.Add(lifeNear - time.Millisecond)
	two.wantCost(ada, 1, 0)
	two.now = two.now.Add(time.Millisecond)
	two.wantCost(ada, 0, 1)
}

// Whoever was not listening may have missed something.
func TestHearingAgainDropsEverything(t *testing.T) {
	redis := servertest.ControlledRedis(t)
	n := newNode(t, dial(t, redis.Addr))
	n.known[ada] = entryOf(ada, "acme")
	n.listening()
	n.wantCost(ada, 1, 1)
	n.wantCost(ada, 1, 0)
	redis.Kill()
	n.waits("it does not notice", func() bool { return testutil.ToFloat64(n.told.listening) == 0 })
	n.wantCost(ada, 1, 0)
	redis.Start()
	n.waits("it does not listen again", func() bool { return testutil.ToFloat64(n.told.listening) == 1 })
	n.wantCost(ada, 1, 1)
}

// A lookup elsewhere has read the database before the drop, and puts what it read
// into Redis after it.
func TestSecondDrop(t *testing.T) {
	rdb := newRedis(t)
	one, two := newNode(t, rdb), newNode(t, rdb)
	one.known[ada], two.known[ada] = entryOf(ada, "new"), entryOf(ada, "old")
	slow := func(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, bool, error) {
		old, keep, err := two.query(ctx, ids)
		one.drop(ctx, change{ids: ids}) // and no message reaches two
		return old, keep, err
	}
	if _, err := two.entries(t.Context(), []discovery.BlindID{ada}, new(pace), slow); err != nil {
		t.Fatal(err)
	}
	two.known[ada] = entryOf(ada, "new")
	if got, asked := one.look(ada); asked != 0 || got[0].Portal != "old" {
		t.Fatalf("nothing to make up for: %v after %d questions", got, asked)
	}
	for _, n := range []*node{one, two} {
		n.now = n.now.Add(settle - time.Millisecond)
	}
	one.pay(t.Context())
	if n, err := rdb.Exists(t.Context(), name(ada)).Result(); err != nil || n != 1 {
		t.Fatalf("dropped too early: %d, %v", n, err)
	}
	one.now, two.now = one.now.Add(time.Millisecond), two.now.Add(time.Millisecond)
	one.pay(t.Context())
	two.now = two.now.Add(lifeNear)
	for _, n := range []*node{one, two} {
		if got, _ := n.look(ada); len(got) != 1 || got[0].Portal != "new" {
			t.Errorf("still %v", got)
		}
	}
	one.now = one.now.Add(time.Hour)
	if due := one.owed.due(one.now); len(due) > 0 || one.owed.ids != 0 {
		t.Errorf("still owed: %v", due)
	}
}

// What Redis did not forget while it was away it forgets when it is back, unless
// it has ended by itself.
func TestDropsWaitForRedis(t *testing.T) {
	redis := servertest.ControlledRedis(t)
	n := newNode(t, dial(t, redis.Addr))
	n.look(ada)
	redis.Kill()
	n.drop(t.Context(), change{ids: []discovery.BlindID{ada}})
	for range 3 {
		n.now = n.now.Add(2 * sulk)
		n.pay(t.Context())
	}
	if n.owed.ids != 1 {
		t.Fatalf("%d are owed", n.owed.ids)
	}
	redis.Start()
	if err := n.redis.Set(t.Context(), name(ada), "old", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	n.now = n.now.Add(2 * sulk)
	n.pay(t.Context())
	if left, err := n.redis.Exists(t.Context(), name(ada)).Result(); err != nil || left != 0 {
		t.Errorf("%d are left, %v", left, err)
	}
	redis.Kill()
	n.now = n.now.Add(2 * lifeFar)
	n.pay(t.Context())
	if n.owed.ids != 0 {
		t.Errorf("%d are owed for ever", n.owed.ids)
	}
}

// Nobody who applies claims waits for a Redis that is known to be dead, and what
// is owed has a bound.
func TestOwedIsBounded(t *testing.T) {
	n := newNode(t, dial(t, "127.0.0.1:1"))
	n.look(ada) // from here on it is known
	ids := make([]discovery.BlindID, maxOwed/4)
	for range 6 {
		n.drop(t.Context(), change{ids: ids})
	}
	if n.owed.ids != maxOwed {
		t.Errorf("%d are owed, want %d", n.owed.ids, maxOwed)
	}
}

func TestLargeChangesAreSplit(t *testing.T) {
	rdb := newRedis(t)
	one, two := newNode(t, rdb), newNode(t, rdb)
	two.listening()
	ids := make([]discovery.BlindID, 2*perMessage+1)
	for i := range ids {
		binary.BigEndian.PutUint32(ids[i][1:], uint32(i))
	}
	two.look(ids[0])
	two.look(ids[len(ids)-1])
	two.look(ada)
	for _, m := range one.sealed(change{ids: ids}) {
		if len(m) > maxMessage {
			t.Errorf("a message of %d bytes", len(m))
		}
	}
	one.drop(t.Context(), change{ids: ids})
	two.waits("not all of it is heard", func() bool { return testutil.ToFloat64(two.told.heard) == 3 })
	if two.kept(ids[0]) || two.kept(ids[len(ids)-1]) || !two.kept(ada) {
		t.Error("other answers are dropped than those named")
	}

	// And a sweep drops everything, in Redis a moment later.
	many := slices.Repeat(ids, 8)
	many[len(many)-1] = ada
	one.drop(t.Context(), change{ids: many})
	two.waits("the sweep is not heard", func() bool { return !two.kept(ada) })
	one.pay(t.Context())
	if left, err := rdb.Exists(t.Context(), name(ada)).Result(); err != nil || left != 0 {
		t.Errorf("%d are left in Redis, %v", left, err)
	}
}

func TestMessagesOfNobody(t *testing.T) {
	rdb := newRedis(t)
	one, two := newNode(t, rdb), newNode(t, rdb)
	var genuine atomic.Bool
	two.changed = func(change) {
		if !genuine.Load() {
			t.Error("a forged message is believed")
		}
	}
	two.listening()
	two.look(ada)
	good := one.sealed(change{region: "eu-central", position: 1 << 40, ids: []discovery.BlindID{ada}})[0]
	bent := []byte(good)
	bent[len(bent)/2] ^= 1
	value, err := rdb.Get(t.Context(), name(ada)).Result()
	if err != nil {
		t.Fatal(err)
	}
	one.now = one.now.Add(-lifeFar - time.Second)
	old := one.sealed(change{ids: []discovery.BlindID{ada}})[0]
	one.now = one.now.Add(2*lifeFar + 2*time.Second)
	ahead := one.sealed(change{ids: []discovery.BlindID{ada}})[0]
	forged := []string{"", "x", string(bent), good[:len(good)-1], value, old, ahead, good + strings.Repeat("\x00", maxMessage),
		string(two.seal.Seal(nil, place)), string(two.seal.Seal(make([]byte, 25), place)),
		string(two.seal.Seal(append(make([]byte, 25), 9), place)), string(two.seal.Seal(make([]byte, 27), place))}
	for _, m := range forged {
		if err := rdb.Publish(t.Context(), channel, m).Err(); err != nil {
			t.Fatal(err)
		}
	}
	two.waits("not all are refused", func() bool { return testutil.ToFloat64(two.told.refused) == float64(len(forged)) })
	if !two.kept(ada) {
		t.Error("a forged message drops answers")
	}
	genuine.Store(true)
	if err := rdb.Publish(t.Context(), channel, good).Err(); err != nil {
		t.Fatal(err)
	}
	two.waits("the good one is not heard", func() bool { return !two.kept(ada) })
}

// A question under way when the message arrives does not put back what it read.
func TestMessageDuringAQuestion(t *testing.T) {
	one, two := newNode(t, newRedis(t)), newNode(t, nil)
	two.seal = one.seal
	slow := func(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, bool, error) {
		old, keep, err := two.query(ctx, ids)
		for _, m := range one.sealed(change{ids: ids}) {
			two.hear(m)
		}
		return old, keep, err
	}
	if _, err := two.entries(t.Context(), []discovery.BlindID{ada}, new(pace), slow); err != nil {
		t.Fatal(err)
	}
	two.known[ada] = entryOf(ada, "acme")
	two.wantCost(ada, 1, 1)
}

func TestNotForKeeping(t *testing.T) {
	n := newNode(t, newRedis(t))
	stale := func(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, bool, error) {
		return entryOf(ada, "acme"), false, errStale
	}
	for range 2 {
		entries, err := n.entries(t.Context(), []discovery.BlindID{ada}, new(pace), stale)
		if err == nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
		}
	}
	if n.kept(ada) {
		t.Error("it is kept")
	}
}

func FuzzMessage(f *testing.F) {
	c, err := NewCache(CacheOptions{Secrets: [][]byte{make([]byte, 32)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(make([]byte, 26), true)
	f.Add([]byte(fmt.Sprintf("%025d%c%s", 0, 2, "eu")), false)
	f.Fuzz(func(t *testing.T, plain []byte, sealed bool) {
		if !sealed {
			if _, _, err := c.read(string(plain)); err == nil {
				t.Error("believed without a seal")
			}
			return
		}
		if len(plain) >= 16 {
			binary.BigEndian.PutUint64(plain[8:], uint64(c.now().UnixMilli()))
		}
		c.hear(string(c.seal.Seal(plain, place))) // must not panic
	})
}

// Whoever asks after a change does not wait for the answer to a question from
// before it, which says that there is nobody.
func TestCAC41QuestionsFromBeforeADrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		answer := make(chan struct{})
		slow := func(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, bool, error) {
			old, keep, err := n.query(ctx, ids)
			<-answer
			return old, keep, err
		}
		go func() { _, _ = n.entries(t.Context(), []discovery.BlindID{ada}, new(pace), slow) }()
		synctest.Wait()
		n.known[ada] = entryOf(ada, "acme")
		n.drop(t.Context(), change{ids: []discovery.BlindID{ada}})
		asked := make(chan []discovery.Entry, 1)
		go func() {
			entries, _ := n.entries(t.Context(), []discovery.BlindID{ada}, new(pace), n.query)
			asked <- entries
		}()
		synctest.Wait()
		close(answer)
		if entries := <-asked; len(entries) != 1 {
			t.Errorf("found in %v", entries)
		}
	})
}

// What is owed when the process is told to stop is dropped before it does, also
// when it was just about to be.
func TestCAC42StopWhileDropping(t *testing.T) {
	rdb := newRedis(t)
	n := newNode(t, rdb)
	n.drop(t.Context(), change{ids: []discovery.BlindID{ada}})
	if err := rdb.Set(t.Context(), name(ada), "old", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	n.now = n.now.Add(settle)
	stopping, stop := context.WithCancel(t.Context())
	stop()
	n.pay(stopping)
	n.payAll()
	if left, err := rdb.Exists(t.Context(), name(ada)).Result(); err != nil || left != 0 {
		t.Errorf("%d are left, %v", left, err)
	}
}
