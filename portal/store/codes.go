package store

import (
	"context"

	"github.com/domicile-sso/domicile/portal"
)

// DrawCodes draws new recovery codes; the old ones are void. They are shown once
// and stored as digests. The caller sees to it that the person has proved lately
// who they are.
func (s *Store) DrawCodes(ctx context.Context, portalID string, v portal.Visitor, ses portal.Session) (codes []portal.Secret, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		b, err := s.bench(ctx, u, portalID, v, InSession(ses))
		if err != nil {
			return err
		}
		has, err := hasFactor(ctx, u, b.account.ID)
		if err != nil {
			return err
		}
		if !has {
			return portal.ErrNoFactorYet
		}
		if _, err := u.ExecContext(ctx, `DELETE FROM recovery_codes WHERE account = $1`, b.account.ID); err != nil {
			return err
		}
		for range portal.RecoveryCodes {
			code := portal.NewRecoveryCode()
			_, err := u.ExecContext(ctx, `INSERT INTO recovery_codes (account, digest, created, used) VALUES ($1, $2, $3, 0)`,
				b.account.ID, portal.RecoveryDigest(b.account.ID, code), micros(u.now))
			if err != nil {
				return err
			}
			codes = append(codes, code)
		}
		u.audit(portal.Event{Account: b.account.ID, Action: "factor.codes_drawn"})
		return u.tellFactor(ctx, b.account, portal.Letter{Factor: portal.FactorNews{What: portal.CodesDrawn}})
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// useCode spends a recovery code, once, and says how many are left.
func (u *unit) useCode(ctx context.Context, accountID string, code portal.Secret) (ok bool, left int, err error) {
	digest := portal.RecoveryDigest(accountID, code)
	if digest == nil {
		return false, 0, nil
	}
	ok, err = one(ctx, u, `UPDATE recovery_codes SET used = $1 WHERE account = $2 AND digest = $3 AND used = 0`, micros(u.now), accountID, digest)
	if err != nil || !ok {
		return false, 0, err
	}
	err = u.QueryRowContext(ctx, `SELECT COUNT(*) FROM recovery_codes WHERE account = $1 AND used = 0`, accountID).Scan(&left)
	return true, left, err
}
