package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// A code by SMS waits sealed, is taken by one process, tried again, and is gone
// when it has expired: nobody needs it then.
func TestTextsWaitUntilTheirCodeExpires(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account(ian)
		in := x.mustSignIn("own", ian, good)
		ses := x.session(in.Token)
		at, v := store.InSession(ses), visitor("own")
		if err := x.BeginSMS(x.ctx, "acme", v, at, "Telephone", "+4915112345678"); err == nil {
			t.Fatal("a code is promised where nobody sends any")
		}
		x.Texts = true
		if err := x.BeginSMS(x.ctx, "acme", v, at, "Telephone", "+4915112345678"); err != nil {
			t.Fatal(err)
		}
		var kind string
		var sealed []byte
		if err := x.db.QueryRowContext(x.ctx, `SELECT kind, sealed FROM letters WHERE kind = 'text'`).Scan(&kind, &sealed); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(sealed), "151123") {
			t.Error("the number is in clear")
		}
		due, err := x.DueLetters(x.ctx, 10)
		if err != nil || len(due) != 1 || due[0].Kind != portal.TextLetter || due[0].Text.To.Clear() != "+4915112345678" ||
			due[0].Text.Code == "" || due[0].Text.URL != acmeOrigin || due[0].Text.Language != "en" {
			t.Fatalf("%+v, %v", due, err)
		}
		if again, err := x.DueLetters(x.ctx, 10); err != nil || len(again) != 0 {
			t.Errorf("taken twice: %d, %v", len(again), err)
		}
		if err := x.LetterFailed(x.ctx, due[0].ID); err != nil {
			t.Fatal(err)
		}
		x.clock.add(portal.RetryLetter(1) + time.Second)
		if again, err := x.DueLetters(x.ctx, 10); err != nil || len(again) != 1 || again[0].Tries != 1 {
			t.Errorf("not tried again: %d, %v", len(again), err)
		}
		x.clock.add(due[0].Text.Expires.Sub(x.clock.now()))
		if late, err := x.DueLetters(x.ctx, 10); err != nil || len(late) != 0 {
			t.Errorf("an expired code is sent: %d, %v", len(late), err)
		}
	})
}
