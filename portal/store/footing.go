package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/domicile-sso/domicile/portal"
)

// A footingRow is a confirmed address, or one that was, with what is stored of
// its account's footing in its domain.
type footingRow struct {
	address, domain            string
	primary, confirmed, proven bool
	had                        string
}

// stand notes the footing of an account in each of its domains, after anything
// has changed that a footing is made of. Of the confirmed addresses in a domain
// the first one carries it; doing it twice changes nothing.
func (u *unit) stand(ctx context.Context, accountID string) error {
	is, err := readFooting(ctx, u, accountID)
	if err != nil {
		return err
	}
	rows, err := readFootingRows(ctx, u, accountID)
	if err != nil {
		return err
	}
	for _, r := range rows {
		now := footingOf(is, rows, r)
		if now == r.had {
			continue
		}
		if _, err := u.ExecContext(ctx, `UPDATE addresses SET footing = $1 WHERE account = $2 AND address = $3`, now, accountID, r.address); err != nil {
			return err
		}
		if err := u.countFooting(ctx, r.domain, r.had, -1); err != nil {
			return err
		}
		if err := u.countFooting(ctx, r.domain, now, 1); err != nil {
			return err
		}
	}
	return nil
}

// footingOf is what r carries of an account with all these addresses; empty: an
// address before it does, or it is not confirmed.
func footingOf(is portal.Footing, all []footingRow, r footingRow) string {
	if !r.confirmed {
		return ""
	}
	first := true
	for _, o := range all {
		switch {
		case !o.confirmed:
		case o.domain != r.domain:
			is.Several = true
		default:
			if first && o.address != r.address {
				return ""
			}
			first = false
			is.Proven = is.Proven || o.proven
			is.Primary = is.Primary || o.primary
		}
	}
	return is.String()
}

// readFooting is what is the same in all domains of an account.
func readFooting(ctx context.Context, q querier, accountID string) (s portal.Footing, err error) {
	var has, temporary bool
	err = q.QueryRowContext(ctx, `SELECT a.status, COALESCE(c.hash, '') <> '', COALESCE(c.temporary, FALSE),
		EXISTS (SELECT 1 FROM factors f WHERE f.account = a.id AND f.confirmed > 0)
		FROM accounts a LEFT JOIN credentials c ON c.account = a.id WHERE a.id = $1`, accountID).
		Scan(&s.Status, &has, &temporary, &s.Factor)
	if err != nil {
		return s, err
	}
	s.Password, s.Temporary = has && !temporary, has && temporary
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT connection FROM identities WHERE account = $1 ORDER BY connection`, accountID)
	if err != nil {
		return s, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var connection string
		if err := rows.Scan(&connection); err != nil {
			return s, err
		}
		s.Known = append(s.Known, connection)
	}
	return s, rows.Err()
}

func readFootingRows(ctx context.Context, q querier, accountID string) ([]footingRow, error) {
	rows, err := q.QueryContext(ctx, `SELECT address, domain, is_primary, confirmed > 0, proof <> '', footing
		FROM addresses WHERE account = $1 ORDER BY is_primary DESC, address`, accountID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []footingRow
	for rows.Next() {
		var r footingRow
		if err := rows.Scan(&r.address, &r.domain, &r.primary, &r.confirmed, &r.proven, &r.had); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// countFooting counts n more of a footing in a domain; empty is none.
func (u *unit) countFooting(ctx context.Context, domain, footing string, n int64) error {
	if footing == "" {
		return nil
	}
	_, err := u.ExecContext(ctx, `INSERT INTO footings (portal, domain, footing, n) VALUES ($1, $2, $3, $4)
		ON CONFLICT (portal, domain, footing) DO UPDATE SET n = footings.n + excluded.n`, u.portal, domain, footing, n)
	if err != nil {
		return err
	}
	if s, ok := portal.ParseFooting(footing); ok && s.Unfactored() {
		return u.tally(ctx, unfactored, n)
	}
	return nil
}

var errFooting = errors.New("a stored footing does not parse")

// unfactored is the tally of who can sign in and has no second factor.
const unfactored = "unfactored"

// dropAddress deletes an alias of an account.
func (u *unit) dropAddress(ctx context.Context, accountID, address string) error {
	var domain, footing string
	err := u.QueryRowContext(ctx, `DELETE FROM addresses WHERE account = $1 AND address = $2 AND NOT is_primary RETURNING domain, footing`,
		accountID, address).Scan(&domain, &footing)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return u.countFooting(ctx, domain, footing, -1)
}

// A counted is how many people of a portal have a footing in a domain.
type counted struct {
	domain, text string
	portal.Footing
	n int64
}

// readFootings are the numbers of a portal, or of those of its domains that are
// asked for.
func readFootings(ctx context.Context, q querier, portalID string, domains ...string) ([]counted, error) {
	narrow := &accountQuery{args: []any{portalID}}
	in := ``
	if len(domains) > 0 {
		in = ` AND domain IN (` + narrow.list(domains) + `)`
	}
	rows, err := q.QueryContext(ctx, `SELECT domain, footing, n FROM footings WHERE portal = $1 AND n > 0`+in+` ORDER BY domain, footing`, narrow.args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []counted
	for rows.Next() {
		var c counted
		if err := rows.Scan(&c.domain, &c.text, &c.n); err != nil {
			return nil, err
		}
		var ok bool
		if c.Footing, ok = portal.ParseFooting(c.text); !ok {
			return nil, errFooting
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// recountFootings counts everything anew, after many accounts have changed in one
// statement.
func recountFootings(ctx context.Context, tx querier) error {
	for _, q := range []string{
		`DELETE FROM footings`,
		`INSERT INTO footings (portal, domain, footing, n)
			SELECT portal, domain, footing, COUNT(*) FROM addresses WHERE footing <> '' GROUP BY portal, domain, footing`,
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}
