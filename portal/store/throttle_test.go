package store

import (
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/portal"
)

// Tries that take from buckets which are just being cleaned up are counted all
// the same: neither waits for the other in a circle.
func TestThrottleWhileCleaning(t *testing.T) {
	sqltest.Each(t, Migrations, func(t *testing.T, db *sql.DB) {
		vault, err := portal.NewVault(portal.NewVaultKey())
		if err != nil {
			t.Fatal(err)
		}
		var hours atomic.Int64 // every time somebody looks, all buckets are empty again
		s := New(db, vault, func() time.Time {
			return time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC).Add(time.Duration(hours.Add(2)) * time.Hour)
		})
		var buckets []portal.Bucket
		for i := range 20 { // the last one is empty first
			buckets = append(buckets, portal.Bucket{Key: fmt.Sprintf("test:%02d", i), Limit: portal.Limit{Every: time.Duration(20-i) * time.Minute, Burst: 5}})
		}
		charge := func() {
			if _, err := s.charge(t.Context(), buckets...); err != nil {
				t.Errorf("a try is not counted: %v", err)
			}
		}
		for range 50 {
			charge() // so that there is something to be cleaned up
			var both sync.WaitGroup
			both.Go(charge)
			both.Go(func() {
				if _, err := s.cleanThrottle(t.Context(), 100); err != nil {
					t.Errorf("clean up: %v", err)
				}
			})
			both.Wait()
		}
	})
}

// PWD-01: whatever the clocks of two processes say, there are no more tries than there
// may be: what the one that is ahead counts, counts for all, and its cleaning up
// gives nobody a try back.
func TestThrottleOfClocksApart(t *testing.T) {
	sqltest.Each(t, Migrations, func(t *testing.T, db *sql.DB) {
		vault, err := portal.NewVault(portal.NewVaultKey())
		if err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
		right := New(db, vault, func() time.Time { return now })
		const burst = 5
		for i, apart := range []time.Duration{-50 * time.Minute, -time.Minute, -time.Second, 0, time.Second, time.Minute, 50 * time.Minute} {
			other := New(db, vault, func() time.Time { return now.Add(apart) })
			for name, ask := range map[string][]*Store{"the one first": {right, other}, "the other first": {other, right}, "the one": {right}} {
				bucket := portal.Bucket{Key: fmt.Sprint("test:", i, name), Limit: portal.Limit{Burst: burst, Every: time.Minute}}
				tries := 0
				for range 3 * burst {
					for _, s := range ask {
						wait, err := s.charge(t.Context(), bucket)
						if err != nil {
							t.Fatal(err)
						}
						if wait == 0 {
							tries++
						}
						if _, err := other.Cleanup(t.Context(), 1000); err != nil {
							t.Fatal(err)
						}
					}
				}
				// A clock that is ahead gives, once, what it is ahead by.
				most := burst
				if len(ask) > 1 {
					most += int(min(apart.Abs(), burst*time.Minute) / time.Minute)
				}
				if tries < burst || tries > most {
					t.Errorf("%v apart, %s: %d tries, want %d to %d", apart, name, tries, burst, most)
				}
			}
		}
	})
}
