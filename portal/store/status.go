package store

import (
	"context"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// Disable keeps a person out at once and for as long as wanted: sessions end
// with their next request, links and attempts are void, the directory forgets
// the way here. Nothing is deleted (S13).
func (s *Store) Disable(ctx context.Context, portalID string, v portal.Visitor, address discovery.Address) (changed bool, err error) {
	return s.switchStatus(ctx, portalID, v, false, holderOf(portalID, address))
}

// Enable lets a disabled person in again. One who never signed in needs a new
// invitation: the old one ended with the disabling.
func (s *Store) Enable(ctx context.Context, portalID string, v portal.Visitor, address discovery.Address) (changed bool, err error) {
	return s.switchStatus(ctx, portalID, v, true, holderOf(portalID, address))
}

// SwitchAccount disables or enables an account by its ID, as somebody in the
// console does it (S13): they may still do so when it happens, whatever page
// they have in front of them. Without Visitor.Actor it is the operator.
func (s *Store) SwitchAccount(ctx context.Context, portalID string, v portal.Visitor, accountID string, enable bool) (changed bool, err error) {
	return s.switchStatus(ctx, portalID, v, enable, func(ctx context.Context, u *unit) (*account, error) {
		return u.target(ctx, accountID, portal.SwitchUsers, portal.MaySwitch)
	})
}

// finder reads the account that a use case is about.
type finder func(ctx context.Context, u *unit) (*account, error)

func holderOf(portalID string, address discovery.Address) finder {
	return func(ctx context.Context, u *unit) (*account, error) {
		a, err := accountByAddress(ctx, u, portalID, address)
		if err == nil && a == nil {
			err = errNoAccount
		}
		return a, err
	}
}

var errNoAccount = &discovery.Error{Kind: discovery.NotFound, Field: "email", Code: "account_unknown",
	Say: "There is no account with this address in this portal."}

func (s *Store) switchStatus(ctx context.Context, portalID string, v portal.Visitor, enable bool, find finder) (changed bool, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		a, err := find(ctx, u)
		if err != nil || enable != (a.Status == portal.Disabled) {
			return err
		}
		if enable {
			err = u.enable(ctx, a)
		} else {
			err = u.disable(ctx, a)
		}
		changed = err == nil
		return err
	})
	return changed && err == nil, err
}

func (u *unit) enable(ctx context.Context, a *account) error {
	if err := portal.MayEnable(a.Account); err != nil {
		return u.refuse(portal.Event{Account: a.ID, Action: "access.refused", Target: "account.enabled"}, err)
	}
	status := portal.Active
	if a.LastSignIn.IsZero() {
		status = portal.Invited
	}
	u.audit(portal.Event{Account: a.ID, Action: "account.enabled", Method: u.by()})
	if err := u.setStatus(ctx, &a.Account, status); err != nil {
		return err
	}
	return u.publishAccount(ctx, a.ID)
}

func (u *unit) disable(ctx context.Context, a *account) error {
	if err := u.keepOwner(ctx, a.Account, "account.disabled"); err != nil {
		return err
	}
	if _, err := u.endEverything(ctx, a.ID, ""); err != nil {
		return err
	}
	if _, err := u.ExecContext(ctx, `DELETE FROM credentials WHERE account = $1 AND temporary`, a.ID); err != nil {
		return err
	}
	u.audit(portal.Event{Account: a.ID, Action: "account.disabled", Method: u.by()})
	if err := u.setStatus(ctx, &a.Account, portal.Disabled); err != nil {
		return err
	}
	return u.publishAccount(ctx, a.ID)
}

// by is what the audit log calls the way of a change: the operator's commands,
// or a person in the console, whom Event.Actor names.
func (u *unit) by() string {
	if u.visitor.Actor == "" {
		return "operator"
	}
	return "console"
}

// SignOutAccount ends every session of somebody else's account, as somebody in
// the console does it: a device was lost. What was mailed stays good.
func (s *Store) SignOutAccount(ctx context.Context, portalID string, v portal.Visitor, accountID string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		a, err := u.target(ctx, accountID, portal.EditUsers, portal.MayManage)
		if err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "session.end_all", Method: u.by()})
		return u.endSessions(ctx, a.ID)
	})
}

// endSessions ends the sessions of an account, the sign-ins that are half done and
// trust in browsers; [unit.endEverything] also voids what was mailed.
func (u *unit) endSessions(ctx context.Context, accountID string) error {
	for _, q := range []string{
		`UPDATE accounts SET generation = generation + 1 WHERE id = $1`,
		`DELETE FROM sessions WHERE account = $1`,
		`DELETE FROM passed WHERE account = $1`,
		`DELETE FROM challenges WHERE account = $1`,
		`UPDATE devices SET trusted = 0 WHERE account = $1 AND trusted > 0`,
	} {
		if _, err := u.ExecContext(ctx, q, accountID); err != nil {
			return err
		}
	}
	return nil
}
