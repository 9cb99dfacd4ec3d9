package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

func (x *fixture) app(id string, kind portal.AppKind) {
	x.t.Helper()
	if _, err := x.PutApp(x.ctx, portal.App{Portal: "acme", ID: id, Name: "The " + id, Kind: kind}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *fixture) activate(account, app, device string) portal.Activation {
	x.t.Helper()
	a, err := x.Activate(x.ctx, "acme", visitor("one"), account, app, device)
	if err != nil {
		x.t.Fatal(err)
	}
	return a
}

// counts reports whether what was given in a generation of an activation counts.
func (x *fixture) counts(a portal.Activation, generation int64, account string) bool {
	x.t.Helper()
	_, _, err := x.LiveActivation(x.ctx, "acme", a.ID, generation, account)
	if err != nil && code(err) != "activation_over" {
		x.t.Fatal(err)
	}
	return err == nil
}

// S24: an app's activation is removed, and it is activated again.
func TestActivations(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.app("outlook", portal.AddIn)
		x.app("desktop", portal.OwnApp)
		ada, eve := x.account("ada@cloud.example"), x.account("eve@cloud.example")

		made := x.activate(ada.ID, "outlook", " Ada’s  laptop ")
		if made.Device != "Ada’s laptop" || made.App.Name != "The outlook" {
			t.Errorf("made %+v", made)
		}
		if l := x.letter(portal.ActivationLetter); l.App != "The outlook" || l.Device != "Ada’s laptop" || l.To != ada.Primary {
			t.Errorf("the owner read %+v", l)
		}
		if !x.counts(made, 1, ada.ID) || x.counts(made, 2, ada.ID) || x.counts(made, 1, eve.ID) {
			t.Error("what was given counts wrongly")
		}
		_, err := x.Activate(x.ctx, "acme", visitor("one"), ada.ID, "outlook", "ada’s laptop")
		wantCode(t, err, "activation_exists")
		_, err = x.Activate(x.ctx, "acme", visitor("one"), ada.ID, "nothing", "x")
		wantCode(t, err, "app_unknown")

		// Nobody touches another's.
		wantCode(t, x.RemoveActivation(x.ctx, "acme", visitor("eve"), eve.ID, made.ID), "activation_unknown")
		wantCode(t, x.RestoreActivation(x.ctx, "other", visitor("eve"), ada.ID, made.ID), "activation_unknown")

		if err := x.RemoveActivation(x.ctx, "acme", visitor("one"), ada.ID, made.ID); err != nil {
			t.Fatal(err)
		}
		if x.counts(made, 1, ada.ID) || x.counts(made, 2, ada.ID) {
			t.Error("something of a removed activation counts")
		}
		for range 2 { // the second time changes nothing
			if err := x.RestoreActivation(x.ctx, "acme", visitor("one"), ada.ID, made.ID); err != nil {
				t.Fatal(err)
			}
		}
		all, err := x.Activations(x.ctx, "acme", ada.ID)
		if err != nil || len(all) != 1 || all[0].ID != made.ID || all[0].Generation != 3 || !all[0].Removed.IsZero() {
			t.Errorf("after activating again: %+v, %v", all, err)
		}
		if x.counts(made, 1, ada.ID) || !x.counts(made, 3, ada.ID) {
			t.Error("what was given before the removal counts again")
		}
		x.letter(portal.ActivationLetter)
		for _, action := range []string{"activation.created", "activation.removed", "activation.restored"} {
			if !x.audited(action, "") {
				t.Errorf("no %s in the audit log", action)
			}
		}
	})
}

// ADM-06, PWD-27: what ends an account's sessions for its safety ends what apps
// hold; what somebody else may have activated is removed.
func TestWhatEndsActivations(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.app("outlook", portal.AddIn)
		for i, tt := range []struct {
			name    string
			do      func(a portal.Account, token portal.Secret) error
			removed bool
		}{
			{"a new password", func(a portal.Account, token portal.Secret) error {
				_, err := x.ChangePassword(x.ctx, "acme", visitor("one"), token, good, "another Wandering otter 42")
				return err
			}, false},
			{"disabled and enabled", func(a portal.Account, _ portal.Secret) error {
				if _, err := x.Disable(x.ctx, "acme", visitor("admin"), a.Primary); err != nil {
					return err
				}
				_, err := x.Enable(x.ctx, "acme", visitor("admin"), a.Primary)
				return err
			}, false},
			{"a reset", func(a portal.Account, _ portal.Secret) error {
				if err := x.RequestReset(x.ctx, "acme", visitor("one"), a.Primary); err != nil {
					return err
				}
				return x.ResetPassword(x.ctx, "acme", visitor("one"), x.letter(portal.ResetLetter).Token, "another Wandering otter 43")
			}, true},
		} {
			address := fmt.Sprintf("p%d@cloud.example", i)
			a := x.account(address)
			token := x.mustSignIn("one", address, good).Token
			made := x.activate(a.ID, "outlook", "Laptop")
			if err := tt.do(a, token); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			if x.counts(made, 1, a.ID) {
				t.Errorf("%s: what the app was given before counts still", tt.name)
			}
			all, err := x.Activations(x.ctx, "acme", a.ID)
			if err != nil || len(all) != 1 || all[0].Removed.IsZero() == tt.removed {
				t.Errorf("%s: %+v, %v", tt.name, all, err)
			}
		}
		// While an account is disabled nothing counts, of whichever generation.
		a := x.account("asleep@cloud.example")
		made := x.activate(a.ID, "outlook", "Laptop")
		if _, err := x.Disable(x.ctx, "acme", visitor("admin"), a.Primary); err != nil {
			t.Fatal(err)
		}
		for generation := int64(1); generation < 4; generation++ {
			if x.counts(made, generation, a.ID) {
				t.Errorf("generation %d counts for a disabled account", generation)
			}
		}
	})
}

func TestActivationsAreLimited(t *testing.T) {
	x := onSQLite(t)
	x.app("outlook", portal.AddIn)
	ada := x.account("ada@cloud.example")
	for round := range 3 { // removed ones do not count, and are forgotten at last
		for i := range portal.MaxActivations {
			x.clock.add(time.Second)
			x.activate(ada.ID, "outlook", fmt.Sprint("Device ", round, "-", i))
		}
		_, err := x.Activate(x.ctx, "acme", visitor("one"), ada.ID, "outlook", "One more")
		wantCode(t, err, "activations_many")
		all, err := x.Activations(x.ctx, "acme", ada.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if a.Removed.IsZero() {
				if err := x.RemoveActivation(x.ctx, "acme", visitor("one"), ada.ID, a.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		if all, err = x.Activations(x.ctx, "acme", ada.ID); err != nil || len(all) != portal.KeptActivations {
			t.Errorf("%d are kept, %v", len(all), err)
		}
	}
	parallelDevices := parallel(func(i int) error {
		_, err := x.Activate(x.ctx, "acme", visitor("one"), ada.ID, "outlook", "the same")
		return err
	})
	wantOne(t, parallelDevices, "activation_exists")
}

func TestApps(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		a := portal.App{Portal: "acme", ID: "outlook", Name: "Outlook", Kind: portal.AddIn}
		for i, want := range []bool{true, false} {
			if changed, err := x.PutApp(x.ctx, a); err != nil || changed != want {
				t.Errorf("time %d: changed %t, %v", i, changed, err)
			}
		}
		a.Kind = portal.OwnApp
		_, err := x.PutApp(x.ctx, a)
		wantCode(t, err, "app_taken")
		_, err = x.PutApp(x.ctx, portal.App{Portal: "nowhere", ID: "x", Name: "x", Kind: portal.OwnApp})
		if err == nil {
			t.Error("an app of no portal")
		}
		if apps, err := x.Apps(x.ctx, "other"); err != nil || len(apps) != 0 {
			t.Errorf("another portal's apps: %v, %v", apps, err)
		}
	})
}
