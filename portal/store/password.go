package store

import (
	"context"
	"errors"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// guess is one try at somebody's password: who it is about, and what the
// throttle counted it against.
type guess struct {
	address discovery.Address
	account *account // nil: nobody has the address
	stored  portal.PasswordHash
	why     string // what is said in the audit log should it be refused
	buckets []portal.Bucket
}

// guess looks up what a try is made against, and counts it. The hash is empty,
// which costs the same and never matches, for whoever has no password here.
func (s *Store) guess(ctx context.Context, portalID string, v portal.Visitor, address discovery.Address) (g guess, err error) {
	g.address = address
	if g.account, err = accountByAddress(ctx, s.db, portalID, address); err != nil {
		return g, failed("read account", err)
	}
	allowed, err := allowsPassword(ctx, s.db, portalID, address, g.account)
	if err != nil {
		return g, failed("read domains", err)
	}
	known := false
	switch {
	case !allowed:
		g.why = "password_not_allowed"
	case g.account == nil:
		g.why = "account_unknown"
	case portal.MaySignIn(g.account.Status) != nil:
		g.why = "account_disabled"
	case g.account.hash == "":
		g.why = "no_password"
	default:
		g.stored, g.why = g.account.hash, "password_wrong"
	}
	id := "" // nobody's: asked for all the same, so that an unknown address costs as much
	if g.account != nil {
		id = g.account.ID
	}
	if v.Browser != "" {
		var n int
		err = s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM devices WHERE account = $1 AND browser = $2`, id, v.Browser.Digest()).Scan(&n)
		if err != nil {
			return g, failed("read devices", err)
		}
		known = n > 0
	}
	g.buckets = portal.GuessBuckets(portalID, address, v, known)
	wait, err := s.charge(ctx, g.buckets...)
	if err != nil {
		return g, err
	}
	if wait > 0 {
		return g, s.slowed(ctx, portalID, v, g, portal.TooMany("password_throttled", wait))
	}
	return g, nil
}

// slowed audits that guessing has come so far that it is slowed, and returns
// answer. Known and unknown addresses cost the same.
func (s *Store) slowed(ctx context.Context, portalID string, v portal.Visitor, g guess, answer error) error {
	wait, err := s.charge(ctx, portal.NoticeBuckets(portalID, g.address)...)
	if err != nil {
		return err
	}
	if wait > 0 {
		return answer // it has been said
	}
	return s.change(ctx, portalID, v, func(u *unit) error {
		e := portal.Event{Action: "session.refused", Method: string(discovery.Password)}
		if g.account != nil {
			e.Account = g.account.ID
		}
		return u.refuse(e, answer)
	})
}

// match hashes outside of any transaction. What was no guess after all, a right
// password or a hash that was never computed, is given back. A stored hash that is
// none is no outage: waiting would not mend it, so the password is as good as wrong.
func (s *Store) match(ctx context.Context, g *guess, password portal.Secret) (bool, error) {
	ok, err := s.hasher.Match(ctx, g.stored, password)
	if errors.Is(err, portal.ErrHash) {
		g.why = "password_hash_refused"
		return false, nil
	}
	if ok || err != nil {
		if back := s.refund(ctx, g.buckets...); err == nil {
			err = back
		}
	}
	return ok, err
}

func (u *unit) refuseGuess(g guess, field string, password portal.Secret) error {
	e := portal.Event{Action: "session.refused", Code: g.why, Method: string(discovery.Password)}
	if g.account != nil {
		e.Account = g.account.ID
	}
	return u.refuse(e, portal.WrongPassword(field, password))
}

// SignInPassword checks the password for the attempt's address. When it is a
// temporary one, MustChange is set, nobody is signed in, and the attempt goes on
// to ChangeTemporaryPassword.
func (s *Store) SignInPassword(ctx context.Context, portalID string, v portal.Visitor, handle string, password portal.Secret, keep bool) (in portal.SignedIn, err error) {
	att, err := s.AttemptByHandle(ctx, portalID, v, handle)
	if err != nil {
		return in, err
	}
	if att.Address.IsZero() {
		return in, &discovery.Error{Kind: discovery.Invalid, Field: "email", Code: "email_missing", Say: "Enter your address first."}
	}
	if password == "" {
		return in, &discovery.Error{Kind: discovery.Invalid, Field: "password", Code: "password_empty", Say: "Enter your password."}
	}
	g, err := s.guess(ctx, portalID, v, att.Address)
	if err != nil {
		return in, err
	}
	ok, err := s.match(ctx, &g, password)
	if err != nil {
		return in, failed("match password", err)
	}
	var better portal.PasswordHash
	if ok && g.stored.Weak() {
		if better, err = s.hasher.Hash(ctx, password); errors.Is(err, portal.ErrBusy) {
			better, err = "", nil // another time
		}
		if err != nil {
			return in, failed("hash password", err)
		}
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		if !ok {
			return u.refuseGuess(g, "password", password)
		}
		a, err := u.unchanged(ctx, g)
		if err != nil {
			return err
		}
		if a.MustChange {
			if !u.now.Before(when(a.expires)) {
				return u.refuse(portal.Event{Account: a.ID, Action: "session.refused", Method: string(discovery.Password)}, portal.ErrTemporaryExpired)
			}
			in = portal.SignedIn{MustChange: true, Account: a.Account}
			u.audit(portal.Event{Account: a.ID, Action: "password.temporary_accepted"})
			_, err := u.ExecContext(ctx, `UPDATE attempts SET keep = $1 WHERE digest = $2`, keep, portal.Secret(handle).Digest())
			return err
		}
		if better != "" {
			if err := u.setPassword(ctx, a.ID, better, false, 0); err != nil {
				return err
			}
		}
		in, err = u.pass(ctx, handle, entry{account: a.Account, method: discovery.Password, browser: v.Browser.Digest(), keep: keep})
		return err
	})
	return in, err
}

// unchanged reads the account of a matched guess again, now that the portal is
// ours alone: whoever was disabled, or had the password replaced, while we were
// hashing is refused.
func (u *unit) unchanged(ctx context.Context, g guess) (*account, error) {
	a, err := accountByAddress(ctx, u, u.portal, g.address)
	if err != nil {
		return nil, err
	}
	if a == nil || a.ID != g.account.ID || a.hash != g.stored || a.Generation != g.account.Generation || portal.MaySignIn(a.Status) != nil {
		g.why = "account_changed"
		return nil, u.refuseGuess(g, "password", "")
	}
	return a, nil
}

// ChangeTemporaryPassword replaces the temporary password of the attempt's
// address and signs in. Errors name the field "temporary" or "new".
func (s *Store) ChangeTemporaryPassword(ctx context.Context, portalID string, v portal.Visitor, handle string, temporary, password portal.Secret) (portal.SignedIn, error) {
	att, err := s.AttemptByHandle(ctx, portalID, v, handle)
	if err != nil {
		return portal.SignedIn{}, err
	}
	return s.replaceTemporary(ctx, portalID, v, replacement{
		address: att.Address, temporary: temporary, password: password, attempt: att,
		claim: func(u *unit) error { return u.finishAttempt(ctx, portal.Secret(handle).Digest()) },
	})
}

// replacement is a first sign-in: by the form, or by the invitation's link.
type replacement struct {
	address             discovery.Address
	temporary, password portal.Secret
	attempt             portal.Attempt    // what it is for
	claim               func(*unit) error // spends what led here, once
}

func (s *Store) replaceTemporary(ctx context.Context, portalID string, v portal.Visitor, r replacement) (in portal.SignedIn, err error) {
	if r.address.IsZero() {
		return in, portal.ErrAttempt
	}
	if r.temporary == "" {
		return in, &discovery.Error{Kind: discovery.Invalid, Field: "temporary", Code: "password_empty", Say: "Enter the temporary password from the mail."}
	}
	if len(r.temporary) > portal.PasswordMax {
		return in, &discovery.Error{Kind: discovery.Invalid, Field: "temporary", Code: "password_long", Say: "This is not the temporary password: it is too long."}
	}
	g, err := s.guess(ctx, portalID, v, r.address)
	if err != nil {
		return in, err
	}
	ok, err := s.match(ctx, &g, r.temporary)
	if err != nil {
		return in, failed("match password", err)
	}
	var hash portal.PasswordHash
	if ok {
		// Not before: judging a password costs as much as hashing it, and is for
		// those who were let this far.
		if err = s.checkNew(ctx, portalID, r.address, r.temporary, r.password); err != nil {
			return in, err
		}
		if hash, err = s.hasher.Hash(ctx, r.password); err != nil {
			return in, failed("hash password", err)
		}
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		if !ok {
			return u.refuseGuess(g, "temporary", r.temporary)
		}
		a, err := u.unchanged(ctx, g)
		if err != nil {
			return err
		}
		refused := portal.Event{Account: a.ID, Action: "session.refused", Method: string(discovery.Password)}
		switch {
		case !a.MustChange:
			return u.refuse(refused, portal.ErrLink)
		case !u.now.Before(when(a.expires)):
			return u.refuse(refused, portal.ErrTemporaryExpired)
		}
		if err := u.takeUp(ctx, a.Account); err != nil {
			return err
		}
		if err := r.claim(u); err != nil {
			return err
		}
		if err := u.secure(ctx, a, hash); err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "invitation.redeemed"})
		// The attempt went with everything older, if it was one that led here.
		in, err = u.pass(ctx, "", entry{account: a.Account, method: discovery.Password, browser: v.Browser.Digest(),
			keep: r.attempt.Keep, returnTo: r.attempt.ReturnTo, purpose: r.attempt.Purpose, session: r.attempt.Session})
		return err
	})
	return in, err
}

// secure gives an account a password of its own choice. Whoever holds an older
// session, link, pending address, half set up factor or remembered browser loses
// it; and since only mail leads here, the address is proven. Factors that were
// confirmed stay: a mailbox alone must not be enough to get round them.
func (u *unit) secure(ctx context.Context, a *account, hash portal.PasswordHash) (err error) {
	if a.Generation, err = u.endEverything(ctx, a.ID, ""); err != nil {
		return err
	}
	if err = u.setPassword(ctx, a.ID, hash, false, 0); err != nil {
		return err
	}
	for _, q := range []string{
		`DELETE FROM addresses WHERE account = $1 AND confirmed = 0`,
		`DELETE FROM devices WHERE account = $1`,
		`DELETE FROM factors WHERE account = $1 AND confirmed = 0`,
	} {
		if _, err = u.ExecContext(ctx, q, a.ID); err != nil {
			return err
		}
	}
	_, err = u.ExecContext(ctx, `UPDATE addresses SET proof = $1 WHERE account = $2 AND is_primary AND proof = ''`, string(portal.ByMail), a.ID)
	if err != nil {
		return err
	}
	return u.stand(ctx, a.ID)
}

// checkNew applies the rules of new passwords with the words of this person and
// portal; old is the one being replaced.
func (s *Store) checkNew(ctx context.Context, portalID string, address discovery.Address, old, password portal.Secret) error {
	p, err := s.PortalByID(ctx, portalID)
	if err != nil {
		return err
	}
	words := []string{address.Clear(), p.Name, p.ID}
	a, err := accountByAddress(ctx, s.db, portalID, address)
	if err != nil {
		return failed("read account", err)
	}
	if a != nil {
		words = append(words, a.GivenName, a.FamilyName)
	}
	if old != "" && old == password {
		return &discovery.Error{Kind: discovery.Invalid, Field: "new", Code: "password_same", Say: "Choose a password that differs from the one you have now."}
	}
	set, err := readSettings(ctx, s.db, portalID)
	if err != nil {
		return failed("read settings", err)
	}
	return portal.CheckPassword(password, set.MinPassword(), words...)
}

// ChangePassword replaces one's own password (S11). Errors name the field "old"
// or "new". Every session of the account ends; this browser gets a new one.
func (s *Store) ChangePassword(ctx context.Context, portalID string, v portal.Visitor, token, old, password portal.Secret) (in portal.SignedIn, err error) {
	ses, err := s.SessionByToken(ctx, portalID, token)
	if err != nil {
		return in, err
	}
	if old == "" {
		return in, &discovery.Error{Kind: discovery.Invalid, Field: "old", Code: "password_empty", Say: "Enter your present password."}
	}
	if err = s.checkNew(ctx, portalID, ses.Account.Primary, old, password); err != nil {
		return in, err
	}
	g, err := s.guess(ctx, portalID, v, ses.Account.Primary)
	if err != nil {
		return in, err
	}
	ok, err := s.match(ctx, &g, old)
	if err != nil {
		return in, failed("match password", err)
	}
	var hash portal.PasswordHash
	if ok {
		if hash, err = s.hasher.Hash(ctx, password); err != nil {
			return in, failed("hash password", err)
		}
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		if !ok {
			return u.refuseGuess(g, "old", old)
		}
		a, err := u.unchanged(ctx, g)
		if err != nil {
			return err
		}
		if a.ID != ses.Account.ID {
			return portal.ErrNoSession
		}
		if err := u.secure(ctx, a, hash); err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "password.changed"})
		if err := u.post(ctx, a, portal.Letter{Kind: portal.ChangedLetter}); err != nil {
			return err
		}
		in, err = u.enter(ctx, entry{account: a.Account, method: discovery.Password, browser: v.Browser.Digest(), keep: ses.Kept, returnTo: "/", proved: ses.Proved})
		return err
	})
	return in, err
}
