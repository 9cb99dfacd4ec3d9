package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/config/sqldb/backup"
	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// A migration that adds a table has to say whether it is backed up.
func TestEveryTableIsKeptOrLeft(t *testing.T) {
	known := slices.Clone(store.Left())
	for _, k := range store.Kept() {
		known = append(known, k.Name)
	}
	slices.Sort(known)
	if diff := cmp.Diff(known, sqltest.Tables(t, store.Migrations)); diff != "" {
		t.Errorf("tables that Kept and Left know, and those there are (-known +there):\n%s", diff)
	}
}

var backupKey = bytes.Repeat([]byte{3}, 32)

func kept() []backup.Table {
	var all []backup.Table
	for _, k := range store.Kept() {
		all = append(all, backup.Table(k))
	}
	return all
}

func (x *fixture) backup() *bytes.Buffer {
	x.t.Helper()
	var out bytes.Buffer
	if _, err := backup.Write(x.ctx, &out, x.db, backup.Header{Taken: x.clock.now()}, kept(), backupKey, nil); err != nil {
		x.t.Fatal(err)
	}
	return &out
}

// restored is the region on the other kind of database, from a backup.
func (x *fixture) restored(from *bytes.Buffer) (*fixture, store.Restored) {
	x.t.Helper()
	y := *x
	if sqldb.OnPostgres(x.db) {
		y.db = sqltest.SQLite(x.t, store.Migrations)
	} else {
		y.db = sqltest.Postgres(x.t, store.Migrations)
	}
	vault, err := portal.NewVault(x.key)
	if err != nil {
		x.t.Fatal(err)
	}
	y.Store = store.New(y.db, vault, x.clock.now)
	var r store.Restored
	_, err = backup.Restore(x.ctx, from, y.db, kept(), [][]byte{backupKey}, func(ctx context.Context, tx *sql.Tx, h backup.Header) (err error) {
		r, err = y.Restored(ctx, tx, h.Taken)
		return err
	}, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	return &y, r
}

// What was used between a backup and its restore stays used; people and what
// they know come back.
func TestRestore(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		settings := *x.saml.SAML
		settings.AllowIDPInitiated = true
		x.saml.SAML = &settings
		x.connection(x.saml)
		x.account("eve@cloud.example")
		in, err := x.signIn("one", "eve@cloud.example", good)
		if err != nil {
			t.Fatal(err)
		}
		ada := x.person("acme-saml", "s1", "ada@acme.example")
		if _, err := x.SignInFederated(x.ctx, "acme", visitor("two"), x.leg("two", "acme-saml"), ada); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Invite(x.ctx, visitor("op"), portal.Invitation{Portal: "acme", Address: addr(t, "new@cloud.example")}); err != nil {
			t.Fatal(err)
		}
		temporary := x.letter(portal.TemporaryLetter).Temporary
		if err := x.RequestReset(x.ctx, "acme", visitor("one"), addr(t, "eve@cloud.example")); err != nil {
			t.Fatal(err)
		}
		reset := x.letter(portal.ResetLetter).Token
		open := x.attempt(visitor("one"), "eve@cloud.example")
		leg := x.leg("two", "acme-saml")
		text := x.backup()

		// All of these are used after the backup was taken.
		x.clock.add(time.Minute)
		const ticket = "ticket-after-the-backup"
		issued := x.clock.now()
		start := func(x *fixture, id string, issued time.Time) error {
			_, err := x.StartFromTicket(x.ctx, "acme", visitor("three"), id, issued, issued.Add(time.Minute), portal.Attempt{})
			return err
		}
		if err := start(x, ticket, issued); err != nil {
			t.Fatal(err)
		}
		asked := x.person("acme-saml", "s1", "ada@acme.example")
		if _, err := x.SignInFederated(x.ctx, "acme", visitor("two"), leg, asked); err != nil {
			t.Fatal(err)
		}
		unasked := x.person("acme-saml", "s1", "ada@acme.example")
		unasked.Issued = x.clock.now()
		if _, err := x.SignInFederated(x.ctx, "acme", visitor("two"), portal.Federated{}, unasked); err != nil {
			t.Fatal(err)
		}
		x.clock.add(time.Second)

		y, r := x.restored(text)
		if want := (store.Restored{Portals: 2, Accounts: 3, Temporary: 1}); r != want {
			t.Errorf("restored %+v, want %+v", r, want)
		}
		y.countedRight()
		refused := func(what string, err error, code string) {
			t.Helper()
			if err == nil {
				t.Errorf("%s: accepted once more", what)
				return
			}
			wantCode(t, err, code)
		}
		if _, err := y.SessionByToken(x.ctx, "acme", in.Token); err != portal.ErrNoSession {
			t.Errorf("a session from before: %v", err)
		}
		refused("a ticket", start(y, ticket, issued), "ticket_refused")
		refused("a ticket of a front door whose clock is ahead", start(y, "ahead", x.clock.now().Add(5*time.Second)), "ticket_refused")
		_, err = y.SignInFederated(x.ctx, "acme", visitor("two"), leg, asked)
		refused("an assertion", err, "attempt_unknown")
		_, err = y.SignInFederated(x.ctx, "acme", visitor("two"), portal.Federated{}, unasked)
		refused("an assertion nobody asked for", err, "assertion_replayed")
		_, err = y.AttemptByHandle(x.ctx, "acme", visitor("one"), open)
		refused("an attempt", err, "attempt_unknown")
		refused("a reset link", y.ResetPassword(x.ctx, "acme", visitor("one"), reset, good), portal.ErrLink.Code)
		if in, err := y.signIn("new", "new@cloud.example", temporary); err == nil {
			t.Errorf("a temporary password signs in: %+v", in)
		}

		// And everybody comes in again.
		if _, err := y.signIn("one", "eve@cloud.example", good); err != nil {
			t.Errorf("a password: %v", err)
		}
		again, err := y.SignInFederated(x.ctx, "acme", visitor("two"), y.leg("two", "acme-saml"), y.person("acme-saml", "s1", "ada@acme.example"))
		if err != nil {
			t.Errorf("an IdP: %v", err)
		}
		if was, _, err := x.AccountByAddress(x.ctx, "acme", addr(t, "ada@acme.example")); err != nil || was.ID != again.Account.ID {
			t.Errorf("the IdP's subject is account %s now, and was %s (%v)", again.Account.ID, was.ID, err)
		}
		x.clock.add(time.Minute + time.Second)
		if err := start(y, "fresh", x.clock.now()); err != nil {
			t.Errorf("a fresh ticket: %v", err)
		}
		late := y.person("acme-saml", "s1", "ada@acme.example")
		late.Issued = x.clock.now()
		if _, err := y.SignInFederated(x.ctx, "acme", visitor("two"), portal.Federated{}, late); err != nil {
			t.Errorf("a fresh assertion nobody asked for: %v", err)
		}
		if changed, err := y.Invite(x.ctx, visitor("op"), portal.Invitation{Portal: "acme", Address: addr(t, "new@cloud.example")}); err != nil || !changed {
			t.Errorf("inviting again: %t, %v", changed, err)
		}
		y.chainsGoOn(x)
		y.everythingIsQueued(x)
	})
}

// chainsGoOn: the audit log holds all from before, and the restore behind it.
func (x *fixture) chainsGoOn(before *fixture) {
	x.t.Helper()
	for _, id := range []string{"", "acme", "other"} {
		if _, err := x.CheckAudit(x.ctx, id); err != nil {
			x.t.Errorf("chain of %q: %v", id, err)
		}
		events, err := x.Events(x.ctx, id, portal.EventFilter{Action: "database.restored"})
		if err != nil || len(events) != 1 {
			x.t.Errorf("chain of %q: %d events of the restore, %v", id, len(events), err)
			continue
		}
		old, err := before.Events(x.ctx, id, portal.EventFilter{})
		if err != nil {
			x.t.Fatal(err)
		}
		if n := events[0].Seq - 1; n > 0 && (int(n) > len(old) || x.AuditHas(x.ctx, id, n, old[n-1].Hash) != nil) {
			x.t.Errorf("chain of %q: the restore does not follow row %d of before", id, n)
		}
	}
}

// everythingIsQueued: the directory is told all of it, in claims beyond any made
// before.
func (x *fixture) everythingIsQueued(before *fixture) {
	x.t.Helper()
	var first, n, last int64
	if err := x.db.QueryRow(`SELECT MIN(seq), COUNT(*) FROM outbox`).Scan(&first, &n); err != nil {
		x.t.Fatal(err)
	}
	if err := before.db.QueryRow(`SELECT last FROM outbox_counter`).Scan(&last); err != nil {
		x.t.Fatal(err)
	}
	if first <= last || n < 8 {
		x.t.Errorf("%d changes are queued, from %d on; before it was %d", n, first, last)
	}
}
