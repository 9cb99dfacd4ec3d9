package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

const ian = "ian@cloud.example"

// session is the session of a token.
func (x *fixture) session(token portal.Secret) portal.Session {
	x.t.Helper()
	ses, err := x.SessionByToken(x.ctx, "acme", token)
	if err != nil {
		x.t.Fatalf("session: %v", err)
	}
	return ses
}

func (x *fixture) code(secret portal.Secret) portal.Secret {
	x.t.Helper()
	code, err := totp.GenerateCode(secret.Clear(), x.clock.now())
	if err != nil {
		x.t.Fatal(err)
	}
	return portal.Secret(code)
}

// addTOTP sets up an authenticator app, as the person of a session, and waits until
// its next code.
func (x *fixture) addTOTP(browser string, ses portal.Session) portal.Secret {
	x.t.Helper()
	at, v := store.InSession(ses), visitor(browser)
	if err := x.BeginTOTP(x.ctx, "acme", v, at); err != nil {
		x.t.Fatal(err)
	}
	secret, _, err := x.PendingTOTP(x.ctx, "acme", v, at)
	if err != nil || secret == "" {
		x.t.Fatalf("pending secret: %v", err)
	}
	if _, err := x.ConfirmTOTP(x.ctx, "acme", v, at, " Telephone\n", x.code(secret)); err != nil {
		x.t.Fatal(err)
	}
	x.clock.add(30 * time.Second)
	return secret
}

// withTOTP is somebody with an authenticator app, signed in in browser "own".
func (x *fixture) withTOTP(address string) (token, secret portal.Secret) {
	x.t.Helper()
	x.account(address)
	in := x.mustSignIn("own", address, good)
	return in.Token, x.addTOTP("own", x.session(in.Token))
}

// half signs in with the password and stops at the second step.
func (x *fixture) half(browser, address string) string {
	x.t.Helper()
	in, err := x.signIn(browser, address, good)
	if err != nil || in.Next != portal.NeedsSecond || in.Token != "" || in.Attempt == "" {
		x.t.Fatalf("half: %+v, %v", in, err)
	}
	return in.Attempt
}

func (x *fixture) finish(browser, handle, way string, code portal.Secret) (portal.SignedIn, error) {
	return x.FinishFactor(x.ctx, "acme", visitor(browser), handle, portal.FactorTry{Way: way, Code: code})
}

func (x *fixture) policy(p portal.SecondFactorPolicy) {
	x.t.Helper()
	if _, err := x.db.ExecContext(x.ctx, `UPDATE settings SET second_factor = $1 WHERE portal = 'acme'`, string(p)); err != nil {
		x.t.Fatal(err)
	}
}

func TestTOTP(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		own, secret := x.withTOTP(ian)
		if l := x.letter(portal.FactorLetter); l.Factor.What != portal.FactorAdded || l.Factor.Name != "Telephone" {
			t.Errorf("told: %+v", l.Factor)
		}
		if !x.live(own) {
			t.Error("the session it was set up in is over")
		}
		h := x.half("one", ian)
		// PWD-09: the half opens nothing, to nobody.
		if _, err := x.SessionByToken(x.ctx, "acme", portal.Secret(h)); err == nil {
			t.Error("the handle is a session")
		}
		_, err := x.finish("two", h, "totp", x.code(secret))
		wantCode(t, err, "attempt_unknown")
		_, err = x.finish("one", h, "totp", "12345")
		wantCode(t, err, "factor_shape")
		_, err = x.finish("one", h, "totp", "000000")
		wantCode(t, err, "factor_wrong")
		in, err := x.finish("one", h, "totp", x.code(secret))
		if err != nil || in.Token == "" || in.ReturnTo != "/inbox?m=1" || !x.live(in.Token) {
			t.Fatalf("finish: %+v, %v", in, err)
		}
		if ses := x.session(in.Token); !ses.Proved.Equal(x.clock.now()) {
			t.Errorf("proved at %s", ses.Proved)
		}
		_, err = x.finish("one", h, "totp", x.code(secret))
		wantCode(t, err, "attempt_unknown")
		// PWD-08: the step has been used, here and in every other half.
		_, err = x.finish("three", x.half("three", ian), "totp", x.code(secret))
		wantCode(t, err, "factor_wrong")
		for _, row := range [][2]string{{"factor.added", ""}, {"factor.asked", "factor"}, {"factor.refused", "factor_wrong"}, {"factor.used", ""}} {
			if !x.audited(row[0], row[1]) {
				t.Errorf("not audited: %v", row)
			}
		}
	})
}

// PWD-08: of fifty at once with the right code, one comes in; five wrong codes end
// a half sign-in, and its owner hears of it.
func TestTOTPParallelAndTries(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		_, secret := x.withTOTP(ian)
		// A browser that is known has tries of its own, here ten.
		halves := make([]string, 8)
		for i := range halves {
			halves[i] = x.half("own", ian)
		}
		shown := x.code(secret)
		got := parallel(func(i int) error {
			_, err := x.finish("own", halves[i%len(halves)], "totp", shown)
			return err
		})
		if got["ok"] != 1 || got["ok"]+got["factor_wrong"]+got["attempt_unknown"]+got["half_over"]+got["factor_throttled"] != 50 {
			t.Errorf("at once: %v", got)
		}
		x.letters()
		x.clock.add(time.Hour)
		h := x.half("thief", ian)
		for i := range portal.HalfTries {
			want := "factor_wrong"
			if i == portal.HalfTries-1 {
				want = "half_over"
			}
			_, err := x.finish("thief", h, "totp", "000000")
			wantCode(t, err, want)
		}
		_, err := x.finish("thief", h, "totp", x.code(secret))
		wantCode(t, err, "attempt_unknown")
		if l := x.letter(portal.FactorLetter); l.Factor.What != portal.FactorGuessed {
			t.Errorf("told: %+v", l.Factor)
		}
		// Tries are the account's, however many halves there are.
		tries := 0
		for range 20 {
			_, err := x.finish("thief", x.half("thief", ian), "totp", "000000")
			if code(err) == "factor_throttled" {
				break
			}
			tries++
		}
		if tries != 5 {
			t.Errorf("%d more tries", tries)
		}
		if _, err := x.finish("own", x.half("own", ian), "totp", x.code(secret)); err != nil {
			t.Errorf("its owner, from a browser that is known: %v", err)
		}
	})
}

func TestRecoveryCodes(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account(ian)
		in := x.mustSignIn("own", ian, good)
		_, err := x.DrawCodes(x.ctx, "acme", visitor("own"), x.session(in.Token))
		wantCode(t, err, "codes_without_factor")
		x.addTOTP("own", x.session(in.Token))
		old, err := x.DrawCodes(x.ctx, "acme", visitor("own"), x.session(in.Token))
		if err != nil || len(old) != portal.RecoveryCodes {
			t.Fatalf("%d codes, %v", len(old), err)
		}
		codes, err := x.DrawCodes(x.ctx, "acme", visitor("own"), x.session(in.Token))
		if err != nil {
			t.Fatal(err)
		}
		h := x.half("one", ian)
		_, err = x.finish("one", h, portal.RecoveryCode, old[0])
		wantCode(t, err, "recovery_code_wrong")
		x.letters()
		done, err := x.finish("one", h, portal.RecoveryCode, codes[0])
		if err != nil || done.Token == "" || !done.UsedCode || done.CodesLeft != 9 {
			t.Fatalf("by a code: %+v, %v", done, err)
		}
		if l := x.letter(portal.FactorLetter); l.Factor.What != portal.CodeUsed || l.Factor.Left != 9 {
			t.Errorf("told: %+v", l.Factor)
		}
		halves := make([]string, 6)
		for i := range halves {
			halves[i] = x.half("own", ian)
		}
		got := parallel(func(i int) error {
			_, err := x.finish("own", halves[i%len(halves)], portal.RecoveryCode, codes[1])
			return err
		})
		if got["ok"] != 1 {
			t.Errorf("one code, at once: %v", got)
		}
	})
}

func TestTrustThisBrowser(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		own, secret := x.withTOTP(ian)
		trust := func(browser string) portal.SignedIn {
			in, err := x.FinishFactor(x.ctx, "acme", visitor(browser), x.half(browser, ian), portal.FactorTry{Way: "totp", Code: x.code(secret), Trust: true})
			if err != nil {
				t.Fatal(err)
			}
			x.clock.add(30 * time.Second)
			return in
		}
		trust("one")
		in := x.mustSignIn("one", ian, good)
		if in.Next != portal.In || in.Token == "" {
			t.Fatalf("trusted: %+v", in)
		}
		// Trust is no proof: sensitive pages ask for the factor.
		if ses := x.session(in.Token); !ses.Proved.IsZero() {
			t.Errorf("proved at %s though a step was skipped", ses.Proved)
		}
		x.half("two", ian)
		x.clock.add(30 * 24 * time.Hour)
		x.half("one", ian)

		for name, end := range map[string]func(portal.Session) error{
			"stop trusting": func(ses portal.Session) error { return x.StopTrusting(x.ctx, "acme", visitor("one"), ses) },
			"another factor": func(ses portal.Session) error {
				x.addTOTP("one", ses)
				return nil
			},
			"a new password": func(portal.Session) error {
				x.requestReset(ian)
				err := x.ResetPassword(x.ctx, "acme", visitor("two"), x.letter(portal.ResetLetter).Token, good+" more")
				if err == nil {
					x.requestReset(ian)
					x.clock.add(time.Hour)
					err = x.ResetPassword(x.ctx, "acme", visitor("two"), x.letter(portal.ResetLetter).Token, good)
				}
				return err
			},
			"disabled and enabled": func(portal.Session) error {
				if _, err := x.Disable(x.ctx, "acme", visitor("two"), addr(t, ian)); err != nil {
					return err
				}
				_, err := x.Enable(x.ctx, "acme", visitor("two"), addr(t, ian))
				return err
			},
			"the portal offers it no more, and then again": func(portal.Session) error {
				if err := x.put(func(set *portal.Settings) { set.TrustDays = 0 }); err != nil {
					return err
				}
				return x.put(func(set *portal.Settings) { set.TrustDays = 30 })
			},
		} {
			x.clock.add(2 * time.Hour)
			in := trust("one")
			if err := end(x.session(in.Token)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if in, err := x.signIn("one", ian, good); err != nil || in.Next != portal.NeedsSecond {
				t.Errorf("%s: still trusted: %+v, %v", name, in, err)
			}
		}
		_ = own
	})
}

// PWD-09, PWD-28: a reset gets nobody past a confirmed factor, a half dies with
// what its account goes through, and SES-15: sessions elsewhere end with a change.
func TestHalfHasNoAuthority(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		own, secret := x.withTOTP(ian)
		x.requestReset(ian)
		h := x.half("one", ian)
		if err := x.ResetPassword(x.ctx, "acme", visitor("one"), x.letter(portal.ResetLetter).Token, good+" more"); err != nil {
			t.Fatal(err)
		}
		_, err := x.finish("one", h, "totp", x.code(secret))
		wantCode(t, err, "attempt_unknown")
		if x.live(own) {
			t.Error("a session outlived the reset")
		}
		in, err := x.signIn("one", ian, good+" more")
		if err != nil || in.Next != portal.NeedsSecond {
			t.Fatalf("after the reset: %+v, %v", in, err)
		}
		if _, err := x.Disable(x.ctx, "acme", visitor("two"), addr(t, ian)); err != nil {
			t.Fatal(err)
		}
		_, err = x.finish("one", in.Attempt, "totp", x.code(secret))
		wantCode(t, err, "attempt_unknown")
		if _, err := x.Enable(x.ctx, "acme", visitor("two"), addr(t, ian)); err != nil {
			t.Fatal(err)
		}
		_, err = x.finish("one", in.Attempt, "totp", x.code(secret))
		wantCode(t, err, "attempt_unknown")

		in, err = x.signIn("one", ian, good+" more")
		if err != nil {
			t.Fatal(err)
		}
		// A half that lacks a factor the account has cannot add another one.
		for name, err := range map[string]error{
			"an app":  x.BeginTOTP(x.ctx, "acme", visitor("one"), store.InHalf(in.Attempt)),
			"a phone": x.BeginSMS(x.ctx, "acme", visitor("one"), store.InHalf(in.Attempt), "", "+41791234567"),
		} {
			if c := code(err); c != "attempt_unknown" && c != "sms_off" {
				t.Errorf("%s in half a sign-in: %s", name, c)
			}
		}
		x.clock.add(portal.HalfLife)
		_, err = x.finish("one", in.Attempt, "totp", x.code(secret))
		wantCode(t, err, "attempt_unknown")
	})
}

func TestFactorChangesEndOtherSessions(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account(ian)
		one, two := x.mustSignIn("one", ian, good).Token, x.mustSignIn("two", ian, good).Token
		x.addTOTP("one", x.session(one))
		if !x.live(one) || x.live(two) {
			t.Error("SES-15: after an app was added")
		}
		ways, err := x.Ways(x.ctx, "acme", x.session(one).Account.ID)
		if err != nil || len(ways.Factors) != 1 {
			t.Fatalf("%+v, %v", ways, err)
		}
		x.policy(portal.FactorForPassword)
		err = x.RemoveFactor(x.ctx, "acme", visitor("one"), x.session(one), ways.Factors[0].ID)
		wantCode(t, err, "factor_last")
		x.policy(portal.FactorOptional)
		if err := x.RemoveFactor(x.ctx, "acme", visitor("one"), x.session(one), ways.Factors[0].ID); err != nil {
			t.Fatal(err)
		}
		err = x.RemoveFactor(x.ctx, "acme", visitor("one"), x.session(one), ways.Factors[0].ID)
		wantCode(t, err, "factor_unknown")
		if in := x.mustSignIn("two", ian, good); in.Next != portal.In {
			t.Errorf("asked for a factor that is gone: %q", in.Next)
		}
	})
}

// Where the portal demands a factor, it is set up on the way in: no session before.
func TestEnrolOnTheWayIn(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account(ian)
		x.policy(portal.FactorForPassword)
		in := x.mustSignIn("one", ian, good)
		if in.Next != portal.NeedsEnrol || in.Token != "" {
			t.Fatalf("first step: %+v", in)
		}
		at, v := store.InHalf(in.Attempt), visitor("one")
		if err := x.BeginTOTP(x.ctx, "acme", visitor("two"), at); code(err) != "attempt_unknown" {
			t.Errorf("in another browser: %v", err)
		}
		_, err := x.ConfirmTOTP(x.ctx, "acme", v, at, "", "000000")
		wantCode(t, err, "set_up_over")
		if err := x.BeginTOTP(x.ctx, "acme", v, at); err != nil {
			t.Fatal(err)
		}
		secret, _, err := x.PendingTOTP(x.ctx, "acme", v, at)
		if err != nil {
			t.Fatal(err)
		}
		_, err = x.ConfirmTOTP(x.ctx, "acme", v, at, "", "000000")
		if code(err) == "ok" {
			t.Error("any code will do")
		}
		got := parallel(func(int) error {
			done, err := x.ConfirmTOTP(x.ctx, "acme", v, at, "", x.code(secret))
			if err == nil && (done.Token == "" || !x.live(done.Token)) {
				return fmt.Errorf("no session: %+v", done)
			}
			return err
		})
		wantOne(t, got, "attempt_unknown")
		x.clock.add(30 * time.Second)
		if _, err := x.finish("one", x.half("one", ian), "totp", x.code(secret)); err != nil {
			t.Error(err)
		}
		// By the organisation's own sign-in nobody needs one, under this policy.
		if in := x.mustArrive("two", x.person("acme-saml", "s1", "ada@acme.example")); in.Next != portal.In {
			t.Errorf("by SAML: %q", in.Next)
		}
		x.policy(portal.FactorForEveryone)
		if in := x.mustArrive("two", x.person("acme-saml", "s1", "ada@acme.example")); in.Next != portal.NeedsEnrol || in.Token != "" {
			t.Errorf("by SAML, where everybody needs one: %+v", in)
		}
	})
}

func TestSMS(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account(ian)
		one := x.mustSignIn("one", ian, good).Token
		at, v := store.InSession(x.session(one)), visitor("one")
		wantCode(t, x.BeginSMS(x.ctx, "acme", v, at, "", "+41791234567"), "sms_off")
		x.Texts = true
		if err := x.BeginSMS(x.ctx, "acme", v, at, "Mobile", "+41791234567"); err != nil {
			t.Fatal(err)
		}
		_, err := x.ConfirmSMS(x.ctx, "acme", v, at, "12")
		wantCode(t, err, "factor_shape")
		if _, err := x.ConfirmSMS(x.ctx, "acme", v, at, x.text()); err != nil {
			t.Fatal(err)
		}
		h := x.half("two", ian)
		half, err := x.Half(x.ctx, "acme", visitor("two"), h)
		if err != nil || len(half.Phones) != 1 || half.Phones[0].Hint != "•••• 67" || half.Sent {
			t.Fatalf("half: %+v, %v", half, err)
		}
		send := func() error { return x.SendFactorCode(x.ctx, "acme", visitor("two"), h, half.Phones[0].Factor) }
		if err := send(); err != nil {
			t.Fatal(err)
		}
		first := x.text()
		if err := send(); err != nil {
			t.Fatal(err)
		}
		second := x.text()
		wantCode(t, send(), "text_throttled") // PWD-35: one at the set-up, two here
		if first != second {
			_, err = x.finish("two", h, "sms", first)
			wantCode(t, err, "text_code_wrong")
		}
		// A code is good in the browser and the half it was sent for.
		other := x.half("three", ian)
		_, err = x.finish("three", other, "sms", second)
		wantCode(t, err, "text_code_wrong")
		got := parallel(func(int) error { _, err := x.finish("two", h, "sms", second); return err })
		if got["ok"] != 1 {
			t.Errorf("at once: %v", got)
		}
		x.clock.add(time.Hour)
		h = x.half("two", ian)
		if err := send(); err != nil {
			t.Fatal(err)
		}
		late := x.text()
		x.clock.add(portal.TextCodeLife)
		_, err = x.finish("two", h, "sms", late)
		wantCode(t, err, "text_code_wrong")
	})
}

// text takes the code of the text message in the queue.
func (x *fixture) text() portal.Secret {
	x.t.Helper()
	due, err := x.DueLetters(x.ctx, 20)
	if err != nil {
		x.t.Fatal(err)
	}
	var code portal.Secret
	for _, p := range due {
		if p.Kind == portal.TextLetter {
			code = p.Text.Code
		}
		if err := x.LetterSent(x.ctx, p.ID); err != nil {
			x.t.Fatal(err)
		}
	}
	if code == "" {
		x.t.Fatal("no text message")
	}
	return code
}
