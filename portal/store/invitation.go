package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// Invite makes an account for a person, or renews the invitation of one who has
// not come yet: an earlier link and temporary password are void. Two mails go
// out, the link and, apart from it, the temporary password; a person whose
// organisation signs them in gets one, without. Changed is false, and nothing is
// sent, when the person is active already. Who invites needs the right to it,
// and the domain of the address the portal's approval; the operator (By is
// empty) stands above both.
func (s *Store) Invite(ctx context.Context, v portal.Visitor, inv portal.Invitation) (changed bool, err error) {
	inv.Again = true
	outcome, err := s.InviteOnce(ctx, v, inv)
	return outcome == portal.InvitedNow, err
}

// InviteOnce is Invite for lists that may be sent twice: unless inv.Again is set,
// who has an invitation that can still be taken up keeps it.
func (s *Store) InviteOnce(ctx context.Context, v portal.Visitor, inv portal.Invitation) (outcome portal.InviteOutcome, err error) {
	if inv.Address.IsZero() {
		return "", &discovery.Error{Kind: discovery.Invalid, Field: "email", Code: "address_empty", Say: "Enter the address to invite."}
	}
	draft, err := s.draftInvitation(ctx, inv)
	if err != nil {
		return "", err
	}
	buckets := portal.InvitationBuckets(inv)
	if wait, err := s.charge(ctx, buckets...); err != nil || wait > 0 {
		if err == nil {
			err = portal.TooMany("mail_throttled", wait)
		}
		return "", err
	}
	err = s.change(ctx, inv.Portal, v, func(u *unit) error {
		by, err := u.inviter(ctx, inv.By)
		if err != nil {
			return err
		}
		approved, err := readApproved(ctx, u, inv.Portal)
		if err != nil {
			return err
		}
		outcome, err = u.invite(ctx, by, approved, inv, draft)
		var no *discovery.Error
		if errors.As(err, &no) && no.Kind == discovery.Forbidden {
			return u.refuse(portal.Event{Account: inv.By, Action: "access.refused", Target: string(portal.InviteUsers)}, err)
		}
		return err
	})
	if err != nil || outcome != portal.InvitedNow {
		err = errors.Join(err, s.refund(ctx, buckets...)) // no mail went out
	}
	if err != nil {
		return "", err
	}
	return outcome, nil
}

// A draft is what an invitation needs that takes too long to make while others
// wait.
type draft struct {
	temporary portal.Secret
	hash      portal.PasswordHash // empty: the person needs no password
}

func (s *Store) draftInvitation(ctx context.Context, inv portal.Invitation) (d draft, err error) {
	domain, ok, err := domainFor(ctx, s.db, inv.Portal, inv.Address.Domain())
	if err != nil {
		return d, failed("read domains", err)
	}
	if inv.Wait || ok && !domain.AllowsPassword() {
		return d, nil
	}
	d.temporary = portal.NewTemporaryPassword()
	d.hash, err = s.hasher.Hash(ctx, d.temporary)
	return d, failed("hash password", err)
}

// inviter reads who invites, when it happens and not when the form was shown;
// nil is the operator.
func (u *unit) inviter(ctx context.Context, id string) (*portal.Account, error) {
	if id == "" {
		return nil, nil
	}
	a, err := accountByID(ctx, u, u.portal, id)
	if err != nil {
		return nil, err
	}
	if a == nil || a.Status != portal.Active || !a.Role.May(portal.InviteUsers) {
		return nil, u.refuse(portal.Event{Account: id, Action: "access.refused"},
			&discovery.Error{Kind: discovery.Forbidden, Code: "inviter_refused", Say: "Your role in this portal does not allow that. Nothing was changed."})
	}
	return &a.Account, nil
}

// invite is one invitation in a use case that may hold many. An error of a rule
// has changed nothing.
func (u *unit) invite(ctx context.Context, by *portal.Account, approved []portal.ApprovedDomain, inv portal.Invitation, d draft) (portal.InviteOutcome, error) {
	a, err := accountByAddress(ctx, u, u.portal, inv.Address)
	if err != nil {
		return "", err
	}
	if a == nil {
		return portal.InvitedNow, u.inviteStranger(ctx, by, approved, inv, d)
	}
	if a.Status == portal.Active {
		return portal.ActiveAlready, nil
	}
	i, _, err := invitationOf(ctx, u, u.portal, a.ID)
	if err != nil {
		return "", err
	}
	if !i.Withdrawn {
		if err := portal.MayInvite(a.Status); err != nil {
			return "", err
		}
	}
	pending := !i.Made.IsZero() && !i.Over(u.now)
	if inv.Wait || pending && !inv.Again {
		return portal.InvitedBefore, nil
	}
	if by != nil {
		if err := portal.MayManage(*by, a.Account); err != nil {
			return "", err
		}
	}
	if a.Status != portal.Invited {
		if err := u.setStatus(ctx, &a.Account, portal.Invited); err != nil {
			return "", err
		}
		if err := u.publishAccount(ctx, a.ID); err != nil {
			return "", err
		}
	}
	return portal.InvitedNow, u.sendInvitation(ctx, a, by, inv, d)
}

func (u *unit) inviteStranger(ctx context.Context, by *portal.Account, approved []portal.ApprovedDomain, inv portal.Invitation, d draft) error {
	a := &account{Account: portal.Account{Status: portal.Invited, Primary: inv.Address, Role: inv.Role, Language: inv.Language,
		GivenName: inv.GivenName, FamilyName: inv.FamilyName}}
	if a.Role == "" {
		a.Role = portal.Member
	}
	if by != nil {
		if err := portal.MayInviteAs(by.Role, a.Role); err != nil {
			return err
		}
		if err := portal.MayJoin(a.Role, inv.Address, approved); err != nil {
			return err
		}
	}
	if err := u.seatFor(ctx, by, a.Role, inv.Plan); err != nil {
		return err
	}
	if err := u.newAccountWith(ctx, &a.Account, portal.Unproven, inv.Plan); err != nil {
		return err
	}
	if !inv.Wait {
		return u.sendInvitation(ctx, a, by, inv, d)
	}
	u.audit(portal.Event{Account: a.ID, Action: "account.created", Method: methodOf(by)})
	return u.noteInvitation(ctx, a, by, 0, 0)
}

// seatFor reports why a new person cannot have a licence, before anything is
// written. want is a plan; empty: the one that the role begins with.
func (u *unit) seatFor(ctx context.Context, by *portal.Account, role portal.Role, want string) error {
	if want != "" && by != nil && !by.Role.May(portal.AssignLicences) {
		return &discovery.Error{Kind: discovery.Forbidden, Field: "plan", Code: "plan_refused",
			Say: "Your role in this portal does not assign licences. Leave the plan open."}
	}
	plans, err := readPlans(ctx, u, u.portal)
	if err != nil {
		return err
	}
	for _, p := range plans {
		if p.Kind == portal.DefaultKind(role) && (want == "" || p.ID == want) {
			return p.Seat(p.Used)
		}
	}
	if want != "" {
		return &discovery.Error{Kind: discovery.Invalid, Field: "plan", Code: "plan_unknown",
			Say: "This plan is none for people with that role. Choose another one."}
	}
	return nil
}

func methodOf(by *portal.Account) string {
	if by == nil {
		return inviter("")
	}
	return inviter(by.ID)
}

func inviter(by string) string {
	if by == "" {
		return "operator"
	}
	return "account"
}

func (u *unit) noteInvitation(ctx context.Context, a *account, by *portal.Account, made, ends int64) error {
	inviter := ""
	if by != nil {
		inviter = by.ID
	}
	_, err := u.ExecContext(ctx, `INSERT INTO invitations (account, portal, inviter, made, ends, withdrawn) VALUES ($1, $2, $3, $4, $5, 0)
		ON CONFLICT (account) DO UPDATE SET inviter = excluded.inviter, made = excluded.made, ends = excluded.ends, withdrawn = 0`,
		a.ID, u.portal, inviter, made, ends)
	return err
}

func (u *unit) sendInvitation(ctx context.Context, a *account, by *portal.Account, inv portal.Invitation, d draft) error {
	domain, ok, err := domainFor(ctx, u, u.portal, inv.Address.Domain())
	if err != nil {
		return err
	}
	inv.Federated = ok && !domain.AllowsPassword()
	if !inv.Federated && d.hash == "" {
		return &discovery.Error{Kind: discovery.Unavailable, Code: "domain_changed"} // a moment ago
	}
	u.audit(portal.Event{Account: a.ID, Action: "account.invited", Method: methodOf(by)})
	token, t, err := u.newToken(ctx, portal.ForInvitation, a.ID, inv.Address)
	if err != nil {
		return err
	}
	l := portal.Letter{Kind: portal.InvitationLetter, To: inv.Address, Federated: inv.Federated, Expires: t.Expires}
	if inv.Federated {
		// The link would only lead to the sign-in page, which needs no token.
		if _, err := u.ExecContext(ctx, `UPDATE tokens SET used = $1 WHERE digest = $2`, micros(u.now), token.Digest()); err != nil {
			return err
		}
		if err := u.noteInvitation(ctx, a, by, micros(u.now), 0); err != nil {
			return err
		}
		return u.post(ctx, a, l)
	}
	if err := u.noteInvitation(ctx, a, by, micros(u.now), micros(t.Expires)); err != nil {
		return err
	}
	if err := u.setPassword(ctx, a.ID, d.hash, true, micros(t.Expires)); err != nil {
		return err
	}
	l.Token = token
	if err := u.post(ctx, a, l); err != nil {
		return err
	}
	return u.post(ctx, a, portal.Letter{Kind: portal.TemporaryLetter, To: inv.Address, Temporary: d.temporary, Expires: t.Expires})
}

var errNotInvited = &discovery.Error{Kind: discovery.Conflict, Code: "not_invited_now",
	Say: "There is no invitation to act on: this person has come already, or the account is disabled."}

// ResendInvitation invites a person of the portal again, by the account's ID.
func (s *Store) ResendInvitation(ctx context.Context, portalID string, v portal.Visitor, by, accountID string) error {
	a, err := accountByID(ctx, s.db, portalID, accountID)
	if err != nil {
		return failed("read account", err)
	}
	if a == nil {
		return s.unknownAccount(ctx, portalID, v, accountID)
	}
	changed, err := s.Invite(ctx, v, portal.Invitation{Portal: portalID, Address: a.Primary, By: by})
	if err == nil && !changed {
		err = errNotInvited
	}
	return err
}

// unknownAccount answers an ID that names nobody in the portal.
func (s *Store) unknownAccount(ctx context.Context, portalID string, v portal.Visitor, accountID string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		return u.refuse(portal.Event{Account: v.Actor, Action: "access.refused", Code: "account_unknown", Target: accountID},
			&discovery.Error{Kind: discovery.NotFound, Code: "account_unknown"})
	})
}

// WithdrawInvitation takes an invitation back: its link and temporary password
// are void, and the account is disabled until the person is invited again.
func (s *Store) WithdrawInvitation(ctx context.Context, portalID string, v portal.Visitor, by, accountID string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		actor, err := u.inviter(ctx, by)
		if err != nil {
			return err
		}
		a, err := accountByID(ctx, u, portalID, accountID)
		if err != nil {
			return err
		}
		if a == nil {
			return u.refuse(portal.Event{Account: v.Actor, Action: "access.refused", Code: "account_unknown", Target: accountID},
				&discovery.Error{Kind: discovery.NotFound, Code: "account_unknown"})
		}
		if a.Status != portal.Invited {
			return errNotInvited
		}
		if actor != nil {
			if err := portal.MayManage(*actor, a.Account); err != nil {
				return u.refuse(portal.Event{Account: a.ID, Action: "access.refused"}, err)
			}
		}
		generation, err := u.endEverything(ctx, a.ID, "")
		if err != nil {
			return err
		}
		if err := u.noteInvitation(ctx, a, actor, 0, 0); err != nil {
			return err
		}
		if _, err := u.ExecContext(ctx, `DELETE FROM credentials WHERE account = $1 AND temporary`, a.ID); err != nil {
			return err
		}
		if _, err := u.ExecContext(ctx, `UPDATE invitations SET withdrawn = $1 WHERE account = $2`, generation, a.ID); err != nil {
			return err
		}
		if err := u.setStatus(ctx, &a.Account, portal.Disabled); err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "invitation.withdrawn", Method: methodOf(actor)})
		return u.publishAccount(ctx, a.ID)
	})
}

// takeUp lets an invited person in, if whoever invited them could still do so:
// an invitation is worth as much as its inviter's rights are now.
func (u *unit) takeUp(ctx context.Context, a portal.Account) error {
	if a.Status != portal.Invited {
		return nil
	}
	inviter, counts, err := inviterCounts(ctx, u, u.portal, a)
	if err == nil && !counts {
		err = u.refuse(portal.Event{Account: a.ID, Action: "session.refused", Target: inviter},
			&discovery.Error{Kind: discovery.Forbidden, Code: "inviter_refused",
				Say: "This invitation is no longer valid. Please ask the administrator of this portal for a new one."})
	}
	return err
}

// inviterCounts reports whether who invited an account could do so now.
func inviterCounts(ctx context.Context, q querier, portalID string, a portal.Account) (inviter string, counts bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT inviter FROM invitations WHERE account = $1`, a.ID).Scan(&inviter)
	if errors.Is(err, sql.ErrNoRows) || err == nil && inviter == "" {
		return "", true, nil
	}
	if err != nil {
		return "", false, err
	}
	by, err := accountByID(ctx, q, portalID, inviter)
	if err != nil {
		return "", false, err
	}
	return inviter, by != nil && by.Status == portal.Active && portal.MayInviteAs(by.Role, a.Role) == nil, nil
}

// voidInvitation reports whether an account was invited and its invitation could
// not be taken up now: it was not sent, has lapsed, or its inviter lost the right.
func voidInvitation(ctx context.Context, q querier, a portal.Account, now time.Time) (bool, error) {
	if a.Status != portal.Invited {
		return false, nil
	}
	i, known, err := invitationOf(ctx, q, a.Portal, a.ID)
	if err != nil || !known {
		return false, err
	}
	_, counts, err := inviterCounts(ctx, q, a.Portal, a)
	return !counts || i.Made.IsZero() || i.Over(now), err
}

// Invitations are the people who have not come yet, the latest first, at most
// limit of them.
func (s *Store) Invitations(ctx context.Context, portalID string, limit int) ([]portal.InvitedAccount, error) {
	// Where few have not come, they are looked at; else the latest invitations are,
	// of which most are theirs.
	from := ` WHERE i.portal = $1 AND a.status = 'invited'`
	var n int64
	err := s.db.QueryRowContext(ctx, `SELECT COALESCE(SUM(n), 0) FROM tallies WHERE portal = $1 AND name = 'status:invited'`, portalID).Scan(&n)
	if err != nil {
		return nil, failed("read invitations", err)
	}
	if n <= few {
		from += ` AND a.id IN (SELECT id FROM accounts WHERE portal = $1 AND status = 'invited' LIMIT ` + strconv.Itoa(few) + `)`
	}
	rows, err := s.db.QueryContext(ctx, `SELECT `+accountColumns+`, i.inviter, i.made, i.ends FROM`+accountTables+`
		JOIN invitations i ON i.account = a.id`+from+` ORDER BY i.made DESC, a.id LIMIT $2`, portalID, limit)
	if err != nil {
		return nil, failed("read invitations", err)
	}
	defer func() { _ = rows.Close() }()
	var out []portal.InvitedAccount
	for rows.Next() {
		var i portal.InvitedAccount
		var made, ends int64
		a, err := scanAccount(rows, &i.Inviter, &made, &ends)
		if err != nil {
			return nil, failed("read invitations", err)
		}
		i.Account, i.Made, i.Ends = a.Account, when(made), when(ends)
		out = append(out, i)
	}
	return out, failed("read invitations", rows.Err())
}

// InvitationOf is the invitation of one account; ok is false when there is none
// that anything can be done with.
func (s *Store) InvitationOf(ctx context.Context, portalID, accountID string) (i portal.InvitedAccount, ok bool, err error) {
	i, ok, err = invitationOf(ctx, s.db, portalID, accountID)
	return i, ok, failed("read invitation", err)
}

func invitationOf(ctx context.Context, q querier, portalID, accountID string) (i portal.InvitedAccount, ok bool, err error) {
	var made, ends, withdrawn int64
	a, err := scanAccount(q.QueryRowContext(ctx, `SELECT `+accountColumns+`, i.inviter, i.made, i.ends, i.withdrawn FROM`+accountTables+`
		JOIN invitations i ON i.account = a.id WHERE i.portal = $1 AND a.id = $2`, portalID, accountID), &i.Inviter, &made, &ends, &withdrawn)
	if errors.Is(err, sql.ErrNoRows) {
		return i, false, nil
	}
	i.Account, i.Made, i.Ends = a.Account, when(made), when(ends)
	// Disabled for no other reason than that it was withdrawn: whatever was done to
	// the account since has raised its generation.
	i.Withdrawn = a.Status == portal.Disabled && withdrawn > 0 && withdrawn == a.Generation && a.MergedInto == ""
	return i, err == nil && (a.Status == portal.Invited || i.Withdrawn), err
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
		address: inv.Address, temporary: temporary, password: password, attempt: portal.Attempt{Keep: keep, ReturnTo: "/"},
		claim: func(u *unit) error {
			_, err := u.useToken(ctx, portal.ForInvitation, token)
			return err
		},
	})
}
