package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

const recoveryColumns = `r.id, r.asked, r.expires, r.decided, r.decider, r.allowed, r.finished, r.network, r.agent, r.country`

const maxRecoveries = 200

func scanRecovery(row scanner) (r portal.Recovery, err error) {
	var asked, expires, decided, finished int64
	a, err := scanAccount(row, &r.ID, &asked, &expires, &decided, &r.Decider, &r.Allowed, &finished, &r.Network, &r.Agent, &r.Country)
	r.Account = a.Account
	r.Asked, r.Expires, r.Decided, r.Finished = when(asked), when(expires), when(decided), when(finished)
	return r, err
}

// OpenRecoveries are the requests of a portal that wait for an administrator, the
// oldest first.
func (s *Store) OpenRecoveries(ctx context.Context, portalID string) ([]portal.Recovery, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+accountColumns+`, `+recoveryColumns+` FROM`+accountTables+`
		JOIN recoveries r ON r.account = a.id
		WHERE r.portal = $1 AND r.decided = 0 AND r.expires > $2 AND a.status = 'active' ORDER BY r.asked, r.id LIMIT $3`,
		portalID, micros(s.now()), maxRecoveries)
	if err != nil {
		return nil, failed("read recoveries", err)
	}
	defer func() { _ = rows.Close() }()
	var out []portal.Recovery
	for rows.Next() {
		r, err := scanRecovery(rows)
		if err != nil {
			return nil, failed("read recoveries", err)
		}
		out = append(out, r)
	}
	return out, failed("read recoveries", rows.Err())
}

// recoveryWhere reads one; ok is false when there is none.
func (u *unit) recoveryWhere(ctx context.Context, where string, args ...any) (r portal.Recovery, ok bool, err error) {
	r, err = scanRecovery(u.QueryRowContext(ctx, `SELECT `+accountColumns+`, `+recoveryColumns+` FROM`+accountTables+`
		JOIN recoveries r ON r.account = a.id WHERE `+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	return r, err == nil, err
}

// AskRecovery asks the portal's administrators for help, for an account whose
// first step has been passed in an attempt of this browser. There is one request
// at a time: asking again changes nothing, and writes to nobody.
func (s *Store) AskRecovery(ctx context.Context, portalID string, v portal.Visitor, handle string) error {
	h, err := s.readHalf(ctx, s.db, portalID, v, handle)
	if err != nil {
		return failed("read half sign-in", err)
	}
	if h.next != portal.NeedsSecond || h.att.isProof() {
		return portal.ErrAttempt
	}
	open, err := s.openRecovery(ctx, h.account.ID)
	if err != nil || open {
		return failed("read recovery", err)
	}
	if wait, err := s.charge(ctx, portal.RecoveryBucket(portalID, h.account.ID)); err != nil {
		return err
	} else if wait > 0 {
		return s.change(ctx, portalID, v, func(u *unit) error {
			return u.refuse(portal.Event{Account: h.account.ID, Action: "recovery.refused"}, portal.TooMany("recovery_throttled", wait))
		})
	}
	return s.change(ctx, portalID, v, func(u *unit) error {
		h, err := u.half(ctx, handle)
		if err != nil {
			return err
		}
		_, err = u.newRecovery(ctx, h.account, string(h.entry.method))
		return err
	})
}

func (s *Store) openRecovery(ctx context.Context, accountID string) (bool, error) {
	var n int
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM recoveries WHERE account = $1 AND finished = 0 AND expires > $2 AND (decided = 0 OR allowed)`,
		accountID, micros(s.now())).Scan(&n)
	return n > 0, err
}

// newRecovery notes a request, unless one is under way, and writes to every
// address of the account: whoever knows the password may not be its owner.
func (u *unit) newRecovery(ctx context.Context, a *account, method string) (portal.Recovery, error) {
	r, ok, err := u.recoveryWhere(ctx, `r.account = $1 AND r.finished = 0 AND r.expires > $2 AND (r.decided = 0 OR r.allowed)`, a.ID, micros(u.now))
	if err != nil || ok {
		return r, err
	}
	r = portal.Recovery{ID: newID(), Account: a.Account, Asked: u.now, Expires: u.now.Add(portal.RecoveryAsk),
		Network: portal.Network(u.visitor.Client), Agent: u.visitor.Agent, Country: u.visitor.Country}
	_, err = u.ExecContext(ctx, `INSERT INTO recoveries (id, portal, account, asked, expires, decided, decider, allowed, finished, network, agent, country)
		VALUES ($1, $2, $3, $4, $5, 0, '', FALSE, 0, $6, $7, $8)`,
		r.ID, u.portal, a.ID, micros(r.Asked), micros(r.Expires), r.Network, r.Agent, r.Country)
	if err != nil {
		return r, err
	}
	token, t, err := u.newToken(ctx, portal.ForCancel, a.ID, a.Primary)
	if err != nil {
		return r, err
	}
	u.audit(portal.Event{Account: a.ID, Action: "recovery.asked", Method: method, Target: r.ID})
	return r, u.tell(ctx, a, portal.Letter{Kind: portal.RecoveryAskedLetter, Token: token, Expires: t.Expires})
}

// CancelLink reads a link that withdraws a request, without using it.
func (s *Store) CancelLink(ctx context.Context, portalID string, secret portal.Secret) (portal.Token, error) {
	return s.readToken(ctx, portalID, portal.ForCancel, secret)
}

// CancelRecovery withdraws a request by the link that was mailed: also one that
// has been allowed meanwhile, and the link that came of it.
func (s *Store) CancelRecovery(ctx context.Context, portalID string, v portal.Visitor, secret portal.Secret) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		a, err := u.useToken(ctx, portal.ForCancel, secret)
		if err != nil {
			return err
		}
		_, err = u.ExecContext(ctx, `UPDATE recoveries SET decided = CASE WHEN decided > 0 THEN decided ELSE $1 END, allowed = FALSE, expires = $1
			WHERE account = $2 AND finished = 0 AND expires > $1`, micros(u.now), a.ID)
		if err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "recovery.cancelled"})
		return u.voidRecoveryLinks(ctx, a.ID)
	})
}

func (u *unit) voidRecoveryLinks(ctx context.Context, accountID string) error {
	_, err := u.ExecContext(ctx, `UPDATE tokens SET used = $1 WHERE account = $2 AND used = 0 AND purpose IN ($3, $4)`,
		micros(u.now), accountID, string(portal.ForRecovery), string(portal.ForCancel))
	return err
}

// DecideRecovery is an administrator's word on a request: Visitor.Actor, who may
// be nobody the request is of. Allowed, it is a link in the person's mailbox and
// nothing else: no administrator sees it.
func (s *Store) DecideRecovery(ctx context.Context, portalID string, v portal.Visitor, id string, allow bool) error {
	if v.Actor == "" {
		return errPermission // the operator has a command of their own
	}
	return s.change(ctx, portalID, v, func(u *unit) error {
		r, ok, err := u.recoveryWhere(ctx, `r.id = $1 AND r.portal = $2`, id, u.portal)
		if err != nil {
			return err
		}
		if !ok {
			return u.refuseActor(anID(id), errUnknownAccount)
		}
		a, err := u.target(ctx, r.Account.ID, portal.AllowRecoveries, portal.MayAllow)
		if err != nil {
			return err
		}
		if err := r.Open(u.now); err != nil {
			return err
		}
		if allow {
			return u.allowRecovery(ctx, a, r)
		}
		_, err = u.ExecContext(ctx, `UPDATE recoveries SET decided = $1, decider = $2 WHERE id = $3 AND decided = 0`, micros(u.now), u.visitor.Actor, r.ID)
		if err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "recovery.refused", Target: r.ID})
		if err := u.voidRecoveryLinks(ctx, a.ID); err != nil {
			return err
		}
		return u.post(ctx, a, portal.Letter{Kind: portal.RecoveryRefusedLetter})
	})
}

func (u *unit) allowRecovery(ctx context.Context, a *account, r portal.Recovery) error {
	if err := portal.MaySignIn(a.Status); err != nil {
		return &discovery.Error{Kind: discovery.Conflict, Code: "account_disabled", Say: "This account is disabled. Enable it first."}
	}
	token, t, err := u.newToken(ctx, portal.ForRecovery, a.ID, a.Primary)
	if err != nil {
		return err
	}
	ok, err := one(ctx, u, `UPDATE recoveries SET decided = $1, decider = $2, allowed = TRUE, expires = $3 WHERE id = $4 AND decided = 0`,
		micros(u.now), u.visitor.Actor, micros(t.Expires), r.ID)
	if err == nil && !ok {
		err = portal.ErrRecoveryOver
	}
	if err != nil {
		return err
	}
	u.audit(portal.Event{Account: a.ID, Action: "recovery.allowed", Method: u.by(), Target: r.ID})
	return u.post(ctx, a, portal.Letter{Kind: portal.RecoveryAllowedLetter, Token: token, Expires: t.Expires})
}

// RecoverByOperator is for the last owner of a portal, whom nobody else may help:
// the operator's word in place of an administrator's. The person still has to
// take the first step and to read their mail.
func (s *Store) RecoverByOperator(ctx context.Context, portalID string, v portal.Visitor, address discovery.Address) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		a, err := accountByAddress(ctx, u, portalID, address)
		if err != nil {
			return err
		}
		if a == nil {
			return errNoAccount
		}
		has, err := hasFactor(ctx, u, a.ID)
		if err != nil {
			return err
		}
		if !has {
			return &discovery.Error{Kind: discovery.Conflict, Code: "recovery_needless",
				Say: "This account has no second factor: there is nothing to recover from. A password can be reset at the sign-in page."}
		}
		// What waits, or was allowed and has not arrived, gives way to this one.
		_, err = u.ExecContext(ctx, `UPDATE recoveries SET expires = $1 WHERE account = $2 AND finished = 0 AND expires > $1`, micros(u.now), a.ID)
		if err != nil {
			return err
		}
		r, err := u.newRecovery(ctx, a, u.by())
		if err != nil {
			return err
		}
		return u.allowRecovery(ctx, a, r)
	})
}

// RecoveryByToken reads the mailed link of an allowed recovery, without using it.
func (s *Store) RecoveryByToken(ctx context.Context, portalID string, secret portal.Secret) (t portal.Token, err error) {
	if t, err = s.readToken(ctx, portalID, portal.ForRecovery, secret); err != nil {
		return t, err
	}
	open, err := s.openRecovery(ctx, t.Account)
	if err == nil && !open {
		err = portal.ErrLink
	}
	return t, failed("read recovery", err)
}

// StartRecovery begins the sign-in at whose end the lost factors are gone. The
// link stays good until then, so that a password that was mistyped is no second
// loss; finishing spends it.
func (s *Store) StartRecovery(ctx context.Context, portalID string, v portal.Visitor, secret portal.Secret) (handle string, at discovery.Address, err error) {
	t, err := s.RecoveryByToken(ctx, portalID, secret)
	if err != nil {
		return "", at, err
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		r, ok, err := u.recoveryWhere(ctx, `r.account = $1 AND r.portal = $2 AND r.finished = 0 AND r.allowed AND r.expires > $3`, t.Account, portalID, micros(u.now))
		if err == nil && !ok {
			err = portal.ErrLink
		}
		if err != nil {
			return err
		}
		if err := r.Usable(t.Account, u.now); err != nil {
			return err
		}
		handle, err = s.startAttempt(ctx, u, portalID, v, portal.Attempt{
			Purpose: portal.ForLoss, Session: r.ID, Address: t.Address, ReturnTo: "/account/security"})
		return err
	})
	return handle, t.Address, err
}

// stillAllows asks whether who allowed a recovery could still do so, for who the
// person is by now: a word is worth as much as the rights behind it.
func (u *unit) stillAllows(ctx context.Context, r portal.Recovery) (bool, error) {
	if r.Decider == "" {
		return true, nil // the operator
	}
	by, err := accountByID(ctx, u, u.portal, r.Decider)
	if err != nil || by == nil {
		return false, err
	}
	return by.Status == portal.Active && by.Role.May(portal.AllowRecoveries) && portal.MayAllow(by.Account, r.Account) == nil, nil
}

var errDecider = &discovery.Error{Kind: discovery.Forbidden, Code: "decider_refused", Say: portal.ErrLink.Say, Err: portal.ErrLink}

// askAgain has a recovery that an administrator has allowed decided on once more, by
// whoever may do so now: it waits in the console for as long as it would have, and
// the link that came of it is void. The operator's word stays.
func (u *unit) askAgain(ctx context.Context, accountID string) error {
	ok, err := one(ctx, u, `UPDATE recoveries SET decided = 0, decider = '', allowed = FALSE, expires = asked + $1
		WHERE account = $2 AND finished = 0 AND allowed AND decider <> '' AND expires > $3`,
		portal.RecoveryAsk.Microseconds(), accountID, micros(u.now))
	if err != nil || !ok {
		return err
	}
	u.audit(portal.Event{Account: accountID, Action: "recovery.reopened"})
	_, err = u.ExecContext(ctx, `UPDATE tokens SET used = $1 WHERE account = $2 AND used = 0 AND purpose = $3`,
		micros(u.now), accountID, string(portal.ForRecovery))
	return err
}

// recover ends a recovery: the person has taken the first step once more. What
// whoever had the account before may have left behind goes with what was lost:
// factors, codes, trust in browsers, pending addresses, links and sessions
// (PWD-28, PWD-29). The sign-in then goes on as for an account without factors,
// which sets one up where the portal demands it.
func (u *unit) recover(ctx context.Context, handle string, e entry) (portal.SignedIn, error) {
	no := portal.Event{Account: e.account.ID, Action: "recovery.refused", Method: string(e.method), Target: e.session}
	r, ok, err := u.recoveryWhere(ctx, `r.id = $1 AND r.portal = $2`, e.session, u.portal)
	if err != nil {
		return portal.SignedIn{}, err
	}
	if !ok || handle == "" {
		return portal.SignedIn{}, u.refuse(no, portal.ErrLink)
	}
	if err := r.Usable(e.account.ID, u.now); err != nil {
		return portal.SignedIn{}, u.refuse(no, err)
	}
	if counts, err := u.stillAllows(ctx, r); err != nil {
		return portal.SignedIn{}, err
	} else if !counts {
		return portal.SignedIn{}, cmp.Or(u.askAgain(ctx, e.account.ID), u.refuse(no, errDecider))
	}
	ok, err = one(ctx, u, `UPDATE recoveries SET finished = $1 WHERE id = $2 AND finished = 0`, micros(u.now), r.ID)
	if err == nil && !ok {
		err = portal.ErrLink
	}
	if err != nil {
		return portal.SignedIn{}, err
	}
	if e.account.Generation, err = u.dropEverything(ctx, e.account.ID, portal.Secret(handle).Digest()); err != nil {
		return portal.SignedIn{}, err
	}
	if err := u.removeActivations(ctx, e.account.ID); err != nil {
		return portal.SignedIn{}, err
	}
	a, err := accountByID(ctx, u, u.portal, e.account.ID)
	if err != nil || a == nil {
		return portal.SignedIn{}, orMissing(err)
	}
	u.audit(portal.Event{Account: a.ID, Action: "recovery.finished", Method: string(e.method), Target: r.Decider})
	if err := u.tell(ctx, a, portal.Letter{Kind: portal.RecoveryDoneLetter}); err != nil {
		return portal.SignedIn{}, err
	}
	return u.pass(ctx, handle, e)
}

// dropEverything takes from an account whatever lets anybody in but its password
// and its organisation, and makes the attempt of this sign-in an ordinary one.
func (u *unit) dropEverything(ctx context.Context, accountID string, attempt []byte) (generation int64, err error) {
	if generation, err = u.endGeneration(ctx, accountID, ""); err != nil {
		return 0, err
	}
	now := micros(u.now)
	for _, q := range []struct {
		text string
		args []any
	}{
		{`DELETE FROM factors WHERE account = $1`, []any{accountID}},
		{`DELETE FROM recovery_codes WHERE account = $1`, []any{accountID}},
		{`DELETE FROM challenges WHERE account = $1`, []any{accountID}},
		{`DELETE FROM devices WHERE account = $1`, []any{accountID}},
		{`DELETE FROM passed WHERE account = $1`, []any{accountID}},
		{`DELETE FROM addresses WHERE account = $1 AND confirmed = 0`, []any{accountID}},
		{`UPDATE tokens SET used = $2 WHERE account = $1 AND used = 0`, []any{accountID, now}},
		{`DELETE FROM attempts WHERE portal = $2 AND digest <> $3 AND address IN
			(SELECT address FROM addresses WHERE account = $1 AND confirmed > 0)`, []any{accountID, u.portal, attempt}},
		{`UPDATE attempts SET purpose = $1, session = '' WHERE digest = $2`, []any{string(portal.ForSignIn), attempt}},
	} {
		if _, err := u.ExecContext(ctx, q.text, q.args...); err != nil {
			return 0, err
		}
	}
	return generation, u.stand(ctx, accountID)
}
