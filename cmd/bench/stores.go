package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery"
)

// organisations have so many portals in PostgreSQL. Where there are fewer than some
// two hundred, it reads the whole of their table for each lookup, which takes it
// 10 µs longer than to look one up.
const organisations = 300

// few answers kept in a front door are none, while a thousand are asked for.
const few = 16

// stores measures on servers of their own. The testing package lends what starts
// and ends them.
func (b *bench) stores(ctx context.Context) error {
	var err error
	ran := false
	testing.Benchmark(func(t *testing.B) {
		if !ran { // it would be run again until it has taken a second
			ran = true
			err = b.onServers(ctx, t)
		}
	})
	if err == nil && !ran {
		err = errors.New("PostgreSQL and Redis are needed: make setup")
	}
	return err
}

func (b *bench) onServers(ctx context.Context, t testing.TB) (err error) {
	fmt.Printf("\nPOST /v1/discover for a known person, %d connections, beside a bare handler that asks the same server for one row\n%s\n", b.clients, beside)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "directory\tanswer from\tper second\tbare\tratio\tCPU\tbare\tratio\tp50\tbare\tp99\tbare\t")
	sizes := []int{b.small, b.huge}
	fronts := make([]*front, len(sizes))
	defer func() {
		for _, f := range fronts {
			if f != nil {
				err = errors.Join(err, f.Stop(ctx))
			}
		}
	}()
	var intake []string
	for i, entries := range sizes {
		database := servertest.Postgres(t)
		if fronts[i], err = b.front(ctx, database, func(o *app.DiscoveryOptions) { o.Near = few }); err != nil {
			return err
		}
		said, err := b.takeIn(ctx, fronts[i], database, entries)
		if err != nil {
			return err
		}
		intake = append(intake, said...)
		us, bare, err := b.row(ctx, fronts[i], database, entries)
		if err != nil {
			return err
		}
		show(w, entries, "PostgreSQL", us, bare)
		if i == 0 {
			if err := b.farAndNear(ctx, t, w, database, entries); err != nil {
				return err
			}
		}
	}
	_ = w.Flush()
	if err := b.growth(ctx, fronts, sizes); err != nil {
		return err
	}
	for _, line := range intake {
		fmt.Println(line)
	}
	if err := b.inMemory(ctx, t); err != nil {
		return err
	}
	return b.found(ctx, t)
}

// growth measures a large directory beside a small one, each in a database of the
// same server, for people whom no cache knows.
func (b *bench) growth(ctx context.Context, fronts []*front, sizes []int) error {
	ask := func(i int) side {
		asked := 0
		return func(ctx context.Context) (result, error) {
			offset := asked
			asked += 1 << 20
			return load(ctx, []string{fronts[i].Addr("public")}, b.clients, b.round, func(n int) []byte {
				return request(person(scatter(offset+n) % sizes[i]))
			})
		}
	}
	large, small, err := b.turns(ctx, ask(1), ask(0))
	if err != nil {
		return err
	}
	fmt.Printf("\nA lookup in PostgreSQL among %d entries beside one among %d takes %.2f of the time, %.2f at the median (%s, %s)\n\n", sizes[1], sizes[0],
		small.persecond/large.persecond, float64(large.quantile(.5))/float64(small.quantile(.5)), micro(large.quantile(.5)), micro(small.quantile(.5)))
	return nil
}

// takeIn fills a directory and says how fast that went and how large it is.
func (b *bench) takeIn(ctx context.Context, f *front, database string, entries int) ([]string, error) {
	began := time.Now()
	if err := analysed(ctx, database, func() error { return f.fill(ctx, entries, organisations) }); err != nil {
		return nil, err
	}
	claims := float64(entries) / time.Since(began).Seconds()
	rows, err := insert(ctx, database, min(entries, 100_000))
	if err != nil {
		return nil, err
	}
	size, err := bytesPerEntry(ctx, database)
	if err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("%d entries claimed: %.0f a second, %.2f of bare rows inserted", entries, claims, claims/rows), size}, nil
}

func show(w *tabwriter.Writer, entries int, name string, us, bare result) {
	fmt.Fprintf(w, "%d\t%s\t%.0f\t%.0f\t%.2f\t%s\t%s\t%.2f\t%s\t%s\t%s\t%s\t\n", entries, name, us.persecond, bare.persecond, us.persecond/bare.persecond,
		micro(us.cpu), micro(bare.cpu), float64(bare.cpu)/float64(us.cpu),
		micro(us.quantile(.5)), micro(bare.quantile(.5)), micro(us.quantile(.99)), micro(bare.quantile(.99)))
}

// analyse is what PostgreSQL does by itself every minute to tables that have grown,
// but for the one of tests. Its planner takes millions of rows that it knows
// nothing of for a few that are soonest read one and all.
const analyse = `ANALYZE`

func analysed(ctx context.Context, database string, work func() error) error {
	db, err := sqldb.Open(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var failed error
	var every sync.WaitGroup
	done := make(chan struct{})
	every.Go(func() {
		minute := time.NewTicker(time.Minute)
		defer minute.Stop()
		for failed == nil {
			select {
			case <-minute.C:
				_, failed = db.ExecContext(ctx, analyse)
			case <-done:
				return
			}
		}
	})
	err = work()
	close(done)
	every.Wait()
	return errors.Join(err, failed)
}

// insert says how many rows a second go into a table like that of the entries,
// which nobody checks, signs or counts.
func insert(ctx context.Context, database string, n int) (persecond float64, err error) {
	db, err := sqldb.Open(ctx, database)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `CREATE TABLE bare (LIKE entries INCLUDING ALL)`); err != nil {
		return 0, err
	}
	const together = 100
	values := make([]string, together)
	for i := range values {
		values[i] = fmt.Sprintf("($%d, 'portal', 'region', 'password', %d, '0123456789abcdef')", i+1, i)
	}
	text := `INSERT INTO bare (blind, portal, region, sign_in, seq, tag) VALUES ` + strings.Join(values, ", ")
	began := time.Now()
	for done := 0; done < n; {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		for end := done + discovery.MaxClaims; done < min(end, n); done += together {
			ids := make([]any, together)
			for i := range ids {
				ids[i] = fmt.Appendf(nil, "%017d", scatter(done+i))
			}
			if _, err := tx.ExecContext(ctx, text, ids...); err != nil {
				return 0, errors.Join(err, tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	persecond = float64(n) / time.Since(began).Seconds()
	_, err = db.ExecContext(ctx, `DROP TABLE bare`)
	return persecond, err
}

// row measures lookups that the database answers, beside one SELECT by primary
// key over a pool of the same size.
func (b *bench) row(ctx context.Context, f *front, database string, entries int) (us, bare result, err error) {
	db, err := sqldb.Open(ctx, database)
	if err != nil {
		return us, bare, err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, analyse); err != nil {
		return us, bare, err
	}
	find, err := db.PrepareContext(ctx, `SELECT portal, region, sign_in, seq, tag FROM entries WHERE blind = $1`)
	if err != nil {
		return us, bare, err
	}
	defer func() { _ = find.Close() }()
	var asked atomic.Int64
	q := question{"PostgreSQL", func(n int) string { return person(scatter(n) % entries) }, true}
	return b.ask(ctx, f, q, func() error {
		a, err := discovery.ParseAddress(person(scatter(int(asked.Add(1))) % entries))
		if err != nil {
			return err
		}
		id := f.blind.Current(a)
		var portal, region, signIn string
		var seq int64
		var tag []byte
		return find.QueryRowContext(ctx, id[:]).Scan(&portal, &region, &signIn, &seq, &tag)
	})
}

// farAndNear measures lookups that Redis answers, and two front doors that share
// it, on a directory that is filled already.
func (b *bench) farAndNear(ctx context.Context, t testing.TB, w *tabwriter.Writer, database string, entries int) error {
	addr := servertest.Redis(t)
	open := func(near int) (*front, error) {
		return b.front(ctx, database, func(o *app.DiscoveryOptions) {
			o.Near, o.Redis = near, redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true})
		})
	}
	f, err := open(few)
	if err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()
	const value = 90 // bytes: about what an answer comes to
	for n := range warm {
		if err := client.Set(ctx, "bare:"+strconv.Itoa(n), strings.Repeat("x", value), 0).Err(); err != nil {
			return errors.Join(err, f.Stop(ctx))
		}
	}
	var asked atomic.Int64
	us, bare, err := b.ask(ctx, f, question{"Redis, warm", func(n int) string { return person(n % warm) }, true}, func() error {
		return client.Get(ctx, "bare:"+strconv.Itoa(int(asked.Add(1))%warm)).Err()
	})
	if err = errors.Join(err, f.Stop(ctx)); err != nil {
		return err
	}
	show(w, entries, "Redis", us, bare)
	return b.two(ctx, w, open, entries)
}

// two measures two front doors beside one. Both sides have the same processors,
// so more cannot be done by two; what they cost each other would show.
func (b *bench) two(ctx context.Context, w *tabwriter.Writer, open func(near int) (*front, error), entries int) error {
	one, err := open(0)
	if err != nil {
		return err
	}
	other, err := open(0)
	if err != nil {
		return errors.Join(err, one.Stop(ctx))
	}
	ask := func(addrs ...string) side {
		requests := make([][]byte, warm)
		for n := range requests {
			requests[n] = request(person(n))
		}
		return func(ctx context.Context) (result, error) {
			return load(ctx, addrs, b.clients, b.round, func(n int) []byte { return requests[n%warm] })
		}
	}
	both := ask(one.Addr("public"), other.Addr("public"))
	_, err = both(ctx) // to be warm
	var us, single result
	if err == nil {
		us, single, err = b.turns(ctx, both, ask(one.Addr("public")))
	}
	if err = errors.Join(err, one.Stop(ctx), other.Stop(ctx)); err != nil {
		return err
	}
	show(w, entries, "two front doors, warm, beside one", us, single)
	return nil
}

func bytesPerEntry(ctx context.Context, database string) (string, error) {
	db, err := sqldb.Open(ctx, database)
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	var table, indexes, entries float64
	row := db.QueryRowContext(ctx, `SELECT pg_table_size('entries'), pg_indexes_size('entries'), (SELECT COUNT(*) FROM entries)`)
	if err := row.Scan(&table, &indexes, &entries); err != nil {
		return "", err
	}
	return fmt.Sprintf("%.0f entries in PostgreSQL: %.0f bytes each, and %.0f of indexes", entries, table/entries, indexes/entries), nil
}

// inMemory says what an answer takes in Redis and in a front door.
func (b *bench) inMemory(ctx context.Context, t testing.TB) error {
	addr := servertest.Redis(t)
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = client.Close() }()
	database := servertest.Postgres(t)
	f, err := b.front(ctx, database, func(o *app.DiscoveryOptions) { o.Redis = redis.NewClient(&redis.Options{Addr: addr}) })
	if err != nil {
		return err
	}
	defer func() { _ = f.Stop(ctx) }()
	n := min(b.small, 10_000)
	if err := f.fill(ctx, n, portals); err != nil {
		return err
	}
	far, near := used(ctx, client), heap()
	for i := range n {
		a, err := discovery.ParseAddress(person(i))
		if err != nil {
			return err
		}
		if _, err := f.Store().Entries(ctx, f.blind.IDs(a)); err != nil {
			return err
		}
	}
	fmt.Printf("%d answers: %.0f bytes each in Redis, %.0f in a front door\n", n, float64(used(ctx, client)-far)/float64(n), float64(heap()-near)/float64(n))
	runtime.KeepAlive(f)
	return nil
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// used is Redis's memory, or 0 where it does not say.
func used(ctx context.Context, client *redis.Client) int64 {
	info, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(info, "used_memory:")
	text, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
