package store

import (
	"context"

	"github.com/domicile-sso/domicile/portal"
)

const setUpTOTP = "totp"

// BeginTOTP draws the secret of an authenticator app. It counts for nothing until
// a code shows that the app has it; an older one that waits is void.
func (s *Store) BeginTOTP(ctx context.Context, portalID string, v portal.Visitor, at SetUp) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		b, err := s.bench(ctx, u, portalID, v, at)
		if err != nil {
			return err
		}
		if err := u.mayAdd(ctx, b.account.ID, portal.TOTPFactor); err != nil {
			return err
		}
		return u.ask(ctx, b.owner, setUpTOTP, b.account.ID, []byte(portal.NewTOTPSecret()), portal.SetUpLife)
	})
}

// PendingTOTP is the secret being set up, for the one browser it was drawn for; it
// is empty when there is none.
func (s *Store) PendingTOTP(ctx context.Context, portalID string, v portal.Visitor, at SetUp) (portal.Secret, portal.Account, error) {
	b, err := s.bench(ctx, s.db, portalID, v, at)
	if err != nil {
		return "", portal.Account{}, failed("read set-up", err)
	}
	c, _, err := s.asked(ctx, s.db, portalID, b.owner, setUpTOTP, b.account.ID)
	return portal.Secret(c.plain), b.account.Account, failed("read set-up", err)
}

// ConfirmTOTP adds the app whose secret is being set up, once its code is right.
// On the way in, that completes the sign-in.
func (s *Store) ConfirmTOTP(ctx context.Context, portalID string, v portal.Visitor, at SetUp, name string, code portal.Secret) (in portal.SignedIn, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		b, err := s.bench(ctx, u, portalID, v, at)
		if err != nil {
			return err
		}
		c, ok, err := s.asked(ctx, u, portalID, b.owner, setUpTOTP, b.account.ID)
		if err != nil {
			return err
		}
		if !ok {
			return portal.ErrSetUpOver
		}
		typed := portal.TypedCode(code)
		if typed == "" {
			return portal.ErrFactorShape
		}
		step, ok := portal.MatchTOTP(portal.Secret(c.plain), typed, u.now, 0)
		if !ok {
			// Who sets it up has the secret on the screen: there is nothing to guess.
			return portal.ErrFactorCode
		}
		if err := u.spend(ctx, c); err != nil {
			return err
		}
		in, err = u.addFactor(ctx, at, b, portal.Factor{Kind: portal.TOTPFactor, Name: portal.FactorName(name)}, c.plain, nil, step)
		return err
	})
	return in, err
}

// useTOTP accepts a code of one of an account's apps. Each step of each app counts
// once, whoever is first: the UPDATE decides.
func (u *unit) useTOTP(ctx context.Context, accountID string, code portal.Secret) (ok bool, err error) {
	apps, err := u.sealedFactors(ctx, accountID, portal.TOTPFactor)
	if err != nil {
		return false, err
	}
	for _, app := range apps {
		step, matches := portal.MatchTOTP(portal.Secret(app.plain), code, u.now, app.step)
		if !matches {
			continue
		}
		return one(ctx, u, `UPDATE factors SET step = $1, used = $2 WHERE id = $3 AND account = $4 AND confirmed > 0 AND step < $1`,
			step, micros(u.now), app.id, accountID)
	}
	return false, nil
}

// A sealedFactor is a factor with what is secret about it.
type sealedFactor struct {
	id    string
	plain []byte
	step  int64
}

func (u *unit) sealedFactors(ctx context.Context, accountID string, kind portal.FactorKind) ([]sealedFactor, error) {
	rows, err := u.QueryContext(ctx, `SELECT id, sealed, step FROM factors WHERE account = $1 AND kind = $2 AND confirmed > 0 ORDER BY created, id`,
		accountID, string(kind))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []sealedFactor
	for rows.Next() {
		var f sealedFactor
		var sealed []byte
		if err := rows.Scan(&f.id, &sealed, &f.step); err != nil {
			return nil, err
		}
		if f.plain, err = u.s.vault.Open(factorPlace(f.id), sealed); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}
