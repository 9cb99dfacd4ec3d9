package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// hold asks as a process with these keys.
func (x *fixture) hold(started bool, keys discovery.BlindKeys) bool {
	x.t.Helper()
	mine, err := x.Hold(x.ctx, keys, started)
	if err != nil {
		x.t.Fatal(err)
	}
	return mine
}

func (x *fixture) published(versions string, everythingWaits bool) {
	x.t.Helper()
	got, waiting, err := x.Published(x.ctx)
	if err != nil || got != versions || everythingWaits != (waiting > 0) {
		x.t.Errorf("claimed under %q, %d waiting, %v; want %q", got, waiting, err, versions)
	}
}

// drainWith confirms everything, as claimed under keys, and returns the versions
// that entries were claimed under.
func (x *fixture) drainWith(keys discovery.BlindKeys) (versions []byte, swept bool) {
	x.t.Helper()
	for {
		claims, _ := x.pending(keys, 100)
		if len(claims) == 0 {
			slices.Sort(versions)
			return slices.Compact(versions), swept
		}
		for _, c := range claims {
			if c.Entry != nil {
				versions = append(versions, c.Entry.Blind[0])
			}
			swept = swept || c.Sweep > 0
		}
		if err := x.Ack(x.ctx, claims[len(claims)-1].Seq); err != nil {
			x.t.Fatal(err)
		}
	}
}

// Two processes of a region are restarted one after the other, twice: to take a
// new blinding key, and to lose the old one.
func TestBlindKeysOfARollingRestart(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		old, both, fresh := blindKeys(1), blindKeys(2, 1), blindKeys(2)
		x.account("ian@cloud.example")
		for range 2 { // processes
			if !x.hold(true, old) {
				t.Fatal("processes with the same keys do not both publish")
			}
		}
		x.drainWith(old)
		x.published("1", false)

		if !x.hold(true, both) {
			t.Fatal("who started last does not publish")
		}
		x.published("1,2", true)
		if x.hold(false, old) {
			t.Error("a process with the older list goes on publishing")
		}
		if _, _, err := x.PendingClaims(x.ctx, "eu", old, 100); err == nil {
			t.Error("claims are made under the older list")
		}
		if versions, swept := x.drainWith(both); !slices.Equal(versions, []byte{1, 2}) || !swept {
			t.Errorf("claimed under %v, swept: %t", versions, swept)
		}
		if x.hold(true, discovery.BlindKeys{both[1], both[0]}); x.hold(true, both) {
			x.published("1,2", false) // the order of a list is nothing new
		}

		if !x.hold(true, fresh) || x.hold(false, both) {
			t.Error("the list without the old key is not taken over")
		}
		if versions, swept := x.drainWith(fresh); !slices.Equal(versions, []byte{2}) || !swept {
			t.Errorf("claimed under %v, swept: %t", versions, swept)
		}
		x.published("2", false)
	})
}

// A new list is tried and taken back: the process with it is gone, those with
// the older one have not been restarted.
func TestBlindKeysTakenBack(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		old, both := blindKeys(1), blindKeys(2, 1)
		x.account("ian@cloud.example")
		x.hold(true, old)
		x.hold(true, both)
		for range 6 { // while it is there, it is left to it
			x.clock.add(portal.HoldFor / 2)
			if !x.hold(false, both) || x.hold(false, old) {
				t.Fatal("a process that is there is not left to publish")
			}
		}
		x.clock.add(portal.HoldFor - time.Second)
		if x.hold(false, old) {
			t.Error("taken over too early")
		}
		x.clock.add(time.Second)
		if !x.hold(false, old) {
			t.Fatal("nobody publishes")
		}
		x.published("1", true)
		if versions, swept := x.drainWith(old); !slices.Equal(versions, []byte{1}) || !swept {
			t.Errorf("claimed under %v, swept: %t", versions, swept)
		}
	})
}

// The first process of a region has nothing to publish again.
func TestHoldOfANewRegion(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		if _, err := x.db.ExecContext(x.ctx, `DELETE FROM outbox`); err != nil {
			t.Fatal(err)
		}
		if _, err := x.db.ExecContext(x.ctx, `UPDATE outbox_counter SET last = 0`); err != nil {
			t.Fatal(err)
		}
		x.hold(true, blindKeys(7))
		x.published("7", false)
	})
}
