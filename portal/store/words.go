package store

import (
	"context"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// index writes down what an account is found, sorted and counted by, after its
// names or confirmed addresses have changed.
func (u *unit) index(ctx context.Context, accountID string) error {
	var given, family string
	err := u.QueryRowContext(ctx, `SELECT given_name, family_name FROM accounts WHERE id = $1`, accountID).Scan(&given, &family)
	if err != nil {
		return err
	}
	addresses, err := u.confirmed(ctx, accountID)
	if err != nil {
		return err
	}
	key := portal.NameKey(given, family, addresses)
	if _, err := u.ExecContext(ctx, `UPDATE accounts SET name_key = $1 WHERE id = $2`, key, accountID); err != nil {
		return err
	}
	if _, err := u.ExecContext(ctx, `DELETE FROM words WHERE account = $1`, accountID); err != nil {
		return err
	}
	for _, w := range portal.Words(given, family, addresses) {
		_, err := u.ExecContext(ctx, `INSERT INTO words (portal, word, account, name_key) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, u.portal, []byte(w), accountID, key)
		if err != nil {
			return err
		}
	}
	return u.stand(ctx, accountID)
}

// confirmed are the confirmed addresses of an account, the primary one first.
func (u *unit) confirmed(ctx context.Context, accountID string) ([]discovery.Address, error) {
	rows, err := u.QueryContext(ctx, `SELECT address FROM addresses WHERE account = $1 AND confirmed > 0 ORDER BY is_primary DESC, address`, accountID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []discovery.Address
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		a, err := discovery.ParseAddress(s)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}
