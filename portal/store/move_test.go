package store_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

var (
	toOIDC     = portal.Way{Connection: "acme-oidc", JIT: true}
	toPassword = portal.Way{}
)

func (x *fixture) domainNamed(name string) portal.Domain {
	x.t.Helper()
	all, err := x.Domains(x.ctx, "acme")
	if err != nil {
		x.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(d portal.Domain) bool { return d.Name == name })
	if i < 0 {
		x.t.Fatalf("no domain %s", name)
	}
	return all[i]
}

// admin is the browser of an administrator of a portal, whose account is made
// when it is first needed.
func (x *fixture) admin(portalID string) portal.Visitor {
	x.t.Helper()
	v := visitor("admin")
	v.Actor = "the-administrator"
	if portalID != "acme" {
		v.Actor += "-of-" + portalID
	}
	if x.count(`accounts WHERE id = $1`, v.Actor) == 0 {
		x.exec(`INSERT INTO accounts (id, portal, status, given_name, family_name, role, generation, created, last_sign_in)
			VALUES ($1, $2, 'active', '', '', 'administrator', 1, 1, 1)`, v.Actor, portalID)
		x.exec(`INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof)
			VALUES ($1, $2, 'admin@elsewhere.example', 'elsewhere.example', TRUE, 1, 'mail')`, v.Actor, portalID)
		x.stand(portalID, v.Actor)
	}
	return v
}

func (x *fixture) move(name string, to portal.Way) portal.Move {
	x.t.Helper()
	x.clock.add(time.Minute)
	m, err := x.MoveDomain(x.ctx, "acme", x.admin("acme"), name, x.domainNamed(name).Way().Seen(), to)
	if err != nil {
		x.t.Fatalf("move: %v", err)
	}
	return m
}

func (x *fixture) undo(id string) error {
	x.t.Helper()
	x.clock.add(time.Minute)
	_, err := x.UndoMove(x.ctx, "acme", x.admin("acme"), id)
	return err
}

// kept is everything of a portal's people that no move may touch, as text.
func (x *fixture) kept(tables ...string) string {
	x.t.Helper()
	x.admin("acme")
	var out strings.Builder
	for _, query := range tables {
		rows, err := x.db.Query(query)
		if err != nil {
			x.t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			x.t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				x.t.Fatal(err)
			}
			fmt.Fprintln(&out, values...)
		}
		if err := rows.Err(); err != nil {
			x.t.Fatal(err)
		}
		_ = rows.Close()
	}
	return out.String()
}

var untouched = []string{
	`SELECT id, status, given_name, family_name, role, generation, created, merged_into FROM accounts ORDER BY id`,
	`SELECT account, address, is_primary, confirmed, proof FROM addresses ORDER BY account, address`,
	`SELECT connection, issuer, subject, account, linked FROM identities ORDER BY account, connection`,
	`SELECT account, hash, temporary, expires FROM credentials ORDER BY account`,
	`SELECT id, account, generation, method, connection FROM sessions ORDER BY id`,
	`SELECT id, account, generation, removed FROM activations ORDER BY id`,
}

// S16: another identity provider, and everybody keeps account, aliases, session.
func TestMoveKeepsEverybody(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.app("outlook", portal.AddIn)
		ada := x.mustArrive("ada", x.person("acme-saml", "s-ada", "ada@acme.example"))
		x.activate(ada.Account.ID, "outlook", "Laptop")
		bob := x.mustArrive("bob", x.person("acme-saml", "s-bob", "bob@acme.example"))
		before := x.kept(untouched...)
		x.nothingWaits()

		m := x.move("acme.example", toOIDC)
		if after := x.kept(untouched...); after != before {
			t.Errorf("the move touched people:\n%s\nbefore:\n%s", after, before)
		}
		if d := x.domainNamed("acme.example"); d.Way() != toOIDC || d.Proven.IsZero() {
			t.Errorf("the domain is now %+v", d)
		}
		if !x.live(ada.Token) || !x.audited("connection.moved", "") {
			t.Error("somebody was signed out, or nobody noted the move")
		}
		if len(x.letters()) != 0 {
			t.Error("somebody was written to who loses nothing")
		}
		topics := x.queued()
		if topics["route acme.example"] != 1 || topics["address ada@acme.example"] != 1 || topics["address bob@acme.example"] != 1 || len(topics) != 3 {
			t.Errorf("the directory hears of %v", topics)
		}

		// The old provider speaks for nobody now; the new one finds the same account.
		_, err := x.arrive("ada2", x.person("acme-saml", "s-ada", "ada@acme.example"))
		wantCode(t, err, "domain_other_connection")
		again := x.mustArrive("ada2", x.person("acme-oidc", "o-ada", "ada@acme.example"))
		if again.Account.ID != ada.Account.ID || again.Account.Generation != ada.Account.Generation || !x.live(ada.Token) {
			t.Errorf("through the new connection: %+v", again.Account)
		}
		var links int
		if err := x.db.QueryRow(`SELECT COUNT(*) FROM identities WHERE account = $1`, ada.Account.ID).Scan(&links); err != nil || links != 2 {
			t.Errorf("%d identities, %v", links, err)
		}

		// And back, by the old one.
		if err := x.undo(m.ID); err != nil {
			t.Fatal(err)
		}
		if d := x.domainNamed("acme.example"); d.Way() != m.Before {
			t.Errorf("after undoing: %+v", d)
		}
		back := x.mustArrive("ada3", x.person("acme-saml", "s-ada", "ada@acme.example"))
		bobs := x.mustArrive("bob3", x.person("acme-saml", "s-bob", "bob@acme.example"))
		if back.Account.ID != ada.Account.ID || bobs.Account.ID != bob.Account.ID {
			t.Error("after undoing, the old connection finds somebody else")
		}
		_, err = x.arrive("ada4", x.person("acme-oidc", "o-ada", "ada@acme.example"))
		wantCode(t, err, "domain_other_connection")
		wantCode(t, x.undo(m.ID), "move_undone")
	})
}

// queued is what the directory has to hear of, and how often.
func (x *fixture) queued() map[string]int {
	x.t.Helper()
	out := map[string]int{}
	for line := range strings.Lines(x.kept(`SELECT topic || ' ' || name FROM outbox`)) {
		out[strings.TrimSpace(line)]++
	}
	return out
}

// nothingWaits confirms everything that waits for the directory.
func (x *fixture) nothingWaits() {
	x.t.Helper()
	if _, err := x.db.Exec(`DELETE FROM outbox`); err != nil {
		x.t.Fatal(err)
	}
	x.letters()
}

// From a provider to passwords: whoever has none is told, asks for one by mail and
// signs in; undone, nobody has lost anything.
func TestMoveToPasswords(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.mustArrive("ada", x.person("acme-saml", "s-ada", "ada@acme.example"))
		has := x.account("has@acme.example")
		x.nothingWaits()
		p, err := x.PreviewMove(x.ctx, "acme", "acme.example", toPassword, ada.Account.ID, "", 0)
		want := map[portal.MoveClass]int{portal.MoveMailed: 1, portal.MovePassword: 1}
		if err != nil || !maps.Equal(p.Counts, want) || p.Self == nil || !p.To.Endangers(*p.Self) {
			t.Fatalf("preview: %+v, %v", p, err)
		}
		m := x.move("acme.example", toPassword)
		letters := x.letters()
		if len(letters) != 1 || letters[0].Kind != portal.MovedLetter || letters[0].To != addr(t, "ada@acme.example") || letters[0].Token != "" {
			t.Fatalf("letters: %+v", letters)
		}
		if in := x.mustSignIn("has", "has@acme.example", good); in.Account.ID != has.ID {
			t.Error("somebody with a password is somebody else")
		}
		if err := x.RequestReset(x.ctx, "acme", visitor("ada"), addr(t, "ada@acme.example")); err != nil {
			t.Fatal(err)
		}
		if err := x.ResetPassword(x.ctx, "acme", visitor("ada"), x.letter(portal.ResetLetter).Token, good); err != nil {
			t.Fatalf("the first password: %v", err)
		}
		if in := x.mustSignIn("ada", "ada@acme.example", good); in.Account.ID != ada.Account.ID {
			t.Error("a new account")
		}
		if err := x.undo(m.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := x.signIn("has", "has@acme.example", good); err == nil {
			t.Error("a password counts after the way back to the provider")
		}
		if in := x.mustArrive("ada", x.person("acme-saml", "s-ada", "ada@acme.example")); in.Account.ID != ada.Account.ID {
			t.Error("undone, the provider finds somebody else")
		}
	})
}

// Who maps to whom, before anything is done.
func TestPreviewMove(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.domain(portal.Domain{Name: "both.example", Portal: "acme", Connection: "acme-oidc", Password: true, JIT: true})
		x.mustArrive("known", x.person("acme-oidc", "o-known", "known@both.example"))
		plain := x.account("plain@acme.example")
		gone := x.account("gone@acme.example")
		if _, err := x.Disable(x.ctx, "acme", visitor("admin"), gone.Primary); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Invite(x.ctx, visitor("admin"), portal.Invitation{Portal: "acme", Address: addr(t, "new@acme.example")}); err != nil {
			t.Fatal(err)
		}
		guest := x.account("guest@cloud.example")
		known, _, err := x.AccountByAddress(x.ctx, "acme", addr(t, "known@both.example"))
		if err != nil {
			t.Fatal(err)
		}
		for account, alias := range map[string]string{guest.ID: "alias@acme.example", known.ID: "known@acme.example", plain.ID: "second@acme.example"} {
			_, err := x.db.Exec(`INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof) VALUES ($1, 'acme', $2, 'acme.example', FALSE, 1, 'mail')`, account, alias)
			if err != nil {
				t.Fatal(err)
			}
			x.stand("acme", account)
		}
		p, err := x.PreviewMove(x.ctx, "acme", "acme.example", toOIDC, "", "", 0)
		want := map[portal.MoveClass]int{portal.MoveKnown: 1, portal.MoveRecognised: 1, portal.MoveDisabled: 1, portal.MoveInvited: 1, portal.MoveElsewhere: 1}
		if err != nil || !maps.Equal(p.Counts, want) || p.Total != 5 || len(p.People) != 5 || p.Self != nil {
			t.Errorf("preview: %+v, %v", p, err)
		}
		p, err = x.PreviewMove(x.ctx, "acme", "acme.example", toOIDC, "", portal.MoveElsewhere, 0)
		if err != nil || len(p.People) != 1 || p.People[0].Account.ID != guest.ID || p.People[0].Address != addr(t, "alias@acme.example") || p.People[0].Account.Primary != guest.Primary {
			t.Errorf("one class: %+v, %v", p.People, err)
		}
		if p, err = x.PreviewMove(x.ctx, "acme", "acme.example", toOIDC, "", "", 1); err != nil || len(p.People) != 0 {
			t.Errorf("page beyond the last: %+v, %v", p.People, err)
		}
		if p, err = x.PreviewMove(x.ctx, "acme", "acme.example", toOIDC, "", "", math.MaxInt); err != nil || len(p.People) != 0 {
			t.Errorf("page of another world: %+v, %v", p.People, err)
		}
		states, err := x.DomainStates(x.ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range states {
			if d.Name == "both.example" && (d.People != 1 || d.Connection == nil || d.Connection.Kind != federation.OIDC || d.Connection.LastSignIn.IsZero()) {
				t.Errorf("%+v, %+v", d, d.Connection)
			}
		}
	})
}

// What cannot be moved, and by whom.
func TestMoveRefused(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		theirs := x.connection(federation.Connection{ID: "other-saml", Portal: "other", Kind: federation.SAML,
			SAML: &federation.SAMLSettings{IDPEntityID: "https://idp.example/other", SSORedirect: "https://idp.example/sso"}})
		now := x.domainNamed("acme.example").Way()
		for name, tt := range map[string]struct {
			portal, domain, seen string
			to                   portal.Way
			want                 string
		}{
			"ADM-01 another portal's connection": {"acme", "acme.example", now.Seen(), portal.Way{Connection: theirs.ID}, "connection_unknown"},
			"ADM-01 from another portal":         {"other", "acme.example", now.Seen(), toPassword, "domain_unknown"},
			"ADM-05 a domain of nobody":          {"acme", "elsewhere.example", now.Seen(), toOIDC, "domain_unknown"},
			"where it is":                        {"acme", "acme.example", now.Seen(), now, "move_same"},
			"seen too long ago":                  {"acme", "acme.example", "password", toOIDC, "stale_version"},
		} {
			_, err := x.MoveDomain(x.ctx, tt.portal, x.admin(tt.portal), tt.domain, tt.seen, tt.to)
			if code(err) != tt.want {
				t.Errorf("%s: %v, want %s", name, err, tt.want)
			}
		}
		if _, err := x.db.Exec(`UPDATE domains SET proven = 0 WHERE name = 'acme.example'`); err != nil {
			t.Fatal(err)
		}
		_, err := x.MoveDomain(x.ctx, "acme", x.admin("acme"), "acme.example", now.Seen(), toOIDC)
		wantCode(t, err, "domain_not_proven")
		if !x.audited("connection.move_refused", "domain_not_proven") {
			t.Error("nobody noted it")
		}
		if d := x.domainNamed("acme.example"); d.Way() != now {
			t.Errorf("a refused move moved it: %+v", d)
		}
		wantOne(t, parallel(func(int) error {
			_, err := x.MoveDomain(x.ctx, "acme", x.admin("acme"), "both.example", "acme-oidc+password", portal.Way{Connection: "acme-saml"})
			return err
		}), "move_same")
	})
}

// Undoing brings back exactly what was, or says why it cannot.
func TestUndoMove(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		start := x.domainNamed("acme.example").Way()
		first := x.move("acme.example", toOIDC)
		second := x.move("acme.example", portal.Way{Connection: "acme-oidc", Password: true, JIT: true})
		wantCode(t, x.undo(first.ID), "move_later")
		if err := x.undo(second.ID); err != nil {
			t.Fatal(err)
		}
		if err := x.undo(first.ID); err != nil {
			t.Fatalf("the first, once the second is undone: %v", err)
		}
		if now := x.domainNamed("acme.example").Way(); now != start {
			t.Errorf("%+v, at the start %+v", now, start)
		}

		changed := x.move("acme.example", toOIDC)
		x.domain(portal.Domain{Name: "acme.example", Portal: "acme", Connection: "acme-oidc"})
		wantCode(t, x.undo(changed.ID), "move_domain_changed")

		x.domain(portal.Domain{Name: "acme.example", Portal: "acme", Connection: "acme-saml", JIT: true})
		gone := x.move("acme.example", toOIDC)
		c := x.saml
		settings := *c.SAML
		settings.SSORedirect = "https://idp.example/elsewhere"
		c.SAML = &settings
		x.connection(c)
		wantCode(t, x.undo(gone.ID), "move_connection_changed")
		if d := x.domainNamed("acme.example"); d.Way() != toOIDC {
			t.Errorf("a refused undo changed it: %+v", d)
		}
		_, err := x.UndoMove(x.ctx, "other", x.admin("other"), gone.ID)
		wantCode(t, err, "move_unknown")

		old := x.move("acme.example", toPassword)
		x.clock.add(portal.UndoMoveFor)
		wantCode(t, x.undo(old.ID), "move_old")
		all, err := x.Moves(x.ctx, "acme", 2)
		if err != nil || len(all) != 2 || all[0].ID != old.ID || code(all[0].Final) != "move_old" || all[0].Account != "the-administrator" {
			t.Errorf("moves: %+v, %v", all, err)
		}
	})
}

// A wildcard covers what no more specific domain does.
func TestMoveOfAWildcard(t *testing.T) {
	x := onSQLite(t)
	x.domain(portal.Domain{Name: "*.acme.example", Portal: "acme", Connection: "acme-saml"})
	x.domain(portal.Domain{Name: "*.eu.acme.example", Portal: "acme", Connection: "acme-saml"})
	for _, a := range []string{"a@x.acme.example", "b@y.acme.example", "c@x.eu.acme.example", "d@acme.example"} {
		x.account(a)
	}
	x.nothingWaits()
	p, err := x.PreviewMove(x.ctx, "acme", "*.acme.example", toPassword, "", "", 0)
	if err != nil || p.Total != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	x.move("*.acme.example", toPassword)
	if q := x.queued(); len(q) != 3 || q["address b@y.acme.example"] != 1 || q["route *.acme.example"] != 1 {
		t.Errorf("queued %v", q)
	}
}

// many fills acme.example with people who were signed in by acme-saml; every third
// has a password too.
func (x *fixture) many(n int) {
	x.t.Helper()
	for _, q := range []string{
		`INSERT INTO accounts (id, portal, status, given_name, family_name, generation, created, last_sign_in)
			SELECT 'many-' || i, 'acme', 'active', 'Given', 'Family' || i, 1, 1, 1 FROM n`,
		`INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof, footing)
			SELECT 'many-' || i, 'acme', 'p' || i || '@acme.example', 'acme.example', TRUE, 1, 'mail',
			CASE WHEN i % 3 = 0 THEN 'ao-ph- acme-saml' ELSE 'a--ph- acme-saml' END FROM n`,
		`INSERT INTO credentials (account, hash, temporary, expires, changed) SELECT 'many-' || i, 'x', FALSE, 0, 1 FROM n WHERE i % 3 = 0`,
		`INSERT INTO identities (connection, issuer, subject, account, linked) SELECT 'acme-saml', 'i', 's' || i, 'many-' || i, 1 FROM n`,
	} {
		x.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) `+q, n)
	}
	x.exec(`INSERT INTO footings (portal, domain, footing, n) SELECT portal, domain, footing, COUNT(*) FROM addresses
		WHERE domain = 'acme.example' GROUP BY portal, domain, footing`)
	x.exec(`INSERT INTO tallies (portal, name, n) VALUES ('acme', 'unfactored', $1) ON CONFLICT (portal, name) DO UPDATE SET n = tallies.n + excluded.n`, n)
}

// Where many people are to be told, no transaction does it at once; each is told
// once, and nobody any more after the move is undone.
func TestMoveTellsInParts(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		const people, mailed = 600, 400
		x.admin("acme")
		x.many(people)
		x.nothingWaits()
		p, err := x.PreviewMove(x.ctx, "acme", "acme.example", toPassword, "many-1", "", 3)
		want := map[portal.MoveClass]int{portal.MoveMailed: mailed, portal.MovePassword: people - mailed}
		if err != nil || !maps.Equal(p.Counts, want) || p.Total != people || p.Self == nil || p.Self.Account.ID != "many-1" {
			t.Errorf("preview: %v of %d, %v", p.Counts, p.Total, err)
		}
		seen := map[string]portal.MoveClass{}
		for page := range people/store.MovePageSize + 1 {
			p, err := x.PreviewMove(x.ctx, "acme", "acme.example", toPassword, "", "", page)
			if err != nil {
				t.Fatal(err)
			}
			for _, person := range p.People {
				seen[person.Account.ID] = p.To.Class(person)
			}
		}
		if len(seen) != people || seen["many-3"] != portal.MovePassword || seen["many-4"] != portal.MoveMailed {
			t.Errorf("the pages list %d people: %s, %s", len(seen), seen["many-3"], seen["many-4"])
		}

		m := x.move("acme.example", toPassword)
		told := x.toldSoFar()
		first := len(x.queued()) - 1
		if told.People != people || told.Done == 0 || told.Done >= people || int64(first) != told.Done {
			t.Errorf("at once: %+v, and %d queued", told, first)
		}
		x.tellAll()
		if n := x.count(`outbox WHERE topic = 'address'`); n != people {
			t.Errorf("the directory hears of %d", n)
		}
		letters := map[string]int{}
		for _, l := range x.letters() {
			letters[l.To.Clear()]++
		}
		if len(letters) != mailed || letters["p4@acme.example"] != 1 || letters["p3@acme.example"] != 0 {
			t.Errorf("%d people are written to", len(letters))
		}

		// Undone while people are being told: nobody else is written to.
		if err := x.undo(m.ID); err != nil {
			t.Fatal(err)
		}
		x.tellAll()
		x.nothingWaits()
		m = x.move("acme.example", toPassword)
		if err := x.undo(m.ID); err != nil {
			t.Fatal(err)
		}
		x.tellAll()
		if n := len(x.letters()); n == 0 || n >= mailed {
			t.Errorf("%d letters of a move that was undone in the middle", n)
		}
		if n := x.count(`outbox WHERE topic = 'address'`); n != people {
			t.Errorf("after undoing, the directory hears of %d", n)
		}
	})
}

func (x *fixture) toldSoFar() store.Told {
	x.t.Helper()
	all, err := x.Tellings(x.ctx, "acme")
	if err != nil {
		x.t.Fatal(err)
	}
	return all["acme.example"]
}

// tellAll does what a region's process does by itself.
func (x *fixture) tellAll() {
	x.t.Helper()
	if err := x.RunTelling(x.ctx); err != nil {
		x.t.Fatal(err)
	}
}

// Under a wildcard somebody may have addresses in several of its names, and is one
// person all the same.
func TestMoveOfSomebodyInSeveralNames(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.domain(portal.Domain{Name: "*.acme.example", Portal: "acme", Connection: "acme-saml"})
		a, b := x.account("a@x.acme.example"), x.account("b@y.acme.example")
		x.exec(`DELETE FROM credentials WHERE account = $1`, a.ID)
		for account, alias := range map[string]string{a.ID: "a@b.acme.example", b.ID: "b@elsewhere.example"} {
			x.exec(`INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof)
				SELECT $1, 'acme', CAST($2 AS TEXT), CAST($3 AS TEXT), FALSE, 1, '' FROM portals WHERE id = 'acme'`, account, alias, alias[2:])
			x.stand("acme", account)
		}
		x.nothingWaits()
		p, err := x.PreviewMove(x.ctx, "acme", "*.acme.example", toPassword, a.ID, "", 0)
		want := map[portal.MoveClass]int{portal.MoveMailed: 1, portal.MovePassword: 1}
		if err != nil || !maps.Equal(p.Counts, want) || len(p.People) != 2 || p.Self == nil || p.Self.Address != a.Primary {
			t.Errorf("%+v, %v", p, err)
		}
		x.move("*.acme.example", toPassword)
		letters := x.letters()
		if len(letters) != 1 || letters[0].To != a.Primary {
			t.Errorf("letters: %d", len(letters))
		}
		if q := x.queued(); q["address a@b.acme.example"] != 1 || q["address a@x.acme.example"] != 1 {
			t.Errorf("queued %v", q)
		}
	})
}
