package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

func (x *fixture) sessions(account string) []portal.Session {
	x.t.Helper()
	all, err := x.Sessions(x.ctx, "acme", account)
	if err != nil {
		x.t.Fatal(err)
	}
	return all
}

// called is the session that a token is for, as its owner sees it.
func (x *fixture) called(token portal.Secret) portal.Session {
	x.t.Helper()
	ses, err := x.SessionByToken(x.ctx, "acme", token)
	if err != nil {
		x.t.Fatalf("session: %v", err)
	}
	return ses
}

func TestSessionsOfAnAccount(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada, eve := x.account("ada@cloud.example"), x.account("eve@cloud.example")
		v := visitor("one")
		v.Agent, v.Country = "Firefox on Windows", "CH"
		first, err := x.SignInPassword(x.ctx, "acme", v, x.attempt(v, "ada@cloud.example"), good, true)
		if err != nil {
			t.Fatal(err)
		}
		x.clock.add(10 * time.Minute)
		second := x.mustSignIn("two", "ada@cloud.example", good)
		others := x.mustSignIn("eve", "eve@cloud.example", good)

		all := x.sessions(ada.ID)
		if len(all) != 2 || all[0].ID != x.called(second.Token).ID || all[1].ID != x.called(first.Token).ID {
			t.Fatalf("sessions: %+v", all)
		}
		if s := all[1]; s.Agent != "Firefox on Windows" || s.Country != "CH" || s.Network != "192.0.2.0/24" || !s.Kept || s.Method != "password" || s.Started.IsZero() {
			t.Errorf("the first: %+v", s)
		}
		if all[0].Kept || all[0].Agent != "" {
			t.Errorf("the second: %+v", all[0])
		}

		// Somebody else's is nobody's, by whichever ID.
		for _, id := range []string{x.called(others.Token).ID, "", "nonsense", others.Token.Clear()} {
			wantCode(t, x.EndSession(x.ctx, "acme", visitor("two"), ada.ID, id), "session_unknown")
		}
		var leaked int
		if err := x.db.QueryRow(`SELECT COUNT(*) FROM audit WHERE target = $1 OR target = 'nonsense'`, others.Token.Clear()).Scan(&leaked); err != nil || leaked != 0 {
			t.Errorf("what was typed for a session's name is in the audit log: %d, %v", leaked, err)
		}
		if !x.live(others.Token) || !x.audited("access.refused", "session_unknown") {
			t.Error("another account's session was ended, or nobody noted the try")
		}
		wantCode(t, x.EndSession(x.ctx, "other", visitor("two"), ada.ID, all[1].ID), "session_unknown")

		if err := x.EndSession(x.ctx, "acme", visitor("two"), ada.ID, all[1].ID); err != nil {
			t.Fatal(err)
		}
		if x.live(first.Token) || !x.live(second.Token) || !x.audited("session.ended", "") {
			t.Error("the wrong one was ended")
		}
		wantCode(t, x.EndSession(x.ctx, "acme", visitor("two"), ada.ID, all[1].ID), "session_unknown")
		if got := x.sessions(eve.ID); len(got) != 1 {
			t.Errorf("eve has %d sessions", len(got))
		}

		// What has lapsed is not shown.
		x.clock.add(portal.SessionIdle)
		if got := x.sessions(ada.ID); len(got) != 0 {
			t.Errorf("lapsed sessions are shown: %+v", got)
		}
	})
}

// SES-15, SES-16: the others are over with their next request, also a sign-in that
// was half done, and this one goes on.
func TestEndOtherSessions(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		var tokens []portal.Secret
		for _, b := range []string{"one", "two", "three"} {
			tokens = append(tokens, x.mustSignIn(b, "ada@cloud.example", good).Token)
		}
		if _, err := x.db.Exec(`UPDATE devices SET trusted = 1`); err != nil {
			t.Fatal(err)
		}
		mine := x.called(tokens[2])
		if err := x.EndOtherSessions(x.ctx, "acme", visitor("three"), ada.ID, mine.ID); err != nil {
			t.Fatal(err)
		}
		live := []bool{x.live(tokens[0]), x.live(tokens[1]), x.live(tokens[2])}
		if !slices.Equal(live, []bool{false, false, true}) {
			t.Errorf("live: %v", live)
		}
		var trusted int
		if err := x.db.QueryRow(`SELECT COUNT(*) FROM devices WHERE trusted > 0`).Scan(&trusted); err != nil || trusted != 1 {
			t.Errorf("%d browsers are trusted, %v", trusted, err)
		}
		if got := x.called(tokens[2]).Account.Generation; got != ada.Generation+1 {
			t.Errorf("generation %d", got)
		}
		// Of two that end each other, one remains.
		again := x.mustSignIn("four", "ada@cloud.example", good)
		if err := x.EndOtherSessions(x.ctx, "acme", visitor("four"), ada.ID, x.called(again.Token).ID); err != nil {
			t.Fatal(err)
		}
		if err := x.EndOtherSessions(x.ctx, "acme", visitor("three"), ada.ID, mine.ID); err == nil || x.live(tokens[2]) || !x.live(again.Token) {
			t.Errorf("an ended session ended others: %v", err)
		}
	})
}
