package store_test

import (
	"database/sql"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// Whoever was there before footings were kept has one.
func TestFootingsOfTheFirstVersion(t *testing.T) {
	const one = "0001_initial.sql"
	names, err := fs.Glob(store.Migrations, "0001_*.sql")
	if err != nil || len(names) != 1 {
		t.Fatalf("the first migration: %v, %v", names, err)
	}
	text, err := fs.ReadFile(store.Migrations, names[0])
	if err != nil {
		t.Fatal(err)
	}
	sqltest.Each(t, fstest.MapFS{one: {Data: text}}, func(t *testing.T, db *sql.DB) {
		ctx := t.Context()
		for _, q := range []string{
			`INSERT INTO portals (id, name, url, host, disclosure, contact, keep_signed, created) VALUES ('acme', 'Acme', 'https://a.example', 'a.example', 'listed', '', TRUE, 1)`,
			`INSERT INTO audit_heads (portal, seq, hash) VALUES ('acme', 0, '')`,
			`INSERT INTO connections (id, portal, name, kind, settings, secret, key_pair, created) SELECT id || '-' || kind, id, '', kind, '{}', CAST('' AS ` + blobType(db) + `), CAST('' AS ` + blobType(db) + `), 1
				FROM portals CROSS JOIN (SELECT 'saml' AS kind UNION ALL SELECT 'oidc' UNION ALL SELECT 'saml2') AS kinds`,
			`INSERT INTO accounts (id, portal, status, given_name, family_name, generation, created, last_sign_in)
				SELECT name, 'acme', CASE name WHEN 'invited' THEN 'invited' WHEN 'out' THEN 'disabled' ELSE 'active' END, '', '', 1, 1, 1
				FROM (SELECT 'ada' AS name UNION ALL SELECT 'bob' UNION ALL SELECT 'invited' UNION ALL SELECT 'out' UNION ALL SELECT 'known') AS names`,
			`INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof)
				SELECT id, 'acme', id || '@a.example', 'a.example', TRUE, 1, CASE id WHEN 'bob' THEN '' ELSE 'mail' END FROM accounts`,
			`INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof) VALUES
				('bob', 'acme', 'aaa@a.example', 'a.example', FALSE, 1, 'mail'), ('bob', 'acme', 'bob@b.example', 'b.example', FALSE, 1, ''),
				('ada', 'acme', 'ada@c.example', 'c.example', FALSE, 0, '')`,
			`INSERT INTO credentials (account, hash, temporary, expires, changed) VALUES ('ada', 'x', FALSE, 0, 1), ('invited', 'x', TRUE, 9, 1), ('out', '', FALSE, 0, 1)`,
			`INSERT INTO identities (connection, issuer, subject, account, linked) VALUES ('acme-saml', 'i', 'k', 'known', 1), ('acme-oidc', 'i', 'k', 'known', 1),
				('acme-oidc', 'j', 'k', 'known', 1), ('acme-saml2', 'i', 'k', 'known', 1), ('acme-saml', 'i', 'b', 'bob', 1)`,
		} {
			if _, err := db.ExecContext(ctx, q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
		if err := sqldb.Migrate(ctx, db, store.Migrations); err != nil {
			t.Fatal(err)
		}
		vault, err := portal.NewVault(portal.NewVaultKey())
		if err != nil {
			t.Fatal(err)
		}
		s := store.New(db, vault, time.Now)
		wrong, err := store.WrongFootings(ctx, s)
		for _, w := range wrong {
			t.Error(w)
		}
		if err != nil {
			t.Fatal(err)
		}
		var text string
		err = db.QueryRowContext(ctx, `SELECT footing FROM addresses WHERE address = 'known@a.example'`).Scan(&text)
		if f, ok := portal.ParseFooting(text); err != nil || !ok || len(f.Known) != 3 {
			t.Errorf("known: %q, %v", text, err)
		}
	})
}

func blobType(db *sql.DB) string {
	if sqldb.OnPostgres(db) {
		return "BYTEA"
	}
	return "BLOB"
}

// Whoever is renamed while everybody is handed over is handed over all the same,
// once.
func TestEverybodyIsExportedOnce(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		const people = 600
		x.many(people)
		x.exec(`UPDATE accounts SET name_key = $1`, []byte("n"))
		seen := map[string]int{}
		err := x.EachAccount(x.ctx, "acme", portal.AccountFilter{Status: portal.Active}, func(a portal.ListedAccount) error {
			if seen[a.ID]++; len(seen) == 450 { // the first page holds them; who is left moves to before it
				x.exec(`UPDATE accounts SET name_key = $1 WHERE id > $2`, []byte("a"), a.ID)
			}
			return nil
		})
		if err != nil || len(seen) != people {
			t.Errorf("%d people, %v", len(seen), err)
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s %d times", id, n)
			}
		}
	})
}
