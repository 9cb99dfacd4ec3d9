package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// newToken makes a link for an account's address. Older ones of the same
// purpose are void from now on; those for other pending addresses, which prove
// something else, are not.
func (u *unit) newToken(ctx context.Context, p portal.Purpose, accountID string, address discovery.Address) (portal.Secret, portal.Token, error) {
	t := portal.Token{Purpose: p, Portal: u.portal, Account: accountID, Address: address, Expires: u.now.Add(p.Life())}
	_, err := u.ExecContext(ctx, `UPDATE tokens SET used = $1 WHERE account = $2 AND purpose = $3 AND used = 0 AND (purpose <> 'alias' OR address = $4)`,
		micros(u.now), accountID, string(p), address.Clear())
	if err != nil {
		return "", t, err
	}
	secret := portal.NewSecret()
	_, err = u.ExecContext(ctx, `INSERT INTO tokens (digest, purpose, portal, account, address, created, expires, used)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0)`,
		secret.Digest(), string(p), u.portal, accountID, address.Clear(), micros(u.now), micros(t.Expires))
	return secret, t, err
}

// readToken reads a link without using it.
func (s *Store) readToken(ctx context.Context, portalID string, p portal.Purpose, secret portal.Secret) (portal.Token, error) {
	t, err := tokenRow(ctx, s.db, portalID, secret)
	if err != nil {
		return t, failed("read token", err)
	}
	return t, t.Usable(p, s.now())
}

// tokenRow reads a link, whatever it is good for and whether it still is.
func tokenRow(ctx context.Context, q querier, portalID string, secret portal.Secret) (t portal.Token, err error) {
	if secret == "" {
		return t, portal.ErrLink
	}
	var purpose, address string
	var expires, used int64
	err = q.QueryRowContext(ctx, `SELECT purpose, portal, account, address, expires, used FROM tokens WHERE digest = $1 AND portal = $2`,
		secret.Digest(), portalID).Scan(&purpose, &t.Portal, &t.Account, &address, &expires, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return t, portal.ErrLink
	}
	if err != nil {
		return t, err
	}
	t.Purpose, t.Expires, t.Used = portal.Purpose(purpose), when(expires), when(used)
	if t.Address, err = discovery.ParseAddress(address); err != nil {
		return t, errors.New("stored address does not parse")
	}
	return t, nil
}

// useToken spends a link: of fifty at once, one gets it. The account it names
// must be there, let in, and still have the address the link proves.
func (u *unit) useToken(ctx context.Context, p portal.Purpose, secret portal.Secret) (*account, error) {
	var accountID, address string
	err := u.QueryRowContext(ctx, `UPDATE tokens SET used = $1
		WHERE digest = $2 AND portal = $3 AND purpose = $4 AND used = 0 AND expires > $1 RETURNING account, address`,
		micros(u.now), blob(secret.Digest()), u.portal, string(p)).Scan(&accountID, &address)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, portal.ErrLink
	}
	if err != nil {
		return nil, err
	}
	parsed, err := discovery.ParseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("token of account %s: its address does not parse", accountID)
	}
	a, err := accountByAddress(ctx, u, u.portal, parsed)
	if err != nil {
		return nil, err
	}
	if a == nil || a.ID != accountID || portal.MaySignIn(a.Status) != nil {
		return nil, portal.ErrLink
	}
	return a, nil
}

// RequestReset asks for a mail with a link for a new password. It does the same
// work for every address: whether one goes out, and which, is decided where the
// mail queue is emptied. TooMany depends on the client alone; a mailbox that has
// had enough of them is spared in silence.
func (s *Store) RequestReset(ctx context.Context, portalID string, v portal.Visitor, address discovery.Address) error {
	mailbox, mailer := portal.MailBuckets(portalID, address, v)
	if wait, err := s.charge(ctx, mailer); err != nil || wait > 0 {
		if err == nil {
			err = portal.TooMany("mail_throttled", wait)
		}
		return err
	}
	wait, err := s.charge(ctx, mailbox)
	if err != nil || wait > 0 {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return failed("begin", err)
	}
	defer func() { _ = tx.Rollback() }()
	r := sealedLetter{Kind: resetRequested, To: address.Clear(), Reference: v.Reference, Client: v.Client}
	if err := s.queue(ctx, tx, portalID, r, s.now()); err != nil {
		return failed("queue reset", err)
	}
	if err := tx.Commit(); err != nil {
		return failed("commit", err)
	}
	wake(s.posted)
	return nil
}

// answerReset turns a request into the letter its receiver gets, if any.
func (s *Store) answerReset(ctx context.Context, id, portalID string, r sealedLetter) error {
	address, err := discovery.ParseAddress(r.To)
	if err != nil {
		return fmt.Errorf("reset request %s: its address does not parse", id)
	}
	v := portal.Visitor{Reference: r.Reference, Client: r.Client}
	return s.change(ctx, portalID, v, func(u *unit) error {
		if ok, err := one(ctx, u, `DELETE FROM letters WHERE id = $1`, id); err != nil || !ok {
			return err
		}
		a, err := accountByAddress(ctx, u, portalID, address)
		if err != nil {
			return err
		}
		if a == nil {
			u.audit(portal.Event{Action: "password.reset_requested", Code: "account_unknown"})
			return nil
		}
		d, ok, err := domainFor(ctx, u, portalID, address.Domain())
		if err != nil {
			return err
		}
		allowed, err := allowsPassword(ctx, u, portalID, address, a)
		if err != nil {
			return err
		}
		needs := a.hash != "" || ok && d.Connection == "" // as after a move from the organisation's own sign-in
		l := portal.Letter{Kind: portal.ResetAnswer(a.Account, needs, allowed), To: address}
		u.audit(portal.Event{Account: a.ID, Action: "password.reset_requested", Code: string(l.Kind)})
		if l.Kind == portal.ResetLetter {
			var t portal.Token
			if l.Token, t, err = u.newToken(ctx, portal.ForReset, a.ID, address); err != nil {
				return err
			}
			l.Expires = t.Expires
		}
		return u.post(ctx, a, l)
	})
}

// ResetByToken tells whether a link is still good, for the page that shows the
// form. It uses nothing up.
func (s *Store) ResetByToken(ctx context.Context, portalID string, token portal.Secret) (portal.Token, error) {
	return s.readToken(ctx, portalID, portal.ForReset, token)
}

// ResetPassword uses the link and sets the password. Every session, link,
// pending address and remembered browser of the account is gone with it; the
// person signs in anew. Errors name the field "new".
func (s *Store) ResetPassword(ctx context.Context, portalID string, v portal.Visitor, token, password portal.Secret) error {
	t, err := s.readToken(ctx, portalID, portal.ForReset, token)
	if err != nil {
		return err
	}
	if err := s.checkNew(ctx, portalID, t.Address, "", password); err != nil {
		return err
	}
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return failed("hash password", err)
	}
	return s.change(ctx, portalID, v, func(u *unit) error {
		no := portal.Event{Account: t.Account, Action: "password.reset_refused"}
		a, err := u.useToken(ctx, portal.ForReset, token)
		if err != nil {
			return u.refuseKnown(no, err)
		}
		allowed, err := allowsPassword(ctx, u, portalID, t.Address, a)
		if err != nil {
			return err
		}
		if a.Status != portal.Active || !allowed {
			return u.refuse(no, portal.ErrLink)
		}
		if err := u.secure(ctx, a, hash); err != nil {
			return err
		}
		if err := u.removeActivations(ctx, a.ID); err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "password.reset"})
		return u.post(ctx, a, portal.Letter{Kind: portal.ChangedLetter})
	})
}
