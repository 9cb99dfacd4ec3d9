package main

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

var crowdNames = []string{"Lovelace", "Hopper", "Turing", "Hamilton", "Dijkstra", "Liskov", "Knuth", "Perlman", "Lamport", "Goldberg",
	"Engelbart", "Johnson", "Backus", "Allen", "Ritchie", "Wilkes", "Shannon", "Bartik", "Kernighan", "Sammet"}

func crowdID(n int) string { return fmt.Sprintf("%032x", n+1) }

func crowdAddress(n int) string { return fmt.Sprintf("p%d@crowd.example", n) }

// together is how many rows go into one statement.
const together = 200

// rowWriter puts rows into a table, many at a time.
type rowWriter struct {
	tx    *sql.Tx
	into  string     // table and columns
	after *rowWriter // of what the rows refer to; may be nil
	args  []any
	rows  int
	full  *sql.Stmt // for as many as go together
}

func (w *rowWriter) add(ctx context.Context, args ...any) error {
	w.args, w.rows = append(w.args, args...), w.rows+1
	if w.rows < together {
		return nil
	}
	if w.after != nil {
		if err := w.after.flush(ctx); err != nil {
			return err
		}
	}
	return w.flush(ctx)
}

func (w *rowWriter) flush(ctx context.Context) (err error) {
	if w.rows == 0 {
		return nil
	}
	switch {
	case w.rows < together:
		_, err = w.tx.ExecContext(ctx, w.text(), w.args...)
	case w.full == nil:
		if w.full, err = w.tx.PrepareContext(ctx, w.text()); err != nil {
			return err
		}
		fallthrough
	default:
		_, err = w.full.ExecContext(ctx, w.args...)
	}
	w.args, w.rows = w.args[:0], 0
	return err
}

func (w *rowWriter) text() string {
	values, columns := make([]string, w.rows), len(w.args)/w.rows
	for row := range values {
		marks := make([]string, columns)
		for i := range marks {
			marks[i] = "$" + strconv.Itoa(row*columns+i+1)
		}
		values[row] = "(" + strings.Join(marks, ", ") + ")"
	}
	return "INSERT INTO " + w.into + " VALUES " + strings.Join(values, ", ") + " ON CONFLICT DO NOTHING"
}

// fillCrowd writes people and what happened to them straight into the tables, as
// the store's own rules would: the words they are found by, what they are sorted
// by, the counters, and the audit log's chain.
func fillCrowd(ctx context.Context, database string, accounts, events int) error {
	db, err := sqldb.Open(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	now := time.Now()
	if err := fillPeople(ctx, tx, accounts, now); err != nil {
		return fmt.Errorf("fill accounts: %w", err)
	}
	if err := fillAudit(ctx, tx, accounts, events, now); err != nil {
		return fmt.Errorf("fill audit log: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	// What the databases do by themselves before long.
	tidy := []string{"PRAGMA wal_checkpoint(TRUNCATE)", "ANALYZE"}
	if !strings.HasPrefix(database, "sqlite:") {
		tidy = []string{"VACUUM (ANALYZE)"}
	}
	for _, text := range tidy {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

func fillPeople(ctx context.Context, tx *sql.Tx, n int, now time.Time) error {
	people := &rowWriter{tx: tx, into: "accounts (id, portal, status, given_name, family_name, generation, created, last_sign_in, role, name_key)"}
	addresses := &rowWriter{tx: tx, after: people, into: "addresses (account, portal, address, domain, is_primary, confirmed, proof, footing)"}
	words := &rowWriter{tx: tx, after: people, into: "words (portal, word, account, name_key)"}
	licences := &rowWriter{tx: tx, after: people, into: "licences (account, portal, plan, address, since, ends, renews)"}
	counts, footings := map[string]int{}, map[string]int{}
	for i := range n {
		given, family := "Given"+strconv.Itoa(i%997), crowdNames[i%len(crowdNames)]+strconv.Itoa(i%1009)
		a, err := discovery.ParseAddress(crowdAddress(i))
		if err != nil {
			return err
		}
		status, role := portal.Active, portal.Member
		switch {
		case i%20 == 3:
			status = portal.Disabled
		case i%20 == 7:
			status = portal.Invited
		case i%2000 == 11:
			role = portal.Administrator
		}
		counts["status:"+string(status)]++
		counts["role:"+string(role)]++
		id, at := crowdID(i), now.Add(-time.Duration(i)*time.Minute).UnixMicro()
		key := portal.NameKey(given, family, []discovery.Address{a})
		if err := people.add(ctx, id, crowdPortal, string(status), given, family, 1, at, at, string(role), key); err != nil {
			return err
		}
		footing := portal.Footing{Status: status, Proven: true, Primary: true}
		footings[footing.String()]++
		if footing.Unfactored() {
			counts["unfactored"]++
		}
		if err := addresses.add(ctx, id, crowdPortal, a.Clear(), a.Domain(), true, at, string(portal.ByMail), footing.String()); err != nil {
			return err
		}
		for _, word := range portal.Words(given, family, []discovery.Address{a}) {
			if err := words.add(ctx, crowdPortal, []byte(word), id, key); err != nil {
				return err
			}
		}
		if i%5 > 0 {
			plan := []string{"professional", "pro", "guest", "professional"}[i%4]
			counts["plan:"+plan]++
			if err := licences.add(ctx, id, crowdPortal, plan, a.Clear(), at, 0, true); err != nil {
				return err
			}
		}
	}
	for _, w := range []*rowWriter{people, addresses, words, licences} {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	for footing, n := range footings {
		_, err := tx.ExecContext(ctx, `INSERT INTO footings (portal, domain, footing, n) VALUES ($1, 'crowd.example', $2, $3) ON CONFLICT (portal, domain, footing) DO UPDATE SET n = footings.n + excluded.n`, crowdPortal, footing, n)
		if err != nil {
			return err
		}
	}
	for name, n := range counts {
		_, err := tx.ExecContext(ctx, `INSERT INTO tallies (portal, name, n) VALUES ($1, $2, $3) ON CONFLICT (portal, name) DO UPDATE SET n = tallies.n + excluded.n`, crowdPortal, name, n)
		if err != nil {
			return err
		}
	}
	return nil
}

// fillAudit goes on with the portal's chain.
func fillAudit(ctx context.Context, tx *sql.Tx, accounts, n int, now time.Time) error {
	var seq int64
	var hash string
	if err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM audit_heads WHERE portal = $1`, crowdPortal).Scan(&seq, &hash); err != nil {
		return err
	}
	rows := &rowWriter{tx: tx, into: "audit (portal, seq, hash, at, account, action, code, method, target, reference, client, via, actor)"}
	for i := range n {
		e := portal.Event{At: now.Add(-time.Duration(n-i) * time.Second), Portal: crowdPortal, Account: crowdID(scatter(i) % accounts),
			Action: "session.start", Method: "password", Reference: "REF-" + strconv.Itoa(i), Client: "192.0.2.0/24"}
		switch {
		case i%50 == 0:
			e.Action, e.Actor = "profile.changed", crowdID(11)
		case i%(n/100) == 1: // as many in a long log as in a short one: a page of them is full
			e.Action, e.Target = "licence.changed", "pro"
		case i%7 == 0:
			e.Action, e.Code = "session.refused", "password_wrong"
		}
		l := portal.NextLink(seq, hash, e)
		err := rows.add(ctx, l.Portal, l.Seq, l.Hash, l.At.UnixMicro(), l.Account, l.Action, l.Code, l.Method, l.Target, l.Reference, l.Client, l.Via, l.Actor)
		if err != nil {
			return err
		}
		seq, hash = l.Seq, l.Hash
	}
	if err := rows.flush(ctx); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE audit_heads SET seq = $1, hash = $2 WHERE portal = $3`, seq, hash, crowdPortal)
	return err
}
