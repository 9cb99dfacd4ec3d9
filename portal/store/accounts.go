package store

import (
	"context"

	"github.com/domicile-sso/domicile/portal"
)

// Accounts are all accounts of a portal, the oldest first.
func (s *Store) Accounts(ctx context.Context, portalID string) ([]portal.Account, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+accountColumns+` FROM`+accountTables+`WHERE a.portal = $1 ORDER BY a.created, a.id`, portalID)
	if err != nil {
		return nil, failed("read accounts", err)
	}
	defer func() { _ = rows.Close() }()
	var out []portal.Account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, failed("read accounts", err)
		}
		out = append(out, a.Account)
	}
	return out, failed("read accounts", rows.Err())
}
