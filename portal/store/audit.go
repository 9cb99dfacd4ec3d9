package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// Audit appends an event that belongs to no other use case. Its time is the
// store's, whatever At says; everything else is written as given.
func (s *Store) Audit(ctx context.Context, e portal.Event) error {
	return s.change(ctx, e.Portal, portal.Visitor{}, func(u *unit) error {
		e.At = u.now
		u.events = append(u.events, e)
		return nil
	})
}

// Events reads the audit log of a portal ("" for the region). Whatever the filter,
// it reads rows by an index that has them in their order, and no more of them than
// it returns, but for what other conditions leave out.
func (s *Store) Events(ctx context.Context, portalID string, f portal.EventFilter) ([]portal.Link, error) {
	if f.Limit <= 0 || f.Limit > 1000 {
		f.Limit = 1000
	}
	some, err := s.bound(ctx, portalID, &f)
	if err != nil || !some {
		return nil, failed("read audit", err)
	}
	query, args := eventQuery(portalID, f)
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed("read audit", err)
	}
	defer func() { _ = rows.Close() }()
	var links []portal.Link
	for rows.Next() {
		var l portal.Link
		var at int64
		if err := rows.Scan(&l.Seq, &l.Hash, &at, &l.Portal, &l.Account, &l.Action, &l.Code, &l.Method, &l.Target, &l.Reference, &l.Client, &l.Via, &l.Actor); err != nil {
			return nil, failed("read audit", err)
		}
		l.At = when(at)
		links = append(links, l)
	}
	return links, failed("read audit", rows.Err())
}

// bound turns a period into numbers of rows, which every index has; some is false
// when there are none. The rows' own times have the last word: see portal.Slack.
func (s *Store) bound(ctx context.Context, portalID string, f *portal.EventFilter) (some bool, err error) {
	if !f.Since.IsZero() {
		first, ok, err := s.edgeOf(ctx, firstSince, portalID, f.Since.Add(-portal.Slack))
		if err != nil || !ok {
			return false, err
		}
		f.After = max(f.After, first-1)
	}
	if !f.Until.IsZero() {
		last, ok, err := s.edgeOf(ctx, lastUntil, portalID, f.Until.Add(portal.Slack))
		if err != nil || !ok {
			return false, err
		}
		if f.Before == 0 || f.Before > last+1 {
			f.Before = last + 1
		}
	}
	return true, nil
}

const (
	firstSince = `SELECT seq FROM audit WHERE portal = $1 AND at >= $2 ORDER BY at, seq LIMIT 1`
	lastUntil  = `SELECT seq FROM audit WHERE portal = $1 AND at < $2 ORDER BY at DESC, seq DESC LIMIT 1`
)

func (s *Store) edgeOf(ctx context.Context, query, portalID string, t time.Time) (seq int64, ok bool, err error) {
	err = s.db.QueryRowContext(ctx, query, portalID, micros(t)).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return seq, err == nil, err
}

// eventQuery has an arm for every range of an index that rows may lie in, each
// with its own limit: with OR, a database reads the whole log.
func eventQuery(portalID string, f portal.EventFilter) (string, []any) {
	q := &eventArms{args: []any{portalID, f.After, f.Limit}, order: "ASC"}
	if f.Newest {
		q.order = "DESC"
	}
	rest := ""
	narrow := func(condition string, value any) { rest += " AND " + condition + " " + q.arg(value) }
	if f.Before > 0 {
		narrow("seq <", f.Before)
	}
	if !f.Since.IsZero() {
		narrow("at >=", micros(f.Since))
	}
	if !f.Until.IsZero() {
		narrow("at <", micros(f.Until))
	}
	if f.Code != "" {
		narrow("code <> '' AND code =", f.Code)
	}
	if f.Account != "" {
		narrow("account =", f.Account)
	}
	if f.Actor != "" {
		narrow("actor <> '' AND actor =", f.Actor)
	}
	if f.Reference != "" {
		narrow("reference <> '' AND reference =", f.Reference)
	}
	if f.Action != "" {
		narrow("action =", f.Action)
	}
	switch {
	case len(f.Actions) > 0 && f.Person == "" && f.Account == "" && f.Actor == "" && f.Reference == "":
		for _, a := range f.Actions {
			q.arm(rest + " AND action = " + q.arg(a))
		}
		return q.text(), q.args
	case len(f.Actions) > 0:
		among := make([]string, len(f.Actions))
		for i, a := range f.Actions {
			among[i] = q.arg(a)
		}
		rest += " AND action IN (" + strings.Join(among, ", ") + ")"
	}
	if f.Person == "" {
		q.arm(rest)
		return q.text(), q.args
	}
	who := q.arg(f.Person)
	q.arm(rest + " AND account = " + who)
	q.arm(rest + " AND actor <> '' AND actor = " + who + " AND account <> " + who)
	return q.text(), q.args
}

type eventArms struct {
	args  []any
	arms  []string
	order string
}

const eventColumns = `seq, hash, at, portal, account, action, code, method, target, reference, client, via, actor`

func (q *eventArms) arg(value any) string {
	q.args = append(q.args, value)
	return "$" + strconv.Itoa(len(q.args))
}

func (q *eventArms) arm(conditions string) {
	q.arms = append(q.arms, `SELECT * FROM (SELECT `+eventColumns+` FROM audit WHERE portal = $1 AND seq > $2`+conditions+
		` ORDER BY seq `+q.order+` LIMIT $3) AS arm`+strconv.Itoa(len(q.arms)))
}

func (q *eventArms) text() string {
	return strings.Join(q.arms, " UNION ALL ") + ` ORDER BY seq ` + q.order + ` LIMIT $3`
}

// CheckAudit recomputes the chain of a portal and returns its last row, to be
// noted outside the database: rows cut off at the end together with the head
// kept here do not show otherwise. portal.ErrChain says where it does not fit.
func (s *Store) CheckAudit(ctx context.Context, portalID string) (last portal.Link, err error) {
	// The head is read first: rows may be appended while we count.
	var seq int64
	var hash string
	err = s.db.QueryRowContext(ctx, `SELECT seq, hash FROM audit_heads WHERE portal = $1`, portalID).Scan(&seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return last, fmt.Errorf("its head is missing: %w", portal.ErrChain)
	}
	if err != nil {
		return last, failed("read audit head", err)
	}
	for {
		links, err := s.Events(ctx, portalID, portal.EventFilter{After: last.Seq})
		if err != nil {
			return last, err
		}
		if len(links) == 0 {
			break
		}
		for _, l := range links {
			want := portal.NextLink(last.Seq, last.Hash, l.Event)
			if want.Seq != l.Seq || want.Hash != l.Hash || l.Seq == seq && l.Hash != hash {
				return last, fmt.Errorf("row %d: %w", last.Seq+1, portal.ErrChain)
			}
			last = l
		}
	}
	if last.Seq < seq {
		return last, fmt.Errorf("cut off after row %d: %w", last.Seq, portal.ErrChain)
	}
	return last, nil
}

// AuditHas reports with portal.ErrChain that the chain does not lead to a head
// that was noted earlier. CheckAudit says whether the rows before it are true.
func (s *Store) AuditHas(ctx context.Context, portalID string, seq int64, hash string) error {
	if seq == 0 {
		return nil
	}
	links, err := s.Events(ctx, portalID, portal.EventFilter{After: seq - 1, Limit: 1})
	if err != nil {
		return err
	}
	if len(links) == 0 || links[0].Seq != seq || links[0].Hash != hash {
		return fmt.Errorf("row %d is not the one that was noted: %w", seq, portal.ErrChain)
	}
	return nil
}

// StartAuditExport notes that somebody takes a part of the audit log out of the
// portal; what says which. It returns the last row there is to hand over.
func (s *Store) StartAuditExport(ctx context.Context, portalID string, v portal.Visitor, what string) (last int64, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.actor(ctx, portal.SeeAudit); err != nil {
			return err
		}
		last = u.seq
		u.audit(portal.Event{Account: v.Actor, Action: "audit.exported", Method: u.by(), Target: what})
		return nil
	})
	return last, err
}

// EachEvent hands over all rows of a filter, newest first, a page at a time.
func (s *Store) EachEvent(ctx context.Context, portalID string, f portal.EventFilter, do func(portal.Link) error) error {
	f.Newest, f.Limit = true, 1000
	for {
		links, err := s.Events(ctx, portalID, f)
		if err != nil || len(links) == 0 {
			return err
		}
		for _, l := range links {
			if err := do(l); err != nil {
				return err
			}
		}
		f.Before = links[len(links)-1].Seq
	}
}
