package store_test

import (
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

func (x *fixture) send(id string) error {
	return x.RecordMessage(x.ctx, "acme", visitor("a"), id)
}

func (x *fixture) sent(id, month string) int64 {
	x.t.Helper()
	all, err := x.Usages(x.ctx, "acme", id, month)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, u := range all {
		if u.Month == month {
			return u.Messages
		}
	}
	return 0
}

func (x *fixture) zone(name string) {
	x.t.Helper()
	if _, err := x.db.Exec(`UPDATE settings SET zone = $1 WHERE portal = 'acme'`, name); err != nil {
		x.t.Fatal(err)
	}
}

// S28: no more than the plan includes, and no more than the cap.
func TestAllowance(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		small := professional
		small.Messages = 3
		x.plan(small)
		for range 3 {
			wantCode(t, x.send(ada.ID), "ok")
		}
		wantCode(t, x.send(ada.ID), "allowance_used")
		if n := x.sent(ada.ID, "2026-05"); n != 3 {
			t.Errorf("%d messages counted, want 3", n)
		}
		small.Messages, small.Cap = 0, 5 // without a limit by the plan
		x.plan(small)
		wantCode(t, x.send(ada.ID), "ok")
		wantCode(t, x.send(ada.ID), "ok")
		wantCode(t, x.send(ada.ID), "cap_reached")
		wantCode(t, x.relicense(ada.ID, portal.LicenceChange{}), "ok")
		wantCode(t, x.send(ada.ID), "licence_missing")
		for _, code := range []string{"allowance_used", "cap_reached", "licence_missing"} {
			if !x.audited("usage.refused", code) {
				t.Errorf("%s is not in the log", code)
			}
		}
		wantCode(t, x.RecordMessage(x.ctx, "other", visitor("a"), ada.ID), "account_unknown")
		if _, err := x.Disable(x.ctx, "acme", visitor("a"), ada.Primary); err != nil {
			t.Fatal(err)
		}
		wantCode(t, x.send(ada.ID), "account_disabled")
		if last, err := x.LastMessage(x.ctx, "acme", ada.ID); err != nil || !last.Last.Equal(x.clock.now()) {
			t.Errorf("last message: %+v, %v", last, err)
		}
	})
}

// Of fifty messages at once those go out that there is room for.
func TestAllowanceHoldsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		p := professional
		p.Messages = 7
		x.plan(p)
		got := parallel(func(int) error { return x.send(ada.ID) })
		if got["ok"] != 7 || got["allowance_used"] != 43 || x.sent(ada.ID, "2026-05") != 7 {
			t.Errorf("got %v and %d counted, want 7", got, x.sent(ada.ID, "2026-05"))
		}
	})
}

// A month ends when it does in the portal's time zone, also on the nights in
// which clocks are changed.
func TestMonthsRollOverInTheZoneOfThePortal(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		for _, tc := range []struct{ zone, at, month string }{
			{"Pacific/Auckland", "2026-05-31T11:59:59Z", "2026-05"},
			{"Pacific/Auckland", "2026-05-31T12:00:00Z", "2026-06"},
			{"America/Los_Angeles", "2026-06-01T06:59:59Z", "2026-05"},
			{"America/Los_Angeles", "2026-06-01T07:00:00Z", "2026-06"},
			{"Asia/Kathmandu", "2026-06-30T18:14:59Z", "2026-06"},
			{"Asia/Kathmandu", "2026-06-30T18:15:00Z", "2026-07"},
			// 25 October 2026, 02:30 comes twice in Zurich; November begins in winter time.
			{"Europe/Zurich", "2026-10-25T00:30:00Z", "2026-10"},
			{"Europe/Zurich", "2026-10-25T01:30:00Z", "2026-10"},
			{"Europe/Zurich", "2026-10-31T22:59:59Z", "2026-10"},
			{"Europe/Zurich", "2026-10-31T23:00:00Z", "2026-11"},
			// In New York the clocks go back on the first day of November.
			{"America/New_York", "2026-11-01T03:59:59Z", "2026-10"},
			{"America/New_York", "2026-11-01T04:00:00Z", "2026-11"},
			{"America/New_York", "2026-11-01T06:30:00Z", "2026-11"},
		} {
			at, err := time.Parse(time.RFC3339, tc.at)
			if err != nil {
				t.Fatal(err)
			}
			x.zone(tc.zone)
			x.clock.add(at.Sub(x.clock.now()))
			before := x.sent(ada.ID, tc.month)
			wantCode(t, x.send(ada.ID), "ok")
			if n := x.sent(ada.ID, tc.month); n != before+1 {
				t.Errorf("%s at %s does not count for %s", tc.zone, tc.at, tc.month)
			}
		}
	})
}
