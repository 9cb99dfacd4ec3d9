package publish_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal/publish"
)

// directory applies claims as discovery/store does: in order, each once.
type directory struct {
	mu      sync.Mutex
	last    int64
	seqs    []int64 // applied, in order
	down    bool
	lose    bool // applies, and its answer gets lost
	deaf    bool // answers, and applies nothing
	forgets bool // applies, answers, and has nothing the next time
	biggest int
}

func (d *directory) Publish(_ context.Context, b discovery.Batch) (discovery.Receipt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return discovery.Receipt{}, errors.New("connection refused")
	}
	d.biggest = max(d.biggest, len(b.Claims))
	if d.forgets {
		d.last = 0
	}
	if b.After <= d.last && !d.deaf {
		for _, c := range b.Claims {
			if c.Seq > d.last {
				d.seqs = append(d.seqs, c.Seq)
				d.last = c.Seq
			}
		}
	}
	if d.lose && len(b.Claims) > 0 {
		d.lose = false
		return discovery.Receipt{}, errors.New("timeout")
	}
	return discovery.Receipt{Last: d.last}, nil
}

func (d *directory) set(f func(*directory)) { d.mu.Lock(); defer d.mu.Unlock(); f(d) }

// outbox is the store's contract in memory.
type outbox struct {
	mu          sync.Mutex
	rows        []int64
	last, acked int64
	sent        int64
	everything  int // rows that a republish queues
	republished int
	woken       chan struct{}
	broken      error
	held        bool // by a process with other keys
}

func (o *outbox) add(n int) {
	o.mu.Lock()
	for range n {
		o.last++
		o.rows = append(o.rows, o.last)
	}
	o.mu.Unlock()
	select {
	case o.woken <- struct{}{}:
	default:
	}
}

func (o *outbox) PendingClaims(_ context.Context, _ string, _ discovery.BlindKeys, limit int) (claims []discovery.Claim, after int64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, seq := range o.rows[:min(limit, len(o.rows))] {
		claims = append(claims, discovery.Claim{Seq: seq})
	}
	return claims, o.acked, o.broken
}

func (o *outbox) Hold(context.Context, discovery.BlindKeys, bool) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.held, o.broken
}

func (o *outbox) Ack(_ context.Context, last int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows = slices.DeleteFunc(o.rows, func(seq int64) bool { return seq <= last })
	o.acked = max(o.acked, last)
	return nil
}

func (o *outbox) Sending(_ context.Context, upTo int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = max(o.sent, upTo)
	return o.broken
}

func (o *outbox) Sent(context.Context) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent, o.broken
}

func (o *outbox) Rebuild(_ context.Context, after, last int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.acked != after {
		return nil
	}
	o.last = max(o.last, last)
	o.sent = o.last
	o.acked = last
	o.republished++
	o.rows = nil
	for range o.everything {
		o.last++
		o.rows = append(o.rows, o.last)
	}
	return nil
}

func (o *outbox) OutboxAge(context.Context) (time.Duration, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Duration(len(o.rows)) * time.Second, nil
}

func (o *outbox) Changed() <-chan struct{} { return o.woken }

func (o *outbox) left() int { o.mu.Lock(); defer o.mu.Unlock(); return len(o.rows) }

// run publishes in a bubble of its own time.
func run(t *testing.T, prepare func(*outbox, *directory), f func(t *testing.T, o *outbox, d *directory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o, d := &outbox{woken: make(chan struct{}, 1), everything: 10}, &directory{}
		prepare(o, d)
		p := publish.New(publish.Options{Region: "eu", Outbox: o, Directory: d, Log: slog.New(slog.DiscardHandler),
			Now: time.Now, Metrics: prometheus.NewRegistry()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()
		synctest.Wait()
		f(t, o, d)
		cancel()
		<-done
		if !slices.IsSorted(d.seqs) {
			t.Errorf("applied out of order: %v", d.seqs)
		}
	})
}

func nothing(*outbox, *directory) {}

func TestPublishesAtOnceInBatches(t *testing.T) {
	run(t, nothing, func(t *testing.T, o *outbox, d *directory) {
		before := time.Now()
		o.add(1)
		synctest.Wait()
		if len(d.seqs) != 1 || time.Since(before) != 0 {
			t.Errorf("a change took %s", time.Since(before))
		}
		o.add(1200)
		synctest.Wait()
		if len(d.seqs) != 1201 || d.biggest != 500 || o.left() != 0 || o.republished != 0 {
			t.Errorf("%d applied, batches of %d, %d left", len(d.seqs), d.biggest, o.left())
		}
	})
}

func TestFrontDoorAway(t *testing.T) {
	run(t, nothing, func(t *testing.T, o *outbox, d *directory) {
		o.add(3)
		synctest.Wait()
		d.set(func(d *directory) { d.down = true })
		o.add(100)
		pass(time.Hour)
		d.set(func(d *directory) { d.down = false })
		pass(16 * time.Second)
		if len(d.seqs) != 103 || o.republished != 0 {
			t.Errorf("%d applied, %d times everything", len(d.seqs), o.republished)
		}
	})
}

// A receipt that got lost is no reason to publish everything, or anything twice.
func TestLostReceipt(t *testing.T) {
	run(t, nothing, func(t *testing.T, o *outbox, d *directory) {
		d.set(func(d *directory) { d.lose = true })
		o.add(5)
		pass(time.Second)
		if len(d.seqs) != 5 || o.left() != 0 || o.republished != 0 {
			t.Errorf("applied %v, %d left, %d times everything", d.seqs, o.left(), o.republished)
		}
	})
}

// Nobody changes anything, and still an emptied directory is noticed.
func TestEmptiedDirectoryIsRebuilt(t *testing.T) {
	run(t, nothing, func(t *testing.T, o *outbox, d *directory) {
		o.add(20)
		synctest.Wait()
		d.set(func(d *directory) { d.last, d.seqs = 0, nil })
		pass(16 * time.Second)
		if len(d.seqs) != 10 || o.republished != 1 || o.left() != 0 {
			t.Errorf("applied %v, %d times everything", d.seqs, o.republished)
		}
	})
}

func TestRestoredRegionGoesOnBehindTheDirectory(t *testing.T) {
	run(t, func(o *outbox, d *directory) {
		d.last = 1000
		o.add(600) // changed since the restore, and none of it beyond what the directory knows
		o.add(600)
	}, func(t *testing.T, o *outbox, d *directory) {
		if o.republished != 1 || len(d.seqs) != 10 || d.seqs[0] <= 1000 {
			t.Errorf("applied %v, %d times everything", d.seqs, o.republished)
		}
	})
}

func TestDirectoryGoesAheadLater(t *testing.T) {
	run(t, nothing, func(t *testing.T, o *outbox, d *directory) {
		o.add(3)
		synctest.Wait()
		d.set(func(d *directory) { d.last = 1000 })
		o.add(1)
		synctest.Wait()
		if o.republished != 1 || o.left() != 0 || d.last <= 1000 {
			t.Errorf("applied %v, %d times everything", d.seqs, o.republished)
		}
	})
}

// Two processes of a region work on one outbox: everything is applied once, and
// neither takes what the other has sent for a sign of anything.
func TestTwoProcesses(t *testing.T) {
	run(t, nothing, func(t *testing.T, o *outbox, d *directory) {
		o.add(700)
		for range 3 {
			log := new(bytes.Buffer)
			other := publish.New(publish.Options{Region: "eu", Outbox: o, Directory: d, Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { other.Run(ctx); close(done) }()
			for range 20 {
				o.add(70)
				synctest.Wait()
			}
			o.add(7)
			cancel() // it may have sent, and not heard the answer
			<-done
			if log.Len() > 0 {
				t.Errorf("logged %s", log)
			}
		}
		pass(16 * time.Second)
		if want := 700 + 3*(20*70+7); len(d.seqs) != want || o.left() != 0 || o.republished != 0 {
			t.Errorf("%d applied, want %d; %d left, %d times everything", len(d.seqs), want, o.left(), o.republished)
		}
	})
}

// A process that ended before it heard the answer is no reason to publish
// everything, for the one that comes after it.
func TestAnswerNobodyHeard(t *testing.T) {
	run(t, func(o *outbox, d *directory) {
		o.add(30)
		o.sent, d.last = 20, 20
	}, func(t *testing.T, o *outbox, d *directory) {
		if o.republished != 0 || len(d.seqs) != 10 || o.left() != 0 {
			t.Errorf("applied %v, %d times everything", d.seqs, o.republished)
		}
	})
}

// A copy of the database takes over that lacks what was sent last. It hands out
// the same sequences again, for other things.
func TestDatabaseIsSetBack(t *testing.T) {
	run(t, nothing, func(t *testing.T, o *outbox, d *directory) {
		o.add(20)
		synctest.Wait()
		o.mu.Lock()
		o.last, o.acked, o.sent = 15, 15, 15
		o.mu.Unlock()
		o.add(5)
		synctest.Wait()
		if o.republished != 1 || len(d.seqs) != 30 || o.left() != 0 {
			t.Errorf("applied %v, %d times everything", d.seqs, o.republished)
		}
	})
}

// A directory that answers and applies nothing is not asked in a tight loop.
// A directory that loses what it is told, each time, does not keep the region busy
// with nothing else; and is told when it has come to its senses.
func TestPUB12ForgetfulDirectory(t *testing.T) {
	run(t, func(o *outbox, d *directory) { o.add(3); d.forgets = true }, func(t *testing.T, o *outbox, d *directory) {
		pass(time.Hour)
		if o.republished < 3 || o.republished > 40 {
			t.Errorf("published everything %d times in an hour", o.republished)
		}
		d.set(func(d *directory) { d.forgets = false })
		o.add(1)
		pass(6 * time.Minute)
		if o.left() != 0 || d.last != o.acked {
			t.Errorf("%d left, the directory at %d of %d", o.left(), d.last, o.acked)
		}
		d.seqs = nil
	})
}

func TestDeafDirectory(t *testing.T) {
	run(t, nothing, func(t *testing.T, o *outbox, d *directory) {
		d.set(func(d *directory) { d.deaf = true })
		o.add(1)
		pass(time.Minute)
		if o.left() != 1 {
			t.Error("confirmed what was not applied")
		}
		d.set(func(d *directory) { d.deaf = false })
		pass(16 * time.Second)
		if o.left() != 0 {
			t.Error("not published in the end")
		}
	})
}

// A process whose keys are not those of the one that started last sends nothing,
// and compares notes with the directory when it takes over.
func TestLeftToAnother(t *testing.T) {
	run(t, func(o *outbox, _ *directory) { o.held = true }, func(t *testing.T, o *outbox, d *directory) {
		o.add(3)
		pass(time.Minute)
		if len(d.seqs) != 0 || o.left() != 3 {
			t.Errorf("applied %v beside another process", d.seqs)
		}
		o.mu.Lock()
		o.held = false
		o.mu.Unlock()
		pass(16 * time.Second)
		if len(d.seqs) != 3 || o.left() != 0 || o.republished != 0 {
			t.Errorf("applied %v after taking over", d.seqs)
		}
	})
}

// refusing is a directory that takes everything and likes nothing.
type refusing struct{}

func (refusing) Publish(_ context.Context, b discovery.Batch) (discovery.Receipt, error) {
	r := discovery.Receipt{Last: b.After, Refused: []discovery.Refused{{Seq: 999, Code: "never_sent"}}}
	for _, c := range b.Claims {
		r.Last = c.Seq
		r.Refused = append(r.Refused, discovery.Refused{Seq: c.Seq, Code: discovery.CodeHost})
	}
	return r, nil
}

// portals is an outbox of portals that are not where they may be.
type portals struct{ *outbox }

func (o portals) PendingClaims(ctx context.Context, region string, keys discovery.BlindKeys, limit int) ([]discovery.Claim, int64, error) {
	claims, after, err := o.outbox.PendingClaims(ctx, region, keys, limit)
	for i := range claims {
		claims[i].Portal = &discovery.Portal{ID: "acme", URL: "https://elsewhere.example"}
	}
	return claims, after, err
}

func TestRefusedClaimsAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, log := prometheus.NewRegistry(), new(bytes.Buffer)
		o := &outbox{woken: make(chan struct{}, 1)}
		o.add(1)
		p := publish.New(publish.Options{Region: "eu", Outbox: portals{o}, Directory: refusing{}, Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now, Metrics: registry})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p.Run(ctx)
		if text := log.String(); strings.Count(text, "claim refused: portal outside its signed hosts") != 1 ||
			!strings.Contains(text, "portal=acme seq=1") || strings.Contains(text, "never_sent") {
			t.Errorf("the log says\n%s", text)
		}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(`
			# HELP domicile_publish_claims_refused_total Claims that the directory would not take; the log says which and why.
			# TYPE domicile_publish_claims_refused_total counter
			domicile_publish_claims_refused_total 1
			`), "domicile_publish_claims_refused_total"); err != nil {
			t.Error(err)
		}
		if o.left() != 0 {
			t.Error("a refused claim is sent for ever")
		}
	})
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	o := &outbox{woken: make(chan struct{}, 1), broken: errors.New("database is locked")}
	o.add(7)
	p := publish.New(publish.Options{Region: "eu", Outbox: o, Directory: &directory{}, Log: slog.New(slog.DiscardHandler), Now: time.Now, Metrics: registry})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
		defer cancel()
		p.Run(ctx)
	})
	if n, err := testutil.GatherAndCount(registry, "domicile_publish_lag_seconds", "domicile_publish_batches_total"); err != nil || n != 2 {
		t.Errorf("%d metrics, %v", n, err)
	}
}

// pass lets d go by in the bubble of a synctest, and everybody come to rest.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
