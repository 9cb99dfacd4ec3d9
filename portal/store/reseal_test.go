package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// under is the same database with other data keys.
func (x *fixture) under(keys ...[]byte) *store.Store {
	x.t.Helper()
	vault, err := portal.NewVault(keys...)
	if err != nil {
		x.t.Fatal(err)
	}
	return store.New(x.db, vault, x.clock.now)
}

// fill leaves something of everything that is sealed.
func (x *fixture) fill() (session portal.Secret, leg portal.Federated) {
	x.t.Helper()
	x.domain(portal.Domain{Name: "both.example", Portal: "acme", Connection: "acme-oidc", JIT: true})
	id := x.person("acme-oidc", "subject-1", "uma@both.example")
	id.IDToken = "id-token-canary"
	in := x.mustArrive("one", id)
	x.addTOTP("one", x.session(in.Token))
	id = x.person("acme-oidc", "subject-1", "uma@both.example")
	id.IDToken = "id-token-canary"
	if half := x.mustArrive("three", id); half.Next != portal.NeedsSecond {
		x.t.Fatalf("half: %+v", half)
	}
	if err := x.BeginTOTP(x.ctx, "acme", visitor("one"), store.InSession(x.session(in.Token))); err != nil {
		x.t.Fatal(err)
	}
	leg = x.leg("two", "acme-saml")
	x.requestReset(x.account("ian@cloud.example").Primary.Clear())
	x.dry(x.staff("adam@cloud.example", portal.Administrator), crowd(3))
	return in.Token, leg
}

func sealedBy(t *testing.T, s *store.Store) (current, older, unknown int64) {
	t.Helper()
	all, err := s.SealedValues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.Current+v.Older+v.Unknown == 0 {
			t.Errorf("there are no %s: the test does not try them", v.What)
		}
		current, older, unknown = current+v.Current, older+v.Older, unknown+v.Unknown
	}
	return current, older, unknown
}

func TestReseal(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		session, leg := x.fill()
		fresh := portal.NewVaultKey()
		both, after := x.under(fresh, x.key), x.under(fresh)
		current, older, unknown := sealedBy(t, both)
		if current != 0 || older == 0 || unknown != 0 {
			t.Fatalf("before: %d by the new key, %d by the old, %d unknown", current, older, unknown)
		}
		if _, _, lost := sealedBy(t, after); lost != older {
			t.Errorf("without the old key %d of %d values do not open", lost, older)
		}
		if n, err := after.Reseal(t.Context()); n != 0 || err != nil {
			t.Errorf("sealed %d values anew that do not open: %v", n, err)
		}
		if n, err := both.Reseal(t.Context()); n != older || err != nil {
			t.Errorf("sealed %d of %d anew: %v", n, older, err)
		}
		if n, err := both.Reseal(t.Context()); n != 0 || err != nil {
			t.Errorf("sealed %d anew that were: %v", n, err)
		}
		if current, older, unknown := sealedBy(t, after); current == 0 || older != 0 || unknown != 0 {
			t.Errorf("after: %d by the new key, %d by the old, %d unknown", current, older, unknown)
		}
		x.opens(after, session, leg)
	})
}

// opens reads back everything that fill has left.
func (x *fixture) opens(s *store.Store, session portal.Secret, leg portal.Federated) {
	x.t.Helper()
	c, _, err := s.Connection(x.ctx, "acme", "acme-oidc")
	if err != nil || c.OIDC.ClientSecret != "s3cret-canary" {
		x.t.Errorf("client secret: %v", err)
	}
	if _, keys, err := s.Connection(x.ctx, "acme", "acme-saml"); err != nil || keys.Key == nil {
		x.t.Errorf("keys: %v", err)
	}
	if got, err := s.FederationByState(x.ctx, "acme", portal.Secret(leg.ID), "acme-saml", leg.State); err != nil || got.RequestID != leg.RequestID {
		x.t.Errorf("sign-in under way: %v", err)
	}
	uma := x.session(session)
	if secret, _, err := s.PendingTOTP(x.ctx, "acme", visitor("one"), store.InSession(uma)); err != nil || secret == "" {
		x.t.Errorf("app being set up: %v", err)
	}
	if ended, err := s.SignOut(x.ctx, "acme", visitor("one"), session); err != nil || ended.IDToken != "id-token-canary" {
		x.t.Errorf("token of a session: %v", err)
	}
	if posted, err := s.DueLetters(x.ctx, 10); err != nil || len(posted) == 0 {
		x.t.Errorf("letters: %d, %v", len(posted), err)
	}
}

// Nothing in any column of any table begins as the old key's values do: a column
// that is sealed and not in the list shows here.
func TestResealLeavesNothing(t *testing.T) {
	x := newFixture(t, sqltest.SQLite(t, store.Migrations))
	x.fill()
	old, err := portal.NewVault(x.key)
	if err != nil {
		t.Fatal(err)
	}
	fresh := portal.NewVaultKey()
	before := x.beginWith(old.KeyID())
	if _, err := x.under(fresh, x.key).Reseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := x.beginWith(old.KeyID()); len(before) < 8 || len(after) != 0 {
		t.Errorf("sealed by the old key before: %q, after: %q", before, after)
	}
}

// beginWith lists the columns that hold something that begins with id.
func (x *fixture) beginWith(id []byte) (found []string) {
	x.t.Helper()
	rows, err := x.db.QueryContext(x.ctx, `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND c.type = 'BYTEA' ORDER BY 1, 2`)
	if err != nil {
		x.t.Fatal(err)
	}
	defer rows.Close()
	var columns [][2]string
	for rows.Next() {
		var c [2]string
		if err := rows.Scan(&c[0], &c[1]); err != nil {
			x.t.Fatal(err)
		}
		columns = append(columns, c)
	}
	if err := rows.Err(); err != nil {
		x.t.Fatal(err)
	}
	for _, c := range columns {
		var n int
		if err := x.db.QueryRowContext(x.ctx, fmt.Sprintf(`SELECT COUNT(*) FROM %s WHERE substr(%s, 1, 4) = $1`, c[0], c[1]), id).Scan(&n); err != nil {
			x.t.Fatal(err)
		}
		if n > 0 {
			found = append(found, strings.Join(c[:], "."))
		}
	}
	return found
}
