package store

import (
	"context"
	"strings"

	"github.com/domicile-sso/domicile/portal"
)

// SaveProfile saves what people say about themselves, or what an administrator
// says about them (S27, S32). It returns the account as it is now: after a
// "stale_version" that is what somebody else saved meanwhile. All that is wrong
// with a profile comes as portal.Mistakes.
func (s *Store) SaveProfile(ctx context.Context, portalID string, v portal.Visitor, accountID string, p portal.Profile) (now portal.Account, changed bool, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		a, err := u.profiled(ctx, accountID)
		if err != nil {
			return err
		}
		now = a.Account
		l, err := licenceOf(ctx, u, accountID)
		if err != nil {
			return err
		}
		if p, err = p.Check(l.At(u.now), a.Profile()); err != nil {
			return err
		}
		names := p.Changed(a.Profile())
		if len(names) == 0 {
			return nil // whatever was saved meanwhile says the same
		}
		if p.Version != a.Version {
			return errStale
		}
		ok, err := one(ctx, u, `UPDATE accounts SET given_name = $1, family_name = $2, zone = $3, culture = $4, language = $5, cell = $6,
			sms_country = $7, return_protection = $8, version = version + 1 WHERE portal = $9 AND id = $10 AND version = $11`,
			p.GivenName, p.FamilyName, p.Zone, p.Culture, p.Language, p.Cell, p.SMSCountry, string(p.Protection), portalID, accountID, p.Version)
		if err != nil {
			return err
		}
		if !ok {
			return errStale
		}
		changed = true
		now = a.Account.With(p)
		now.Version++
		u.audit(portal.Event{Account: accountID, Action: "profile.changed", Target: strings.Join(names, " ")})
		return u.index(ctx, accountID)
	})
	return now, changed && err == nil, err
}

// profiled is the account whose profile is saved: one's own, or that of somebody
// whom one may look after.
func (u *unit) profiled(ctx context.Context, accountID string) (*account, error) {
	if u.visitor.Actor != accountID {
		return u.target(ctx, accountID, portal.EditUsers, portal.MayManage)
	}
	a, err := accountByID(ctx, u, u.portal, accountID)
	if err == nil && a == nil {
		err = u.refuse(portal.Event{Account: accountID, Action: "access.refused", Target: accountID}, errUnknownAccount)
	}
	return a, err
}

// HasTextFactor reports whether an account has a number of its own for security
// codes, which the one of its profile does not change.
func (s *Store) HasTextFactor(ctx context.Context, portalID, accountID string) (bool, error) {
	var n int
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM factors WHERE portal = $1 AND account = $2 AND kind = 'sms' AND confirmed > 0`,
		portalID, accountID).Scan(&n)
	return n > 0, failed("read factors", err)
}
