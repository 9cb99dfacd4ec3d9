package store_test

import (
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/passkeytest"
	"github.com/domicile-sso/domicile/portal/store"
)

const acmeOrigin = "https://acme.eu.example.com"

// addPasskey makes a passkey where a factor is set up.
func (x *fixture) addPasskey(browser string, at store.SetUp, k *passkeytest.Key) (portal.SignedIn, error) {
	x.t.Helper()
	v := visitor(browser)
	if err := x.AskNewPasskey(x.ctx, "acme", v, at, "Telephone"); err != nil {
		x.t.Fatal(err)
	}
	c, err := x.AskedNewPasskey(x.ctx, "acme", v, at)
	if err != nil {
		x.t.Fatal(err)
	}
	return x.AddPasskey(x.ctx, "acme", v, at, k.Create(string(c.Options)))
}

// ask puts a challenge to a browser in an attempt, and reads it.
func (x *fixture) ask(browser, handle string) string {
	x.t.Helper()
	if err := x.AskPasskey(x.ctx, "acme", visitor(browser), handle, true); err != nil {
		x.t.Fatal(err)
	}
	c, err := x.AskedPasskey(x.ctx, "acme", visitor(browser), handle)
	if err != nil {
		x.t.Fatal(err)
	}
	return string(c.Options)
}

// unnamed is an attempt of somebody who has typed no address.
func (x *fixture) unnamed(browser string) string {
	x.t.Helper()
	h, err := x.StartAttempt(x.ctx, "acme", visitor(browser), portal.Attempt{})
	if err != nil {
		x.t.Fatal(err)
	}
	return h
}

func TestPasskeyLife(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		a := x.account(ian)
		own := x.mustSignIn("own", ian, good)
		elsewhere := x.mustSignIn("elsewhere", ian, good)
		k := passkeytest.New(t, acmeOrigin)
		if _, err := x.addPasskey("own", store.InSession(x.session(own.Token)), k); err != nil {
			t.Fatal(err)
		}
		if !x.live(own.Token) || x.live(elsewhere.Token) {
			t.Error("the other sessions live on, or the own one does not")
		}
		keys, err := x.Passkeys(x.ctx, "acme", a.ID)
		if err != nil || len(keys) != 1 || keys[0].Name != "Telephone" || keys[0].RPID != "acme.eu.example.com" {
			t.Fatalf("passkeys: %+v, %v", keys, err)
		}
		if l := x.letter(portal.FactorLetter); l.Factor.Kind != portal.PasskeyFactor {
			t.Errorf("told: %+v", l.Factor)
		}
		if keys, err := x.Passkeys(x.ctx, "other", a.ID); err != nil || len(keys) != 0 {
			t.Errorf("another portal sees %d, %v", len(keys), err)
		}

		// Alone, and kept signed in as was ticked.
		h := x.unnamed("one")
		in, err := x.SignInPasskey(x.ctx, "acme", visitor("one"), h, k.Get(x.ask("one", h)))
		if err != nil || !in.Kept || in.Account.ID != a.ID {
			t.Fatalf("sign in: %+v, %v", in, err)
		}
		ses := x.session(in.Token)
		if ses.Method != portal.ByPasskey || !ses.Proved.Equal(x.clock.now()) {
			t.Errorf("session: %+v", ses)
		}
		if keys, _ := x.Passkeys(x.ctx, "acme", a.ID); !keys[0].Used.Equal(x.clock.now()) || keys[0].Credential.Authenticator.SignCount != 1 {
			t.Errorf("not noted: %+v", keys[0])
		}

		// As a second factor, and by nobody else's challenge.
		h = x.half("two", ian)
		options := x.ask("two", h)
		if k.Allowed(options) != 1 {
			t.Errorf("asked for %d", k.Allowed(options))
		}
		_, err = x.SignInPasskey(x.ctx, "other", visitor("two"), h, "")
		wantCode(t, err, "attempt_unknown")
		_, err = x.SignInPasskey(x.ctx, "acme", visitor("three"), h, k.Get(options))
		wantCode(t, err, "attempt_unknown")
		if in, err = x.SignInPasskey(x.ctx, "acme", visitor("two"), h, k.Get(options)); err != nil || !x.live(in.Token) {
			t.Fatalf("second factor: %+v, %v", in, err)
		}

		// One answer of twenty.
		h = x.unnamed("four")
		text := k.Get(x.ask("four", h))
		got := parallel(func(int) error {
			_, err := x.SignInPasskey(x.ctx, "acme", visitor("four"), h, text)
			return err
		})
		wantOne(t, got, "attempt_unknown")

		// Removed, it is nobody's.
		if err := x.RemoveFactor(x.ctx, "acme", visitor("two"), x.session(in.Token), keys[0].ID); err != nil {
			t.Fatal(err)
		}
		x.clock.add(time.Hour)
		h = x.unnamed("five")
		_, err = x.SignInPasskey(x.ctx, "acme", visitor("five"), h, k.Get(x.ask("five", h)))
		wantCode(t, err, "passkey_unknown")
	})
}

// Whoever must have a factor and has none makes a passkey on the way in.
func TestPasskeyOnTheWayIn(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account(ian)
		x.policy(portal.FactorForPassword)
		in, err := x.signIn("one", ian, good)
		if err != nil || in.Next != portal.NeedsEnrol {
			t.Fatalf("%+v, %v", in, err)
		}
		k := passkeytest.New(t, acmeOrigin)
		if in, err = x.addPasskey("one", store.InHalf(in.Attempt), k); err != nil || !x.live(in.Token) {
			t.Errorf("enrol: %+v, %v", in, err)
		}
	})
}

// At a standby the host is another, and so is the relying party.
func TestPasskeyAtAStandby(t *testing.T) {
	x := onSQLite(t)
	p, err := x.PortalByID(x.ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	here, err := x.Party(p)
	if err != nil || here.RPID() != "acme.eu.example.com" {
		t.Errorf("%s, %v", here.RPID(), err)
	}
	p.Standbys = append(p.Standbys, discovery.Standby{Region: "eu-west", URL: "https://acme.eu-west.example.com:8443"})
	x.StandIn = "eu-west"
	if there, err := x.Party(p); err != nil || there.RPID() != "acme.eu-west.example.com" {
		t.Errorf("%s, %v", there.RPID(), err)
	}
	key := portal.Passkey{RPID: "acme.eu.example.com"}
	there, _ := x.Party(p)
	_, err = there.Ask(&portal.Account{}, []portal.Passkey{key})
	wantCode(t, err, "passkey_none")
}
