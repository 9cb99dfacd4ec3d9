package store

import (
	"context"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// Invite makes an account for a person, or renews the invitation of one who has
// not come yet: an earlier link and temporary password are void. Two mails go
// out, the link and, apart from it, the temporary password; a person whose
// organisation signs them in gets one, without. Changed is false, and nothing is
// sent, when the person is active already.
func (s *Store) Invite(ctx context.Context, v portal.Visitor, inv portal.Invitation) (changed bool, err error) {
	if inv.Address.IsZero() {
		return false, &discovery.Error{Kind: discovery.Invalid, Field: "email", Code: "address_empty", Say: "Enter the address to invite."}
	}
	temporary := portal.NewTemporaryPassword()
	hash, err := s.hasher.Hash(ctx, temporary)
	if err != nil {
		return false, failed("hash password", err)
	}
	invited := portal.InvitationBucket(inv.Portal, inv.Address)
	if wait, err := s.charge(ctx, invited); err != nil || wait > 0 {
		if err == nil {
			err = portal.TooMany("mail_throttled", wait)
		}
		return false, err
	}
	err = s.change(ctx, inv.Portal, v, func(u *unit) error {
		if err := u.mayBeInvitedBy(ctx, inv.By); err != nil {
			return err
		}
		d, ok, err := domainFor(ctx, u, inv.Portal, inv.Address.Domain())
		if err != nil {
			return err
		}
		inv.Federated = ok && !d.AllowsPassword()
		a, err := accountByAddress(ctx, u, inv.Portal, inv.Address)
		if err != nil {
			return err
		}
		switch {
		case a == nil:
			a = &account{Account: portal.Account{Status: portal.Invited, Primary: inv.Address, GivenName: inv.GivenName, FamilyName: inv.FamilyName}}
			if err := u.newAccount(ctx, &a.Account, portal.Unproven); err != nil {
				return err
			}
		case portal.MayInvite(a.Status) != nil:
			return portal.MayInvite(a.Status)
		case a.Status == portal.Active:
			return nil
		}
		changed = true
		u.audit(portal.Event{Account: a.ID, Action: "account.invited", Method: inviter(inv.By)})
		return u.sendInvitation(ctx, a, inv, temporary, hash)
	})
	if err == nil && !changed {
		err = s.refund(ctx, invited)
	}
	return changed && err == nil, err
}

func inviter(by string) string {
	if by == "" {
		return "operator"
	}
	return "account"
}

// mayBeInvitedBy looks at who invites when it happens, not when the form was
// shown.
func (u *unit) mayBeInvitedBy(ctx context.Context, by string) error {
	if by == "" {
		return nil
	}
	a, err := accountByID(ctx, u, u.portal, by)
	if err != nil {
		return err
	}
	if a == nil || a.Status != portal.Active {
		return &discovery.Error{Kind: discovery.Forbidden, Code: "inviter_refused"}
	}
	return nil
}

func (u *unit) sendInvitation(ctx context.Context, a *account, inv portal.Invitation, temporary portal.Secret, hash portal.PasswordHash) error {
	token, t, err := u.newToken(ctx, portal.ForInvitation, a.ID, inv.Address)
	if err != nil {
		return err
	}
	l := portal.Letter{Kind: portal.InvitationLetter, To: inv.Address, Federated: inv.Federated, Expires: t.Expires}
	if inv.Federated {
		// The link would only lead to the sign-in page, which needs no token.
		_, err := u.ExecContext(ctx, `UPDATE tokens SET used = $1 WHERE digest = $2`, micros(u.now), token.Digest())
		if err != nil {
			return err
		}
		return u.post(ctx, a, l)
	}
	if err := u.setPassword(ctx, a.ID, hash, true, micros(t.Expires)); err != nil {
		return err
	}
	l.Token = token
	if err := u.post(ctx, a, l); err != nil {
		return err
	}
	return u.post(ctx, a, portal.Letter{Kind: portal.TemporaryLetter, To: inv.Address, Temporary: temporary, Expires: t.Expires})
}

// InvitationByToken reads an invitation for the page that shows its form. It
// uses nothing up.
func (s *Store) InvitationByToken(ctx context.Context, portalID string, token portal.Secret) (inv portal.Invitation, err error) {
	t, err := s.readToken(ctx, portalID, portal.ForInvitation, token)
	if err != nil {
		return inv, err
	}
	a, err := accountByID(ctx, s.db, portalID, t.Account)
	if err != nil {
		return inv, failed("read account", err)
	}
	if a == nil || a.Status != portal.Invited {
		return inv, portal.ErrLink
	}
	return portal.Invitation{Portal: portalID, Address: t.Address, GivenName: a.GivenName, FamilyName: a.FamilyName}, nil
}

// RedeemInvitation is the first sign-in by the invitation's link: it takes the
// temporary password from the other mail and one of the person's own choice.
// Errors name the field "temporary" or "new".
func (s *Store) RedeemInvitation(ctx context.Context, portalID string, v portal.Visitor, token, temporary, password portal.Secret, keep bool) (portal.SignedIn, error) {
	inv, err := s.InvitationByToken(ctx, portalID, token)
	if err != nil {
		return portal.SignedIn{}, err
	}
	return s.replaceTemporary(ctx, portalID, v, replacement{
		address: inv.Address, temporary: temporary, password: password, keep: keep, returnTo: "/",
		claim: func(u *unit) error {
			_, err := u.useToken(ctx, portal.ForInvitation, token)
			return err
		},
	})
}
