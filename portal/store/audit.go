package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

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

// Events reads the audit log of a portal ("" for the region).
func (s *Store) Events(ctx context.Context, portalID string, f portal.EventFilter) ([]portal.Link, error) {
	if f.Limit <= 0 || f.Limit > 1000 {
		f.Limit = 1000
	}
	order := "ASC"
	if f.Newest {
		order = "DESC"
	}
	rows, err := s.db.QueryContext(ctx, `SELECT seq, hash, at, portal, account, action, code, method, target, reference, client, via, actor
		FROM audit WHERE portal = $1 AND seq > $2
		AND ($3 = '' OR account = $3) AND ($8 = '' OR actor = $8) AND ($4 = '' OR action = $4) AND ($5 = '' OR reference = $5)
		AND at >= $6
		ORDER BY seq `+order+` LIMIT $7`, portalID, f.After, f.Account, f.Action, f.Reference, micros(f.Since), f.Limit, f.Actor)
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
