package store

import (
	"database/sql"
	"fmt"
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

// manyEvents is how long the log of the plan's test is: enough for a scan to
// show. DOMICILE_AUDIT_ROWS=1000000 measures the size that the console promises.
func manyEvents(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("DOMICILE_AUDIT_ROWS"))
	if err != nil {
		return 20_000
	}
	return n
}

// No filter of the audit log makes a database read the log.
func TestAuditIsReadByIndexes(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	sqltest.Each(t, Migrations, func(t *testing.T, db *sql.DB) {
		ctx, n := t.Context(), manyEvents(t)
		vault, err := portal.NewVault(portal.NewVaultKey())
		if err != nil {
			t.Fatal(err)
		}
		s := New(db, vault, func() time.Time { return start })
		for _, id := range []string{"acme", "other"} {
			if _, err := s.CreatePortal(ctx, portal.Portal{ID: id, Name: id, URL: "https://" + id + ".example.com", Disclosure: discovery.Listed}); err != nil {
				t.Fatal(err)
			}
		}
		_, err = db.ExecContext(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
			INSERT INTO audit (portal, seq, hash, at, account, action, code, method, target, reference, client, via, actor)
			SELECT 'acme', i, '', CAST($2 AS BIGINT) + i * CAST(1000000 AS BIGINT), 'account-' || (i % 1000),
			CASE i % 10 WHEN 0 THEN 'session.refused' WHEN 1 THEN 'role.changed' ELSE 'session.start' END,
			CASE WHEN i % 10 = 0 THEN 'password_wrong' WHEN i = 77 THEN 'rare' ELSE '' END,
			'password', '', 'REF-' || i, '', '', CASE WHEN i % 10 = 1 THEN 'account-7' ELSE '' END FROM n`, n, start.UnixMicro())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(ctx, `ANALYZE`); err != nil {
			t.Fatal(err)
		}
		day := start.Add(time.Duration(n/2) * time.Second)
		for name, f := range map[string]portal.EventFilter{
			"everything":        {},
			"next page":         {Before: int64(n / 2)},
			"person":            {Person: "account-7"},
			"person, group":     {Person: "account-7", Actions: []string{"role.changed", "session.refused"}},
			"nobody":            {Person: "nobody"},
			"account":           {Account: "account-7"},
			"actor":             {Actor: "account-7"},
			"group":             {Actions: []string{"session.refused", "role.changed", "session.never"}},
			"rare group":        {Actions: []string{"nothing.happened"}},
			"code":              {Code: "password_wrong"},
			"rare code":         {Code: "rare"},
			"group and code":    {Actions: []string{"role.changed", "session.start"}, Code: "password_wrong"},
			"reference":         {Reference: "REF-1234"},
			"unknown reference": {Reference: "REF-0"},
			"period":            {Since: day, Until: day.Add(time.Hour)},
			"group in a period": {Actions: []string{"role.changed"}, Since: day, Until: day.Add(time.Hour)},
			"future":            {Since: start.AddDate(10, 0, 0)},
		} {
			f.Newest, f.Limit = true, 51
			began := time.Now()
			rows, err := s.Events(ctx, "acme", f)
			took := time.Since(began)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			t.Logf("%-18s %3d rows in %s", name, len(rows), took.Round(10*time.Microsecond))
			query, args := eventQuery("acme", f)
			wantIndexed(t, db, name, query, args)
		}
		for _, edge := range []string{firstSince, lastUntil} {
			wantIndexed(t, db, edge, edge, []any{"acme", day.UnixMicro()})
		}
	})
}

// wantIndexed fails when a database would read a whole table for a query.
func wantIndexed(t *testing.T, db *sql.DB, name, query string, args []any) {
	t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if postgres(db) {
		explain = "EXPLAIN "
	}
	rows, err := db.QueryContext(t.Context(), explain+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan []string
	for rows.Next() {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(string)
		}
		if err := rows.Scan(cells...); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, *cells[len(cells)-1].(*string))
	}
	for _, line := range plan {
		// A part of the query itself is read as a whole: it holds what an index found.
		scan, own := strings.CutPrefix(line, "SCAN ")
		own = own && !strings.Contains(line, "USING") && !strings.HasPrefix(scan, "arm") && scan != "d" && scan != "f" && !strings.HasPrefix(scan, "(subquery") &&
			!slices.Contains(plan, "CO-ROUTINE "+scan)
		if own || strings.Contains(line, "Seq Scan") {
			t.Errorf("%s reads a whole table:\n%s", name, strings.Join(plan, "\n"))
			return
		}
	}
}

// postgres reports which of the two databases it is.
func postgres(db *sql.DB) bool { return strings.Contains(fmt.Sprintf("%T", db.Driver()), "stdlib") }
