package store

import (
	"database/sql"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// manyAccounts is how many people the plan's test has. DOMICILE_ACCOUNT_ROWS=100000
// measures the size that the console promises.
func manyAccounts() int {
	n, err := strconv.Atoi(os.Getenv("DOMICILE_ACCOUNT_ROWS"))
	if err != nil {
		return 5_000
	}
	return n
}

// What the console opens with reads no whole table of people.
func TestAccountsAreReadByIndexes(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	sqltest.Each(t, Migrations, func(t *testing.T, db *sql.DB) {
		ctx := t.Context()
		vault, err := portal.NewVault(portal.NewVaultKey())
		if err != nil {
			t.Fatal(err)
		}
		s := New(db, vault, func() time.Time { return now })
		if _, err := s.CreatePortal(ctx, portal.Portal{ID: "acme", Name: "Acme", URL: "https://acme.example.com", Disclosure: discovery.Listed}); err != nil {
			t.Fatal(err)
		}
		crowd(t, db, manyAccounts(), now)
		var middle string
		if err := db.QueryRowContext(ctx, `SELECT id FROM accounts WHERE name_key > $1 ORDER BY name_key LIMIT 1`, []byte("family5")).Scan(&middle); err != nil {
			t.Fatal(err)
		}
		for name, f := range map[string]portal.AccountFilter{
			"everybody": {}, "middle": {After: middle}, "backwards": {Before: middle},
			"common word": {Query: "given"}, "rare word": {Query: "family77 given"}, "nobody": {Query: "nobody"},
			"two common words": {Query: "given family"}, "address": {Query: "p7@a.example"},
			"owners": {Role: portal.Owner}, "disabled": {Status: portal.Disabled}, "plan": {Plan: "pro"}, "domain": {Domain: "a.example"},
			"all of it": {Query: "given", Role: portal.Member, Status: portal.Active, Plan: "professional", Domain: "a.example"},
			"lapsed":    {Invitation: portal.InvitationLapsed},
		} {
			began := time.Now()
			page, err := s.FindAccounts(ctx, "acme", f)
			t.Logf("%-18s %3d in %s", name, len(page.Accounts), time.Since(began).Round(10*time.Microsecond))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, f := range []portal.AccountFilter{{}, {After: middle}, {Query: "family77"}, {Role: portal.Owner}} {
			q, err := s.accountQuery(ctx, "acme", f, few)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.placeOf(ctx, q, "acme", f); err != nil {
				t.Fatal(err)
			}
			wantIndexed(t, db, "accounts", q.ids("ASC", 51), q.args)
		}
		for name, f := range map[string]portal.AccountFilter{"all": {}, "a word": {Query: "family77"}, "a common word": {Query: "given"}} {
			q, err := s.accountQuery(ctx, "acme", f, few)
			if err != nil {
				t.Fatal(err)
			}
			q.byID, q.place = true, ` AND a.id > `+q.arg("account-4")
			wantIndexed(t, db, "by ID, "+name, q.ids("ASC", eachAtOnce), q.args)
		}
		q, err := s.accountQuery(ctx, "acme", portal.AccountFilter{Query: "even odd"}, many)
		if err != nil || q.drive == "" {
			t.Fatalf("no set to begin with: %v", err)
		}
		wantIndexed(t, db, "common words", q.ids("ASC", 51), q.args)
		wantBoth(t, s)
		if _, err := s.FindAccounts(ctx, "acme", portal.AccountFilter{Query: "a b c d e f g h i j k l m n o p q r s t u v w x y z"}); err == nil {
			t.Error("a question of 26 words is put to the database")
		}
		for name, read := range map[string]func() error{
			"two words, often": func() error {
				_, err := s.FindAccounts(ctx, "acme", portal.AccountFilter{Query: strings.Repeat("g f ", 50)})
				return err
			},
			"six words": func() error {
				_, err := s.FindAccounts(ctx, "acme", portal.AccountFilter{Query: "given family1 family2 family3 family4 family5"})
				return err
			},
			"holders": func() error {
				all, err := s.LicenceHolders(ctx, "acme", "professional", middle, 51)
				if len(all) != 51 || !slices.IsSortedFunc(all, func(a, b LicenceHolder) int { return strings.Compare(a.FamilyName, b.FamilyName) }) {
					t.Errorf("%d holders", len(all))
				}
				return err
			},
			"invitations": func() error { _, err := s.Invitations(ctx, "acme", 50); return err },
			"invitations, when all have come": func() error {
				if _, err := db.ExecContext(ctx, `UPDATE accounts SET status = 'active' WHERE status = 'invited' AND id <> 'account-20'`); err != nil {
					return err
				}
				began := time.Now()
				all, err := s.Invitations(ctx, "acme", 50)
				t.Logf("%d invitation in %s", len(all), time.Since(began).Round(10*time.Microsecond))
				if len(all) != 1 {
					t.Errorf("%d invitations", len(all))
				}
				return err
			},
		} {
			began := time.Now()
			err := read()
			t.Logf("%-18s in %s", name, time.Since(began).Round(10*time.Microsecond))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for range 2 { // the second time as a browser sees it
			began := time.Now()
			a, err := s.Attention(ctx, "acme")
			took := time.Since(began)
			t.Logf("attention %+v in %s", a, took.Round(10*time.Microsecond))
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// wantBoth wants the two who are even and odd, whichever way the list is gone
// through: each word is everybody else's as well.
func wantBoth(t *testing.T, s *Store) {
	t.Helper()
	want := []string{"account-4444", "account-77"} // as their names are sorted
	var got, back []string
	f := portal.AccountFilter{Query: "even odd", Limit: 1}
	for range len(want) + 1 {
		page, err := s.FindAccounts(t.Context(), "acme", f)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Accounts {
			got, f.After = append(got, a.ID), a.ID
		}
		if !page.Later {
			break
		}
	}
	f.Before, f.After = f.After, ""
	page, err := s.FindAccounts(t.Context(), "acme", f)
	for _, a := range page.Accounts {
		back = append(back, a.ID)
	}
	if err != nil || !slices.Equal(got, want) || !slices.Equal(back, want[:1]) {
		t.Errorf("found %v, and back %v, %v", got, back, err)
	}
	page, err = s.FindAccounts(t.Context(), "acme", portal.AccountFilter{Query: "even odd"})
	if err != nil || len(page.Accounts) != 2 || page.Earlier || page.Later {
		t.Errorf("at once: %+v, %v", page, err)
	}
	page, err = s.FindAccounts(t.Context(), "acme", portal.AccountFilter{Query: "even given", Limit: 3})
	if err != nil || len(page.Accounts) != 3 || page.Accounts[0].ID != "account-10" || !page.Later {
		t.Errorf("common together: %+v, %v", page, err)
	}
}

// crowd fills a portal with people as an import would have left them.
func crowd(t *testing.T, db *sql.DB, n int, now time.Time) {
	t.Helper()
	const each = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) `
	bytes, tidy := "BLOB", `ANALYZE`
	if postgres(db) {
		bytes, tidy = "BYTEA", `VACUUM ANALYZE` // as its own cleaner does within a minute
	}
	day := (24 * time.Hour).Microseconds()
	for _, fill := range []struct {
		query string
		args  []any
	}{
		{each + `INSERT INTO accounts (id, portal, status, given_name, family_name, generation, created, last_sign_in, role, name_key)
			SELECT 'account-' || i, 'acme', CASE i % 20 WHEN 0 THEN 'invited' WHEN 1 THEN 'disabled' ELSE 'active' END, 'Given', 'Family' || i, 1, 1, 1,
			CASE WHEN i IN (5, 6) THEN 'owner' ELSE 'member' END, CAST('family' || i AS ` + bytes + `) FROM n`, nil},
		{each + `INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof)
			SELECT 'account-' || i, 'acme', 'p' || i || '@a.example', 'a.example', TRUE, 1, '' FROM n`, nil},
		{each + `INSERT INTO credentials (account, hash, temporary, expires, changed) SELECT 'account-' || i, '', FALSE, 0, 1 FROM n`, nil},
		{each + `INSERT INTO words (portal, word, account, name_key) SELECT 'acme', CAST('given' AS ` + bytes + `), 'account-' || i, CAST('family' || i AS ` + bytes + `) FROM n`, nil},
		{each + `INSERT INTO words (portal, word, account, name_key) SELECT 'acme', CAST('family' || i AS ` + bytes + `), 'account-' || i, CAST('family' || i AS ` + bytes + `) FROM n`, nil},
		{each + `INSERT INTO words (portal, word, account, name_key) SELECT 'acme', CAST(CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END AS ` + bytes + `), 'account-' || i, CAST('family' || i AS ` + bytes + `) FROM n`, nil},
		{each + `INSERT INTO words (portal, word, account, name_key) SELECT 'acme', CAST(CASE WHEN i % 2 = 1 THEN 'even' ELSE 'odd' END AS ` + bytes + `), 'account-' || i, CAST('family' || i AS ` + bytes + `) FROM n WHERE i IN (77, 4444)`, nil},
		{each + `INSERT INTO licences (account, portal, plan, address, since, ends, renews)
			SELECT 'account-' || i, 'acme', CASE WHEN i % 1000 = 0 THEN 'pro' ELSE 'professional' END, 'p' || i || '@a.example', 1,
			CAST($2 AS BIGINT) + (i % 400) * CAST($3 AS BIGINT), i % 50 > 0 FROM n`, []any{now.UnixMicro(), day}},
		{each + `INSERT INTO invitations (account, portal, inviter, made, ends, withdrawn)
			SELECT 'account-' || i, 'acme', '', CAST($2 AS BIGINT) - (i / 20 % 40) * CAST($3 AS BIGINT), CAST($2 AS BIGINT) - (i / 20 % 40 - 3) * CAST($3 AS BIGINT), 0 FROM n`,
			[]any{now.UnixMicro(), day}},
		{tidy, nil},
	} {
		args := fill.args
		if fill.query != tidy {
			args = append([]any{n}, args...)
		}
		if _, err := db.ExecContext(t.Context(), fill.query, args...); err != nil {
			t.Fatalf("%s: %v", fill.query, err)
		}
	}
}
