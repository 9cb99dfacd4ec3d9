package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// A meeting is two accounts on the way to becoming one: ian has added iva's
// address, and signed in to her account as well.
type meeting struct {
	x         *fixture
	ian, iva  portal.Account
	session   portal.Session // ian's
	v         portal.Visitor // ian's browser
	token     portal.Secret
	handle    string
	signedOut portal.Secret // iva's session
}

// enter signs somebody in and says in which session.
func (x *fixture) enter(browser string, a portal.Account) (portal.Session, portal.Visitor, portal.Secret) {
	x.t.Helper()
	in := x.mustSignIn(browser, a.Primary.Clear(), good)
	ses, err := x.SessionByToken(x.ctx, "acme", in.Token)
	if err != nil {
		x.t.Fatal(err)
	}
	v := visitor(browser)
	v.Actor = a.ID
	return ses, v, in.Token
}

func (x *fixture) meet(ian, iva portal.Account) *meeting {
	x.t.Helper()
	m := &meeting{x: x, ian: ian, iva: iva}
	m.session, m.v, _ = x.enter("of-"+ian.ID, ian)
	_, _, m.signedOut = x.enter("of-"+iva.ID, iva)
	x.add(ian, iva.Primary.Clear())
	m.token = x.link(iva.Primary.Clear())
	_, err := x.ConfirmAlias(x.ctx, "acme", m.v, m.token)
	wantCode(x.t, err, "alias_merge")
	m.handle = x.prove(m, iva.Primary.Clear())
	return m
}

// prove signs in to an account for a merge, in the browser of the session.
func (x *fixture) prove(m *meeting, address string) string {
	x.t.Helper()
	h, err := x.StartAttempt(x.ctx, "acme", m.v, portal.Attempt{Purpose: portal.ForMerge, Session: m.session.ID,
		Address: addr(x.t, address), ReturnTo: "/account/addresses/merge"})
	if err != nil {
		x.t.Fatal(err)
	}
	in, err := x.SignInPassword(x.ctx, "acme", m.v, h, good, false)
	if err != nil || in.Next != portal.IsProved || in.Token != "" {
		x.t.Fatalf("prove: %+v, %v", in, err)
	}
	return in.Attempt
}

func (m *meeting) look() (portal.Joint, error) {
	return m.x.MergeByToken(m.x.ctx, "acme", m.v, m.session.ID, m.token, m.handle)
}

func (m *meeting) merge() error {
	j, err := m.look()
	if err != nil {
		return err
	}
	_, err = m.x.Merge(m.x.ctx, "acme", m.v, m.session.ID, m.token, m.handle, j.Mark())
	return err
}

func (x *fixture) exec(query string, args ...any) {
	x.t.Helper()
	if _, err := x.db.ExecContext(x.ctx, query, args...); err != nil {
		x.t.Fatal(err)
	}
}

func (x *fixture) count(from string, args ...any) (n int64) {
	x.t.Helper()
	if err := x.db.QueryRowContext(x.ctx, `SELECT COALESCE(SUM(1), 0) FROM `+from, args...).Scan(&n); err != nil {
		x.t.Fatal(err)
	}
	return n
}

// laden gives an account one of everything that must not get lost.
func (x *fixture) laden(a portal.Account, n int64) {
	x.t.Helper()
	x.exec(`INSERT INTO identities (connection, issuer, subject, account, linked) VALUES ($1, 'https://idp.example', $2, $3, 1)`,
		[]string{"acme-saml", "acme-oidc"}[n%2], a.ID, a.ID)
	x.exec(`INSERT INTO factors (id, portal, account, kind, name, sealed, handle, step, created, confirmed, used) VALUES ($1, 'acme', $2, 'totp', 'phone', $3, $3, 0, 1, 0, 0)`, "half-"+a.ID, a.ID, []byte{})
	x.exec(`INSERT INTO apps (portal, id, name, kind) VALUES ('acme', 'outlook', 'Outlook', 'addin') ON CONFLICT DO NOTHING`)
	x.exec(`INSERT INTO activations (id, portal, account, app, device, generation, created, used, removed) VALUES ($1, 'acme', $2, 'outlook', 'desk', 1, 1, 0, 0)`, "act-"+a.ID, a.ID)
	x.exec(`INSERT INTO usages (account, month, messages, last) VALUES ($1, '2026-05', $2, $3)`, a.ID, n, n)
	x.exec(`INSERT INTO usages (account, month, messages, last) VALUES ($1, $2, 1, 1)`, a.ID, fmt.Sprintf("2026-0%d", n%3+1))
	x.stand("acme", a.ID)
}

// S21: nothing is lost, counted before and after.
func TestMerge(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian, iva := x.account("ian@cloud.example"), x.account("iva@cloud.example")
		x.role(iva, portal.Auditor)
		x.confirm(iva, "iva@new.example")
		x.add(iva, "pending@new.example")
		x.laden(ian, 4)
		x.laden(iva, 5)
		x.exec(`UPDATE settings SET sender = $1 WHERE portal = 'acme'`, iva.ID)
		before := map[string]int64{}
		counts := []string{"identities", "activations", "addresses WHERE confirmed > 0", "accounts"}
		m := x.meet(ian, iva)
		for _, c := range counts {
			before[c] = x.count(c)
		}
		j, err := m.look()
		if err != nil || j.Role != portal.Auditor || j.Gone.Apps != 1 || j.Gone.Messages != 6 || len(j.Gone.Confirmed) != 2 || j.Released.None() || j.PasswordMoves {
			t.Fatalf("the summary: %+v, %v", j, err)
		}
		x.drain()
		if err := m.merge(); err != nil {
			t.Fatal(err)
		}
		for _, c := range counts {
			if n := x.count(c); n != before[c] {
				t.Errorf("%s: %d, before %d", c, n, before[c])
			}
		}
		x.wantStates(ian, "*ian@cloud.example", "+iva@cloud.example", "+iva@new.example", "?pending@new.example")
		for table, want := range map[string]int64{"identities": 2, "activations": 2, "usages": 3, "licences": 1, "credentials": 1} {
			if n := x.count(table+` WHERE account = $1`, ian.ID); n != want {
				t.Errorf("%s of the one: %d, want %d", table, n, want)
			}
			if n := x.count(table+` WHERE account = $1`, iva.ID); n != 0 {
				t.Errorf("%s of the other: %d", table, n)
			}
		}
		var messages, last int64
		if err := x.db.QueryRow(`SELECT SUM(messages), MAX(last) FROM usages WHERE account = $1`, ian.ID).Scan(&messages, &last); err != nil || messages != 11 || last != 5 {
			t.Errorf("messages: %d, last %d, %v", messages, last, err)
		}
		gone, ok, err := x.AccountByID(x.ctx, "acme", iva.ID)
		if err != nil || !ok || gone.Status != portal.Disabled || gone.MergedInto != ian.ID || gone.Primary != iva.Primary {
			t.Errorf("the other account: %+v, %v", gone, err)
		}
		kept, _, err := x.AccountByID(x.ctx, "acme", ian.ID)
		if err != nil || kept.Role != portal.Auditor {
			t.Errorf("the one: %+v, %v", kept, err)
		}
		if set, err := x.Settings(x.ctx, "acme"); err != nil || set.Sender != ian.ID {
			t.Errorf("invitations come from %q, %v", set.Sender, err)
		}
		if tallies, err := x.Tallies(x.ctx, "acme", "status:"); err != nil || tallies["disabled"] != 1 || tallies["active"] != 1 {
			t.Errorf("counters: %v, %v", tallies, err)
		}
		if found := x.findable("iva@cloud.example", "iva@new.example", "ian@cloud.example", "pending@new.example"); len(found) != 3 {
			t.Errorf("found: %v", found)
		}
		if x.live(m.signedOut) {
			t.Error("the other account is still signed in")
		}
		if in := x.mustSignIn("new", "iva@new.example", good); in.Account.ID != ian.ID {
			t.Errorf("her address signs in %+v", in.Account)
		}
		to := map[string]bool{}
		for _, l := range x.letters() {
			if l.Kind == portal.AliasMergedLetter {
				to[l.To.Clear()] = true
			}
		}
		if len(to) != 2 {
			t.Errorf("told: %v", to)
		}
		for _, a := range []portal.Account{ian, iva} {
			events, err := x.Events(x.ctx, "acme", portal.EventFilter{Account: a.ID, Action: "account.merged"})
			if err != nil || len(events) != 1 {
				t.Errorf("audit of %s: %+v, %v", a.ID, events, err)
			}
		}
		if _, err := x.CheckAudit(x.ctx, "acme"); err != nil {
			t.Error(err)
		}
		wantCode(t, m.merge(), "link_refused")
		// For good: by no address and by no administrator.
		ada := x.account("ada@cloud.example")
		x.role(ada, portal.Owner)
		_, err = x.SwitchAccount(x.ctx, "acme", as(ada), iva.ID, true)
		wantCode(t, err, "account_merged")
		x.confirm(kept, "more@new.example")
	})
}

// Whatever is not as it was agreed to, or not proven, is refused and changes
// nothing.
func TestMergeRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		upset func(x *fixture, m *meeting)
		want  string
	}{
		"the other one is disabled": {func(x *fixture, m *meeting) {
			if _, err := x.Disable(x.ctx, "acme", visitor("admin"), m.iva.Primary); err != nil {
				x.t.Fatal(err)
			}
		}, "attempt_unknown"},
		"her password changes":   {func(x *fixture, m *meeting) { x.requestReset(m.iva.Primary.Clear()); x.reset() }, "attempt_unknown"},
		"the proof is too old":   {func(x *fixture, _ *meeting) { x.clock.add(portal.ProofLife + time.Second) }, "attempt_unknown"},
		"no proof":               {func(_ *fixture, m *meeting) { m.handle = "" }, "attempt_unknown"},
		"another session":        {func(_ *fixture, m *meeting) { m.session.ID = strings.Repeat("0", 32) }, "attempt_unknown"},
		"another browser":        {func(_ *fixture, m *meeting) { m.v.Browser = "stolen" }, "attempt_unknown"},
		"a proof of oneself":     {func(x *fixture, m *meeting) { m.handle = x.prove(m, m.ian.Primary.Clear()) }, "merge_proof"},
		"somebody else's link":   {func(x *fixture, m *meeting) { m.v.Actor = x.account("eve@cloud.example").ID }, "alias_other_account"},
		"the link is too old":    {func(x *fixture, m *meeting) { x.clock.add(24 * time.Hour) }, "link_refused"},
		"two subjects of an IdP": {func(x *fixture, m *meeting) { x.laden(m.ian, 1); x.laden(m.iva, 3) }, "merge_two_people"},
		"she gave the address up": {func(x *fixture, m *meeting) {
			x.confirm(m.iva, "iva@new.example")
			if err := x.PromoteAlias(x.ctx, "acme", as(m.iva), addr(x.t, "iva@new.example")); err != nil {
				x.t.Fatal(err)
			}
			ses, _, _ := x.enter("iva", portal.Account{ID: m.iva.ID, Primary: addr(x.t, "iva@new.example")})
			if err := x.RemoveAlias(x.ctx, "acme", as(m.iva), ses.ID, m.iva.Primary); err != nil {
				x.t.Fatal(err)
			}
		}, "merge_changed"},
	} {
		t.Run(name, func(t *testing.T) {
			x := onSQLite(t)
			m := x.meet(x.account("ian@cloud.example"), x.account("iva@cloud.example"))
			tc.upset(x, m)
			wantCode(t, m.merge(), tc.want)
			// Past the page as well: the use case asks anew.
			if _, err := x.Merge(x.ctx, "acme", m.v, m.session.ID, m.token, m.handle, "mark"); err == nil {
				t.Error("merged")
			}
			gone, ok, err := x.AccountByID(x.ctx, "acme", m.iva.ID)
			if err != nil || !ok || gone.MergedInto != "" {
				t.Errorf("her account: %+v, %v", gone, err)
			}
		})
	}
}

// reset uses the newest reset link.
func (x *fixture) reset() {
	x.t.Helper()
	if err := x.ResetPassword(x.ctx, "acme", visitor("one"), x.letter(portal.ResetLetter).Token, other); err != nil {
		x.t.Fatal(err)
	}
}

// Between the summary and the agreement something else is agreed to.
func TestMergeIsWhatWasShown(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		m := x.meet(x.account("ian@cloud.example"), x.account("iva@cloud.example"))
		j, err := m.look()
		if err != nil {
			t.Fatal(err)
		}
		x.confirm(m.iva, "iva@new.example")
		_, err = x.Merge(x.ctx, "acme", m.v, m.session.ID, m.token, m.handle, j.Mark())
		wantCode(t, err, "merge_changed")
		if err := m.merge(); err != nil { // the proof and the link are still good
			t.Fatal(err)
		}
		x.wantStates(m.ian, "*ian@cloud.example", "+iva@cloud.example", "+iva@new.example")
	})
}

// An owner's rights stay with whoever the two have become.
func TestMergeKeepsTheLastOwner(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian, iva := x.account("ian@cloud.example"), x.account("iva@cloud.example")
		x.role(iva, portal.Owner)
		m := x.meet(ian, iva)
		_, _, elsewhere := x.enter("elsewhere", ian)
		if err := m.merge(); err != nil {
			t.Fatal(err)
		}
		if n := x.count(`accounts WHERE portal = 'acme' AND role = 'owner' AND status = 'active'`); n != 1 {
			t.Errorf("%d owners", n)
		}
		if x.live(elsewhere) {
			t.Error("a session from before has the new rights")
		}
	})
}

// An invitation that nobody has answered: the mailbox is all there is to prove.
func TestMergeOfAnInvitation(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian := x.account("ian@cloud.example")
		link, temporary := x.invitation("iva@cloud.example")
		ses, v, _ := x.enter("ian", ian)
		x.add(ian, "iva@cloud.example")
		token := x.link("iva@cloud.example")
		j, err := x.MergeByToken(x.ctx, "acme", v, ses.ID, token, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Merge(x.ctx, "acme", v, ses.ID, token, "", j.Mark()); err != nil {
			t.Fatal(err)
		}
		x.wantStates(ian, "*ian@cloud.example", "+iva@cloud.example")
		_, err = x.RedeemInvitation(x.ctx, "acme", visitor("late"), link, temporary, other, false)
		wantCode(t, err, "link_refused")
		if in := x.mustSignIn("new", "iva@cloud.example", good); in.Account.ID != ian.ID {
			t.Error("her address signs in somebody else")
		}
	})
}

// PWD-32: where the organisation signs its people in, a mailbox takes no invitation
// up, and joins none: the organisation's own sign-in has to say who that is.
func TestMergeOfAFederatedInvitation(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		owner := x.staff("olga@cloud.example", portal.Owner)
		if _, err := x.inviteBy(owner, portal.Invitation{Address: addr(t, "iva@acme.example"), Role: portal.Administrator}); err != nil {
			t.Fatal(err)
		}
		ian := x.account("ian@cloud.example")
		m := &meeting{x: x, ian: ian}
		m.session, m.v, _ = x.enter("of-ian", ian)
		x.add(ian, "iva@acme.example")
		m.token = x.link("iva@acme.example")
		if _, needed, err := x.MergeNeedsProof(x.ctx, "acme", m.v, m.token); err != nil || !needed {
			t.Fatalf("a proof is needed: %t, %v", needed, err)
		}
		_, err := m.look()
		wantCode(t, err, "attempt_unknown")
		_, err = x.Merge(x.ctx, "acme", m.v, m.session.ID, m.token, "", "mark")
		if err == nil || x.found(ian.Primary.Clear()).Role != portal.Member {
			t.Fatalf("the mailbox alone: %v", err)
		}
		f := x.legOf(m.v, "acme-saml", portal.Attempt{Purpose: portal.ForMerge, Session: m.session.ID,
			Address: addr(t, "iva@acme.example"), ReturnTo: "/account/addresses/merge"})
		id := x.person("acme-saml", "iva", "iva@acme.example")
		id.AuthTime = x.clock.now()
		in, err := x.SignInFederated(x.ctx, "acme", m.v, f, id)
		if err != nil || in.Next != portal.IsProved || in.Token != "" {
			t.Fatalf("prove: %+v, %v", in, err)
		}
		m.handle = in.Attempt
		j, err := m.look()
		if err != nil {
			t.Fatal(err)
		}
		_, err = x.Merge(x.ctx, "acme", m.v, m.session.ID, m.token, "", j.Mark())
		wantCode(t, err, "attempt_unknown")
		if err := m.merge(); err != nil {
			t.Fatal(err)
		}
		x.wantStates(ian, "*ian@cloud.example", "+iva@acme.example")
		if got := x.found("iva@acme.example"); got.ID != ian.ID || got.Role != portal.Administrator {
			t.Errorf("joined: %+v", got)
		}
		if in := x.mustArrive("new", x.person("acme-saml", "iva", "iva@acme.example")); in.Account.ID != ian.ID {
			t.Error("the organisation's sign-in leads to somebody else")
		}
	})
}

// Who joins an owner's account becomes an owner: the token from before is none of
// an owner's, whoever knows it.
func TestMergeRenewsTheToken(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian, iva := x.account("ian@cloud.example"), x.staff("iva@cloud.example", portal.Owner)
		m := x.meet(ian, iva)
		_, _, elsewhere := x.enter("elsewhere", ian)
		ses, v, token := x.enter("of-"+ian.ID, ian)
		m.session, m.v = ses, v
		m.handle = x.prove(m, iva.Primary.Clear())
		before := x.found(ian.Primary.Clear()).Generation
		j, err := m.look()
		if err != nil {
			t.Fatal(err)
		}
		in, err := x.Merge(x.ctx, "acme", m.v, m.session.ID, m.token, m.handle, j.Mark())
		if err != nil || in.Next != portal.IsProved || in.Token == "" || in.Token == token {
			t.Fatalf("joined: %+v, %v", in, err)
		}
		for name, old := range map[string]portal.Secret{"this browser's": token, "another browser's": elsewhere, "the other account's": m.signedOut} {
			if x.live(old) {
				t.Errorf("%s token from before lives on", name)
			}
		}
		now, err := x.SessionByToken(x.ctx, "acme", in.Token)
		if err != nil || now.ID != ses.ID || now.Account.Role != portal.Owner || !now.Absolute.Equal(ses.Absolute) || !now.Proved.Equal(ses.Proved) {
			t.Errorf("the session: %+v, %v", now, err)
		}
		if now.Account.Generation <= before {
			t.Error("the generation has not risen")
		}
	})
}

// PWD-32: joining an invited account is taking up its invitation. What that would
// not give any more, joining does not give either.
func TestMergeOfAnInvitationThatDoesNotCount(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		owner := x.staff("olga@cloud.example", portal.Owner)
		for i, tc := range []struct {
			name string
			by   func(mallory portal.Account) portal.Account
			wait bool
			then func(mallory portal.Account)
			want portal.Role
		}{
			{"it counts", func(portal.Account) portal.Account { return owner }, false, func(portal.Account) {}, portal.Administrator},
			{"its inviter lost the right", func(m portal.Account) portal.Account { return m }, false, func(portal.Account) {}, portal.Member},
			{"it has lapsed", func(portal.Account) portal.Account { return owner }, false, func(portal.Account) { x.clock.add(73 * time.Hour) }, portal.Member},
			{"it was never sent", func(portal.Account) portal.Account { return owner }, true, func(portal.Account) {}, portal.Member},
		} {
			mallory := x.staff(fmt.Sprintf("mallory%d@cloud.example", i), portal.Administrator)
			second := fmt.Sprintf("second%d@cloud.example", i)
			if _, err := x.inviteBy(tc.by(mallory), portal.Invitation{Address: addr(t, second), Role: portal.Administrator, Wait: tc.wait}); err != nil {
				t.Fatal(err)
			}
			x.role(mallory, portal.Member)
			tc.then(mallory)
			mallory = x.found(mallory.Primary.Clear())
			ses, v, _ := x.enter("of-"+mallory.ID, mallory)
			x.add(mallory, second)
			token := x.link(second)
			j, err := x.MergeByToken(x.ctx, "acme", v, ses.ID, token, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x.Merge(x.ctx, "acme", v, ses.ID, token, "", j.Mark()); err != nil {
				t.Fatal(err)
			}
			if got := x.found(mallory.Primary.Clear()).Role; got != tc.want || j.Role != tc.want {
				t.Errorf("%s: the role is %s, and was said to be %s", tc.name, got, j.Role)
			}
			x.wantStates(mallory, "*"+mallory.Primary.Clear(), "+"+second)
		}
	})
}

func (x *fixture) invitation(address string) (link, temporary portal.Secret) {
	x.t.Helper()
	if _, err := x.Invite(x.ctx, visitor("admin"), portal.Invitation{Portal: "acme", Address: addr(x.t, address)}); err != nil {
		x.t.Fatal(err)
	}
	for _, l := range x.letters() {
		switch l.Kind {
		case portal.InvitationLetter:
			link = l.Token
		case portal.TemporaryLetter:
			temporary = l.Temporary
		}
	}
	return link, temporary
}

// Fifty at once, and two who join each other: one merge happens.
func TestMergeRaces(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ian, iva := x.account("ian@cloud.example"), x.account("iva@cloud.example")
		m := x.meet(ian, iva)
		j, err := m.look()
		if err != nil {
			t.Fatal(err)
		}
		got := parallel(func(int) error {
			_, err := x.Merge(x.ctx, "acme", m.v, m.session.ID, m.token, m.handle, j.Mark())
			return err
		})
		wantOne(t, got, "link_refused")

		ann, bea := x.account("ann@cloud.example"), x.account("bea@cloud.example")
		there := x.meet(ann, bea)
		back := x.meet(bea, ann)
		// Signing in for the second meeting has ended no session of the first, for the
		// browsers are those of before.
		there.session, there.v, _ = x.enter("of-"+ann.ID, ann)
		there.handle = x.prove(there, "bea@cloud.example")
		back.session, back.v, _ = x.enter("of-"+bea.ID, bea)
		back.handle = x.prove(back, "ann@cloud.example")
		var codes [2]string
		var wg sync.WaitGroup
		for i, m := range []*meeting{there, back} {
			wg.Go(func() { codes[i] = code(m.merge()) })
		}
		wg.Wait()
		if slices.Index(codes[:], "ok") < 0 || codes[0] == codes[1] {
			t.Errorf("both ways at once: %v", codes)
		}
		if n := x.count(`accounts WHERE portal = 'acme' AND status = 'active' AND id IN ($1, $2)`, ann.ID, bea.ID); n != 1 {
			t.Errorf("%d of the two are left", n)
		}
		if n := x.count(`addresses WHERE confirmed > 0 AND address IN ('ann@cloud.example', 'bea@cloud.example')`); n != 2 {
			t.Errorf("%d addresses are left", n)
		}
	})
}
