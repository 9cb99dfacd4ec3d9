package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// A half is a sign-in, or a proof, whose first step was right and that lacks the
// second factor. It is a row without authority: its handle opens nothing but the
// pages of the second step, and those only in the browser it began in.
type half struct {
	digest  []byte // of the attempt
	att     attempt
	account *account
	entry   entry
	next    portal.Next
	tries   int64
}

// pass is the one way in: whoever has been let through by a password, an IdP or
// a passkey comes here, and the rule says whether a session starts now or a
// second factor is missing. handle is the attempt's; without one (an invitation,
// an unsolicited assertion) an attempt begins here if it is needed.
func (u *unit) pass(ctx context.Context, handle string, e entry) (portal.SignedIn, error) {
	if handle != "" {
		att, _, err := readAttempt(ctx, u, u.portal, portal.Secret(handle).Digest(), u.now)
		if err != nil {
			return portal.SignedIn{}, err
		}
		e.purpose, e.session, e.returnTo = att.Purpose, att.Session, att.ReturnTo
	}
	if err := u.mayProve(ctx, e); err != nil {
		return portal.SignedIn{}, err
	}
	next, trusted, err := u.needs(ctx, e)
	if err != nil {
		return portal.SignedIn{}, err
	}
	if next == portal.In || next == portal.IsProved {
		if e.proved = e.provedAt(u.now); trusted && !e.double {
			e.proved = time.Time{} // a step that was skipped was not proved: sensitive pages ask for it
		}
		return u.conclude(ctx, handle, e)
	}
	if handle, err = u.begin(ctx, handle, e); err != nil {
		return portal.SignedIn{}, err
	}
	if err := u.keepHalf(ctx, handle, e); err != nil {
		return portal.SignedIn{}, err
	}
	u.audit(portal.Event{Account: e.account.ID, Action: "factor.asked", Code: string(next), Method: string(e.method), Target: e.connection})
	return portal.SignedIn{Next: next, Attempt: handle, Account: e.account}, nil
}

// provedAt is when the first step was taken: now, or when the IdP saw the person.
// One that remembered them has asked nobody, and one that says nothing proves
// nothing: else signing out and in again would be a way round the step-up.
func (e entry) provedAt(now time.Time) time.Time {
	if e.connection == "" || e.vouched.After(now) {
		return now
	}
	return e.vouched
}

// begin gives an entry an attempt if it has none.
func (u *unit) begin(ctx context.Context, handle string, e entry) (string, error) {
	if handle != "" {
		return handle, nil
	}
	return u.s.startAttempt(ctx, u, u.portal, u.visitor, portal.Attempt{
		Purpose: e.purpose, Session: e.session, Address: e.account.Primary, ReturnTo: e.returnTo, Keep: e.keep,
	})
}

// needs asks the rule. trusted is whether a factor was skipped because of trust.
func (u *unit) needs(ctx context.Context, e entry) (next portal.Next, trusted bool, err error) {
	set, err := readSettings(ctx, u, u.portal)
	if err != nil {
		return "", false, err
	}
	f := portal.FirstStep{Purpose: e.purpose, Method: e.method, Double: e.double}
	if f.Has, err = hasFactor(ctx, u, e.account.ID); err != nil {
		return "", false, err
	}
	if f.Trusted, err = u.trusts(ctx, e); err != nil {
		return "", false, err
	}
	return portal.NeedsFactor(set, f), f.Has && f.Trusted, nil
}

// trusts reports whether the browser need not show the account's second factor.
func (u *unit) trusts(ctx context.Context, e entry) (bool, error) {
	if len(e.browser) == 0 {
		return false, nil
	}
	var n int
	err := u.QueryRowContext(ctx, `SELECT COUNT(*) FROM devices WHERE account = $1 AND browser = $2 AND trusted > $3`,
		e.account.ID, e.browser, micros(u.now)).Scan(&n)
	return n > 0, err
}

// mayProve refuses a proof of another account than the session's own.
func (u *unit) mayProve(ctx context.Context, e entry) error {
	if e.purpose != portal.ForConfirm {
		return nil
	}
	var owner string
	err := u.QueryRowContext(ctx, `SELECT account FROM sessions WHERE id = $1 AND portal = $2 AND id <> ''`, e.session, u.portal).Scan(&owner)
	if errors.Is(err, sql.ErrNoRows) {
		return portal.ErrAttempt
	}
	if err != nil || owner == e.account.ID {
		return err
	}
	return u.refuse(portal.Event{Account: owner, Action: "proof.refused", Method: string(e.method), Target: e.account.ID}, portal.ErrProofOther)
}

// conclude ends what an attempt was for: a session, a new token for the one that
// is there, or a proof that waits to be spent.
func (u *unit) conclude(ctx context.Context, handle string, e entry) (portal.SignedIn, error) {
	switch e.purpose {
	case portal.ForMerge:
		return u.prove(ctx, handle, e)
	case portal.ForLoss:
		return u.recover(ctx, handle, e)
	}
	if handle != "" {
		if err := u.finishAttempt(ctx, portal.Secret(handle).Digest()); err != nil {
			return portal.SignedIn{}, err
		}
	}
	if e.purpose == portal.ForConfirm {
		return u.renew(ctx, e)
	}
	return u.enter(ctx, e)
}

// prove leaves a proof behind that [unit.spendProof] takes. It opens nothing else.
func (u *unit) prove(ctx context.Context, handle string, e entry) (portal.SignedIn, error) {
	handle, err := u.begin(ctx, handle, e)
	if err != nil {
		return portal.SignedIn{}, err
	}
	if err := u.keepHalf(ctx, handle, e); err != nil {
		return portal.SignedIn{}, err
	}
	digest := portal.Secret(handle).Digest()
	_, err = u.ExecContext(ctx, `UPDATE passed SET proved = $1, expires = $2 WHERE attempt = $3`, micros(u.now), micros(u.now.Add(portal.ProofLife)), digest)
	if err != nil {
		return portal.SignedIn{}, err
	}
	u.audit(portal.Event{Account: e.account.ID, Action: "account.proved", Method: string(e.method), Target: e.connection})
	return portal.SignedIn{Next: portal.IsProved, Attempt: handle, ReturnTo: portal.ProofPath(portal.LocalPath(e.returnTo), handle), Account: e.account}, nil
}

// renew gives the session that a proof was for a new token and notes the proof.
func (u *unit) renew(ctx context.Context, e entry) (portal.SignedIn, error) {
	in, err := u.retoken(ctx, e)
	if err != nil {
		return portal.SignedIn{}, err
	}
	_, err = u.ExecContext(ctx, `UPDATE sessions SET proved = $1 WHERE digest = $2`, micros(u.now), in.Token.Digest())
	u.audit(portal.Event{Account: e.account.ID, Action: "session.proved", Method: string(e.method), Target: e.connection})
	return in, err
}

// retoken gives the session e.session a new token, as every change of what a
// session may do does: whoever knew the old one is out.
func (u *unit) retoken(ctx context.Context, e entry) (portal.SignedIn, error) {
	in := portal.SignedIn{Next: portal.IsProved, Token: portal.NewSecret(), ReturnTo: portal.LocalPath(e.returnTo), Account: e.account}
	var old, sealed []byte
	var absolute int64
	err := u.QueryRowContext(ctx, `SELECT digest, kept, absolute, id_token FROM sessions
		WHERE id = $1 AND portal = $2 AND account = $3 AND generation = $4 AND idle > $5 AND absolute > $5`,
		e.session, u.portal, e.account.ID, e.account.Generation, micros(u.now)).Scan(&old, &in.Kept, &absolute, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return portal.SignedIn{}, portal.ErrAttempt
	}
	if err != nil {
		return portal.SignedIn{}, err
	}
	in.Absolute = when(absolute)
	if e.idToken == "" {
		// One that does not open any more is only missed at the sign-out.
		plain, _ := u.s.vault.Open(idTokenPlace(old), sealed)
		e.idToken = portal.Secret(plain)
	}
	if sealed, err = u.s.vault.Seal(idTokenPlace(in.Token.Digest()), []byte(e.idToken)); err != nil {
		return portal.SignedIn{}, err
	}
	_, err = u.ExecContext(ctx, `UPDATE sessions SET digest = $1, id_token = $2 WHERE digest = $3`, in.Token.Digest(), blob(sealed), old)
	return in, err
}

func halfPlace(digest []byte) string { return fmt.Sprintf("passed %x", digest) }

// keepHalf writes down that the first step was right. Tries go on being counted
// when the first step is repeated for the same account.
func (u *unit) keepHalf(ctx context.Context, handle string, e entry) error {
	digest := portal.Secret(handle).Digest()
	sealed, err := u.s.vault.Seal(halfPlace(digest), []byte(e.idToken))
	if err != nil {
		return err
	}
	_, err = u.ExecContext(ctx, `INSERT INTO passed
		(attempt, portal, account, generation, method, connection, keep, session_end, id_token, proved, tries, expires)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10)
		ON CONFLICT (attempt) DO UPDATE SET tries = CASE WHEN passed.account = excluded.account THEN passed.tries ELSE 0 END,
			account = excluded.account, generation = excluded.generation, method = excluded.method, connection = excluded.connection,
			keep = excluded.keep, session_end = excluded.session_end, id_token = excluded.id_token, proved = 0, expires = excluded.expires`,
		digest, u.portal, e.account.ID, e.account.Generation, string(e.method), e.connection, e.keep, micros(e.end), blob(sealed),
		micros(u.now.Add(portal.HalfLife)))
	return err
}

// readHalf finds the half of an attempt of the visitor's browser. It is
// portal.ErrAttempt when there is none that counts: unknown, over, complete, of
// another browser, or of an account that was disabled or secured since.
func (s *Store) readHalf(ctx context.Context, q querier, portalID string, v portal.Visitor, handle string) (h half, err error) {
	now := s.now()
	h.digest = portal.Secret(handle).Digest()
	if h.att, _, err = readAttempt(ctx, q, portalID, h.digest, now); err != nil {
		return h, err
	}
	if !sameBrowser(h.att, v) {
		return h, portal.ErrAttempt
	}
	var accountID, method string
	var generation, end int64
	var sealed []byte
	err = q.QueryRowContext(ctx, `SELECT account, generation, method, connection, keep, session_end, id_token, tries FROM passed
		WHERE attempt = $1 AND portal = $2 AND proved = 0 AND expires > $3`, h.digest, portalID, micros(now)).
		Scan(&accountID, &generation, &method, &h.entry.connection, &h.entry.keep, &end, &sealed, &h.tries)
	if errors.Is(err, sql.ErrNoRows) {
		return h, portal.ErrAttempt
	}
	if err != nil {
		return h, err
	}
	if h.account, err = accountByID(ctx, q, portalID, accountID); err != nil {
		return h, err
	}
	if h.account == nil || h.account.Generation != generation || portal.MaySignIn(h.account.Status) != nil {
		return h, portal.ErrAttempt
	}
	plain, err := s.vault.Open(halfPlace(h.digest), sealed)
	if err != nil {
		return h, err
	}
	h.entry.account, h.entry.method, h.entry.browser = h.account.Account, discovery.SignIn(method), h.att.browser
	h.entry.returnTo, h.entry.purpose, h.entry.session = h.att.ReturnTo, h.att.Purpose, h.att.Session
	h.entry.end, h.entry.idToken = when(end), portal.Secret(plain)
	h.next, err = nextOf(ctx, q, portalID, h)
	return h, err
}

// nextOf asks the rule again: a factor may have been set up or lost, and the
// portal's policy changed, since the first step.
func nextOf(ctx context.Context, q querier, portalID string, h half) (portal.Next, error) {
	set, err := readSettings(ctx, q, portalID)
	if err != nil {
		return "", err
	}
	has, err := hasFactor(ctx, q, h.account.ID)
	if err != nil {
		return "", err
	}
	next := portal.NeedsFactor(set, portal.FirstStep{Purpose: h.att.Purpose, Method: h.entry.method, Has: has})
	if next == portal.In || next == portal.IsProved {
		return "", portal.ErrAttempt // begin anew: nothing is missing any more
	}
	return next, nil
}

// half is readHalf in a use case.
func (u *unit) half(ctx context.Context, handle string) (half, error) {
	return u.s.readHalf(ctx, u, u.portal, u.visitor, handle)
}

// finish ends a half with the factor that was missing: whoever calls it has
// checked that. kind is how it was shown, for the audit log. trust remembers the
// browser.
func (u *unit) finish(ctx context.Context, handle string, h half, kind string, trust bool) (portal.SignedIn, error) {
	if err := u.claimHalf(ctx, h); err != nil {
		return portal.SignedIn{}, err
	}
	u.audit(portal.Event{Account: h.account.ID, Action: "factor.used", Method: kind})
	h.entry.proved = u.now
	in, err := u.conclude(ctx, handle, h.entry)
	if err != nil || !trust || in.Next != portal.In {
		return in, err
	}
	return in, u.trust(ctx, h.account.ID, h.entry.browser)
}

// claimHalf takes a half out of its table: of two that finish it, one does.
func (u *unit) claimHalf(ctx context.Context, h half) error {
	ok, err := one(ctx, u, `DELETE FROM passed WHERE attempt = $1 AND proved = 0`, h.digest)
	if err == nil && !ok {
		return portal.ErrAttempt
	}
	if err != nil {
		return err
	}
	_, err = u.ExecContext(ctx, `DELETE FROM challenges WHERE owner = $1`, h.digest)
	return err
}

// missedHalf counts a wrong code. After the last try the sign-in is over, and its
// owner hears of it: whoever tried knows the first step.
func (u *unit) missedHalf(ctx context.Context, h half, kind string, cause error) error {
	no := portal.Event{Account: h.account.ID, Action: "factor.refused", Method: kind}
	if h.tries+1 < portal.HalfTries {
		if _, err := u.ExecContext(ctx, `UPDATE passed SET tries = tries + 1 WHERE attempt = $1`, h.digest); err != nil {
			return err
		}
		return u.refuse(no, cause)
	}
	if err := u.claimHalf(ctx, h); err != nil {
		return err
	}
	if err := u.finishAttempt(ctx, h.digest); err != nil {
		return err
	}
	if err := u.tellFactor(ctx, h.account, portal.Letter{Factor: portal.FactorNews{What: portal.FactorGuessed}}); err != nil {
		return err
	}
	return u.refuse(no, portal.ErrHalfOver)
}

// Proof reads a proof that was asked for by a session: whose account it is. It
// is portal.ErrAttempt when there is none that counts.
func (s *Store) Proof(ctx context.Context, portalID string, v portal.Visitor, handle string, purpose portal.AttemptPurpose, sessionID string) (portal.Account, error) {
	a, err := s.readProof(ctx, s.db, portalID, v, handle, purpose, sessionID)
	if err != nil {
		return portal.Account{}, failed("read proof", err)
	}
	return a.Account, nil
}

func (s *Store) readProof(ctx context.Context, q querier, portalID string, v portal.Visitor, handle string, purpose portal.AttemptPurpose, sessionID string) (*account, error) {
	now, digest := s.now(), portal.Secret(handle).Digest()
	att, _, err := readAttempt(ctx, q, portalID, digest, now)
	if err != nil {
		return nil, err
	}
	if !sameBrowser(att, v) || att.Purpose != purpose || att.Session == "" || att.Session != sessionID {
		return nil, portal.ErrAttempt
	}
	var accountID string
	var generation int64
	err = q.QueryRowContext(ctx, `SELECT account, generation FROM passed WHERE attempt = $1 AND portal = $2 AND proved > 0 AND expires > $3`,
		digest, portalID, micros(now)).Scan(&accountID, &generation)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, portal.ErrAttempt
	}
	if err != nil {
		return nil, err
	}
	a, err := accountByID(ctx, q, portalID, accountID)
	if err != nil {
		return nil, err
	}
	if a == nil || a.Generation != generation || portal.MaySignIn(a.Status) != nil {
		return nil, portal.ErrAttempt
	}
	return a, nil
}

// spendProof takes a proof, once: of fifty at once, one gets it.
func (u *unit) spendProof(ctx context.Context, handle string, purpose portal.AttemptPurpose, sessionID string) (*account, error) {
	a, err := u.s.readProof(ctx, u, u.portal, u.visitor, handle, purpose, sessionID)
	if err != nil {
		return nil, err
	}
	digest := portal.Secret(handle).Digest()
	ok, err := one(ctx, u, `DELETE FROM passed WHERE attempt = $1 AND proved > 0`, digest)
	if err == nil && !ok {
		err = portal.ErrAttempt
	}
	if err != nil {
		return nil, err
	}
	return a, u.finishAttempt(ctx, digest)
}
