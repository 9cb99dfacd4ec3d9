package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/domicile-sso/domicile/portal"
)

// RecordMessage counts one more message that an account sends, or refuses it
// because its licence allows no more this month (S28). It is the first thing
// that sending does.
func (s *Store) RecordMessage(ctx context.Context, portalID string, v portal.Visitor, accountID string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		a, err := accountByID(ctx, u, portalID, accountID)
		if err != nil {
			return err
		}
		if a == nil {
			return u.refuse(portal.Event{Action: "access.refused", Target: accountID}, errUnknownAccount)
		}
		return u.count(ctx, a.Account)
	})
}

// count counts a message in the use case that sends it. The number is compared
// where it is raised, so that of many that are sent at once none is too many.
func (u *unit) count(ctx context.Context, a portal.Account) error {
	no := portal.Event{Account: a.ID, Action: "usage.refused"}
	if err := portal.MaySignIn(a.Status); err != nil {
		return u.refuse(no, err)
	}
	set, err := readSettings(ctx, u, u.portal)
	if err != nil {
		return err
	}
	l, err := licenceOf(ctx, u, a.ID)
	if err != nil {
		return err
	}
	month := set.Month(u.now)
	if limit := portal.AllowanceOf(l, 0, u.now).Limit(); limit > 0 {
		ok, err := one(ctx, u, `INSERT INTO usages (account, month, messages, last) VALUES ($1, $2, 1, $3)
			ON CONFLICT (account, month) DO UPDATE SET messages = usages.messages + 1, last = excluded.last WHERE usages.messages < $4`,
			a.ID, month, micros(u.now), limit)
		if err != nil || ok {
			return err
		}
	}
	use, err := usageIn(ctx, u, a.ID, month)
	if err != nil {
		return err
	}
	return u.refuse(no, portal.AllowanceOf(l, use.Messages, u.now).MaySend())
}

// usageIn is what an account has sent in a month.
func usageIn(ctx context.Context, q querier, accountID, month string) (portal.Usage, error) {
	use := portal.Usage{Month: month}
	var last int64
	err := q.QueryRowContext(ctx, `SELECT messages, last FROM usages WHERE account = $1 AND month = $2`, accountID, month).Scan(&use.Messages, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return use, nil
	}
	use.Last = when(last)
	return use, err
}

// Usages are what an account has sent in each month from the first one named,
// the newest first. Months without a message are left out.
func (s *Store) Usages(ctx context.Context, portalID, accountID, from string) ([]portal.Usage, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT g.month, g.messages, g.last FROM usages g JOIN accounts a ON a.id = g.account
		WHERE a.portal = $1 AND g.account = $2 AND g.month >= $3 ORDER BY g.month DESC`, portalID, accountID, from)
	if err != nil {
		return nil, failed("read usage", err)
	}
	defer func() { _ = rows.Close() }()
	var all []portal.Usage
	for rows.Next() {
		var use portal.Usage
		var last int64
		if err := rows.Scan(&use.Month, &use.Messages, &last); err != nil {
			return nil, failed("read usage", err)
		}
		use.Last = when(last)
		all = append(all, use)
	}
	return all, failed("read usage", rows.Err())
}

// LastMessage is when an account last sent a message; zero: never.
func (s *Store) LastMessage(ctx context.Context, portalID, accountID string) (use portal.Usage, err error) {
	var last int64
	err = s.db.QueryRowContext(ctx, `SELECT g.month, g.messages, g.last FROM usages g JOIN accounts a ON a.id = g.account
		WHERE a.portal = $1 AND g.account = $2 ORDER BY g.month DESC LIMIT 1`, portalID, accountID).Scan(&use.Month, &use.Messages, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return use, nil
	}
	use.Last = when(last)
	return use, failed("read usage", err)
}
