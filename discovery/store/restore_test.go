package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/config/sqldb/backup"
	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
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

// A restored directory leads where it led, and asks its regions for the rest.
func TestRestore(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		f.apply(eu, portal(1, eu.Region, "acme", "https://acme.eu.example.com"), route(2, "acme.example", "acme"), entry(3, "acme", 1))
		var tables []backup.Table
		for _, k := range store.Kept() {
			tables = append(tables, backup.Table(k))
		}
		key := bytes.Repeat([]byte{9}, 32)
		var text bytes.Buffer
		if _, err := backup.Write(t.Context(), &text, db, backup.Header{}, tables, key, nil); err != nil {
			t.Fatal(err)
		}
		f.apply(eu, entry(4, "acme", 2))

		other := sqltest.SQLite
		if !sqldb.OnPostgres(db) {
			other = sqltest.Postgres
		}
		fresh := other(t, store.Migrations)
		_, err := backup.Restore(t.Context(), &text, fresh, tables, [][]byte{key}, func(ctx context.Context, tx *sql.Tx, _ backup.Header) error {
			n, err := store.Restored(ctx, tx)
			if n != 1 {
				t.Errorf("%d regions publish again, want 1", n)
			}
			return err
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		g := newFixture(t, fresh)
		if err := g.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.leads("acme.example", "acme")
		if got, _ := g.snapshot.Contents(); !slices.Equal(got.Incomplete, []string{eu.Region}) {
			t.Errorf("incomplete are %q, so that who is not there is told there is no account", got.Incomplete)
		}
		// The region hears that nothing of it has been applied.
		r, err := g.Apply(t.Context(), eu, discovery.Batch{Region: eu.Region, After: 4})
		if err != nil || r.Last != 0 {
			t.Errorf("the region is told %d, %v; want 0", r.Last, err)
		}
		g.apply(eu, portal(5, eu.Region, "acme", "https://acme.eu.example.com"), entry(6, "acme", 1), entry(7, "acme", 2))
		if r, err = g.Apply(t.Context(), eu, discovery.Batch{Region: eu.Region, After: 7}); err != nil || r.Last != 7 {
			t.Errorf("published again: %d, %v", r.Last, err)
		}
		if got, ok := g.snapshot.Contents(); !ok || len(got.Incomplete) > 0 {
			t.Errorf("incomplete is still %q", got.Incomplete)
		}
	})
}
