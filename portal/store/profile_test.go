package store_test

import (
	"errors"
	"testing"

	"github.com/domicile-sso/domicile/portal"
)

// S27: everything is saved at once, and found again.
func TestSaveProfile(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		wantCode(t, x.relicense(ada.ID, portal.LicenceChange{Plan: "pro"}), "ok")
		v := visitor("a")
		v.Actor = ada.ID
		p := portal.Profile{Version: ada.Version, GivenName: "Ada  ", FamilyName: "Lovelace", Zone: "europe/zurich", Culture: "de-CH", Language: "de",
			Cell: "078 123 45 67", SMSCountry: "CH", Protection: portal.SMSProtection}
		got, changed, err := x.SaveProfile(x.ctx, "acme", v, ada.ID, p)
		if err != nil || !changed {
			t.Fatalf("save: %t, %v", changed, err)
		}
		stored, _, err := x.AccountByAddress(x.ctx, "acme", ada.Primary)
		want := portal.Profile{Version: ada.Version + 1, GivenName: "Ada", FamilyName: "Lovelace", Zone: "Europe/Zurich", Culture: "de-CH", Language: "de",
			Cell: "+41781234567", SMSCountry: "CH", Protection: portal.SMSProtection}
		if err != nil || stored.Profile() != want || got.Profile() != want {
			t.Errorf("stored %+v, returned %+v, want %+v", stored.Profile(), got.Profile(), want)
		}
		// The same again changes nothing, whatever its version.
		if _, changed, err := x.SaveProfile(x.ctx, "acme", v, ada.ID, p); err != nil || changed {
			t.Errorf("the same again: %t, %v", changed, err)
		}
		// ADM-15: an edit of what is no more.
		p.FamilyName = "King"
		now, _, err := x.SaveProfile(x.ctx, "acme", v, ada.ID, p)
		wantCode(t, err, "stale_version")
		if now.Profile() != want {
			t.Errorf("what is there now: %+v", now.Profile())
		}
		p.Version = 99
		_, _, err = x.SaveProfile(x.ctx, "acme", v, ada.ID, p)
		wantCode(t, err, "stale_version")
		_, _, err = x.SaveProfile(x.ctx, "other", v, ada.ID, p)
		wantCode(t, err, "account_unknown")
		events, err := x.Events(x.ctx, "acme", portal.EventFilter{Action: "profile.changed"})
		if err != nil || len(events) != 1 || events[0].Target != "given_name family_name zone culture language cell sms_country return_protection" && events[0].Target != "family_name zone culture language cell sms_country return_protection" {
			t.Errorf("log: %+v, %v", events, err)
		}
	})
}

func TestProfileMistakesComeTogether(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		p := portal.Profile{Version: ada.Version, Zone: "Mars/Olympus", Culture: "de_CH", Language: "x", Cell: "044 668 18 00", SMSCountry: "CH", Protection: portal.SMSProtection}
		_, _, err := x.SaveProfile(x.ctx, "acme", visitor("a"), ada.ID, p)
		var m portal.Mistakes
		if !errors.As(err, &m) {
			t.Fatalf("got %v", err)
		}
		got := map[string]string{}
		for _, e := range m {
			got[e.Field] = e.Code
		}
		for field, code := range map[string]string{"zone": "zone_unknown", "culture": "culture_unknown", "language": "language_unknown", "cell": "cell_no_mobile",
			"return_protection": "protection_unlicensed"} {
			if got[field] != code {
				t.Errorf("%s: %q, want %q", field, got[field], code)
			}
		}
	})
}

// S32: an administrator edits others, but nobody above and nobody without the
// permission.
func TestWhoMayEditProfiles(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		people := map[portal.Role]portal.Account{}
		for _, r := range portal.Roles() {
			a := portal.Account{Portal: "acme", Primary: addr(t, string(r)+"@cloud.example"), Role: r}
			if _, err := x.DangerouslyCreateAccount(x.ctx, a, ""); err != nil {
				t.Fatal(err)
			}
			people[r], _, _ = x.AccountByAddress(x.ctx, "acme", a.Primary)
		}
		for _, tc := range []struct {
			actor, target portal.Role
			want          string
		}{
			{portal.Member, portal.Member, "ok"},
			{portal.Member, portal.Guest, "permission_missing"},
			{portal.Auditor, portal.Member, "permission_missing"},
			{portal.HelpDesk, portal.Guest, "ok"},
			{portal.HelpDesk, portal.Administrator, "manage_higher"},
			{portal.Administrator, portal.Owner, "manage_higher"},
			{portal.Owner, portal.Administrator, "ok"},
		} {
			target, _, _ := x.AccountByAddress(x.ctx, "acme", people[tc.target].Primary)
			p := target.Profile()
			p.FamilyName = "By " + string(tc.actor)
			v := visitor("a")
			v.Actor = people[tc.actor].ID
			_, _, err := x.SaveProfile(x.ctx, "acme", v, target.ID, p)
			wantCode(t, err, tc.want)
		}
	})
}

// A downgrade takes what only the higher plan has.
func TestDowngradeEndsReturnProtection(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		wantCode(t, x.relicense(ada.ID, portal.LicenceChange{Plan: "pro"}), "ok")
		p := ada.Profile()
		p.Protection = portal.MicrosoftProtection
		if _, _, err := x.SaveProfile(x.ctx, "acme", visitor("a"), ada.ID, p); err != nil {
			t.Fatal(err)
		}
		if _, err := x.db.Exec(`UPDATE settings SET sender = $1 WHERE portal = 'acme'`, ada.ID); err != nil {
			t.Fatal(err)
		}
		wantCode(t, x.relicense(ada.ID, portal.LicenceChange{Plan: "guest"}), "ok")
		now, _, err := x.AccountByAddress(x.ctx, "acme", ada.Primary)
		if err != nil || now.Protection != portal.NoProtection {
			t.Errorf("protection is %q, %v", now.Protection, err)
		}
		set, err := x.Settings(x.ctx, "acme")
		if err != nil || set.Sender != "" {
			t.Errorf("sender is %q, %v", set.Sender, err)
		}
	})
}
