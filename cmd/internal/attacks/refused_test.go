package attacks

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// A refusal is what a request must end in. The zero Code checks no audit row.
type refusal struct {
	Status int
	Code   string // of the audit row
	Action string // of the audit row; "session.refused" where empty

	// Spends are the tables in which this kind of refusal leaves its mark: a
	// one-time fact is spent also by a sign-in that a rule refuses.
	Spends []string
	// Secrets must not be in the logs, besides what was sent and is checked
	// anyway.
	Secrets []string
}

// refused sends what do sends and holds the answer to what every refusal owes:
//
//   - the status, all security headers, a dull page without a script and without
//     anything that was sent to a federation endpoint;
//   - no session: neither a cookie nor a row;
//   - nothing else changed: every row of every table of the portal's region is
//     as it was, but the audit log, the throttle and want.Spends;
//   - an audit row with the code, under the reference that the page shows;
//   - nothing secret in anybody's log: no value that was sent, no cookie, no
//     address of want.Secrets.
func (w *world) refused(t testing.TB, at string, want refusal, do func() *answer) *answer {
	t.Helper()
	r := w.home(at)
	before, mark := w.rows(t, r.DB), w.Log.Len()
	a := do()
	if a.Status != want.Status {
		t.Errorf("%s %s: got %d, want %d: %s", a.Request.Method, a.URL.Path, a.Status, want.Status, a.text())
	}
	secured(t, a)
	dull(t, a)
	if a.session() != nil {
		t.Error("a refusal set a session cookie")
	}
	w.unchanged(t, r.DB, before, want.Spends...)
	if want.Code != "" {
		w.audited(t, at, a, or(want.Action, "session.refused"), want.Code)
	}
	w.quiet(t, mark, append(want.Secrets, a.Sent...)...)
	return a
}

// secured checks the headers that every answer has.
func secured(t testing.TB, a *answer) {
	t.Helper()
	for name, part := range map[string]string{
		"Content-Security-Policy":      "default-src 'none'",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=()",
		"Strict-Transport-Security":    "max-age=",
		"X-Request-Id":                 "",
	} {
		if got := a.Header.Values(name); len(got) != 1 || !strings.Contains(got[0], part) {
			t.Errorf("%s %s: %d with %s: %q", a.Request.Method, a.URL.Path, a.Status, name, got)
		}
	}
	policy := a.Header.Get("Content-Security-Policy")
	for _, want := range []string{"frame-ancestors 'none'", "base-uri 'none'", "form-action "} {
		if !strings.Contains(policy, want) {
			t.Errorf("%s: the policy lacks %q: %s", a.URL.Path, want, policy)
		}
	}
	for _, never := range []string{"unsafe-inline", "unsafe-eval", "script-src *"} {
		if strings.Contains(policy, never) {
			t.Errorf("%s: the policy has %q: %s", a.URL.Path, never, policy)
		}
	}
	if cors := a.Header.Get("Access-Control-Allow-Origin"); cors != "" {
		t.Errorf("%s: Access-Control-Allow-Origin: %s", a.URL.Path, cors)
	}
	if c := a.Header.Get("Cache-Control"); !strings.HasPrefix(a.URL.Path, "/assets/") && !strings.Contains(c, "no-store") {
		t.Errorf("%s: Cache-Control: %s", a.URL.Path, c)
	}
}

// dull checks that a page of refusal says little: the reference, no script, none
// of the insides, and nothing of what a federation endpoint was sent.
func dull(t testing.TB, a *answer) {
	t.Helper()
	if a.Request.Method == http.MethodHead {
		return
	}
	if a.Status >= 400 && !strings.Contains(a.Body, a.reference()) {
		t.Errorf("the page does not show its reference %s: %s", a.reference(), a.text())
	}
	for _, never := range []string{"<script", "goroutine ", ".go:", "SQLITE", "SQLSTATE", "violates", "sql:", "panic", "saml:Assertion", "-----BEGIN"} {
		if strings.Contains(a.Body, never) {
			t.Errorf("the page has %q: %s", never, a.Body)
		}
	}
	if !strings.HasPrefix(a.URL.Path, "/saml/") && !strings.HasPrefix(a.URL.Path, "/oidc/") {
		return
	}
	for _, s := range a.Sent {
		if len(s) >= 8 && strings.Contains(a.Body, head(s)) {
			t.Errorf("the page repeats %.40q", s)
		}
	}
}

// quiet checks that no log line written since mark has any of the secrets.
func (w *world) quiet(t testing.TB, mark int, secrets ...string) {
	t.Helper()
	text := w.Log.Since(mark)
	for _, s := range append(secrets, "<saml", "&lt;saml", "PHNhbWw", "BEGIN RSA", secretOfClient) {
		if len(s) < 5 {
			continue
		}
		quoted, err := json.Marshal(head(s))
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{head(s), strings.Trim(string(quoted), `"`)} {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("the log has %.40q: …%s…", s, text[max(0, i-200):min(len(text), i+120)])
				break
			}
		}
	}
}

// head is as much of a secret as a log line might keep of it.
func head(s string) string { return s[:min(len(s), 40)] }

// audited finds the audit row under the reference that the answer shows.
func (w *world) audited(t testing.TB, at string, a *answer, action, code string) portal.Link {
	t.Helper()
	links := w.events(t, at, a)
	for _, l := range links {
		if l.Action == action && l.Code == code {
			return l
		}
	}
	var have []string
	for _, l := range links {
		have = append(have, l.Action+" "+l.Code)
	}
	t.Errorf("reference %s: the audit log has %q, want %s %s", a.reference(), have, action, code)
	return portal.Link{}
}

// events are the audit rows of one answer.
func (w *world) events(t testing.TB, at string, a *answer) []portal.Link {
	t.Helper()
	links, err := w.store(at).Events(t.Context(), idOf(at), portal.EventFilter{Reference: a.reference()})
	if err != nil {
		t.Fatal(err)
	}
	return links
}

// count runs SELECT COUNT(*) FROM … in the region of a portal.
func (w *world) count(t testing.TB, at, from string, args ...any) int {
	t.Helper()
	var n int
	// The cleaner takes what is over when it likes.
	if column := ends[from]; column != "" {
		from, args = from+" WHERE "+column+" > $1", []any{w.Clock.Now().Add(soon).UnixMicro()}
	}
	if err := w.home(at).DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+from, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// ends names the column by which the cleaner takes rows away, which it may do at
// any moment: rows that are over, or soon will be, do not count as there.
var ends = map[string]string{
	"federations": "expires", "attempts": "expires", "tickets": "expires", "assertions": "expires",
	"sessions": "idle", "tokens": "expires", "letters": "expires", "passed": "expires", "challenges": "expires",
}

// soon is longer than one attack takes.
const soon = 2 * time.Minute

// A state is what a database held.
type state struct {
	over int64               // rows that end before do not count
	rows map[string][]string // digests by table
}

// A look is a prepared reading of one table.
type look struct {
	table string
	stmt  *sql.Stmt
	ends  bool // takes the time
}

// looks prepares the reading of every table that tells whether something
// happened. Left out are the audit log and the throttle, and the queues of
// claims and letters, which empty by themselves.
func (w *world) looks(t testing.TB, db *sql.DB) []look {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.looking[db]; known != nil {
		return known
	}
	ctx := context.Background()
	names, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
	if err != nil { // PostgreSQL
		names, err = db.QueryContext(ctx, `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name`)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = names.Close() }()
	var tables []string
	for names.Next() {
		var name string
		if err := names.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains([]string{"audit", "audit_heads", "throttle", "outbox", "outbox_counter", "letters", "goose_db_version"}, name) {
			tables = append(tables, name)
		}
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
	var all []look
	for _, table := range tables {
		l, query := look{table: table}, "SELECT * FROM "+table
		if column := ends[table]; column != "" {
			l.ends, query = true, query+" WHERE "+column+" > $1"
		}
		if l.stmt, err = db.PrepareContext(ctx, query); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	w.looking[db] = all
	return all
}

// rows reads a digest of every row, by table.
func (w *world) rows(t testing.TB, db *sql.DB) state {
	t.Helper()
	return w.rowsUntil(t, db, w.Clock.Now().Add(soon).UnixMicro())
}

func (w *world) rowsUntil(t testing.TB, db *sql.DB, over int64) state {
	t.Helper()
	all := state{over: over, rows: map[string][]string{}}
	for _, l := range w.looks(t, db) {
		var args []any
		if l.ends {
			args = append(args, over)
		}
		all.rows[l.table] = l.digests(t, args...)
	}
	return all
}

func (l look) digests(t testing.TB, args ...any) []string {
	t.Helper()
	rows, err := l.stmt.QueryContext(context.Background(), args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	values, to := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
	for i := range values {
		to[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		for _, v := range values {
			h.Write([]byte(strconv.Itoa(len(v)) + ":"))
			h.Write(v)
		}
		all = append(all, string(h.Sum(nil)))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// unchanged compares a database with what rows said of it, but for some tables.
func (w *world) unchanged(t testing.TB, db *sql.DB, before state, but ...string) {
	t.Helper()
	after := w.rowsUntil(t, db, before.over)
	for table, rows := range after.rows {
		if !slices.Contains(but, table) && !slices.Equal(before.rows[table], rows) {
			t.Errorf("the table %s changed: %d rows, then %d", table, len(before.rows[table]), len(rows))
		}
	}
}
