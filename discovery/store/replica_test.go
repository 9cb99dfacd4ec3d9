package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
	"github.com/domicile-sso/domicile/regions"
)

// A front is a front door's directory on a primary and a replica.
type front struct {
	*store.Store
	t        *testing.T
	registry *prometheus.Registry
	log      *bytes.Buffer
	now      time.Time
}

func newFront(t *testing.T, primary, replica *sql.DB, cache *store.Cache) *front {
	f := &front{t: t, registry: prometheus.NewRegistry(), log: new(bytes.Buffer), now: time.Unix(1_800_000_000, 0)}
	f.Store = store.New(primary, store.Options{Snapshot: new(discovery.Snapshot), Tags: tagKey(1), Cache: cache, Replica: replica,
		Metrics: f.registry, Log: slog.New(slog.NewTextHandler(f.log, nil)), Now: func() time.Time { return f.now }})
	return f
}

func (f *front) apply(after int64, claims ...discovery.Claim) {
	f.t.Helper()
	if _, err := f.Apply(f.t.Context(), eu, discovery.Batch{Region: eu.Region, After: after, Claims: claims}); err != nil {
		f.t.Fatal(err)
	}
}

// counted is a metric's value, of one result if it has several.
func (f *front) counted(name, result string) float64 {
	f.t.Helper()
	families, err := f.registry.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (result == "" || m.GetLabel()[0].GetValue() == result) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func (f *front) used() float64 { return f.counted("domicile_directory_replica_total", "used") }

// portals are where somebody is found, and whether that is all.
func (f *front) portals(who string) (string, error) {
	entries, err := f.Entries(f.t.Context(), []discovery.BlindID{blindOf(f.t, who)})
	var all []string
	for _, e := range entries {
		all = append(all, e.Portal)
	}
	return strings.Join(all, " "), err
}

func (f *front) wantPortals(who, want string) {
	f.t.Helper()
	if got, err := f.portals(who); err != nil || got != want {
		f.t.Errorf("%s is found in %q, %v; want %q", who, got, err, want)
	}
}

func (f *front) watches() {
	f.t.Helper()
	if err := f.Refresh(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

const max, uma = "max@consult.example", "uma@consult.example"

func acme(seq int64) discovery.Claim {
	return portal(seq, "eu-central", "acme", "https://acme.eu.example.com")
}

// copies runs f on two databases that got the same claims, which is what a
// replica and its primary are.
func copies(t *testing.T, f func(t *testing.T, primary, replica *sql.DB, lags *store.Store)) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, primary *sql.DB) {
		replica := sqltest.SQLite(t, store.Migrations)
		if strings.HasSuffix(t.Name(), "postgres") {
			replica = sqltest.Postgres(t, store.Migrations)
		}
		f(t, primary, replica, store.New(replica, store.Options{Snapshot: new(discovery.Snapshot), Tags: tagKey(1)}))
	})
}

func TestReplicaIsBelievedWhenItIsCurrent(t *testing.T) {
	copies(t, func(t *testing.T, primary, replica *sql.DB, lags *store.Store) {
		f := newFront(t, primary, replica, nil)
		first := []discovery.Claim{acme(1), entryOf(t, 2, max, "acme")}
		f.apply(0, first...)
		f.wantPortals(max, "acme")
		if f.used() != 0 {
			t.Error("an empty replica is believed")
		}
		follow := func(by regions.Record, claims ...discovery.Claim) {
			t.Helper()
			if _, err := lags.Apply(t.Context(), by, discovery.Batch{Region: by.Region, Claims: claims}); err != nil {
				t.Fatal(err)
			}
		}
		follow(eu, first...)
		new := newFront(t, primary, replica, nil)
		new.wantPortals(max, "acme")
		if new.used() != 0 {
			t.Error("a replica is believed before the primary was asked how far it is")
		}
		f.watches()
		f.wantPortals(max, "acme")
		f.wantPortals(uma, "")
		if f.used() != 2 {
			t.Errorf("a current replica answers %v times", f.used())
		}
		// Another region's batch on the replica does not stand for ours.
		f.apply(2, entryOf(t, 3, uma, "acme"))
		follow(us, portal(1, "us-east", "other", "https://other.us.example.com"))
		follow(us, portal(2, "us-east", "more", "https://more.us.example.com"))
		f.wantPortals(uma, "acme")
		if f.used() != 2 {
			t.Error("a replica is believed that has another region's batch in place of ours")
		}
		follow(eu, append(first, entryOf(t, 3, uma, "acme"))...)
		f.wantPortals(uma, "acme")
		if f.used() != 3 {
			t.Error("the replica has caught up and is not believed")
		}
		// What changes nothing does not make it look behind.
		f.apply(3)
		f.wantPortals(uma, "acme")
		if f.used() != 4 {
			t.Error("an empty batch makes the replica look behind")
		}
		// A primary that has lost something is believed about that.
		if _, err := primary.Exec(`UPDATE progress SET changed = 1`); err != nil {
			t.Fatal(err)
		}
		if _, err := replica.Exec(`UPDATE progress SET changed = 1`); err != nil {
			t.Fatal(err)
		}
		f.wantPortals(uma, "acme")
		if f.used() != 4 {
			t.Error("a replica that went back is believed")
		}
		f.watches()
		f.wantPortals(uma, "acme")
		if f.used() != 5 || !strings.Contains(f.log.String(), "gone back") {
			t.Errorf("the primary's word does not count; the log says\n%s", f.log)
		}
	})
}

// A row of the replica that nobody claimed leads nobody anywhere and harms
// nothing; one of the primary is mended, whoever meets it first.
func TestLaw2ForgedOnTheReplica(t *testing.T) {
	copies(t, func(t *testing.T, primary, replica *sql.DB, lags *store.Store) {
		f := newFront(t, primary, replica, nil)
		claims := []discovery.Claim{acme(1), entryOf(t, 2, max, "acme")}
		f.apply(0, claims...)
		if _, err := lags.Apply(t.Context(), eu, discovery.Batch{Region: eu.Region, Claims: claims}); err != nil {
			t.Fatal(err)
		}
		f.watches()
		const forge = `UPDATE entries SET sign_in = 'saml'`
		if _, err := replica.Exec(forge); err != nil {
			t.Fatal(err)
		}
		f.wantPortals(max, "acme")
		f.wantPortals(max, "acme")
		if f.used() != 0 || f.counted("domicile_directory_replica_total", "failed") != 1 {
			t.Error("a replica with such rows is asked again at once")
		}
		if n, err := testutil.GatherAndCount(f.registry, "domicile_directory_rows_refused_total"); err != nil || n != 0 {
			t.Errorf("the primary is mended for it: %d, %v", n, err)
		}
		f.now = f.now.Add(time.Minute)
		if _, err := primary.Exec(forge); err != nil {
			t.Fatal(err)
		}
		if got, err := f.portals(max); err == nil || got != "" {
			t.Errorf("a forged row leads to %q, %v", got, err)
		}
		var left int
		if err := primary.QueryRow(`SELECT COUNT(*) FROM entries`).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d rows are left, %v", left, err)
		}
	})
}

// streaming is a primary and its real replica, and a way to hold that up.
type streaming struct {
	primary, replica     *servertest.PostgresServer
	onPrimary, onReplica *sql.DB
}

func newStreaming(t *testing.T) *streaming {
	t.Helper()
	s := new(streaming)
	s.primary, s.replica = servertest.PostgresPair(t)
	open := func(url string) *sql.DB {
		db, err := sqldb.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	s.onPrimary = open(s.primary.URL)
	if err := sqldb.Migrate(t.Context(), s.onPrimary, store.Migrations); err != nil {
		t.Fatal(err)
	}
	s.onReplica = open(s.replica.URL)
	s.catchUp(t)
	return s
}

// catchUp waits until the replica has replayed all that the primary has written.
func (s *streaming) catchUp(t *testing.T) {
	t.Helper()
	s.received(t)
	s.replayed(t)
}

func (s *streaming) received(t *testing.T) {
	t.Helper()
	var at string
	if err := s.onPrimary.QueryRow(`SELECT pg_current_wal_flush_lsn()::text`).Scan(&at); err != nil {
		t.Fatal(err)
	}
	s.until(t, `SELECT pg_last_wal_receive_lsn() >= '`+at+`'::pg_lsn`)
}

func (s *streaming) replayed(t *testing.T) {
	t.Helper()
	s.until(t, `SELECT pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()`)
}

func (s *streaming) until(t *testing.T, so string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for there := false; !there; {
		if err := s.onReplica.QueryRowContext(ctx, so).Scan(&there); err != nil {
			t.Fatalf("%s: %v", so, err)
		}
	}
}

func (s *streaming) hold(t *testing.T, what string) {
	t.Helper()
	if _, err := s.onReplica.Exec(`SELECT pg_wal_replay_` + what + `()`); err != nil {
		t.Fatal(err)
	}
}

func TestStreamingReplica(t *testing.T) {
	s := newStreaming(t)
	f := newFront(t, s.onPrimary, s.onReplica, nil)
	f.apply(0, acme(1), entryOf(t, 2, max, "acme"))
	f.watches()
	s.catchUp(t)
	f.wantPortals(max, "acme")
	if f.used() != 1 {
		t.Fatalf("the replica answers %v times", f.used())
	}

	// It lags: the primary knows.
	s.hold(t, "pause")
	f.apply(2, entryOf(t, 3, uma, "acme"))
	f.wantPortals(uma, "acme")
	if f.used() != 1 || f.counted("domicile_directory_replica_total", "behind") != 1 {
		t.Error("a replica that is behind is believed")
	}

	// It lags and the primary is dead: what it has is offered, and what it has not
	// is not known.
	s.received(t)
	s.primary.Kill()
	for range 2 {
		if got, err := f.portals(max); err == nil || got != "acme" {
			t.Errorf("found in %q, %v", got, err)
		}
	}
	if got, err := f.portals(uma); err == nil || got != "" {
		t.Errorf("somebody whom the replica has not heard of is found in %q, %v", got, err)
	}
	if n := f.counted("domicile_directory_stale_answers_total", ""); n != 3 {
		t.Errorf("%v old answers are counted", n)
	}
	if n := strings.Count(f.log.String(), "make do with old answers"); n != 1 {
		t.Errorf("said %d times:\n%s", n, f.log)
	}

	// A front door that is started now begins with what the replica has.
	snapshot := new(discovery.Snapshot)
	late := store.New(s.onPrimary, store.Options{Snapshot: snapshot, Tags: tagKey(1), Replica: s.onReplica})
	if err := late.Refresh(t.Context()); err == nil {
		t.Error("a dead primary is read")
	}
	if err := late.LoadReplica(t.Context()); err != nil {
		t.Fatal(err)
	}
	if portals, _ := snapshot.Len(); portals != 1 || !snapshot.Doubtful() || late.State().Source != store.FromReplica {
		t.Errorf("%d portals, doubtful: %v, from %s", portals, snapshot.Doubtful(), late.State().Source)
	}
	stranger := store.New(s.onPrimary, store.Options{Snapshot: new(discovery.Snapshot), Tags: tagKey(2), Replica: s.onReplica})
	if stranger.LoadReplica(t.Context()) == nil {
		t.Error("rows of another key are believed")
	}

	// What is on its way to the replica arrives, and then it is as good as any.
	s.hold(t, "resume")
	s.replayed(t)
	f.wantPortals(uma, "acme")
	f.wantPortals("eve@nowhere.example", "")

	// The replica is left alone after it was killed, and then asked again.
	s.primary.Start()
	s.replica.Kill()
	f.now = f.now.Add(time.Minute)
	f.wantPortals(max, "acme")
	failed := f.counted("domicile_directory_replica_total", "failed")
	f.wantPortals(max, "acme")
	if n := f.counted("domicile_directory_replica_total", "failed"); failed == 0 || n != failed {
		t.Errorf("a dead replica is asked by every lookup: %v, %v", failed, n)
	}
	if !strings.Contains(f.log.String(), "answers again") {
		t.Errorf("the end is not said:\n%s", f.log)
	}
	s.replica.Start()
	f.now = f.now.Add(time.Minute)
	used := f.used()
	f.wantPortals(max, "acme")
	if f.used() != used+1 {
		t.Error("the replica is back and not asked")
	}

	// A replica that takes questions and never answers.
	s.replica.Pause()
	f.wantPortals(max, "acme")
	s.replica.Resume()
}

// Two front doors on one primary, one replica and one Redis: a change at one is
// found at the other at once, however far behind the replica is.
func TestTwoFrontDoors(t *testing.T) {
	s := newStreaming(t)
	addr := servertest.Redis(t)
	door := func() *front {
		rdb := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
		t.Cleanup(func() { _ = rdb.Close() })
		// The clock stands still: nothing is forgotten but for a message.
		c, err := store.NewCache(store.CacheOptions{Secrets: [][]byte{cacheKey}, Redis: rdb, Now: func() time.Time { return time.Unix(1_800_000_000, 0) }})
		if err != nil {
			t.Fatal(err)
		}
		f := newFront(t, s.onPrimary, s.onReplica, c)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); c.Listen(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
		return f
	}
	one, two := door(), door()
	one.apply(0, acme(1))
	for _, f := range []*front{one, two} {
		f.watches()
	}
	s.catchUp(t)
	s.hold(t, "pause")
	after := int64(1)
	for i := range 20 {
		who := string(rune('a'+i)) + "@consult.example"
		two.wantPortals(who, "") // and remembers it
		one.apply(after, entryOf(t, after+1, who, "acme"))
		after++
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		for {
			got, err := two.portals(who)
			if err != nil {
				t.Fatal(err)
			}
			if got == "acme" {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("%d: not found at the other front door", i)
			}
		}
		cancel()
		two.wantPortals(who, "acme")
		one.wantPortals(who, "acme")
	}
}
