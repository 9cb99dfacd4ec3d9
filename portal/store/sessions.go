package store

import (
	"context"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// Sessions are all sessions of an account that count now, the one used last
// first.
func (s *Store) Sessions(ctx context.Context, portalID, accountID string) ([]portal.Session, error) {
	a, err := accountByID(ctx, s.db, portalID, accountID)
	if err != nil || a == nil {
		return nil, failed("read account", err)
	}
	p, err := s.PortalByID(ctx, portalID)
	if err != nil {
		return nil, err
	}
	set, err := readSettings(ctx, s.db, portalID)
	if err != nil {
		return nil, failed("read settings", err)
	}
	lifetimes := set.Lifetimes.Within(s.Lifetimes)
	rows, err := s.db.QueryContext(ctx, `SELECT `+sessionColumns+` FROM sessions s
		WHERE s.account = $1 AND s.portal = $2 ORDER BY s.seen DESC, s.started DESC`, accountID, portalID)
	if err != nil {
		return nil, failed("read sessions", err)
	}
	defer func() { _ = rows.Close() }()
	now := s.now()
	var out []portal.Session
	for rows.Next() {
		var row sessionRow
		if err := rows.Scan(row.fields()...); err != nil {
			return nil, failed("read sessions", err)
		}
		ses := row.session()
		ses.Account, ses.Portal = a.Account, p
		if ses, err := counting(ses, row.generation, lifetimes, now); err == nil {
			out = append(out, ses)
		}
	}
	return out, failed("read sessions", rows.Err())
}

var errNoSession = &discovery.Error{Kind: discovery.NotFound, Code: "session_unknown"}

// EndSession ends one session of an account, by its public ID: with its next
// request, on whichever process, that browser is signed in no more. One that is
// not the account's is not found, whoever's it is.
func (s *Store) EndSession(ctx context.Context, portalID string, v portal.Visitor, accountID, id string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		ok, err := one(ctx, u, `DELETE FROM sessions WHERE portal = $1 AND id = $2 AND account = $3 AND id <> ''`, portalID, id, accountID)
		if err != nil {
			return err
		}
		if !ok {
			return u.refuse(portal.Event{Account: accountID, Action: "access.refused", Target: anID(id)}, errNoSession)
		}
		u.audit(portal.Event{Account: accountID, Action: "session.ended", Target: id})
		return nil
	})
}

// EndOtherSessions ends all sessions of an account but the one called keep, and
// whatever was half begun elsewhere: the account's generation rises, and the
// session that is kept goes along. Other browsers are not trusted any more.
func (s *Store) EndOtherSessions(ctx context.Context, portalID string, v portal.Visitor, accountID, keep string) error {
	return s.change(ctx, portalID, v, func(u *unit) error { return u.endOthers(ctx, accountID, keep) })
}

func (u *unit) endOthers(ctx context.Context, accountID, keep string) error {
	var generation int64
	err := u.QueryRowContext(ctx, `UPDATE accounts SET generation = generation + 1 WHERE id = $1 AND portal = $2 RETURNING generation`,
		accountID, u.portal).Scan(&generation)
	if err != nil {
		return err
	}
	kept, err := one(ctx, u, `UPDATE sessions SET generation = $1 WHERE portal = $2 AND account = $3 AND id = $4 AND generation = $5`,
		generation, u.portal, accountID, keep, generation-1)
	if err != nil {
		return err
	}
	if !kept {
		return portal.ErrNoSession // it was ended a moment ago, from elsewhere
	}
	if _, err := u.ExecContext(ctx, `DELETE FROM sessions WHERE account = $1 AND id <> $2`, accountID, keep); err != nil {
		return err
	}
	u.audit(portal.Event{Account: accountID, Action: "session.ended", Target: "others"})
	_, err = u.ExecContext(ctx, `UPDATE devices SET trusted = 0 WHERE account = $1 AND trusted > 0 AND browser <> $2`, accountID, blob(u.visitor.Browser.Digest()))
	return err
}

// anID is what somebody sent as a row's name, if it could be one. Anything else
// stays out of the audit log: it could be a secret.
func anID(s string) string {
	if len(s) == 32 && strings.Trim(s, "0123456789abcdef") == "" {
		return s
	}
	return ""
}
