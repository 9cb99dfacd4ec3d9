package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// querier is what *sql.DB and *sql.Tx have in common: reads that work inside a
// use case and outside of one.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// A unit is one use case in its transaction. Events and changes are collected
// and written last, always in the same order of locks: portal, outbox counter.
type unit struct {
	*sql.Tx
	s       *Store
	now     time.Time
	portal  string
	visitor portal.Visitor

	seq     int64 // head of the portal's audit chain, locked
	hash    string
	events  []portal.Event
	changes []portal.Change
	moved   []telling // domains whose people are published again, after the changes
	posted  bool
}

// refusal is an error that commits: the try was counted, the one-time fact is
// spent, the refusal is audited.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// change runs a use case in one portal ("" is the region).
func (s *Store) change(ctx context.Context, portalID string, v portal.Visitor, do func(*unit) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return failed("begin", err)
	}
	defer func() { _ = tx.Rollback() }()
	u := &unit{Tx: tx, s: s, now: s.now().UTC(), portal: portalID, visitor: v}
	err = tx.QueryRowContext(ctx, `UPDATE audit_heads SET seq = seq WHERE portal = $1 RETURNING seq, hash`, portalID).Scan(&u.seq, &u.hash)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoPortal
	}
	if err != nil {
		return failed("enter portal", err)
	}
	verdict := do(u)
	var r *refusal
	if verdict != nil && !errors.As(verdict, &r) {
		return failed("", verdict)
	}
	if err := u.writeOutbox(ctx); err != nil {
		return failed("queue change", err)
	}
	if err := u.writeAudit(ctx); err != nil {
		return failed("write audit", err)
	}
	if err := tx.Commit(); err != nil {
		return failed("commit", err)
	}
	if len(u.changes) > 0 || len(u.moved) > 0 {
		wake(s.changed)
	}
	if u.posted {
		wake(s.posted)
	}
	if r != nil {
		return r.err
	}
	return nil
}

// restFor lets whoever waits for the database have it in the middle of long
// work. SQLite has one writer, and who waits for it looks every 100 ms: with less
// than that, a sign-in could find it taken for as long as the work takes.
const restFor = 100 * time.Millisecond

func rest(ctx context.Context) {
	pause := time.NewTimer(restFor)
	defer pause.Stop()
	select {
	case <-ctx.Done():
	case <-pause.C:
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake already
	}
}

// audit notes an event of this use case.
func (u *unit) audit(e portal.Event) {
	e.At, e.Portal = u.now, u.portal
	e.Reference, e.Client = u.visitor.Reference, portal.Network(u.visitor.Client)
	if e.Actor == "" && u.visitor.Actor != e.Account {
		e.Actor = u.visitor.Actor
	}
	u.events = append(u.events, e)
}

// refuse audits err as the reason of a refusal and makes it one that commits.
func (u *unit) refuse(e portal.Event, err error) error {
	var known *discovery.Error
	if e.Code == "" && errors.As(err, &known) {
		e.Code = known.Code
	}
	u.audit(e)
	return &refusal{err}
}

// publish notes what the directory has to hear about.
func (u *unit) publish(topic portal.Topic, name string) {
	u.changes = append(u.changes, portal.Change{Topic: topic, Portal: u.portal, Name: name})
}

func (u *unit) writeAudit(ctx context.Context) error {
	if len(u.events) == 0 {
		return nil
	}
	for _, e := range u.events {
		e.Via = u.s.StandIn
		l := portal.NextLink(u.seq, u.hash, e)
		_, err := u.ExecContext(ctx, `INSERT INTO audit
			(portal, seq, hash, at, account, action, code, method, target, reference, client, via, actor)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			l.Portal, l.Seq, l.Hash, micros(l.At), l.Account, l.Action, l.Code, l.Method, l.Target, l.Reference, l.Client, l.Via, l.Actor)
		if err != nil {
			return err
		}
		u.seq, u.hash = l.Seq, l.Hash
	}
	_, err := u.ExecContext(ctx, `UPDATE audit_heads SET seq = $1, hash = $2 WHERE portal = $3`, u.seq, u.hash, u.portal)
	return err
}

// one runs a statement and reports whether it touched a row.
func one(ctx context.Context, q querier, query string, args ...any) (bool, error) {
	res, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// failed marks what a database said as "not known now". What a rule said stays
// as it is.
func failed(what string, err error) error {
	var known *discovery.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, portal.ErrNoSession) || errors.Is(err, portal.ErrChain) {
		return err
	}
	if what != "" {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return &discovery.Error{Kind: discovery.Unavailable, Code: "store_unavailable", Retry: 5 * time.Second, Err: err}
}

// newID is a name for a row that people may see; it opens nothing.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// micros and when are the two directions of a stored time; zero is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func when(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// blob stores "none" as an empty value: every column is NOT NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
