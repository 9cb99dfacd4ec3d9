package portal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func on(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func place(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var (
	guestPlan = portal.Plan{ID: "guest", Name: "Guest", Kind: portal.GuestLicence, Messages: 10, Cap: 100}
	basicPlan = portal.Plan{ID: "professional", Name: "Professional", Kind: portal.Professional, Cap: 10_000, Months: 12, Place: 1}
	proPlan   = portal.Plan{ID: "pro", Name: "Pro", Kind: portal.Professional, Features: []portal.Feature{portal.Pro}, Cap: 20_000, Months: 12, Place: 2}
)

// A term ends on the same day of the calendar, in the portal's time zone, also
// where months are short and clocks change.
func TestTerms(t *testing.T) {
	for _, tc := range []struct {
		since  string
		months int
		zone   string
		ends   string
	}{
		{"2026-05-04T09:00:00Z", 12, "UTC", "2027-05-04T09:00:00Z"},
		{"2026-01-31T12:00:00Z", 1, "UTC", "2026-02-28T12:00:00Z"},
		{"2028-01-31T12:00:00Z", 1, "UTC", "2028-02-29T12:00:00Z"},
		{"2028-02-29T12:00:00Z", 12, "UTC", "2029-02-28T12:00:00Z"},
		{"2026-12-31T23:30:00Z", 2, "UTC", "2027-02-28T23:30:00Z"},
		// 31 December in UTC, 1 January in Auckland.
		{"2026-12-31T12:00:00Z", 1, "Pacific/Auckland", "2027-01-31T12:00:00Z"},
		// From winter into summer time the hour of the day stays.
		{"2026-03-01T09:00:00Z", 1, "Europe/Zurich", "2026-04-01T08:00:00Z"},
		{"2026-10-01T08:00:00Z", 1, "Europe/Zurich", "2026-11-01T09:00:00Z"},
	} {
		p := basicPlan
		p.Months = tc.months
		l := portal.NewLicence(p, "a", discovery.Address{}, on(t, tc.since), place(t, tc.zone))
		if !l.Ends.Equal(on(t, tc.ends)) {
			t.Errorf("%d months from %s in %s end %s, want %s", tc.months, tc.since, tc.zone, l.Ends.Format(time.RFC3339), tc.ends)
		}
	}
}

func TestRenewalAndExpiry(t *testing.T) {
	since := on(t, "2026-05-04T09:00:00Z")
	renewed := portal.NewLicence(basicPlan, "a", discovery.Address{}, since, time.UTC)
	ending := renewed
	ending.Renews = false
	endless := portal.NewLicence(guestPlan, "a", discovery.Address{}, since, time.UTC)
	for _, tc := range []struct {
		name    string
		l       portal.Licence
		now     string
		term    string
		inForce bool
	}{
		{"renewed, first term", renewed, "2026-12-01T00:00:00Z", "2027-05-04T09:00:00Z", true},
		{"renewed, at the end", renewed, "2027-05-04T09:00:00Z", "2028-05-04T09:00:00Z", true},
		{"renewed, years later", renewed, "2036-01-01T00:00:00Z", "2036-05-04T09:00:00Z", true},
		{"ending, before", ending, "2027-05-04T08:59:59Z", "2027-05-04T09:00:00Z", true},
		{"ending, at the end", ending, "2027-05-04T09:00:00Z", "2027-05-04T09:00:00Z", false},
		{"endless", endless, "2099-01-01T00:00:00Z", "", true},
		{"none", portal.Licence{}, "2026-12-01T00:00:00Z", "", false},
	} {
		now := on(t, tc.now)
		got := ""
		if end := tc.l.Term(now, time.UTC); !end.IsZero() {
			got = end.Format(time.RFC3339)
		}
		if got != tc.term || tc.l.InForce(now) != tc.inForce || tc.l.At(now).None() == tc.inForce {
			t.Errorf("%s: ends %q, in force %t", tc.name, got, tc.l.InForce(now))
		}
	}
}

func TestSeats(t *testing.T) {
	for _, tc := range []struct {
		seats, used, free int64
		limited           bool
		code              string
	}{
		{0, 1000, 0, false, ""}, {1, 0, 1, true, ""}, {1, 1, 0, true, "seats_used"}, {1, 5, 0, true, "seats_used"},
	} {
		p := portal.Plan{Seats: tc.seats}
		if free, limited := p.Free(tc.used); free != tc.free || limited != tc.limited || code(p.Seat(tc.used)) != tc.code {
			t.Errorf("%d of %d: %d %t %v", tc.used, tc.seats, free, limited, p.Seat(tc.used))
		}
	}
}

// What is shown before a licence changes.
func TestEffects(t *testing.T) {
	now := on(t, "2026-05-04T09:00:00Z")
	have := func(p portal.Plan) portal.Licence {
		return portal.NewLicence(p, "a", discovery.Address{}, now.AddDate(0, -1, 0), time.UTC)
	}
	active := portal.Account{ID: "a", Status: portal.Active}
	protected := active
	protected.Protection = portal.SMSProtection
	off := portal.Account{ID: "a", Status: portal.Disabled}
	for _, tc := range []struct {
		name string
		s    portal.Standing
		to   portal.Plan
		want string // of losses, with a minus sign
	}{
		{"assigned", portal.Standing{Account: active}, basicPlan, "seat_taken allowance aliases_gained term kept"},
		{"released", portal.Standing{Account: active, Licence: have(basicPlan)}, portal.Plan{}, "seat_freed -sending_ends -aliases_frozen kept"},
		{"upgraded", portal.Standing{Account: active, Licence: have(basicPlan)}, proPlan, "seat_freed seat_taken cap feature_gained term kept"},
		{"downgraded", portal.Standing{Account: active, Licence: have(proPlan)}, basicPlan, "seat_freed seat_taken -cap -feature_lost term kept"},
		{"downgraded with protection on", portal.Standing{Account: protected, Licence: have(proPlan)}, basicPlan, "seat_freed seat_taken -cap -feature_lost -protection_ends term kept"},
		{"to guest, as the sender", portal.Standing{Account: active, Licence: have(basicPlan), Sender: true}, guestPlan,
			"seat_freed seat_taken -allowance -aliases_frozen -sender_ends term_never kept"},
		{"to guest", portal.Standing{Account: active, Licence: have(basicPlan)}, guestPlan, "seat_freed seat_taken -allowance -aliases_frozen term_never kept"},
		{"of a disabled account", portal.Standing{Account: off}, basicPlan, "seat_later allowance aliases_gained term kept"},
	} {
		to := portal.Licence{}
		if tc.to.ID != "" {
			to = portal.NewLicence(tc.to, "a", discovery.Address{}, now, time.UTC)
		}
		var got []string
		for _, e := range tc.s.Effects(to, now, time.UTC) {
			sign := ""
			if e.Loss() {
				sign = "-"
			}
			got = append(got, sign+string(e.Kind))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %s", tc.name, got, tc.want)
		}
	}
	s := portal.Standing{Account: active, Licence: have(basicPlan)}
	to := s.Licence
	to.Renews = false
	if got := s.Effects(to, now, time.UTC); len(got) != 1 || got[0].Kind != portal.RenewalEnds || !got[0].Loss() || got[0].Day.IsZero() {
		t.Errorf("let it end: %v", got)
	}
}

func TestMayChangeLicence(t *testing.T) {
	now := on(t, "2026-05-04T09:00:00Z")
	l := portal.NewLicence(basicPlan, "a", discovery.Address{}, now, time.UTC)
	active := portal.Account{ID: "a", Status: portal.Active}
	full := proPlan
	full.Seats = 1
	for _, tc := range []struct {
		name string
		s    portal.Standing
		c    portal.LicenceChange
		to   portal.Plan
		used int64
		want string
	}{
		{"a free seat", portal.Standing{Account: active, Licence: l}, portal.LicenceChange{Plan: "pro"}, full, 0, ""},
		{"none", portal.Standing{Account: active, Licence: l}, portal.LicenceChange{Plan: "pro"}, full, 1, "seats_used"},
		{"none needed", portal.Standing{Account: portal.Account{Status: portal.Disabled}, Licence: l}, portal.LicenceChange{Plan: "pro"}, full, 1, ""},
		{"the same", portal.Standing{Account: active, Licence: l}, portal.LicenceChange{Plan: "professional"}, basicPlan, 0, "licence_same"},
		{"nothing to release", portal.Standing{Account: active}, portal.LicenceChange{}, portal.Plan{}, 0, "licence_same"},
		{"nothing to renew", portal.Standing{Account: active}, portal.LicenceChange{Keep: true}, portal.Plan{}, 0, "licence_none"},
		{"endless", portal.Standing{Account: active, Licence: portal.Licence{Plan: guestPlan}}, portal.LicenceChange{Keep: true}, portal.Plan{}, 0, "licence_endless"},
		{"renewed already", portal.Standing{Account: active, Licence: l}, portal.LicenceChange{Keep: true, Renew: true}, portal.Plan{}, 0, "licence_same"},
		{"let it end", portal.Standing{Account: active, Licence: l}, portal.LicenceChange{Keep: true}, portal.Plan{}, 0, ""},
		{"merged", portal.Standing{Account: portal.Account{MergedInto: "b"}, Licence: l}, portal.LicenceChange{Plan: "pro"}, proPlan, 0, "account_merged"},
	} {
		if got := code(tc.s.MayChangeLicence(tc.c, tc.to, tc.used)); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// The mark is another one whenever something that was shown is.
func TestLicenceMark(t *testing.T) {
	now := on(t, "2026-05-04T09:00:00Z")
	base := portal.Standing{Account: portal.Account{ID: "a", Status: portal.Active}, Licence: portal.NewLicence(basicPlan, "a", discovery.Address{}, now, time.UTC)}
	marks := map[string]string{base.Mark(proPlan): "base"}
	for name, change := range map[string]func(*portal.Standing, *portal.Plan){
		"another plan":   func(_ *portal.Standing, p *portal.Plan) { *p = guestPlan },
		"fewer messages": func(_ *portal.Standing, p *portal.Plan) { p.Messages = 1 },
		"since":          func(s *portal.Standing, _ *portal.Plan) { s.Licence.Since = now.Add(1000) },
		"renewal":        func(s *portal.Standing, _ *portal.Plan) { s.Licence.Renews = false },
		"status":         func(s *portal.Standing, _ *portal.Plan) { s.Account.Status = portal.Disabled },
		"sender":         func(s *portal.Standing, _ *portal.Plan) { s.Sender = true },
		"protection":     func(s *portal.Standing, _ *portal.Plan) { s.Account.Protection = portal.SMSProtection },
		"none":           func(s *portal.Standing, _ *portal.Plan) { s.Licence = portal.Licence{} },
	} {
		s, p := base, proPlan
		change(&s, &p)
		if other, same := marks[s.Mark(p)]; same {
			t.Errorf("%s has the mark of %s", name, other)
		}
		marks[s.Mark(p)] = name
	}
	used := base
	used.Used = 7
	if used.Mark(proPlan) != base.Mark(proPlan) {
		t.Error("a message that is sent meanwhile changes what was agreed to")
	}
}

func TestAllowanceRule(t *testing.T) {
	now := on(t, "2026-05-04T09:00:00Z")
	capped := guestPlan
	capped.Messages, capped.Cap = 50, 20
	for _, tc := range []struct {
		name      string
		plan      portal.Plan
		used      int64
		left      int64
		unlimited bool
		code      string
	}{
		{"unlimited", basicPlan, 3, 9_997, true, ""},
		{"unlimited, at the cap", basicPlan, 10_000, 0, true, "cap_reached"},
		{"beyond, after the plan shrank", basicPlan, 10_500, 0, true, "cap_reached"},
		{"limited", guestPlan, 9, 1, false, ""},
		{"used up", guestPlan, 10, 0, false, "allowance_used"},
		{"the cap is lower", capped, 20, 0, false, "cap_reached"},
		{"no licence", portal.Plan{}, 0, 0, false, "licence_missing"},
	} {
		l := portal.NewLicence(tc.plan, "a", discovery.Address{}, now, time.UTC)
		a := portal.AllowanceOf(l, tc.used, now)
		if a.Left() != tc.left || a.Unlimited() != tc.unlimited || code(a.MaySend()) != tc.code {
			t.Errorf("%s: %d left, unlimited %t, %v", tc.name, a.Left(), a.Unlimited(), a.MaySend())
		}
	}
}

func TestWhatALicenceAllows(t *testing.T) {
	now := on(t, "2026-05-04T09:00:00Z")
	have := func(p portal.Plan) portal.Licence {
		return portal.NewLicence(p, "a", discovery.Address{}, now, time.UTC)
	}
	active, off := portal.Account{Status: portal.Active}, portal.Account{Status: portal.Disabled}
	late := now.AddDate(2, 0, 0)
	ending := have(basicPlan)
	ending.Renews = false
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"aliases of a professional", portal.MayHaveAliases(have(basicPlan), now), ""},
		{"aliases of a guest", portal.MayHaveAliases(have(guestPlan), now), "alias_unlicensed"},
		{"aliases of nobody", portal.MayHaveAliases(portal.Licence{}, now), "alias_unlicensed"},
		{"aliases after the end", portal.MayHaveAliases(ending, late), "alias_unlicensed"},
		{"sender", portal.MaySend(active, have(proPlan), now), ""},
		{"sender, guest", portal.MaySend(active, have(guestPlan), now), "sender_unlicensed"},
		{"sender, disabled", portal.MaySend(off, have(proPlan), now), "sender_disabled"},
		{"sender, after the end", portal.MaySend(active, ending, late), "sender_unlicensed"},
		{"protection", portal.MayProtectReturns(have(proPlan), portal.SMSProtection), ""},
		{"protection without Pro", portal.MayProtectReturns(have(basicPlan), portal.MicrosoftProtection), "protection_unlicensed"},
		{"protection off", portal.MayProtectReturns(portal.Licence{}, portal.NoProtection), ""},
		{"protection of another kind", portal.MayProtectReturns(have(proPlan), "everything"), "protection_unknown"},
		{"release", portal.MayRelease(have(basicPlan)), "release_refused"},
		{"release of none", portal.MayRelease(portal.Licence{}), "licence_none"},
	} {
		if got := code(tc.err); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestPlanCheck(t *testing.T) {
	for change, want := range map[string]string{
		"":         "",
		"id=X":     "plan_id",
		"id=none":  "plan_id",
		"name=":    "plan_name",
		"kind=x":   "plan_kind",
		"seats=-1": "plan_number",
		"cap=0":    "plan_cap",
		"months":   "plan_months",
		"feature":  "plan_feature",
	} {
		p := basicPlan
		switch change {
		case "id=X":
			p.ID = "X"
		case "id=none":
			p.ID = "none"
		case "name=":
			p.Name = ""
		case "kind=x":
			p.Kind = "x"
		case "seats=-1":
			p.Seats = -1
		case "cap=0":
			p.Cap = 0
		case "months":
			p.Months = 121
		case "feature":
			p.Features = []portal.Feature{"gold"}
		}
		if got := code(p.Check()); got != want {
			t.Errorf("%s: %q, want %q", change, got, want)
		}
	}
	if got := fmt.Sprint(portal.ParseFeatures(proPlan.FeatureText())); got != "[pro]" {
		t.Errorf("features are read as %s", got)
	}
}
