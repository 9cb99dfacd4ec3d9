package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// as is the browser of somebody who is signed in.
func as(a portal.Account) portal.Visitor {
	v := visitor("of-" + a.ID)
	v.Actor = a.ID
	return v
}

func (x *fixture) add(who portal.Account, address string) {
	x.t.Helper()
	if err := x.AddAlias(x.ctx, "acme", as(who), who.ID, addr(x.t, address)); err != nil {
		x.t.Fatalf("add %s: %v", address, err)
	}
}

// link is the token in the mail to a pending address.
func (x *fixture) link(address string) portal.Secret {
	x.t.Helper()
	var token portal.Secret
	for _, l := range x.letters() {
		if l.Kind == portal.AliasLetter && l.To == addr(x.t, address) {
			token = l.Token
		}
	}
	if token == "" {
		x.t.Fatalf("no link went to %s", address)
	}
	return token
}

func (x *fixture) confirm(who portal.Account, address string) {
	x.t.Helper()
	x.add(who, address)
	if _, err := x.ConfirmAlias(x.ctx, "acme", as(who), x.link(address)); err != nil {
		x.t.Fatalf("confirm %s: %v", address, err)
	}
}

// states are an account's addresses: * primary, + confirmed, ? pending.
func (x *fixture) states(id string) (out []string) {
	x.t.Helper()
	all, err := x.Aliases(x.ctx, "acme", id)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, a := range all {
		sign := "+"
		if a.Primary {
			sign = "*"
		} else if a.Pending() {
			sign = "?"
		}
		out = append(out, sign+a.Address.Clear())
	}
	return out
}

func (x *fixture) wantStates(a portal.Account, want ...string) {
	x.t.Helper()
	if got := x.states(a.ID); !slices.Equal(got, want) {
		x.t.Errorf("addresses %v, want %v", got, want)
	}
}

// findable are the addresses that the directory was told of, without those gone.
func (x *fixture) findable(addresses ...string) (out []string) {
	x.t.Helper()
	keys := blindKeys(1)
	claims, _ := x.pending(keys, 500)
	for _, a := range addresses {
		id, there := keys.IDs(addr(x.t, a))[0], false
		for _, c := range claims {
			if c.Entry != nil && c.Entry.Blind == id {
				there = !c.Gone
			}
		}
		if there {
			out = append(out, a)
		}
	}
	return out
}

// S20, S22, S23: added, pending, confirmed, promoted, removed.
func TestAliasLife(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian := x.account("ian@cloud.example")
		const next = "ian@new.example"
		x.drain()
		x.add(ian, "Ian@NEW.example")
		letters := x.letters()
		if len(letters) != 2 {
			t.Fatalf("%d letters, want the link and the notice", len(letters))
		}
		var token portal.Secret
		for _, l := range letters {
			switch l.Kind {
			case portal.AliasLetter:
				token = l.Token
				if l.To != addr(t, next) || l.About != addr(t, next) || l.By != "" || !l.Expires.Equal(x.clock.now().Add(24*time.Hour)) {
					t.Errorf("the link: %+v", l)
				}
			case portal.AliasAddedLetter:
				if l.To != addr(t, "ian@cloud.example") || l.About != addr(t, next) || l.Token != "" {
					t.Errorf("the notice: %+v", l)
				}
			}
		}
		x.wantStates(ian, "*ian@cloud.example", "?"+next)
		if found := x.findable(next); len(found) > 0 {
			t.Errorf("a pending address is found: %v", found)
		}
		if _, ok, err := x.AccountByAddress(x.ctx, "acme", addr(t, next)); ok || err != nil {
			t.Errorf("a pending address is held: %t, %v", ok, err)
		}
		if _, err := x.signIn("b", next, good); code(err) != "password_wrong" {
			t.Errorf("a pending address signs in: %v", err)
		}
		if a, err := x.AliasByToken(x.ctx, "acme", ian.ID, token); err != nil || a != addr(t, next) { // PWD-16
			t.Errorf("looking: %v", err)
		}
		if a, err := x.ConfirmAlias(x.ctx, "acme", as(ian), token); err != nil || a != addr(t, next) {
			t.Fatalf("confirm: %v", err)
		}
		x.wantStates(ian, "*ian@cloud.example", "+"+next)
		if found := x.findable(next); len(found) != 1 {
			t.Errorf("not published: %v", found)
		}
		if in := x.mustSignIn("b", next, good); in.Account.ID != ian.ID {
			t.Error("the new address signs somebody else in")
		}
		_, err := x.ConfirmAlias(x.ctx, "acme", as(ian), token)
		wantCode(t, err, "link_refused")

		if err := x.PromoteAlias(x.ctx, "acme", as(ian), addr(t, next)); err != nil {
			t.Fatal(err)
		}
		x.wantStates(ian, "*"+next, "+ian@cloud.example")
		to := map[string]bool{}
		for _, l := range x.letters() {
			if l.Kind == portal.AliasPromotedLetter && l.About == addr(t, next) {
				to[l.To.Clear()] = true
			}
		}
		if !to[next] || !to["ian@cloud.example"] {
			t.Errorf("told of the promotion: %v", to)
		}
		l, err := x.Licence(x.ctx, "acme", ian.ID)
		if err != nil || l.Address != addr(t, next) {
			t.Errorf("the licensed address did not go along: %v", err)
		}
		if err := x.PromoteAlias(x.ctx, "acme", as(ian), addr(t, next)); err != nil {
			t.Errorf("once more: %v", err)
		}
		wantCode(t, x.PromoteAlias(x.ctx, "acme", as(ian), addr(t, "nobody@new.example")), "alias_unknown")
		for _, action := range []string{"alias.added", "alias.confirmed", "alias.promoted"} {
			if !x.audited(action, "") {
				t.Errorf("%s is not audited", action)
			}
		}
		if _, err := x.CheckAudit(x.ctx, "acme"); err != nil {
			t.Error(err)
		}
	})
}

// PWD-20: two pending addresses have a link each, and each proves its own.
func TestAliasLinksNameTheirAddress(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian := x.account("ian@cloud.example")
		x.add(ian, "one@new.example")
		one := x.link("one@new.example")
		x.add(ian, "two@new.example")
		two := x.link("two@new.example")
		if _, err := x.ConfirmAlias(x.ctx, "acme", as(ian), one); err != nil {
			t.Fatal(err)
		}
		x.wantStates(ian, "*ian@cloud.example", "+one@new.example", "?two@new.example")
		// Sent again: the link before is void, and that of nobody else.
		x.clock.add(time.Hour)
		if err := x.ResendAlias(x.ctx, "acme", as(ian), ian.ID, addr(t, "two@new.example")); err != nil {
			t.Fatal(err)
		}
		again := x.link("two@new.example")
		_, err := x.ConfirmAlias(x.ctx, "acme", as(ian), two)
		wantCode(t, err, "link_refused")
		// Removed and added: the old link stays void.
		if err := x.RemoveAlias(x.ctx, "acme", as(ian), "", addr(t, "two@new.example")); err != nil {
			t.Fatal(err)
		}
		x.add(ian, "two@new.example")
		_, err = x.ConfirmAlias(x.ctx, "acme", as(ian), again)
		wantCode(t, err, "link_refused")
		wantCode(t, x.ResendAlias(x.ctx, "acme", as(ian), ian.ID, addr(t, "one@new.example")), "alias_known")
		wantCode(t, x.ResendAlias(x.ctx, "acme", as(ian), ian.ID, addr(t, "three@new.example")), "alias_unknown")
		x.wantStates(ian, "*ian@cloud.example", "+one@new.example", "?two@new.example")
	})
}

// PWD-21, PWD-19: the link alone is worth nothing.
func TestAliasNeedsItsOwnSession(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian, eve := x.account("ian@cloud.example"), x.account("eve@cloud.example")
		x.add(ian, "ian@new.example")
		token := x.link("ian@new.example")
		_, err := x.AliasByToken(x.ctx, "acme", eve.ID, token)
		wantCode(t, err, "alias_other_account")
		_, err = x.ConfirmAlias(x.ctx, "acme", as(eve), token)
		wantCode(t, err, "alias_other_account")
		if !x.audited("alias.refused", "alias_other_account") {
			t.Error("not audited")
		}
		for _, forged := range []portal.Secret{"", "guess", portal.NewSecret()} {
			_, err := x.ConfirmAlias(x.ctx, "acme", as(ian), forged)
			wantCode(t, err, "link_refused")
		}
		if _, err := x.ConfirmAlias(x.ctx, "acme", visitor("nobody"), token); err == nil {
			t.Error("confirmed without anybody")
		}
		if _, err := x.ConfirmAlias(x.ctx, "other", as(ian), token); err == nil {
			t.Error("confirmed in another portal")
		}
		x.wantStates(eve, "*eve@cloud.example")
		if _, err := x.ConfirmAlias(x.ctx, "acme", as(ian), token); err != nil {
			t.Errorf("what others tried has spent it: %v", err)
		}
	})
}

// PWD-22, PWD-24: pending addresses of several accounts reserve nothing; whoever
// confirms first has it, and the others are asked whether they are the same.
func TestPendingReservesNothing(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian, eve := x.account("ian@cloud.example"), x.account("eve@cloud.example")
		x.add(eve, "ian@bücher.example")
		evil := x.link("ian@xn--bcher-kva.example")
		x.add(ian, "IAN@BÜCHER.example")
		mine := x.link("ian@xn--bcher-kva.example")
		if _, err := x.ConfirmAlias(x.ctx, "acme", as(ian), mine); err != nil {
			t.Fatalf("the owner was kept out: %v", err)
		}
		_, err := x.ConfirmAlias(x.ctx, "acme", as(eve), evil)
		wantCode(t, err, "alias_merge")
		x.wantStates(eve, "*eve@cloud.example", "?ian@xn--bcher-kva.example")
		// An address that an invitation reserves is somebody's too, and so is one that
		// an account is created with.
		x.invite("guest@consult.example")
		x.add(eve, "guest@consult.example")
		_, err = x.ConfirmAlias(x.ctx, "acme", as(eve), x.link("guest@consult.example"))
		wantCode(t, err, "alias_merge")
		// Nobody is kept from being invited by what somebody else has added.
		x.add(eve, "later@consult.example")
		x.invite("later@consult.example")
	})
}

func TestAliasRace(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian, eve := x.account("ian@cloud.example"), x.account("eve@cloud.example")
		x.add(ian, "both@new.example")
		mine := x.link("both@new.example")
		x.add(eve, "both@new.example")
		hers := x.link("both@new.example")
		got := parallel(func(i int) error {
			if i%2 == 0 {
				_, err := x.ConfirmAlias(x.ctx, "acme", as(ian), mine)
				return err
			}
			_, err := x.ConfirmAlias(x.ctx, "acme", as(eve), hers)
			return err
		})
		if got["ok"] != 1 || got["link_refused"] != 24 || got["alias_merge"] != 25 {
			t.Errorf("fifty at once: %v", got)
		}
		held := 0
		for _, s := range append(x.states(ian.ID), x.states(eve.ID)...) {
			if s == "+both@new.example" {
				held++
			}
		}
		if held != 1 {
			t.Errorf("%d accounts have the address", held)
		}
	})
}

// PWD-23: what another organisation of the region has proven is not handed out
// by a mail; a domain that is this portal's as well is.
func TestForeignDomain(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian := x.account("ian@cloud.example")
		x.domain(portal.Domain{Name: "theirs.example", Portal: "other"})
		x.domain(portal.Domain{Name: "*.wild.example", Portal: "other"})
		x.domain(portal.Domain{Name: "cloud.example", Portal: "other"})
		for address, want := range map[string]string{
			"ian@theirs.example":   "alias_foreign",
			"ian@a.b.wild.example": "alias_foreign",
			"ian@wild.example":     "ok",
			"ian2@cloud.example":   "ok",
			"ian@both.example":     "ok", // S20: a mailbox there is a way in
			"ian@acme.example":     "alias_vouched",
		} {
			x.add(ian, address) // the same answer for each
			token := x.link(address)
			_, err := x.AliasByToken(x.ctx, "acme", ian.ID, token)
			wantCode(t, err, want)
			_, err = x.ConfirmAlias(x.ctx, "acme", as(ian), token)
			wantCode(t, err, want)
		}
		if !x.audited("alias.refused", "alias_foreign") || !x.audited("alias.refused", "alias_vouched") {
			t.Error("not audited")
		}
		// Whom the organisation knows may have several of its addresses.
		ada := x.mustArrive("ada", x.person("acme-saml", "subject-ada", "ada@acme.example")).Account
		x.confirm(ada, "ada.lovelace@acme.example")
		// The organisation may come while a link is on its way.
		x.add(ian, "later@new.example")
		token := x.link("later@new.example")
		x.domain(portal.Domain{Name: "new.example", Portal: "acme", Connection: "acme-oidc"})
		_, err := x.ConfirmAlias(x.ctx, "acme", as(ian), token)
		wantCode(t, err, "alias_vouched")
	})
}

// PWD-24: a day, and not a moment longer. What nobody asks for again goes.
func TestPendingEnds(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian := x.account("ian@cloud.example")
		x.add(ian, "ian@new.example")
		token := x.link("ian@new.example")
		x.clock.add(24 * time.Hour)
		_, err := x.ConfirmAlias(x.ctx, "acme", as(ian), token)
		wantCode(t, err, "link_refused")
		x.wantStates(ian, "*ian@cloud.example", "?ian@new.example")
		if err := x.ResendAlias(x.ctx, "acme", as(ian), ian.ID, addr(t, "ian@new.example")); err != nil {
			t.Fatal(err)
		}
		if _, err := x.ConfirmAlias(x.ctx, "acme", as(ian), x.link("ian@new.example")); err != nil {
			t.Fatal(err)
		}
		x.add(ian, "old@new.example")
		x.clock.add(8*24*time.Hour + time.Minute)
		if _, err := x.Cleanup(x.ctx, 100); err != nil {
			t.Fatal(err)
		}
		x.wantStates(ian, "*ian@cloud.example", "+ian@new.example")
	})
}

// PWD-25: with an address goes whatever came by it.
func TestRemovedAliasEndsWhatCameByIt(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian := x.account("ian@cloud.example")
		x.confirm(ian, "ian@new.example")
		here := x.mustSignIn("here", "ian@cloud.example", good)
		elsewhere := x.mustSignIn("elsewhere", "ian@new.example", good)
		ses, err := x.SessionByToken(x.ctx, "acme", here.Token)
		if err != nil {
			t.Fatal(err)
		}
		x.requestReset("ian@new.example")
		reset := x.letter(portal.ResetLetter)
		attempt := x.attempt(visitor("half"), "ian@new.example")
		x.drain()
		if err := x.RemoveAlias(x.ctx, "acme", as(ian), ses.ID, addr(t, "ian@new.example")); err != nil {
			t.Fatal(err)
		}
		if !x.live(here.Token) || x.live(elsewhere.Token) {
			t.Error("the session it was done in ended, or another one lives on")
		}
		wantCode(t, x.ResetPassword(x.ctx, "acme", visitor("one"), reset.Token, other), "link_refused")
		_, err = x.SignInPassword(x.ctx, "acme", visitor("half"), attempt, good, false)
		wantCode(t, err, "attempt_unknown")
		if _, err := x.signIn("again", "ian@new.example", good); code(err) != "password_wrong" {
			t.Errorf("the removed address signs in: %v", err)
		}
		if found := x.findable("ian@new.example"); len(found) > 0 {
			t.Error("the removed address is found")
		}
		if l := x.letter(portal.AliasRemovedLetter); l.To != addr(t, "ian@cloud.example") || l.About != addr(t, "ian@new.example") {
			t.Errorf("told: %+v", l)
		}
		wantCode(t, x.RemoveAlias(x.ctx, "acme", as(ian), ses.ID, addr(t, "ian@cloud.example")), "alias_primary")
		wantCode(t, x.RemoveAlias(x.ctx, "acme", as(ian), ses.ID, addr(t, "ian@new.example")), "alias_unknown")
		// Somebody else can have it now.
		x.confirm(x.account("eve@cloud.example"), "ian@new.example")
	})
}

// PWD-28, PWD-29: a recovery takes the addresses that wait, and their links.
func TestRecoveryDropsPending(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian := x.account("ian@cloud.example")
		x.add(ian, "trojan@evil.example")
		trojan := x.link("trojan@evil.example")
		x.requestReset("ian@cloud.example")
		if err := x.ResetPassword(x.ctx, "acme", visitor("one"), x.letter(portal.ResetLetter).Token, other); err != nil {
			t.Fatal(err)
		}
		x.wantStates(ian, "*ian@cloud.example")
		_, err := x.ConfirmAlias(x.ctx, "acme", as(ian), trojan)
		wantCode(t, err, "link_refused")
	})
}

// PWD-35: neither a mailbox nor the mail server is flooded by one who adds.
func TestAliasMailLimits(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian, eve := x.account("ian@cloud.example"), x.account("eve@cloud.example")
		victim := addr(t, "victim@elsewhere.example")
		for range 4 {
			if err := x.AddAlias(x.ctx, "acme", as(ian), ian.ID, victim); err != nil {
				t.Fatal(err)
			}
			if err := x.AddAlias(x.ctx, "acme", as(eve), eve.ID, victim); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for _, l := range x.letters() {
			if l.To == victim {
				n++
			}
		}
		if n != 3 {
			t.Errorf("%d mails to one mailbox", n)
		}
		codes := map[string]int{}
		for range 30 {
			codes[code(x.AddAlias(x.ctx, "acme", as(ian), ian.ID, victim))]++
		}
		if codes["ok"] != 16 || codes["mail_throttled"] != 14 {
			t.Errorf("one sender: %v", codes)
		}
		x.clock.add(2 * time.Hour)
		for i := range 6 {
			want := "ok"
			if i == 4 || i == 5 { // the victim's is one of five
				want = "alias_pending_limit"
			}
			wantCode(t, x.AddAlias(x.ctx, "acme", as(ian), ian.ID, addr(t, fmt.Sprintf("a%d@new.example", i))), want)
		}
	})
}

// S17: an administrator adds, sends again and removes; the person confirms.
func TestAdministratorAddsAlias(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian, ada := x.account("ian@cloud.example"), x.account("ada@cloud.example")
		x.role(ada, portal.Administrator)
		const next = "ian@new.example"
		if err := x.AddAlias(x.ctx, "acme", as(ada), ian.ID, addr(t, next)); err != nil {
			t.Fatal(err)
		}
		token := portal.Secret("")
		for _, l := range x.letters() {
			if l.By != "Ada" {
				t.Errorf("who added it is not said: %+v", l)
			}
			if l.Kind == portal.AliasLetter {
				token = l.Token
			}
		}
		all, err := x.Aliases(x.ctx, "acme", ian.ID)
		if err != nil || len(all) != 2 || all[1].AddedBy != ada.ID {
			t.Errorf("added by: %+v, %v", all, err)
		}
		_, err = x.ConfirmAlias(x.ctx, "acme", as(ada), token)
		wantCode(t, err, "alias_other_account")
		x.wantStates(ian, "*ian@cloud.example", "?"+next)
		if _, err := x.ConfirmAlias(x.ctx, "acme", as(ian), token); err != nil {
			t.Fatal(err)
		}
		wantCode(t, x.RemovePending(x.ctx, "acme", as(ada), ian.ID, addr(t, next)), "alias_confirmed")
		if err := x.AddAlias(x.ctx, "acme", as(ada), ian.ID, addr(t, "typo@new.example")); err != nil {
			t.Fatal(err)
		}
		if err := x.RemovePending(x.ctx, "acme", as(ada), ian.ID, addr(t, "typo@new.example")); err != nil {
			t.Fatal(err)
		}
		events, err := x.Events(x.ctx, "acme", portal.EventFilter{Action: "alias.removed"})
		if err != nil || len(events) != 1 || events[0].Account != ian.ID || events[0].Actor != ada.ID {
			t.Errorf("audit: %+v, %v", events, err)
		}
		for name, tc := range map[string]struct {
			who  portal.Account
			on   string
			want string
		}{
			"a member":                   {ian, ada.ID, "permission_missing"},
			"ADM-01 nobody":              {ada, "0123456789abcdef0123456789abcdef", "account_unknown"},
			"a guest, for the guest":     {x.guest("gus@cloud.example"), "", "alias_unlicensed"},
			"of another portal's person": {ada, x.elsewhere("olga@cloud.example").ID, "account_unknown"},
		} {
			on := tc.on
			if on == "" {
				on = tc.who.ID
			}
			if got := code(x.AddAlias(x.ctx, "acme", as(tc.who), on, addr(t, "x@new.example"))); got != tc.want {
				t.Errorf("%s: %s, want %s", name, got, tc.want)
			}
		}
		x.wantStates(ian, "*ian@cloud.example", "+"+next)
	})
}

func (x *fixture) role(a portal.Account, r portal.Role) {
	x.t.Helper()
	if _, err := x.SetRole(x.ctx, "acme", portal.Visitor{}, portal.RoleChange{Account: a.ID, To: r}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *fixture) guest(address string) portal.Account {
	x.t.Helper()
	a := portal.Account{Portal: "acme", Primary: addr(x.t, address), Role: portal.Guest}
	if _, err := x.DangerouslyCreateAccount(x.ctx, a, good); err != nil {
		x.t.Fatal(err)
	}
	found, _, err := x.AccountByAddress(x.ctx, "acme", a.Primary)
	if err != nil {
		x.t.Fatal(err)
	}
	return found
}

func (x *fixture) elsewhere(address string) portal.Account {
	x.t.Helper()
	a := portal.Account{Portal: "other", Primary: addr(x.t, address)}
	if _, err := x.DangerouslyCreateAccount(x.ctx, a, good); err != nil {
		x.t.Fatal(err)
	}
	found, _, err := x.AccountByAddress(x.ctx, "other", a.Primary)
	if err != nil {
		x.t.Fatal(err)
	}
	return found
}

// The identity rule and addresses: an IdP finds who confirmed an address in its
// domain, a promoted address stays primary, and what would come back is kept.
func TestAliasAndIdP(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian := x.account("ian@cloud.example")
		x.confirm(ian, "ian@both.example")
		in := x.mustArrive("one", x.person("acme-oidc", "subject-ian", "ian@both.example"))
		if in.Account.ID != ian.ID || in.Account.Primary != addr(t, "ian@cloud.example") {
			t.Errorf("arrived as %+v", in.Account)
		}
		ses, err := x.SessionByToken(x.ctx, "acme", in.Token)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, x.RemoveAlias(x.ctx, "acme", as(ian), ses.ID, addr(t, "ian@both.example")), "alias_federated")
		// The IdP renames: that address is adopted, and the old one can go.
		again := x.mustArrive("one", x.person("acme-oidc", "subject-ian", "ian.fleming@both.example"))
		x.wantStates(ian, "*ian.fleming@both.example", "+ian@both.example", "+ian@cloud.example")
		if ses, err = x.SessionByToken(x.ctx, "acme", again.Token); err != nil {
			t.Fatal(err)
		}
		if err := x.RemoveAlias(x.ctx, "acme", as(ian), ses.ID, addr(t, "ian@both.example")); err != nil {
			t.Fatal(err)
		}
		// One's own choice of a primary address is not undone by the next sign-in.
		if err := x.PromoteAlias(x.ctx, "acme", as(ian), addr(t, "ian@cloud.example")); err != nil {
			t.Fatal(err)
		}
		x.mustArrive("one", x.person("acme-oidc", "subject-ian", "ian.fleming@both.example"))
		x.wantStates(ian, "*ian@cloud.example", "+ian.fleming@both.example")
		// PWD-26: an address that waits is nobody's: its IdP makes a new account.
		x.add(ian, "victim@acme.example")
		if v := x.mustArrive("two", x.person("acme-saml", "subject-v", "victim@acme.example")); v.Account.ID == ian.ID {
			t.Error("a pending address caught somebody's first sign-in")
		}
	})
}
