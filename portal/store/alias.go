package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// Aliases are the addresses of an account: the primary one first, then the
// confirmed ones, then those that wait.
func (s *Store) Aliases(ctx context.Context, portalID, accountID string) ([]portal.Alias, error) {
	all, err := readAliases(ctx, s.db, portalID, accountID)
	return all, failed("read addresses", err)
}

func readAliases(ctx context.Context, q querier, portalID, accountID string) ([]portal.Alias, error) {
	rows, err := q.QueryContext(ctx, `SELECT address, is_primary, confirmed, proof, added, added_by, expires FROM addresses
		WHERE account = $1 AND portal = $2 ORDER BY is_primary DESC, CASE WHEN confirmed > 0 THEN 0 ELSE 1 END, address`, accountID, portalID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []portal.Alias
	for rows.Next() {
		var a portal.Alias
		var address, proof string
		var confirmed, added, expires int64
		if err := rows.Scan(&address, &a.Primary, &confirmed, &proof, &added, &a.AddedBy, &expires); err != nil {
			return nil, err
		}
		if a.Address, err = discovery.ParseAddress(address); err != nil {
			return nil, fmt.Errorf("account %s: an address of it does not parse", accountID)
		}
		a.Proof, a.Confirmed, a.Added, a.Expires = portal.Proof(proof), when(confirmed), when(added), when(expires)
		out = append(out, a)
	}
	return out, rows.Err()
}

func aliasOf(all []portal.Alias, address discovery.Address) *portal.Alias {
	i := slices.IndexFunc(all, func(a portal.Alias) bool { return a.Address == address })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// AddAlias writes down a pending address of an account and sends its mailbox a
// link, or the link again. Whoever the address belongs to, the answer is the
// same, and so is what happens; a mailbox that has had enough of such mails is
// spared in silence. v.Actor is who asks: the person, or an administrator, who
// can do this much and no more (S17). Errors name the field "email".
func (s *Store) AddAlias(ctx context.Context, portalID string, v portal.Visitor, accountID string, address discovery.Address) error {
	return s.sendAlias(ctx, portalID, v, accountID, address, func(_ *portal.Alias) error { return nil })
}

// ResendAlias sends a pending address its link again; the one before is void.
func (s *Store) ResendAlias(ctx context.Context, portalID string, v portal.Visitor, accountID string, address discovery.Address) error {
	return s.sendAlias(ctx, portalID, v, accountID, address, portal.MayResend)
}

func (s *Store) sendAlias(ctx context.Context, portalID string, v portal.Visitor, accountID string, address discovery.Address, may func(*portal.Alias) error) error {
	if address.IsZero() {
		return &discovery.Error{Kind: discovery.Invalid, Field: "email", Code: "address_empty", Say: "Enter the new address."}
	}
	mailbox, mailer := portal.AliasBuckets(portalID, address, v.Actor)
	if wait, err := s.charge(ctx, mailer); err != nil || wait > 0 {
		if err == nil {
			err = portal.TooMany("mail_throttled", wait)
		}
		return err
	}
	wait, err := s.charge(ctx, mailbox)
	if err != nil {
		return err
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		a, err := u.editAliases(ctx, accountID)
		if err != nil {
			return err
		}
		all, err := readAliases(ctx, u, portalID, a.ID)
		if err != nil {
			return err
		}
		has := aliasOf(all, address)
		if err := may(has); err != nil {
			return u.refuseKnown(portal.Event{Account: a.ID, Action: "alias.refused"}, err)
		}
		if err := portal.MayAddAlias(a.Account, all, address); err != nil {
			return err
		}
		return u.addAlias(ctx, a, address, has == nil, wait == 0)
	})
	if err != nil && wait == 0 {
		_ = s.refund(ctx, mailbox) // nothing was sent; the refusal is what there is to tell
	}
	return err
}

func (u *unit) addAlias(ctx context.Context, a *account, address discovery.Address, fresh, mail bool) error {
	expires := u.now.Add(portal.ForAlias.Life())
	by := ""
	if u.visitor.Actor != a.ID {
		by = u.visitor.Actor
	}
	_, err := u.ExecContext(ctx, `INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof, added, added_by, expires)
		VALUES ($1, $2, $3, $4, FALSE, 0, '', $5, $6, $7)
		ON CONFLICT (account, address) DO UPDATE SET expires = excluded.expires WHERE addresses.confirmed = 0`,
		a.ID, u.portal, address.Clear(), address.Domain(), micros(u.now), by, micros(expires))
	if err != nil {
		return err
	}
	action := "alias.sent"
	if fresh {
		action = "alias.added"
	}
	u.audit(portal.Event{Account: a.ID, Action: action})
	author, err := u.author(ctx, a.ID)
	if err != nil {
		return err
	}
	if mail {
		l := portal.Letter{Kind: portal.AliasLetter, To: address, About: address, By: author}
		var t portal.Token
		if l.Token, t, err = u.newToken(ctx, portal.ForAlias, a.ID, address); err != nil {
			return err
		}
		l.Expires = t.Expires
		if err := u.post(ctx, a, l); err != nil {
			return err
		}
	}
	if !fresh {
		return nil
	}
	return u.post(ctx, a, portal.Letter{Kind: portal.AliasAddedLetter, About: address, By: author})
}

// author is the name of the administrator who does something to an account; "" is
// the person.
func (u *unit) author(ctx context.Context, accountID string) (string, error) {
	if u.visitor.Actor == "" || u.visitor.Actor == accountID {
		return "", nil
	}
	by, err := accountByID(ctx, u, u.portal, u.visitor.Actor)
	if err != nil || by == nil {
		return "", err
	}
	return cmp.Or(strings.TrimSpace(by.GivenName+" "+by.FamilyName), by.Primary.Clear()), nil
}

// editAliases finds the account whose pending addresses the visitor's own account
// is about to change, and asks whether it may.
func (u *unit) editAliases(ctx context.Context, accountID string) (*account, error) {
	target, err := accountByID(ctx, u, u.portal, accountID)
	if err != nil {
		return nil, err
	}
	if target == nil {
		return nil, u.refuse(portal.Event{Action: "access.refused", Code: "account_unknown", Target: accountID}, errNoAccount)
	}
	actor := target
	if u.visitor.Actor != accountID {
		if actor, err = accountByID(ctx, u, u.portal, u.visitor.Actor); err != nil {
			return nil, err
		}
	}
	if actor == nil || actor.Status != portal.Active {
		return nil, portal.ErrNoSession
	}
	own, err := licenceOf(ctx, u, actor.ID)
	if err != nil {
		return nil, err
	}
	if err := portal.MayEditAliases(actor.Account, target.Account, own, u.now); err != nil {
		return nil, u.refuse(portal.Event{Account: target.ID, Action: "alias.refused"}, err)
	}
	return target, nil
}

// AliasByToken reads what a mailed link would confirm in a session of an account,
// for the page that asks. It uses nothing up. portal.ErrMerge: the address has an
// account, which can be joined.
func (s *Store) AliasByToken(ctx context.Context, portalID, accountID string, token portal.Secret) (discovery.Address, error) {
	c, err := s.confirmation(ctx, s.db, portalID, accountID, token)
	if err == nil {
		err = c.Decide(s.now())
	}
	return c.Token.Address, failed("read confirmation", err)
}

// confirmation gathers what the rule looks at.
func (s *Store) confirmation(ctx context.Context, q querier, portalID, accountID string, token portal.Secret) (c portal.Confirmation, err error) {
	if c.Token, err = tokenRow(ctx, q, portalID, token); err != nil {
		return c, err
	}
	a, err := accountByID(ctx, q, portalID, accountID)
	if err != nil {
		return c, err
	}
	if a == nil {
		return c, portal.ErrNoSession
	}
	c.Account = a.Account
	all, err := readAliases(ctx, q, portalID, accountID)
	if err != nil {
		return c, err
	}
	c.Pending = aliasOf(all, c.Token.Address)
	h, err := accountByAddress(ctx, q, portalID, c.Token.Address)
	if err != nil {
		return c, err
	}
	if h != nil {
		c.Holder = &h.Account
		return c, nil
	}
	if c.Foreign, err = foreignDomain(ctx, q, portalID, c.Token.Address.Domain()); err != nil || c.Foreign {
		return c, err
	}
	c.Vouched, err = vouchedDomain(ctx, q, *a, c.Token.Address.Domain())
	return c, err
}

// vouchedDomain reports whether the people of a domain come by their organisation's
// sign-in alone, and that does not know the account.
func vouchedDomain(ctx context.Context, q querier, a account, name string) (bool, error) {
	d, ok, err := domainFor(ctx, q, a.Portal, name)
	if err != nil || !ok || d.AllowsPassword() {
		return false, err
	}
	known, err := identitiesOf(ctx, q, a.ID)
	return !slices.ContainsFunc(known, func(id portal.LinkedIdentity) bool { return id.Connection == d.Connection }), err
}

// foreignDomain reports whether a domain is proven for other portals of the
// region and not served by this one.
func foreignDomain(ctx context.Context, q querier, portalID, name string) (bool, error) {
	if _, own, err := domainFor(ctx, q, portalID, name); err != nil || own {
		return false, err
	}
	for _, candidate := range portal.Candidates(name) {
		var n int
		err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM domains WHERE name = $1 AND portal <> $2 AND proven > 0`, candidate, portalID).Scan(&n)
		if err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// ConfirmAlias makes the address that a link proves one of the account's, in the
// account's own session: v.Actor is whose. Of fifty at once one does.
func (s *Store) ConfirmAlias(ctx context.Context, portalID string, v portal.Visitor, token portal.Secret) (address discovery.Address, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		no := portal.Event{Account: v.Actor, Action: "alias.refused"}
		c, err := s.confirmation(ctx, u, portalID, v.Actor, token)
		if err == nil {
			address, err = c.Token.Address, c.Decide(u.now)
		}
		if errors.Is(err, portal.ErrMerge) {
			return err // nothing is refused: there is a question to be answered first
		}
		if err != nil {
			return u.refuseKnown(no, err)
		}
		if err := u.spendAlias(ctx, c.Account.ID, c.Token.Address, token); err != nil {
			return u.refuseKnown(no, err)
		}
		_, err = u.ExecContext(ctx, `UPDATE addresses SET confirmed = $1, proof = $2, expires = 0 WHERE account = $3 AND address = $4 AND confirmed = 0`,
			micros(u.now), string(portal.ByMail), c.Account.ID, c.Token.Address.Clear())
		if err != nil {
			return err
		}
		u.audit(portal.Event{Account: c.Account.ID, Action: "alias.confirmed"})
		u.publish(portal.AddressChanged, c.Token.Address.Clear())
		return u.index(ctx, c.Account.ID)
	})
	return address, err
}

// spendAlias uses a link up, which names both the account and the address.
func (u *unit) spendAlias(ctx context.Context, accountID string, address discovery.Address, token portal.Secret) error {
	ok, err := one(ctx, u, `UPDATE tokens SET used = $1
		WHERE digest = $2 AND portal = $3 AND purpose = $4 AND account = $5 AND address = $6 AND used = 0 AND expires > $1`,
		micros(u.now), blob(token.Digest()), u.portal, string(portal.ForAlias), accountID, address.Clear())
	if err == nil && !ok {
		return portal.ErrLink
	}
	return err
}

// PromoteAlias makes a confirmed address the primary one: notifications go there
// from now on, and outgoing messages come from it (S23). The licensed address
// goes along when it was the old primary one. Both mailboxes are told. v.Actor is
// whose address it is.
func (s *Store) PromoteAlias(ctx context.Context, portalID string, v portal.Visitor, address discovery.Address) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		a, all, err := u.ownAliases(ctx)
		if err != nil {
			return err
		}
		alias := aliasOf(all, address)
		if err := portal.MayPromote(alias); err != nil {
			return u.refuseKnown(portal.Event{Account: a.ID, Action: "alias.refused"}, err)
		}
		if alias.Primary {
			return nil
		}
		old := a.Primary
		// One after the other: an account has one primary address at any moment.
		for _, q := range []string{
			`UPDATE addresses SET is_primary = FALSE WHERE account = $1 AND address <> $2`,
			`UPDATE addresses SET is_primary = TRUE WHERE account = $1 AND address = $2 AND confirmed > 0`,
		} {
			if _, err := u.ExecContext(ctx, q, a.ID, address.Clear()); err != nil {
				return err
			}
		}
		if err := u.relicense(ctx, a.ID, old, address); err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "alias.promoted"})
		u.publish(portal.AddressChanged, old.Clear())
		u.publish(portal.AddressChanged, address.Clear())
		for _, to := range []discovery.Address{address, old} {
			if err := u.post(ctx, a, portal.Letter{Kind: portal.AliasPromotedLetter, To: to, About: address}); err != nil {
				return err
			}
		}
		return u.index(ctx, a.ID)
	})
}

// relicense moves a licence from one address of an account to another.
func (u *unit) relicense(ctx context.Context, accountID string, from, to discovery.Address) error {
	_, err := u.ExecContext(ctx, `UPDATE licences SET address = $1 WHERE account = $2 AND address = $3`, to.Clear(), accountID, from.Clear())
	return err
}

// ownAliases is the visitor's own account with its addresses.
func (u *unit) ownAliases(ctx context.Context) (*account, []portal.Alias, error) {
	a, err := accountByID(ctx, u, u.portal, u.visitor.Actor)
	if err != nil {
		return nil, nil, err
	}
	if a == nil || a.Status != portal.Active {
		return nil, nil, portal.ErrNoSession
	}
	all, err := readAliases(ctx, u, u.portal, a.ID)
	return a, all, err
}

// RemoveAlias takes one of the visitor's own addresses away. What came by a
// confirmed one ends: every other session of the account, since none says by
// which address it came, and the links and attempts of that address. sessionID is
// the session it is done in, which stays.
func (s *Store) RemoveAlias(ctx context.Context, portalID string, v portal.Visitor, sessionID string, address discovery.Address) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		a, all, err := u.ownAliases(ctx)
		if err != nil {
			return err
		}
		if err := u.removeAlias(ctx, a, all, address, false); err != nil {
			return err
		}
		if alias := aliasOf(all, address); alias.Pending() {
			return nil
		}
		if err := u.endOthers(ctx, a.ID, sessionID); err != nil {
			return err
		}
		if err := u.relicense(ctx, a.ID, address, a.Primary); err != nil {
			return err
		}
		if err := u.post(ctx, a, portal.Letter{Kind: portal.AliasRemovedLetter, About: address}); err != nil {
			return err
		}
		u.publish(portal.AddressChanged, address.Clear())
		return u.index(ctx, a.ID)
	})
}

// RemovePending takes a pending address off somebody else's account, by v.Actor,
// who looks after people.
func (s *Store) RemovePending(ctx context.Context, portalID string, v portal.Visitor, accountID string, address discovery.Address) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		a, err := u.editAliases(ctx, accountID)
		if err != nil {
			return err
		}
		all, err := readAliases(ctx, u, portalID, a.ID)
		if err != nil {
			return err
		}
		return u.removeAlias(ctx, a, all, address, true)
	})
}

func (u *unit) removeAlias(ctx context.Context, a *account, all []portal.Alias, address discovery.Address, byAdmin bool) error {
	r := portal.Removal{Aliases: all, Address: address, ByAdmin: byAdmin, HasPassword: a.hash != "", Ways: map[discovery.Address]portal.Domain{}}
	var err error
	for _, alias := range all {
		if r.Ways[alias.Address], _, err = domainFor(ctx, u, u.portal, alias.Address.Domain()); err != nil {
			return err
		}
	}
	identities, err := identitiesOf(ctx, u, a.ID)
	if err != nil {
		return err
	}
	for _, id := range identities {
		r.Linked = append(r.Linked, id.Connection)
	}
	if err := r.Decide(); err != nil {
		return u.refuseKnown(portal.Event{Account: a.ID, Action: "alias.refused"}, err)
	}
	if err := u.dropAddress(ctx, a.ID, address.Clear()); err != nil {
		return err
	}
	_, err = u.ExecContext(ctx, `UPDATE tokens SET used = $1 WHERE account = $2 AND address = $3 AND used = 0`, micros(u.now), a.ID, address.Clear())
	if err != nil {
		return err
	}
	if !aliasOf(all, address).Pending() {
		// Of a pending one nobody's attempt is: it may be another account's address.
		if _, err := u.ExecContext(ctx, `DELETE FROM attempts WHERE portal = $1 AND address = $2`, u.portal, address.Clear()); err != nil {
			return err
		}
	}
	u.audit(portal.Event{Account: a.ID, Action: "alias.removed"})
	return nil
}

// identitiesOf are those by which IdPs know an account.
func identitiesOf(ctx context.Context, q querier, accountID string) ([]portal.LinkedIdentity, error) {
	rows, err := q.QueryContext(ctx, `SELECT connection, issuer FROM identities WHERE account = $1 ORDER BY connection, issuer`, accountID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []portal.LinkedIdentity
	for rows.Next() {
		var id portal.LinkedIdentity
		if err := rows.Scan(&id.Connection, &id.Issuer); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}
