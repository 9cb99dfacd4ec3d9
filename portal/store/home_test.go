package store_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/domicile-sso/domicile/portal/store"
)

// REG-07: a database is one region's for good. Of many that come to an empty one
// at once, one settles there.
func TestREG07OneRegionPerDatabase(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		if err := x.Belongs(x.ctx, "eu-central", "EU"); err != nil {
			t.Errorf("nobody's: %v", err)
		}
		var group sync.WaitGroup
		var settled atomic.Int64
		for _, region := range []string{"eu-central", "us-east", "eu-west", "us-west"} {
			group.Go(func() {
				law := strings.ToUpper(region[:2])
				switch err := x.another().Settle(x.ctx, region, law); {
				case err == nil:
					settled.Add(1)
					if err := x.Settle(x.ctx, region, law); err != nil {
						t.Errorf("%s, at home: %v", region, err)
					}
					if err := x.Belongs(x.ctx, region, "CH"); !errors.Is(err, store.ErrElsewhere) {
						t.Errorf("%s, under another law: %v", region, err)
					}
				case !errors.Is(err, store.ErrElsewhere) || !strings.Contains(err.Error(), region):
					t.Errorf("%s: %v", region, err)
				}
			})
		}
		group.Wait()
		if n := settled.Load(); n != 1 {
			t.Errorf("%d regions settled", n)
		}
	})
}
