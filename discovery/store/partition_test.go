package store_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/directorytest"
	"github.com/domicile-sso/domicile/discovery/store"
)

// partition does what the operating guide says about large directories.
func partition(t *testing.T, db *sql.DB) {
	t.Helper()
	guide, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllSubmatch(guide, -1) {
		if !bytes.Contains(block[1], []byte("PARTITION BY HASH (blind)")) {
			continue
		}
		if _, err := db.Exec(string(block[1])); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("the operating guide does not say how to partition the directory")
}

func TestPartitionedDirectory(t *testing.T) {
	directorytest.Test(t, func(t *testing.T) directorytest.Subject {
		db := sqltest.Postgres(t, store.Migrations)
		partition(t, db)
		return subject(db, nil)
	})
	t.Run("of one that is in use", func(t *testing.T) {
		db := sqltest.Postgres(t, store.Migrations)
		f := newFixture(t, db)
		f.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"))
		var claims []discovery.Claim
		for i := range int64(300) {
			claims = append(claims, entryOf(t, 2+i, fmt.Sprintf("p%d@consult.example", i), "acme"))
		}
		f.apply(eu, append([]discovery.Claim{portal(1, "eu-central", "acme", "https://acme.eu.example.com")}, claims...)...)
		partition(t, db)
		if err := sqldb.Check(t.Context(), db, store.Migrations); err != nil {
			t.Error(err)
		}
		var parts int
		if err := db.QueryRow(`SELECT COUNT(DISTINCT tableoid) FROM entries`).Scan(&parts); err != nil || parts != 16 {
			t.Errorf("300 rows lie in %d parts, %v", parts, err)
		}
		// What was prepared before goes on; each lookup reads one part.
		for _, who := range []string{"p0@consult.example", "p299@consult.example"} {
			if got := f.asked(who); got != "eu-central https://acme.eu.example.com" {
				t.Errorf("%s is led to %q", who, got)
			}
		}
		id := blindOf(t, "p7@consult.example")
		plan := explain(t, db, `SELECT portal FROM entries WHERE blind IN ($1)`, id[:])
		if n := strings.Count(plan, "Scan"); n > 2 || strings.Contains(plan, "Append") {
			t.Errorf("a lookup reads more than one part:\n%s", plan)
		}
		f.apply(eu, entryOf(t, 400, "p7@consult.example", "acme"), discovery.Claim{Seq: 401, Sweep: 1}, discovery.Claim{Seq: 402, Sweep: 400})
		var left int
		if err := db.QueryRow(`SELECT COUNT(*) FROM entries`).Scan(&left); err != nil || left != 1 {
			t.Errorf("a sweep leaves %d rows, %v", left, err)
		}
	})
}

func explain(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.Query("EXPLAIN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, line)
	}
	return strings.Join(plan, "\n")
}
