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
			return time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC).Add(time.Duration(hours.Add(1)) * time.Hour)
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
