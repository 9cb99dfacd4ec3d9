package store_test

import (
	"cmp"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

func (x *fixture) settings() portal.Settings {
	x.t.Helper()
	set, err := x.Settings(x.ctx, "acme")
	if err != nil {
		x.t.Fatal(err)
	}
	return set
}

func (x *fixture) put(change func(*portal.Settings)) error {
	x.t.Helper()
	set := x.settings()
	change(&set)
	return cmp.Or(x.PutNotifications(x.ctx, "acme", visitor("admin"), set), x.PutPolicy(x.ctx, "acme", visitor("admin"), set))
}

// ADM-15: who edits what somebody else has saved meanwhile is told, and nobody who
// has the other page open.
func TestSettingsOfTwoPages(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		old := x.settings()
		if !old.KeepSigned || old.Contact != "it@acme.example" {
			t.Fatalf("%+v", old)
		}
		set := old
		set.Zone, set.KeepSigned, set.TrustDays, set.Contact = "Europe/Zurich", false, 7, "Call 117"
		if err := x.PutNotifications(x.ctx, "acme", visitor("admin"), set); err != nil {
			t.Fatal(err)
		}
		set.NotificationsVersion++
		if got, want := x.settings(), old.WithNotifications(set); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		// The policy's page has been open since before.
		stale := set
		stale.NotificationsVersion, stale.Zone = old.NotificationsVersion, "UTC"
		if err := x.PutPolicy(x.ctx, "acme", visitor("admin"), stale); err != nil {
			t.Fatal(err)
		}
		set.PolicyVersion++
		if got := x.settings(); got != set {
			t.Errorf("%+v, want %+v", got, set)
		}
		old.SecondFactor, old.Language = portal.FactorForEveryone, "fr"
		wantCode(t, x.PutNotifications(x.ctx, "acme", visitor("admin"), old), "stale_version")
		wantCode(t, x.PutPolicy(x.ctx, "acme", visitor("admin"), old), "stale_version")
		if p, err := x.PortalByID(x.ctx, "acme"); err != nil || p.KeepSigned || p.Contact != "Call 117" {
			t.Errorf("%+v, %v", p, err)
		}
		events, err := x.Events(x.ctx, "acme", portal.EventFilter{Action: "settings.changed"})
		if err != nil || len(events) != 4 || events[0].Target != "zone" {
			t.Errorf("%+v, %v", events, err)
		}
		if err := x.put(func(*portal.Settings) {}); err != nil || x.settings() != set {
			t.Errorf("saving without a change: %+v, %v", x.settings(), err)
		}
	})
}

func TestSettingsWithinBounds(t *testing.T) {
	x := onSQLite(t)
	x.Lifetimes = portal.Lifetimes{Absolute: 8 * time.Hour}
	for want, change := range map[string]func(*portal.Settings){
		"zone_unknown":           func(s *portal.Settings) { s.Zone = "Mars/Olympus" },
		"language_unknown":       func(s *portal.Settings) { s.Language = "xx" },
		"contact_long":           func(s *portal.Settings) { s.Contact = "a\nb" },
		"second_factor_unknown":  func(s *portal.Settings) { s.SecondFactor = "never" },
		"trust_days_range":       func(s *portal.Settings) { s.TrustDays = 91 },
		"password_min_range":     func(s *portal.Settings) { s.PasswordMin = 9 },
		"session_absolute_range": func(s *portal.Settings) { s.Lifetimes.Absolute = 9 * time.Hour },
		"session_idle_range":     func(s *portal.Settings) { s.Lifetimes.Idle = time.Minute },
		"session_idle_long": func(s *portal.Settings) {
			s.Lifetimes.Idle, s.Lifetimes.Absolute = 30*time.Minute, 20*time.Minute
		},
		"kept_absolute_range": func(s *portal.Settings) { s.Lifetimes.KeptAbsolute = 31 * 24 * time.Hour },
		"sender_unknown":      func(s *portal.Settings) { s.Sender = "0123456789abcdef0123456789abcdef" },
		"ok":                  func(s *portal.Settings) { s.PasswordMin, s.TrustDays, s.Lifetimes.Idle = 64, 0, 10*time.Minute },
	} {
		if err := x.put(change); code(err) != want {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A portal's shorter sessions end those that are there, too.
func TestSessionLengthsOfAPortal(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian := x.account("ian@cloud.example")
		before := x.mustSignIn("one", "ian@cloud.example", good).Token
		if err := x.put(func(s *portal.Settings) { s.Lifetimes.Idle, s.Lifetimes.Absolute = 10*time.Minute, 30*time.Minute }); err != nil {
			t.Fatal(err)
		}
		after := x.mustSignIn("two", "ian@cloud.example", good).Token
		for i := range 5 { // used every five minutes
			if !x.live(before) || !x.live(after) {
				t.Fatalf("after %d uses: %t, %t", i, x.live(before), x.live(after))
			}
			x.clock.add(5 * time.Minute)
		}
		x.clock.add(5 * time.Minute)
		if x.live(before) || x.live(after) {
			t.Error("beyond half an hour in all")
		}
		if all, err := x.Sessions(x.ctx, "acme", ian.ID); err != nil || len(all) != 0 {
			t.Errorf("%d sessions are listed (%v)", len(all), err)
		}
		idle := x.mustSignIn("three", "ian@cloud.example", good).Token
		x.clock.add(11 * time.Minute)
		if x.live(idle) {
			t.Error("beyond ten minutes without use")
		}
	})
}

// S14: invitations come from a registered professional user, as long as there is
// one.
func TestSender(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		sam, guest := x.account("sam@cloud.example"), x.guest("gus@elsewhere.example")
		if _, err := x.Invite(x.ctx, portal.Visitor{}, portal.Invitation{Portal: "acme", Address: addr(t, "new@cloud.example")}); err != nil {
			t.Fatal(err)
		}
		x.letters()
		for id, want := range map[string]string{
			guest.ID: "sender_guest", x.found("new@cloud.example").ID: "sender_invited", x.elsewhere("e@other.example").ID: "sender_unknown", sam.ID: "ok",
		} {
			if err := x.put(func(s *portal.Settings) { s.Sender = id }); code(err) != want {
				t.Errorf("%s: %v", want, err)
			}
		}
		from := func() string {
			t.Helper()
			x.clock.add(time.Hour)
			if _, err := x.Invite(x.ctx, portal.Visitor{}, portal.Invitation{Portal: "acme", Address: addr(t, "new@cloud.example")}); err != nil {
				t.Fatal(err)
			}
			return x.letter(portal.InvitationLetter).From.Clear()
		}
		if got := from(); got != "sam@cloud.example" {
			t.Errorf("from %q", got)
		}
		if _, err := x.Disable(x.ctx, "acme", visitor("admin"), sam.Primary); err != nil {
			t.Fatal(err)
		}
		if got := from(); got != "" {
			t.Errorf("from a disabled person: %q", got)
		}
		if who, ok, why, err := x.Sender(x.ctx, "acme"); ok || code(why) != "sender_disabled" || who.ID != sam.ID || err != nil {
			t.Errorf("%t %v %v", ok, why, err)
		}
		if err := x.put(func(s *portal.Settings) { s.TrustDays = 3 }); err != nil {
			t.Errorf("another setting cannot be saved: %v", err)
		}
	})
}

func TestMailTexts(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		m := portal.MailText{Portal: "acme", Kind: portal.InvitationLetter, Language: "en", Subject: " Welcome\r\nBcc: x ", Opening: "One.\r\n\r\nTwo <b>."}
		v := visitor("admin")
		if err := x.PutMailText(x.ctx, v, m); err != nil {
			t.Fatal(err)
		}
		if err := x.PutMailText(x.ctx, v, m); code(err) != "stale_version" {
			t.Errorf("stale: %v", err)
		}
		if _, err := x.Invite(x.ctx, portal.Visitor{}, portal.Invitation{Portal: "acme", Address: addr(t, "new@cloud.example")}); err != nil {
			t.Fatal(err)
		}
		l := x.letter(portal.InvitationLetter)
		if l.Subject != "Welcome Bcc: x" || l.Opening != "One.\n\nTwo <b>." {
			t.Errorf("%q %q", l.Subject, l.Opening)
		}
		stored, err := x.MailText(x.ctx, "acme", portal.InvitationLetter, "en")
		if err != nil || stored.Version != 1 {
			t.Fatalf("%+v, %v", stored, err)
		}
		if err := x.ResetMailText(x.ctx, v, stored); err != nil {
			t.Fatal(err)
		}
		if all, err := x.MailTexts(x.ctx, "acme"); len(all) != 0 || err != nil {
			t.Errorf("%+v, %v", all, err)
		}
		m.Version = 1
		if err := x.PutMailText(x.ctx, v, m); code(err) != "stale_version" {
			t.Errorf("stale after a reset: %v", err)
		}
		m.Language = "xx"
		if err := x.PutMailText(x.ctx, v, m); code(err) != "language_unknown" {
			t.Errorf("language: %v", err)
		}
	})
}
