package store_test

import (
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// admin is somebody of a role, as a visitor.
func (x *fixture) actor(address string, role portal.Role) (portal.Account, portal.Visitor) {
	x.t.Helper()
	a := x.account(address)
	if _, err := x.db.ExecContext(x.ctx, `UPDATE accounts SET role = $1 WHERE id = $2`, string(role), a.ID); err != nil {
		x.t.Fatal(err)
	}
	a.Role = role
	v := visitor("of " + address)
	v.Actor = a.ID
	return a, v
}

func (x *fixture) open() []portal.Recovery {
	x.t.Helper()
	open, err := x.OpenRecoveries(x.ctx, "acme")
	if err != nil {
		x.t.Fatal(err)
	}
	return open
}

// letterOf takes what waits to be sent and returns the letters of a kind.
func (x *fixture) lettersOf(kind portal.LetterKind) (out []portal.Letter) {
	x.t.Helper()
	due, err := x.DueLetters(x.ctx, 50)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, l := range due {
		if err := x.LetterSent(x.ctx, l.ID); err != nil {
			x.t.Fatal(err)
		}
		if l.Kind == kind {
			out = append(out, l.Letter)
		}
	}
	return out
}

func TestRecoveryTakesThree(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		own, _ := x.withTOTP(ian)
		lost, _, _ := x.AccountByAddress(x.ctx, "acme", addr(t, ian))
		_, admin := x.actor("adam@cloud.example", portal.Administrator)
		x.lettersOf("")

		// Not without the first step, and not in another browser.
		wantCode(t, x.AskRecovery(x.ctx, "acme", visitor("one"), x.attempt(visitor("one"), ian)), "attempt_unknown")
		h := x.half("one", ian)
		wantCode(t, x.AskRecovery(x.ctx, "acme", visitor("two"), h), "attempt_unknown")
		wantCode(t, x.AskRecovery(x.ctx, "other", visitor("one"), h), "attempt_unknown")
		if len(x.open()) != 0 {
			t.Fatal("a request without a first step")
		}
		for range 3 { // PWD-35: asking again writes to nobody
			if err := x.AskRecovery(x.ctx, "acme", visitor("one"), h); err != nil {
				t.Fatal(err)
			}
		}
		asked := x.lettersOf(portal.RecoveryAskedLetter)
		open := x.open()
		if len(asked) != 1 || len(open) != 1 || open[0].Account.ID != lost.ID || open[0].Network == "" {
			t.Fatalf("%d letters, open %+v", len(asked), open)
		}

		// The request alone opens nothing, nor does its link.
		_, err := x.RecoveryByToken(x.ctx, "acme", asked[0].Token)
		wantCode(t, err, "link_refused")
		if !x.live(own) {
			t.Error("asking ended a session")
		}

		if err := x.DecideRecovery(x.ctx, "acme", admin, open[0].ID, true); err != nil {
			t.Fatal(err)
		}
		wantCode(t, x.DecideRecovery(x.ctx, "acme", admin, open[0].ID, true), "recovery_over")
		allowed := x.lettersOf(portal.RecoveryAllowedLetter)
		if len(allowed) != 1 || len(x.open()) != 0 {
			t.Fatalf("%d letters, open %+v", len(allowed), x.open())
		}
		link := allowed[0].Token
		_, _, err = x.StartRecovery(x.ctx, "other", visitor("one"), link)
		wantCode(t, err, "link_refused")

		// The link alone opens nothing: the first step follows, by the same person.
		start := func() string {
			handle, at, err := x.StartRecovery(x.ctx, "acme", visitor("back"), link)
			if err != nil || at != addr(t, ian) {
				t.Fatalf("start: %s, %v", at, err)
			}
			return handle
		}
		x.account("eve@cloud.example")
		handle := start()
		if err := x.SetAddress(x.ctx, "acme", visitor("back"), handle, addr(t, "eve@cloud.example")); err != nil {
			t.Fatal(err)
		}
		_, err = x.SignInPassword(x.ctx, "acme", visitor("back"), handle, good, false)
		wantCode(t, err, "link_refused")
		_, err = x.SignInPassword(x.ctx, "acme", visitor("back"), start(), "not this one", false)
		wantCode(t, err, "password_wrong")
		if ways, _ := x.Ways(x.ctx, "acme", lost.ID); len(ways.Factors) != 1 {
			t.Fatal("the factors went before the person had come")
		}

		in, err := x.SignInPassword(x.ctx, "acme", visitor("back"), start(), good, false)
		if err != nil || in.Token == "" || in.ReturnTo != "/account/security" || !x.live(in.Token) || x.live(own) {
			t.Fatalf("finish: %+v, %v; the old session lives: %t", in, err, x.live(own))
		}
		if ways, _ := x.Ways(x.ctx, "acme", lost.ID); len(ways.Factors) != 0 || ways.Codes != 0 {
			t.Errorf("left: %+v", ways)
		}
		_, _, err = x.StartRecovery(x.ctx, "acme", visitor("again"), link)
		wantCode(t, err, "link_refused")
		if len(x.lettersOf(portal.RecoveryDoneLetter)) != 1 {
			t.Error("nobody was told")
		}
		events, err := x.Events(x.ctx, "acme", portal.EventFilter{Account: lost.ID})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, e := range events {
			switch {
			case e.Action == "recovery.allowed" && e.Actor == admin.Actor, e.Action == "recovery.finished" && e.Target == admin.Actor, e.Action == "recovery.asked":
				seen[e.Action] = true
			}
		}
		if len(seen) != 3 {
			t.Errorf("audited with both IDs: %v", seen)
		}
	})
}

// What whoever had the account before has left goes with the recovery (PWD-28,
// PWD-29), and a portal that demands a factor gets a new one.
func TestRecoveryDropsWhatWasLeftBehind(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.withTOTP(ian)
		x.policy(portal.FactorForPassword)
		lost, _, _ := x.AccountByAddress(x.ctx, "acme", addr(t, ian))
		if _, err := x.db.ExecContext(x.ctx, `INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof, expires)
			VALUES ($1, 'acme', 'trojan@evil.example', 'evil.example', FALSE, 0, '', $2)`, lost.ID, x.clock.now().Add(time.Hour).UnixMicro()); err != nil {
			t.Fatal(err)
		}
		if _, err := x.db.ExecContext(x.ctx, `UPDATE devices SET trusted = $1 WHERE account = $2`, x.clock.now().Add(time.Hour).UnixMicro(), lost.ID); err != nil {
			t.Fatal(err)
		}
		if err := x.RecoverByOperator(x.ctx, "acme", portal.Visitor{}, addr(t, ian)); err != nil {
			t.Fatal(err)
		}
		letters := x.lettersOf(portal.RecoveryAllowedLetter)
		handle, _, err := x.StartRecovery(x.ctx, "acme", visitor("back"), letters[0].Token)
		if err != nil {
			t.Fatal(err)
		}
		in, err := x.SignInPassword(x.ctx, "acme", visitor("back"), handle, good, false)
		if err != nil || in.Next != portal.NeedsEnrol || in.Token != "" {
			t.Fatalf("a portal that demands a factor lets in without: %+v, %v", in, err)
		}
		for what, query := range map[string]string{
			"factors": `SELECT COUNT(*) FROM factors`, "codes": `SELECT COUNT(*) FROM recovery_codes`,
			"pending addresses": `SELECT COUNT(*) FROM addresses WHERE confirmed = 0`, "trust": `SELECT COUNT(*) FROM devices WHERE trusted > 0`,
			"sessions": `SELECT COUNT(*) FROM sessions`, "links": `SELECT COUNT(*) FROM tokens WHERE used = 0`,
		} {
			var n int
			if err := x.db.QueryRowContext(x.ctx, query).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s: %d left, %v", what, n, err)
			}
		}
		if !x.audited("recovery.allowed", "") {
			t.Error("not audited")
		}
		secret := portal.Secret("")
		at := store.InHalf(in.Attempt)
		if err := x.BeginTOTP(x.ctx, "acme", visitor("back"), at); err != nil {
			t.Fatal(err)
		}
		if secret, _, err = x.PendingTOTP(x.ctx, "acme", visitor("back"), at); err != nil {
			t.Fatal(err)
		}
		if in, err = x.ConfirmTOTP(x.ctx, "acme", visitor("back"), at, "New", x.code(secret)); err != nil || !x.live(in.Token) {
			t.Errorf("enrol: %+v, %v", in, err)
		}
	})
}

func TestWhoMayAllowARecovery(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		owner, ownerV := x.actor(ian, portal.Owner)
		_, admin := x.actor("adam@cloud.example", portal.Administrator)
		_, auditor := x.actor("aud@cloud.example", portal.Auditor)
		in := x.mustSignIn("own", ian, good)
		x.addTOTP("own", x.session(in.Token))
		if err := x.AskRecovery(x.ctx, "acme", visitor("one"), x.half("one", ian)); err != nil {
			t.Fatal(err)
		}
		id := x.open()[0].ID
		for name, who := range map[string]struct {
			portal string
			v      portal.Visitor
			want   string
		}{
			"the owner's own":              {"acme", ownerV, "manage_self"},
			"an administrator, an owner's": {"acme", admin, "manage_higher"},
			"an auditor":                   {"acme", auditor, "permission_missing"},
			"nobody":                       {"acme", visitor("x"), "permission_missing"},
			"another portal":               {"other", admin, "permission_missing"},
		} {
			err := x.DecideRecovery(x.ctx, who.portal, who.v, id, true)
			if got := code(err); got != who.want && !(name == "another portal" && got != "") {
				t.Errorf("%s: %s", name, got)
			}
		}
		if len(x.open()) != 1 || len(x.lettersOf(portal.RecoveryAllowedLetter)) != 0 {
			t.Error("it was decided")
		}
		_ = owner
		second, secondV := x.actor("olga@cloud.example", portal.Owner)
		if err := x.DecideRecovery(x.ctx, "acme", secondV, id, false); err != nil {
			t.Fatal(second.ID, err)
		}
		if len(x.open()) != 0 || len(x.lettersOf(portal.RecoveryRefusedLetter)) != 1 {
			t.Error("the refusal does not count")
		}
	})
}

// A word is about who the person was. Whoever may do more meanwhile needs another
// one, by somebody who may give it, and does not have to ask anew.
func TestRecoveryIsDecidedAgain(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.withTOTP(ian)
		lost := x.found(ian)
		_, helper := x.actor("hanna@cloud.example", portal.HelpDesk)
		_, admin := x.actor("adam@cloud.example", portal.Administrator)
		_, owner := x.actor("olga@cloud.example", portal.Owner)
		if err := x.AskRecovery(x.ctx, "acme", visitor("one"), x.half("one", ian)); err != nil {
			t.Fatal(err)
		}
		id := x.open()[0].ID
		allow := func(v portal.Visitor) portal.Secret {
			t.Helper()
			if err := x.DecideRecovery(x.ctx, "acme", v, id, true); err != nil {
				t.Fatal(err)
			}
			return x.lettersOf(portal.RecoveryAllowedLetter)[0].Token
		}
		start := func(link portal.Secret) string {
			t.Helper()
			handle, _, err := x.StartRecovery(x.ctx, "acme", visitor("back"), link)
			if err != nil {
				t.Fatal(err)
			}
			return handle
		}
		become := func(r portal.Role) {
			t.Helper()
			if _, err := x.SetRole(x.ctx, "acme", owner, portal.RoleChange{Account: lost.ID, To: r}); err != nil {
				t.Fatal(err)
			}
		}
		link := allow(helper)
		begun := start(link)
		become(portal.Administrator)
		_, err := x.RecoveryByToken(x.ctx, "acme", link)
		wantCode(t, err, "link_refused")
		_, err = x.SignInPassword(x.ctx, "acme", visitor("back"), begun, good, false)
		wantCode(t, err, "link_refused")
		if open := x.open(); len(open) != 1 || open[0].ID != id || !open[0].Expires.Equal(open[0].Asked.Add(portal.RecoveryAsk)) {
			t.Fatalf("it waits again: %+v", open)
		}
		wantCode(t, x.DecideRecovery(x.ctx, "acme", helper, id, true), "manage_higher")
		// Who may do less is no reason.
		link = allow(admin)
		become(portal.Member)
		if _, err := x.RecoveryByToken(x.ctx, "acme", link); err != nil || !x.audited("recovery.reopened", "") {
			t.Errorf("demoted: %v", err)
		}
		// The word of somebody who may not give it any more is asked for again, too.
		begun = start(link)
		x.role(x.found("adam@cloud.example"), portal.Member)
		_, err = x.SignInPassword(x.ctx, "acme", visitor("back"), begun, good, false)
		wantCode(t, err, "decider_refused")
		if len(x.open()) != 1 {
			t.Fatal("nobody is asked again")
		}
		begun = start(allow(helper))
		if in, err := x.SignInPassword(x.ctx, "acme", visitor("back"), begun, good, false); err != nil || !x.live(in.Token) {
			t.Errorf("allowed by who may: %v", err)
		}
	})
}

// Whichever comes first, the word or the role: nobody whom a help desk let in may do
// more than a help desk may let in.
func TestRecoveryRacesWithARole(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.withTOTP(ian)
		lost := x.found(ian)
		_, helper := x.actor("hanna@cloud.example", portal.HelpDesk)
		_, owner := x.actor("olga@cloud.example", portal.Owner)
		for range 3 {
			if err := x.AskRecovery(x.ctx, "acme", visitor("one"), x.half("one", ian)); err != nil {
				t.Fatal(err)
			}
			id := x.open()[0].ID
			parallel(func(i int) error {
				if i%2 == 0 {
					return x.DecideRecovery(x.ctx, "acme", helper, id, true)
				}
				_, err := x.SetRole(x.ctx, "acme", owner, portal.RoleChange{Account: lost.ID, To: portal.Administrator})
				return err
			})
			if n := x.count(`recoveries WHERE id = $1 AND allowed`, id); n != 0 || x.found(ian).Role != portal.Administrator || len(x.open()) != 1 {
				t.Fatalf("allowed %d, a %s, %d wait", n, x.found(ian).Role, len(x.open()))
			}
			if n := x.count(`tokens WHERE account = $1 AND used = 0 AND purpose = 'recovery'`, lost.ID); n != 0 {
				t.Fatalf("%d links", n)
			}
			x.role(lost, portal.Member)
			x.exec(`UPDATE recoveries SET expires = 1`)
			x.clock.add(24 * time.Hour)
		}
	})
}

// A reset ends every link, also the one that withdraws: the request goes with it,
// and another can be made at once.
func TestRecoveryEndsWithAReset(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.withTOTP(ian)
		_, admin := x.actor("adam@cloud.example", portal.Administrator)
		for _, decided := range []bool{false, true} {
			if err := x.AskRecovery(x.ctx, "acme", visitor("one"), x.half("one", ian)); err != nil {
				t.Fatal(err)
			}
			id := x.open()[0].ID
			if decided {
				if err := x.DecideRecovery(x.ctx, "acme", admin, id, true); err != nil {
					t.Fatal(err)
				}
			}
			x.requestReset(ian)
			if err := x.ResetPassword(x.ctx, "acme", visitor("reset"), x.letter(portal.ResetLetter).Token, good); err != nil {
				t.Fatal(err)
			}
			if len(x.open()) != 0 {
				t.Error("it waits, and nobody can withdraw it")
			}
			wantCode(t, x.DecideRecovery(x.ctx, "acme", admin, id, true), "recovery_over")
			if n := x.count(`recoveries WHERE finished = 0 AND expires > $1`, x.clock.now().UnixMicro()); n != 0 {
				t.Errorf("decided %t: %d are under way", decided, n)
			}
		}
	})
}

func TestRecoveryIsWithdrawnAndLapses(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.withTOTP(ian)
		_, admin := x.actor("adam@cloud.example", portal.Administrator)
		ask := func() portal.Secret {
			t.Helper()
			if err := x.AskRecovery(x.ctx, "acme", visitor("one"), x.half("one", ian)); err != nil {
				t.Fatal(err)
			}
			return x.lettersOf(portal.RecoveryAskedLetter)[0].Token
		}
		cancel, id := ask(), x.open()[0].ID
		if err := x.DecideRecovery(x.ctx, "acme", admin, id, true); err != nil {
			t.Fatal(err)
		}
		link := x.lettersOf(portal.RecoveryAllowedLetter)[0].Token
		handle, _, err := x.StartRecovery(x.ctx, "acme", visitor("thief"), link)
		if err != nil {
			t.Fatal(err)
		}
		// The owner withdraws what a thief of password and mailbox has begun.
		if _, err := x.CancelLink(x.ctx, "acme", cancel); err != nil {
			t.Fatal(err)
		}
		wantCode(t, x.CancelRecovery(x.ctx, "other", visitor("owner"), cancel), "link_refused")
		if err := x.CancelRecovery(x.ctx, "acme", visitor("owner"), cancel); err != nil {
			t.Fatal(err)
		}
		_, err = x.SignInPassword(x.ctx, "acme", visitor("thief"), handle, good, false)
		wantCode(t, err, "link_refused")
		wantCode(t, x.CancelRecovery(x.ctx, "acme", visitor("owner"), cancel), "link_refused")

		ask()
		id = x.open()[0].ID
		x.clock.add(portal.RecoveryAsk)
		if len(x.open()) != 0 {
			t.Error("it waits for ever")
		}
		wantCode(t, x.DecideRecovery(x.ctx, "acme", admin, id, true), "recovery_over")

		// PWD-35: a thief of the password cannot fill the mailbox with requests.
		ask()
		wantCode(t, func() error {
			if err := x.CancelRecovery(x.ctx, "acme", visitor("owner"), ""); code(err) != "link_refused" {
				t.Errorf("blank link: %v", err)
			}
			if _, err := x.db.ExecContext(x.ctx, `UPDATE recoveries SET expires = 1`); err != nil {
				t.Fatal(err)
			}
			ask()
			if _, err := x.db.ExecContext(x.ctx, `UPDATE recoveries SET expires = 1`); err != nil {
				t.Fatal(err)
			}
			return x.AskRecovery(x.ctx, "acme", visitor("one"), x.half("one", ian))
		}(), "recovery_throttled")
	})
}
