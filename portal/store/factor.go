package store

import (
	"context"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func factorPlace(id string) string { return "factor " + id }

// hasFactor reports whether an account has a second factor that counts.
func hasFactor(ctx context.Context, q querier, accountID string) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM factors WHERE account = $1 AND confirmed > 0`, accountID).Scan(&n)
	return n > 0, err
}

// readFactors are the confirmed factors of an account, the oldest first.
func readFactors(ctx context.Context, q querier, accountID string) ([]portal.Factor, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, account, kind, name, created, confirmed, used FROM factors
		WHERE account = $1 AND confirmed > 0 ORDER BY created, id`, accountID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []portal.Factor
	for rows.Next() {
		var f portal.Factor
		var created, confirmed, used int64
		if err := rows.Scan(&f.ID, &f.Account, &f.Kind, &f.Name, &created, &confirmed, &used); err != nil {
			return nil, err
		}
		f.Created, f.Confirmed, f.Used = when(created), when(confirmed), when(used)
		out = append(out, f)
	}
	return out, rows.Err()
}

// Ways are how an account of the portal can be signed in to.
func (s *Store) Ways(ctx context.Context, portalID, accountID string) (portal.Ways, error) {
	w, err := s.readWays(ctx, s.db, portalID, accountID)
	return w, failed("read ways to sign in", err)
}

func (s *Store) readWays(ctx context.Context, q querier, portalID, accountID string) (w portal.Ways, err error) {
	a, err := accountByID(ctx, q, portalID, accountID)
	if err != nil {
		return w, err
	}
	if a == nil {
		return w, errNoAccount
	}
	d, known, err := domainFor(ctx, q, portalID, a.Primary.Domain())
	if err != nil {
		return w, err
	}
	w.Password = a.hash != "" && (!known || d.AllowsPassword())
	if known && d.Connection != "" {
		c, _, err := s.readConnection(ctx, q, d.Connection)
		if err != nil {
			return w, err
		}
		w.Connection, w.ConnectionName = c.ID, c.Name
	}
	set, err := readSettings(ctx, q, portalID)
	if err != nil {
		return w, err
	}
	w.Demanded = set.Demands(discovery.SAML) || w.Password && set.Demands(discovery.Password)
	if w.Factors, err = readFactors(ctx, q, a.ID); err != nil {
		return w, err
	}
	var made int64
	err = q.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MAX(created), 0) FROM recovery_codes WHERE account = $1 AND used = 0`, a.ID).Scan(&w.Codes, &made)
	if err != nil {
		return w, err
	}
	w.CodesMade = when(made)
	err = q.QueryRowContext(ctx, `SELECT COUNT(*) FROM devices WHERE account = $1 AND trusted > $2`, a.ID, micros(s.now())).Scan(&w.Trusted)
	return w, err
}

// trust spares a browser the second factor for as long as the portal has decided.
func (u *unit) trust(ctx context.Context, accountID string, browser []byte) error {
	set, err := readSettings(ctx, u, u.portal)
	if err != nil || set.TrustDays <= 0 || len(browser) == 0 {
		return err
	}
	_, err = u.ExecContext(ctx, `UPDATE devices SET trusted = $1 WHERE account = $2 AND browser = $3`,
		micros(u.now.Add(time.Duration(set.TrustDays)*24*time.Hour)), accountID, browser)
	if err == nil {
		u.audit(portal.Event{Account: accountID, Action: "browser.trusted"})
	}
	return err
}

// factorChanged is due with every change of an account's factors: sessions other
// than the one it was done in, half sign-ins and trust in browsers are over, since
// they may be those of whoever it was changed because of.
func (u *unit) factorChanged(ctx context.Context, accountID, sessionID string) error {
	_, err := u.endGeneration(ctx, accountID, sessionID)
	return err
}

func (u *unit) endGeneration(ctx context.Context, accountID, sessionID string) (generation int64, err error) {
	err = u.QueryRowContext(ctx, `UPDATE accounts SET generation = generation + 1 WHERE id = $1 RETURNING generation`, accountID).Scan(&generation)
	if err != nil {
		return 0, err
	}
	if _, err := u.ExecContext(ctx, `UPDATE sessions SET generation = $1 WHERE account = $2 AND id = $3 AND id <> ''`, generation, accountID, sessionID); err != nil {
		return 0, err
	}
	for _, q := range []string{
		`DELETE FROM sessions WHERE account = $1 AND generation < $2`,
		`DELETE FROM passed WHERE account = $1 AND generation < $2`,
	} {
		if _, err := u.ExecContext(ctx, q, accountID, generation); err != nil {
			return 0, err
		}
	}
	_, err = u.ExecContext(ctx, `UPDATE devices SET trusted = 0 WHERE account = $1 AND trusted > 0`, accountID)
	return generation, err
}

var errNoFactor = &discovery.Error{Kind: discovery.NotFound, Code: "factor_unknown", Say: "There is no such second factor."}

// removeFactor takes a factor from an account; what depended on it goes too.
func (u *unit) removeFactor(ctx context.Context, a *account, id string) (portal.Factor, error) {
	factors, err := readFactors(ctx, u, a.ID)
	if err != nil {
		return portal.Factor{}, err
	}
	for _, f := range factors {
		if f.ID != id {
			continue
		}
		if _, err := u.ExecContext(ctx, `DELETE FROM factors WHERE id = $1 AND account = $2`, id, a.ID); err != nil {
			return f, err
		}
		if len(factors) > 1 {
			return f, nil
		}
		if err := u.stand(ctx, a.ID); err != nil {
			return f, err
		}
		// Recovery codes stand in for factors: without any they would be for nothing.
		_, err := u.ExecContext(ctx, `DELETE FROM recovery_codes WHERE account = $1`, a.ID)
		return f, err
	}
	return portal.Factor{}, errNoFactor
}
