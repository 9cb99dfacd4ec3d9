package store

import (
	"cmp"
	"context"
	"errors"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// RemoveFactor takes one of their own factors from a person who is signed in. The
// caller sees to it that they have proved lately who they are.
func (s *Store) RemoveFactor(ctx context.Context, portalID string, v portal.Visitor, ses portal.Session, factorID string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		b, err := s.bench(ctx, u, portalID, v, InSession(ses))
		if err != nil {
			return err
		}
		ways, err := s.readWays(ctx, u, portalID, b.account.ID)
		if err != nil {
			return err
		}
		if err := ways.MayRemove(factorID); err != nil {
			return u.refuse(portal.Event{Account: b.account.ID, Action: "factor.refused", Target: anID(factorID)}, err)
		}
		return u.dropFactor(ctx, b.account, factorID, ses.ID, portal.FactorRemoved)
	})
}

// dropFactor removes a factor and does what is due with that.
func (u *unit) dropFactor(ctx context.Context, a *account, factorID, sessionID string, what portal.FactorEvent) error {
	f, err := u.removeFactor(ctx, a, factorID)
	if errors.Is(err, errNoFactor) {
		return u.refuse(portal.Event{Account: a.ID, Action: "access.refused", Target: anID(factorID)}, err)
	}
	if err != nil {
		return err
	}
	u.audit(portal.Event{Account: a.ID, Action: "factor.removed", Method: string(f.Kind), Target: f.ID})
	if err := u.factorChanged(ctx, a.ID, sessionID); err != nil {
		return err
	}
	return u.tellFactor(ctx, a, portal.Letter{Factor: portal.FactorNews{What: what, Kind: f.Kind, Name: f.Name}})
}

// StopTrusting makes every browser of somebody who is signed in show the second
// factor again.
func (s *Store) StopTrusting(ctx context.Context, portalID string, v portal.Visitor, ses portal.Session) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		b, err := s.bench(ctx, u, portalID, v, InSession(ses))
		if err != nil {
			return err
		}
		return u.stopTrusting(ctx, b.account)
	})
}

// StopTrustingOf does the same for somebody else, in the console.
func (s *Store) StopTrustingOf(ctx context.Context, portalID string, v portal.Visitor, accountID string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		a, err := u.target(ctx, accountID, portal.EditUsers, portal.MayManage)
		if err != nil {
			return err
		}
		return u.stopTrusting(ctx, a)
	})
}

func (u *unit) stopTrusting(ctx context.Context, a *account) error {
	u.audit(portal.Event{Account: a.ID, Action: "browser.distrusted"})
	_, err := u.ExecContext(ctx, `UPDATE devices SET trusted = 0 WHERE account = $1 AND trusted > 0`, a.ID)
	return err
}

// RemoveFactorOf takes a factor from somebody who has lost it. Where the portal
// demands one, the person sets up another with the next sign-in.
func (s *Store) RemoveFactorOf(ctx context.Context, portalID string, v portal.Visitor, accountID, factorID string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		a, err := u.target(ctx, accountID, portal.EditUsers, portal.MayManage)
		if err != nil {
			return err
		}
		return u.dropFactor(ctx, a, factorID, "", portal.FactorRemovedByOther)
	})
}

// SendReset mails somebody a link for a new password, as if they had asked for it
// themselves: no administrator chooses or reads a password.
func (s *Store) SendReset(ctx context.Context, portalID string, v portal.Visitor, accountID string) error {
	bucket := portal.ResetBucket(portalID, accountID)
	if wait, err := s.charge(ctx, bucket); err != nil || wait > 0 {
		return cmp.Or(err, portal.TooMany("mail_throttled", wait))
	}
	err := s.change(ctx, portalID, v, func(u *unit) error {
		a, err := u.target(ctx, accountID, portal.EditUsers, portal.MayManage)
		if err != nil {
			return err
		}
		d, ok, err := domainFor(ctx, u, portalID, a.Primary.Domain())
		if err != nil {
			return err
		}
		if portal.ResetAnswer(a.Account, a.hash != "", !ok || d.AllowsPassword()) != portal.ResetLetter {
			return &discovery.Error{Kind: discovery.Conflict, Code: "no_password",
				Say: "This person has no password here, or cannot use it now. There is nothing to reset."}
		}
		token, t, err := u.newToken(ctx, portal.ForReset, a.ID, a.Primary)
		if err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "password.reset_requested", Code: string(portal.ResetLetter)})
		return u.post(ctx, a, portal.Letter{Kind: portal.ResetLetter, Token: token, Expires: t.Expires})
	})
	if err != nil {
		err = errors.Join(err, s.refund(ctx, bucket)) // no mail went out
	}
	return err
}
