package store_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/domicile-sso/domicile/portal"
)

func TestAttemptBelongsToOneBrowser(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		v := visitor("one")
		h := x.attempt(v, "ada@acme.example")
		if a, err := x.AttemptByHandle(x.ctx, "acme", v, h); err != nil || a.Address != addr(t, "ada@acme.example") || a.ReturnTo != "/inbox?m=1" {
			t.Errorf("own attempt: %+v, %v", a, err)
		}
		for name, read := range map[string]func() error{
			"another browser": func() error { _, err := x.AttemptByHandle(x.ctx, "acme", visitor("two"), h); return err },
			"no browser":      func() error { _, err := x.AttemptByHandle(x.ctx, "acme", portal.Visitor{}, h); return err },
			"another portal":  func() error { _, err := x.AttemptByHandle(x.ctx, "other", v, h); return err },
			"no handle":       func() error { _, err := x.AttemptByHandle(x.ctx, "acme", v, ""); return err },
			"set address":     func() error { return x.SetAddress(x.ctx, "acme", visitor("two"), h, addr(t, "a@b.example")) },
			"start without":   func() error { _, err := x.StartAttempt(x.ctx, "acme", portal.Visitor{}, portal.Attempt{}); return err },
		} {
			if got := code(read()); got != "attempt_unknown" {
				t.Errorf("%s: %s", name, got)
			}
		}
		x.clock.add(portal.AttemptLife)
		_, err := x.AttemptByHandle(x.ctx, "acme", v, h)
		wantCode(t, err, "attempt_unknown")
	})
}

func TestTicketIsSpentOnce(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		expires := x.clock.now().Add(time.Minute)
		got := parallel(func(i int) error {
			_, err := x.StartFromTicket(x.ctx, "acme", visitor(fmt.Sprint(i)), "ticket-1", x.clock.now(), expires, portal.Attempt{Address: addr(t, "ada@acme.example")})
			return err
		})
		wantOne(t, got, "ticket_refused")
		// Not after a cleaning either, while its own time may still run.
		x.clock.add(10 * time.Minute)
		if _, err := x.Cleanup(x.ctx, 100); err != nil {
			t.Fatal(err)
		}
		_, err := x.StartFromTicket(x.ctx, "acme", visitor("late"), "ticket-1", x.clock.now(), expires, portal.Attempt{})
		wantCode(t, err, "ticket_refused")
	})
}

func TestSignInPassword(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ian@cloud.example")
		in := x.mustSignIn("one", "ian@cloud.example", good)
		if in.Token == "" || in.ReturnTo != "/inbox?m=1" || in.MustChange || in.Kept {
			t.Errorf("signed in: %+v", in)
		}
		ses, err := x.SessionByToken(x.ctx, "acme", in.Token)
		if err != nil || ses.Account.Primary != addr(t, "ian@cloud.example") || ses.Portal.ID != "acme" || ses.Method != "password" {
			t.Errorf("session: %+v, %v", ses, err)
		}
		if _, err := x.SessionByToken(x.ctx, "other", in.Token); !errors.Is(err, portal.ErrNoSession) {
			t.Errorf("SES-17, at another portal: %v", err)
		}
		for name, try := range map[string]struct {
			address  string
			password portal.Secret
		}{
			"wrong":                     {"ian@cloud.example", "not this one"},
			"PWD-03 unknown account":    {"nobody@cloud.example", good},
			"SSO only":                  {"ada@acme.example", good},
			"PWD-05 case":               {"ian@cloud.example", "Seven wandering otters 41"},
			"PWD-05 with a blank":       {"ian@cloud.example", good + " "},
			"PWD-05 NUL and more of it": {"ian@cloud.example", good + "\x00x"},
		} {
			_, err := x.signIn("two", try.address, try.password)
			if got := code(err); got != "password_wrong" {
				t.Errorf("%s: %s", name, got)
			}
		}
		if !x.audited("session.refused", "password_wrong") || !x.audited("session.refused", "account_unknown") || !x.audited("session.start", "") {
			t.Error("the audit log lacks a row")
		}
		_, err = x.signIn("two", "ian@cloud.example", portal.Secret(strings.Repeat("x", 1025)))
		wantCode(t, err, "password_long")
	})
}

// An attempt finishes once, and each sign-in gives a new session and ends the
// one this browser had (SES-01).
func TestSignInIsOnceAndAnew(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ian@cloud.example")
		v := visitor("one")
		h := x.attempt(v, "ian@cloud.example")
		first, err := x.SignInPassword(x.ctx, "acme", v, h, good, true)
		if err != nil || !first.Kept {
			t.Fatalf("first: %+v, %v", first, err)
		}
		_, err = x.SignInPassword(x.ctx, "acme", v, h, good, false)
		wantCode(t, err, "attempt_unknown")
		second := x.mustSignIn("one", "ian@cloud.example", good)
		if x.live(first.Token) || !x.live(second.Token) || first.Token == second.Token {
			t.Error("the old session lives on, or the new one does not")
		}
		ended, err := x.SignOut(x.ctx, "acme", v, second.Token)
		if err != nil || ended.Account == "" || x.live(second.Token) {
			t.Errorf("sign out: %+v, %v", ended, err)
		}
		if _, err := x.SignOut(x.ctx, "acme", v, second.Token); err != nil {
			t.Errorf("sign out again: %v", err)
		}
	})
}

func TestSessionLimits(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ian@cloud.example")
		in := x.mustSignIn("one", "ian@cloud.example", good)
		for range 14 { // used every 50 minutes, until the absolute end
			x.clock.add(50 * time.Minute)
			if !x.live(in.Token) {
				t.Fatalf("ended at %s", x.clock.now())
			}
		}
		x.clock.add(25 * time.Minute)
		if x.live(in.Token) {
			t.Error("alive beyond its absolute end")
		}
		in = x.mustSignIn("one", "ian@cloud.example", good)
		x.clock.add(portal.SessionIdle)
		if x.live(in.Token) {
			t.Error("alive after an idle hour")
		}
		in = x.mustSignIn("one", "ian@cloud.example", good)
		x.clock.add(-time.Hour)
		if x.live(in.Token) {
			t.Error("alive though the clock was set back before its start")
		}
	})
}

// S15: the portal's switch works on what is asked for and on what is kept.
func TestKeepSwitch(t *testing.T) {
	x := onSQLite(t)
	x.account("ian@cloud.example")
	v := visitor("one")
	in, err := x.SignInPassword(x.ctx, "acme", v, x.attempt(v, "ian@cloud.example"), good, true)
	if err != nil || !in.Kept {
		t.Fatalf("kept: %+v, %v", in, err)
	}
	x.clock.add(24 * time.Hour)
	if !x.live(in.Token) {
		t.Error("a kept session ended within a day")
	}
	p, err := x.PortalByID(x.ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	p.KeepSigned = false
	if _, err := x.CreatePortal(x.ctx, p); err != nil {
		t.Fatal(err)
	}
	if x.live(in.Token) {
		t.Error("a kept session outlives the switch")
	}
	in, err = x.SignInPassword(x.ctx, "acme", v, x.attempt(v, "ian@cloud.example"), good, true)
	if err != nil || in.Kept {
		t.Errorf("kept though switched off: %+v, %v", in, err)
	}
}

// SES-18: the least recently used session ends when there is one too many.
func TestParallelSessions(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ian@cloud.example")
		var tokens []portal.Secret
		for i := range portal.MaxSessions + 2 {
			tokens = append(tokens, x.mustSignIn(fmt.Sprint("browser", i), "ian@cloud.example", good).Token)
			x.clock.add(time.Second)
		}
		for i, token := range tokens {
			if got, want := x.live(token), i >= 2; got != want {
				t.Errorf("session %d alive: %t, want %t", i, got, want)
			}
		}
	})
}

func TestDisableAndEnable(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		a := x.account("ian@cloud.example")
		in := x.mustSignIn("one", "ian@cloud.example", good)
		v := visitor("admin")
		if changed, err := x.Disable(x.ctx, "acme", v, a.Primary); err != nil || !changed {
			t.Fatalf("disable: %t, %v", changed, err)
		}
		if changed, err := x.Disable(x.ctx, "acme", v, a.Primary); err != nil || changed {
			t.Errorf("disable again: %t, %v", changed, err)
		}
		if x.live(in.Token) {
			t.Error("S13: a disabled account's session lives")
		}
		_, err := x.signIn("one", "ian@cloud.example", good)
		wantCode(t, err, "password_wrong")
		if !x.audited("session.refused", "account_disabled") {
			t.Error("the reason is not in the audit log")
		}
		if changed, err := x.Enable(x.ctx, "acme", v, a.Primary); err != nil || !changed {
			t.Fatalf("enable: %t, %v", changed, err)
		}
		if x.live(in.Token) {
			t.Error("the session came back to life")
		}
		x.mustSignIn("one", "ian@cloud.example", good)
		_, err = x.Disable(x.ctx, "other", v, a.Primary)
		wantCode(t, err, "account_unknown")
	})
}

func TestSignOutAllEndsEverySession(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		a := x.account("ian@cloud.example")
		one, two := x.mustSignIn("one", "ian@cloud.example", good), x.mustSignIn("two", "ian@cloud.example", good)
		if err := x.SignOutAll(x.ctx, "acme", visitor("one"), a.ID); err != nil {
			t.Fatal(err)
		}
		if x.live(one.Token) || x.live(two.Token) {
			t.Error("a session lives on")
		}
	})
}

// PWD-01 and PWD-02: guessing is slowed down, the person whose password it is
// is not, and a short while later everybody may try again.
func TestGuessingIsThrottled(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ian@cloud.example")
		x.mustSignIn("home", "ian@cloud.example", good) // the victim's own browser
		attacker := visitor("attacker")
		attacker.Client = netip.MustParseAddr("198.51.100.9")
		guess := func(v portal.Visitor, address string) string {
			_, err := x.SignInPassword(x.ctx, "acme", v, x.attempt(v, address), "a wrong guess", false)
			return code(err)
		}
		codes := map[string]int{}
		for range 20 {
			codes[guess(attacker, "ian@cloud.example")]++
		}
		if codes["password_wrong"] != 5 || codes["password_throttled"] != 15 {
			t.Errorf("one client, one account: %v", codes)
		}
		unknown := map[string]int{}
		for range 20 {
			unknown[guess(attacker, "nobody@cloud.example")]++
		}
		if unknown["password_wrong"] != codes["password_wrong"] {
			t.Errorf("an unknown account is throttled otherwise: %v", unknown)
		}
		for i := range 100 { // from everywhere
			attacker.Client = netip.AddrFrom4([4]byte{203, byte(i), 0, 1})
			codes[guess(attacker, "ian@cloud.example")]++
		}
		if codes["password_wrong"] > 40 {
			t.Errorf("one account from everywhere: %v", codes)
		}
		x.mustSignIn("home", "ian@cloud.example", good)
		x.clock.add(time.Hour + time.Minute)
		x.mustSignIn("new phone", "ian@cloud.example", good)
	})
}

// Right passwords do not count as guesses, however many there are.
func TestSuccessIsNotCounted(t *testing.T) {
	x := onSQLite(t)
	x.account("ian@cloud.example")
	for i := range 12 {
		x.mustSignIn(fmt.Sprint("browser", i), "ian@cloud.example", good)
	}
}

// PWD-07: a hash that costs less than ours is replaced at the next sign-in; one
// that would cost a fortune is not computed.
func TestStoredHashes(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		a := x.account("ian@cloud.example")
		read := func() (h string) {
			if err := x.db.QueryRow(`SELECT hash FROM credentials WHERE account = $1`, a.ID).Scan(&h); err != nil {
				t.Fatal(err)
			}
			return h
		}
		set := func(h string) {
			if _, err := x.db.Exec(`UPDATE credentials SET hash = $1 WHERE account = $2`, h, a.ID); err != nil {
				t.Fatal(err)
			}
		}
		before := read()
		x.mustSignIn("one", "ian@cloud.example", good)
		if read() != before {
			t.Error("a good hash was replaced")
		}
		salt := []byte("0123456789abcdef")
		key := argon2.IDKey([]byte(good), salt, 1, 1024, 1, 32)
		set(fmt.Sprintf("$argon2id$v=19$m=1024,t=1,p=1$%s$%s", base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)))
		x.mustSignIn("one", "ian@cloud.example", good)
		if !strings.Contains(read(), "$m=19456,t=2,p=1$") {
			t.Errorf("a weak hash stayed: %s", read())
		}
		set(strings.Replace(before, "m=19456", "m=2097152", 1))
		if _, err := x.signIn("one", "ian@cloud.example", good); code(err) != "password_wrong" {
			t.Errorf("an absurd hash: %v", err)
		}
		if !x.audited("session.refused", "password_hash_refused") && !x.audited("security.alert", "password_hash_refused") {
			t.Error("nobody hears of it")
		}
	})
}

// An organisation that has switched portal passwords off has done so for its
// people, whichever of their addresses they type.
func TestNoPasswordByAnAlias(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		x.confirm(ada, "ada@private.example")
		x.mustSignIn("one", "ada@private.example", good)
		x.domain(portal.Domain{Name: "cloud.example", Portal: "acme", Connection: "acme-saml"})

		for _, address := range []string{"ada@cloud.example", "ada@private.example"} {
			if in, err := x.signIn("two", address, good); err == nil {
				t.Errorf("%s: signed in: %+v", address, in)
			}
			if !x.audited("session.refused", "password_not_allowed") {
				t.Errorf("%s: not audited", address)
			}
			if err := x.RequestReset(x.ctx, "acme", visitor("two"), addr(t, address)); err != nil {
				t.Fatal(err)
			}
			x.letter(portal.SSOLetter)
		}
	})
}
