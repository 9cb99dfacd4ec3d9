package store_test

import (
	"testing"

	"github.com/domicile-sso/domicile/portal"
)

// F11: a mail is for its recipient: in the language, the zone and the culture of
// the account, or else of the portal.
func TestF11LettersAreForTheirRecipient(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		type words struct{ language, zone, culture string }
		reset := func() words {
			t.Helper()
			if err := x.RequestReset(x.ctx, "acme", visitor("one"), ada.Primary); err != nil {
				t.Fatal(err)
			}
			l := x.letter(portal.ResetLetter)
			return words{l.Language, l.Zone, l.Culture}
		}
		if got, want := reset(), (words{"en", "UTC", ""}); got != want {
			t.Errorf("nobody has said anything: %+v, want %+v", got, want)
		}
		if _, err := x.db.Exec(`UPDATE settings SET language = 'de', zone = 'Europe/Berlin' WHERE portal = 'acme'`); err != nil {
			t.Fatal(err)
		}
		if got, want := reset(), (words{"de", "Europe/Berlin", ""}); got != want {
			t.Errorf("the portal speaks German: %+v, want %+v", got, want)
		}
		v := visitor("one")
		v.Actor = ada.ID
		p := x.found("ada@cloud.example").Profile()
		p.Language, p.Zone, p.Culture = "fr", "Europe/Paris", "fr-BE"
		if _, _, err := x.SaveProfile(x.ctx, "acme", v, ada.ID, p); err != nil {
			t.Fatal(err)
		}
		if got, want := reset(), (words{"fr", "Europe/Paris", "fr-BE"}); got != want {
			t.Errorf("the person reads French: %+v, want %+v", got, want)
		}
	})
}
