package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// errUnknownAccount: no account of this portal has the ID. It may be another
// portal's, which nobody is told.
var errUnknownAccount = &discovery.Error{Kind: discovery.NotFound, Code: "account_unknown"}

// errPermission: the role does not allow it, or does not any more.
var errPermission = &discovery.Error{Kind: discovery.Forbidden, Code: "permission_missing",
	Say: "Your role in this portal does not allow that. Nothing was changed."}

// target reads the account that somebody in the console is about to change.
// Whether they may is decided by who they are now, not by who they were when the
// page was shown: somebody who was demoted or disabled meanwhile is refused.
// Without Visitor.Actor it is the operator, who may.
func (u *unit) target(ctx context.Context, accountID string, p portal.Permission, may func(actor, target portal.Account) error) (*account, error) {
	actor, err := u.actor(ctx, p)
	if err != nil {
		return nil, err
	}
	a, err := accountByID(ctx, u, u.portal, accountID)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, u.refuseActor(accountID, errUnknownAccount)
	}
	if actor == nil {
		return a, nil
	}
	if err := may(actor.Account, a.Account); err != nil {
		return nil, u.refuseActor(accountID, err)
	}
	return a, nil
}

// actor is who does this in the console, as they are now; nil is the operator.
func (u *unit) actor(ctx context.Context, p portal.Permission) (*account, error) {
	if u.visitor.Actor == "" {
		return nil, nil
	}
	a, err := accountByID(ctx, u, u.portal, u.visitor.Actor)
	if err != nil {
		return nil, err
	}
	if a == nil || a.Status != portal.Active || !a.Role.May(p) {
		return nil, u.refuseActor(string(p), errPermission)
	}
	return a, nil
}

// refuseActor refuses somebody in the console; target is what they reached for.
func (u *unit) refuseActor(target string, err error) error {
	return u.refuse(portal.Event{Account: u.visitor.Actor, Action: "access.refused", Target: target}, err)
}

// keepOwner refuses what would take the last active owner from a portal.
// Changes of a portal happen one after the other, so two owners who take each
// other's role away at once are two changes, and the second is refused (ADM-08).
func (u *unit) keepOwner(ctx context.Context, a portal.Account, action string) error {
	if !a.Owns() {
		return nil
	}
	var id string
	err := u.QueryRowContext(ctx, `SELECT id FROM accounts WHERE portal = $1 AND role = $2 AND status = $3 AND id <> $4 LIMIT 1`,
		u.portal, string(portal.Owner), string(portal.Active), a.ID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return u.refuse(portal.Event{Account: a.ID, Action: "access.refused", Target: action}, portal.ErrLastOwner)
	}
	return err
}

// SetRole gives an account a role (S34). Its sessions end: whoever gets other
// rights signs in for them anew, and what was open under the old ones is closed.
func (s *Store) SetRole(ctx context.Context, portalID string, v portal.Visitor, c portal.RoleChange) (changed bool, err error) {
	if _, err := portal.ParseRole(string(c.To)); err != nil {
		return false, err
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		a, err := u.target(ctx, c.Account, portal.GrantRoles, func(actor, target portal.Account) error {
			return portal.MayGrant(actor, target, c.To)
		})
		if err != nil {
			return err
		}
		if err := portal.MayEnable(a.Account); err != nil {
			return err // it is another account's past now
		}
		if c.Was != "" && a.Role != c.Was {
			return errStale
		}
		if a.Role == c.To {
			return nil
		}
		changed = true
		return u.setRole(ctx, a, c.To)
	})
	return changed && err == nil, err
}

func (u *unit) setRole(ctx context.Context, a *account, to portal.Role) error {
	if to != portal.Owner {
		if err := u.keepOwner(ctx, a.Account, "role.changed"); err != nil {
			return err
		}
	}
	if _, err := u.ExecContext(ctx, `UPDATE accounts SET role = $1 WHERE id = $2`, string(to), a.ID); err != nil {
		return err
	}
	u.audit(portal.Event{Account: a.ID, Action: "role.changed", Method: u.by(), Target: string(a.Role) + " → " + string(to)})
	if portal.Outgrown(a.Role, to) {
		if err := u.askAgain(ctx, a.ID); err != nil {
			return err
		}
	}
	a.Role = to
	if a.Status == portal.Invited {
		// Nobody is signed in, and the invitation stays good. It is worth the rights of
		// who gave the role from now on, which its inviter may not be able to give.
		_, err := u.ExecContext(ctx, `UPDATE invitations SET inviter = $1 WHERE account = $2`, u.visitor.Actor, a.ID)
		return err
	}
	if a.Status != portal.Active {
		return nil
	}
	return u.endSessions(ctx, a.ID)
}
