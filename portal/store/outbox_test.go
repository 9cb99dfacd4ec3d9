package store_test

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func blindKeys(versions ...byte) (keys discovery.BlindKeys) {
	for _, v := range versions {
		key := make([]byte, 32)
		key[0] = v
		keys = append(keys, discovery.NewBlindKey(v, key))
	}
	return keys
}

func (x *fixture) pending(keys discovery.BlindKeys, limit int) (claims []discovery.Claim, after int64) {
	x.t.Helper()
	claims, after, err := x.PendingClaims(x.ctx, "eu", keys, limit)
	if err != nil {
		x.t.Fatal(err)
	}
	return claims, after
}

// drain confirms everything there is.
func (x *fixture) drain() (all []discovery.Claim) {
	x.t.Helper()
	for {
		claims, _ := x.pending(blindKeys(1), 100)
		if len(claims) == 0 {
			return all
		}
		all = append(all, claims...)
		if err := x.Ack(x.ctx, claims[len(claims)-1].Seq); err != nil {
			x.t.Fatal(err)
		}
	}
}

func TestClaimsTellWhatIsTrue(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		var routes, portals []string
		for _, c := range x.drain() {
			switch {
			case c.Route != nil:
				routes = append(routes, fmt.Sprint(c.Route.Domain, " ", c.Route.Portal, " ", c.Route.Connection, " ", c.Route.SignIn))
			case c.Portal != nil:
				portals = append(portals, fmt.Sprint(c.Portal.ID, " ", c.Portal.URL, " ", c.Portal.Disclosure, " ", c.Portal.Region))
			}
		}
		if diff := cmp.Diff([]string{
			"acme.example acme acme-saml [saml]",
			"both.example acme acme-oidc [oidc password]",
			"cloud.example acme  [password]"}, routes); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{
			"acme https://acme.eu.example.com listed eu",
			"other https://other.eu.example.com proven eu"}, portals); diff != "" {
			t.Error(diff)
		}
		a := x.account("ian@cloud.example")
		keys := blindKeys(1, 2)
		claims, _ := x.pending(keys, 100)
		if len(claims) != 2 || claims[0].Entry.Blind != keys.IDs(a.Primary)[0] || claims[1].Entry.Blind != keys.IDs(a.Primary)[1] ||
			claims[0].Seq >= claims[1].Seq || claims[0].Gone || claims[0].Entry.Portal != "acme" {
			t.Errorf("an account under two key versions: %+v", claims)
		}
		x.drain()
		if _, err := x.Disable(x.ctx, "acme", visitor("admin"), a.Primary); err != nil {
			t.Fatal(err)
		}
		if claims := x.drain(); len(claims) != 1 || !claims[0].Gone || claims[0].Entry.Blind != keys.IDs(a.Primary)[0] {
			t.Errorf("disabled: %+v", claims)
		}
		if _, err := x.Enable(x.ctx, "acme", visitor("admin"), a.Primary); err != nil {
			t.Fatal(err)
		}
		if claims := x.drain(); len(claims) != 1 || claims[0].Gone {
			t.Errorf("enabled: %+v", claims)
		}
		// A domain that signs in otherwise publishes its people again.
		x.domain(portal.Domain{Name: "cloud.example", Portal: "acme", Connection: "acme-saml", Password: true})
		claims = x.drain()
		if len(claims) != 2 || claims[0].Route == nil || claims[1].Entry == nil {
			t.Fatalf("domain changed: %+v", claims)
		}
		if diff := cmp.Diff([]discovery.SignIn{discovery.SAML, discovery.Password}, claims[1].Entry.SignIn); diff != "" {
			t.Error(diff)
		}
		x.mustArrive("one", x.person("acme-saml", "s1", "ian@cloud.example")) // linking is nothing to be found by
		if claims := x.drain(); len(claims) != 0 {
			t.Errorf("a sign-in published %+v", claims)
		}
	})
}

func TestOutboxOrderAndAck(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.drain()
		select {
		case <-x.Changed():
		default:
			t.Error("nobody was woken")
		}
		a, b := x.account("a@cloud.example"), x.account("b@cloud.example")
		sent, after := x.pending(blindKeys(1), 100)
		if len(sent) != 2 || sent[0].Seq <= after || sent[0].Seq >= sent[1].Seq {
			t.Fatalf("pending: %+v after %d", sent, after)
		}
		// a changes again while its claim is on its way: it stays, behind b.
		if _, err := x.Disable(x.ctx, "acme", visitor("admin"), a.Primary); err != nil {
			t.Fatal(err)
		}
		if err := x.Ack(x.ctx, sent[1].Seq); err != nil {
			t.Fatal(err)
		}
		left, after := x.pending(blindKeys(1), 100)
		if after != sent[1].Seq || len(left) != 1 || !left[0].Gone || left[0].Seq <= sent[1].Seq {
			t.Errorf("left: %+v after %d", left, after)
		}
		if err := x.Ack(x.ctx, 1); err != nil { // a late receipt takes nothing back
			t.Fatal(err)
		}
		if _, after := x.pending(blindKeys(1), 1); after != sent[1].Seq {
			t.Errorf("after is %d", after)
		}
		x.clock.add(time.Minute)
		if age, err := x.OutboxAge(x.ctx); err != nil || age != time.Minute {
			t.Errorf("age %s, %v", age, err)
		}
		_ = b
	})
}

func TestRepublish(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("a@cloud.example")
		gone := x.account("b@cloud.example")
		if _, err := x.Disable(x.ctx, "acme", visitor("admin"), gone.Primary); err != nil {
			t.Fatal(err)
		}
		x.drain()
		_, before := x.pending(blindKeys(1), 1)
		if err := x.Rebuild(x.ctx, before-1, 0); err != nil {
			t.Fatalf("decided before another process confirmed more: %v", err)
		}
		if claims, _ := x.pending(blindKeys(1), 1); len(claims) != 0 {
			t.Fatalf("%d claims for a directory in step", len(claims))
		}
		if err := x.Rebuild(x.ctx, before, 0); err != nil {
			t.Fatalf("an empty directory: %v", err)
		}
		claims, after := x.pending(blindKeys(1), 100)
		if after != 0 || len(claims) != 2+3+2+1 {
			t.Fatalf("%d claims after %d", len(claims), after)
		}
		last := before
		for _, c := range claims {
			if c.Seq <= last {
				t.Errorf("sequence %d after %d", c.Seq, last)
			}
			last = c.Seq
		}
		sweep := claims[len(claims)-1]
		if sweep.Sweep <= before || sweep.Sweep > claims[0].Seq {
			t.Errorf("sweeps below %d; published from %d, before it up to %d", sweep.Sweep, claims[0].Seq, before)
		}
		// A directory that is ahead of a restored database.
		if err := x.Rebuild(x.ctx, 0, last+1000); err != nil {
			t.Error(err)
		}
		if sent, err := x.Sent(x.ctx); err != nil || sent != last+1000 {
			t.Errorf("the directory may have %d, %v", sent, err)
		}
		if claims, after := x.pending(blindKeys(1), 100); after != last+1000 || claims[0].Seq <= after {
			t.Errorf("from %d after %d", claims[0].Seq, after)
		}
	})
}

// Whoever writes to the directory's database, or answers in its place, may name
// any sequence. The region loses nothing by it but being found.
func TestPUB11DirectoryFarAhead(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		a := x.account("a@cloud.example")
		x.drain()
		for _, last := range []int64{math.MaxInt64, math.MaxInt64 - 1000, portal.MaxLearnt + 1, portal.MaxLearnt} {
			_, after := x.pending(blindKeys(1), 1)
			err := x.Rebuild(x.ctx, after, last)
			if (err == nil) != (last <= portal.MaxLearnt) {
				t.Errorf("%d: %v", last, err)
			}
			x.drain()
		}
		for range 200 {
			if _, err := x.Disable(x.ctx, "acme", visitor("admin"), a.Primary); err != nil {
				t.Fatal(err)
			}
			if _, err := x.Enable(x.ctx, "acme", visitor("admin"), a.Primary); err != nil {
				t.Fatal(err)
			}
		}
		if claims, after := x.pending(blindKeys(1), 10); len(claims) == 0 || claims[0].Seq <= after {
			t.Errorf("%d claims after %d", len(claims), after)
		}
	})
}

// Whoever reads while others write never sees a sequence before an earlier one.
func TestSequencesAreCommittedInOrder(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.drain()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 5 {
					p := "acme"
					if i%2 == 0 {
						p = "other"
					}
					a := portal.Account{Portal: p, Primary: addr(t, fmt.Sprintf("p%d-%d@cloud.example", i, j))}
					if _, err := x.DangerouslyCreateAccount(x.ctx, a, ""); err != nil {
						t.Error(err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		seen, last := 0, int64(0)
		for finished := false; ; {
			claims, _ := x.pending(blindKeys(1), 7)
			for _, c := range claims {
				if c.Seq <= last {
					t.Fatalf("sequence %d came after %d", c.Seq, last)
				}
				last = c.Seq
				seen++
			}
			if len(claims) > 0 {
				if err := x.Ack(x.ctx, last); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if finished {
				break
			}
			select {
			case <-done:
				finished = true // and look once more
			default:
			}
		}
		if seen != 40 {
			t.Errorf("%d of 40 claims came", seen)
		}
	})
}

// LOG-03: a row that was edited, removed, swapped or cut off shows.
func TestAuditChain(t *testing.T) {
	for name, tamper := range map[string]string{
		"untouched":  `SELECT 1`,
		"edited":     `UPDATE audit SET account = 'somebody else' WHERE portal = 'acme' AND seq = 3`,
		"deleted":    `DELETE FROM audit WHERE portal = 'acme' AND seq = 3`,
		"swapped":    `UPDATE audit SET seq = CASE seq WHEN 2 THEN -3 ELSE -2 END WHERE portal = 'acme' AND seq IN (2, 3)`,
		"cut off":    `DELETE FROM audit WHERE portal = 'acme' AND seq > 3`,
		"moved over": `UPDATE audit SET portal = 'other' WHERE portal = 'acme' AND seq = 3`,
	} {
		t.Run(name, func(t *testing.T) {
			x := onSQLite(t)
			x.account("ian@cloud.example")
			x.mustSignIn("one", "ian@cloud.example", good)
			if _, err := x.db.Exec(tamper); err != nil {
				t.Fatal(err)
			}
			if name == "swapped" {
				if _, err := x.db.Exec(`UPDATE audit SET seq = -seq WHERE seq < 0`); err != nil {
					t.Fatal(err)
				}
			}
			_, err := x.CheckAudit(x.ctx, "acme")
			if want := name != "untouched"; (err != nil) != want {
				t.Errorf("found: %v", err)
			}
		})
	}
}

// An operator narrows the log down, and compares it with a head noted earlier.
func TestEvents(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ian@cloud.example")
		noted, err := x.CheckAudit(x.ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		x.clock.add(time.Hour)
		x.mustSignIn("one", "ian@cloud.example", good)
		all, err := x.Events(x.ctx, "acme", portal.EventFilter{})
		if err != nil || len(all) <= int(noted.Seq) {
			t.Fatalf("%d rows, %v", len(all), err)
		}
		late, err := x.Events(x.ctx, "acme", portal.EventFilter{Since: x.clock.now()})
		if err != nil || len(late) != len(all)-int(noted.Seq) || late[0].Seq != noted.Seq+1 {
			t.Errorf("since the sign-in: %+v, %v", late, err)
		}
		newest, err := x.Events(x.ctx, "acme", portal.EventFilter{Newest: true, Limit: 1})
		if err != nil || len(newest) != 1 || newest[0].Seq != int64(len(all)) {
			t.Errorf("newest: %+v, %v", newest, err)
		}
		if err := x.AuditHas(x.ctx, "acme", noted.Seq, noted.Hash); err != nil {
			t.Errorf("the noted head: %v", err)
		}
		for _, other := range []portal.Link{{Seq: noted.Seq, Hash: all[0].Hash + "0"}, {Seq: int64(len(all)) + 1, Hash: noted.Hash}} {
			if err := x.AuditHas(x.ctx, "acme", other.Seq, other.Hash); !errors.Is(err, portal.ErrChain) {
				t.Errorf("another head: %v", err)
			}
		}
	})
}

// LOG-04: what cannot be audited does not happen.
func TestAuditFailsClosed(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		a := x.account("ian@cloud.example")
		in := x.mustSignIn("one", "ian@cloud.example", good)
		if _, err := x.db.Exec(`ALTER TABLE audit RENAME TO audit_away`); err != nil {
			t.Fatal(err)
		}
		_, err := x.Disable(x.ctx, "acme", visitor("admin"), a.Primary)
		wantCode(t, err, "store_unavailable")
		_, err = x.signIn("two", "ian@cloud.example", good)
		wantCode(t, err, "store_unavailable")
		if !x.live(in.Token) {
			t.Error("the session ended without an audit row")
		}
		if _, err := x.db.Exec(`ALTER TABLE audit_away RENAME TO audit`); err != nil {
			t.Fatal(err)
		}
		if found, _, err := x.AccountByAddress(x.ctx, "acme", a.Primary); err != nil || found.Status != portal.Active {
			t.Errorf("disabled without an audit row: %+v, %v", found, err)
		}
	})
}

// Law 5: a database that does not answer is "not known now".
func TestStoreDown(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		v := visitor("one")
		h := x.attempt(v, "ian@cloud.example")
		if err := x.db.Close(); err != nil {
			t.Fatal(err)
		}
		_, hostErr := x.PortalByHost(x.ctx, "acme.eu.example.com")
		_, _, domainErr := x.DomainFor(x.ctx, "acme", "acme.example")
		_, sessionErr := x.SessionByToken(x.ctx, "acme", "some token")
		_, attemptErr := x.AttemptByHandle(x.ctx, "acme", v, h)
		_, signInErr := x.SignInPassword(x.ctx, "acme", v, h, good, false)
		_, tokenErr := x.ResetByToken(x.ctx, "acme", "some token")
		for name, err := range map[string]error{"host": hostErr, "domain": domainErr, "session": sessionErr, "attempt": attemptErr,
			"sign in": signInErr, "token": tokenErr, "reset": x.RequestReset(x.ctx, "acme", v, addr(t, "ian@cloud.example"))} {
			if got := code(err); got != "store_unavailable" {
				t.Errorf("%s: %s", name, got)
			}
		}
	})
}

func TestCleanup(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ian@cloud.example")
		x.mustSignIn("one", "ian@cloud.example", good)
		x.leg("two", "acme-saml")
		x.requestReset("ian@cloud.example")
		x.letter(portal.ResetLetter)
		in := x.mustSignIn("three", "ian@cloud.example", good)
		if _, err := x.Cleanup(x.ctx, 100); err != nil || !x.live(in.Token) {
			t.Errorf("took what is in use: %v", err)
		}
		x.clock.add(60 * 24 * time.Hour)
		for {
			n, err := x.Cleanup(x.ctx, 1)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
		}
		for _, table := range []string{"sessions", "attempts", "federations", "tokens", "throttle", "letters"} {
			var n int
			if err := x.db.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s has %d rows, %v", table, n, err)
			}
		}
	})
}
