package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// entry is how somebody comes in, once a rule has said they may.
type entry struct {
	account    portal.Account
	method     discovery.SignIn
	connection string
	browser    []byte // digest of the browser's cookie; empty when unknown
	keep       bool
	returnTo   string
	end        time.Time     // the IdP's own end of the session
	idToken    portal.Secret // OIDC
	double     bool          // the first step was two factors: a passkey that verified its user
	proved     time.Time     // when the person proved who they are with all they have; zero: a step was skipped
	vouched    time.Time     // when, by an IdP's word, the person signed in there; zero: it does not say

	purpose portal.AttemptPurpose // of the attempt; empty: a sign-in
	session string                // what a proof is for
}

// enter starts a session: a new token, whatever the browser had before; the
// session that browser had in this portal is over. The account's oldest ends
// when it has too many. Whether there may be one is for [unit.pass] to say.
func (u *unit) enter(ctx context.Context, e entry) (portal.SignedIn, error) {
	p, err := readPortal(ctx, u, `id = $1`, u.portal)
	if err != nil {
		return portal.SignedIn{}, err
	}
	if err := u.takeUp(ctx, e.account); err != nil {
		return portal.SignedIn{}, err
	}
	set, err := readSettings(ctx, u, u.portal)
	if err != nil {
		return portal.SignedIn{}, err
	}
	if len(e.browser) > 0 {
		if _, err := u.ExecContext(ctx, `DELETE FROM sessions WHERE portal = $1 AND browser = $2`, u.portal, e.browser); err != nil {
			return portal.SignedIn{}, err
		}
	}
	token := portal.NewSecret()
	ses := set.Lifetimes.Within(u.s.Lifetimes).NewSession(portal.Session{Kept: e.keep && p.KeepSigned}, u.now, e.end)
	sealed, err := u.s.vault.Seal(idTokenPlace(token.Digest()), []byte(e.idToken))
	if err != nil {
		return portal.SignedIn{}, err
	}
	_, err = u.ExecContext(ctx, `INSERT INTO sessions
		(digest, portal, account, generation, method, connection, browser, kept, started, seen, idle, absolute, id_token,
		id, proved, network, agent, country)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		token.Digest(), u.portal, e.account.ID, e.account.Generation, string(e.method), e.connection, blob(e.browser), ses.Kept,
		micros(ses.Started), micros(ses.Seen), micros(ses.Idle), micros(ses.Absolute), blob(sealed),
		newID(), micros(e.proved), portal.Network(u.visitor.Client), u.visitor.Agent, u.visitor.Country)
	if err != nil {
		return portal.SignedIn{}, err
	}
	// Sessions that lapsed do not count; of those that do, the least recently
	// used goes. started breaks ties, so that the new one stays.
	_, err = u.ExecContext(ctx, `DELETE FROM sessions WHERE account = $1 AND (idle <= $2 OR absolute <= $2 OR digest NOT IN
		(SELECT digest FROM sessions WHERE account = $1 AND idle > $2 AND absolute > $2 ORDER BY seen DESC, started DESC LIMIT $3))`,
		e.account.ID, micros(u.now), portal.MaxSessions)
	if err != nil {
		return portal.SignedIn{}, err
	}
	if err := u.setStatus(ctx, &e.account, portal.Active); err != nil {
		return portal.SignedIn{}, err
	}
	if err := u.tally(ctx, "signin:"+u.now.Format(time.DateOnly), 1); err != nil {
		return portal.SignedIn{}, err
	}
	if _, err = u.ExecContext(ctx, `UPDATE accounts SET last_sign_in = $1 WHERE id = $2`, micros(u.now), e.account.ID); err != nil {
		return portal.SignedIn{}, err
	}
	if e.connection != "" {
		if _, err = u.ExecContext(ctx, `UPDATE connections SET last_sign_in = $1 WHERE id = $2`, micros(u.now), e.connection); err != nil {
			return portal.SignedIn{}, err
		}
	}
	if len(e.browser) > 0 {
		_, err = u.ExecContext(ctx, `INSERT INTO devices (account, browser, seen) VALUES ($1, $2, $3)
			ON CONFLICT (account, browser) DO UPDATE SET seen = excluded.seen`, e.account.ID, e.browser, micros(u.now))
		if err != nil {
			return portal.SignedIn{}, err
		}
	}
	u.audit(portal.Event{Account: e.account.ID, Action: "session.start", Method: string(e.method), Target: e.connection})
	e.account.LastSignIn, e.account.MustChange = u.now, false
	return portal.SignedIn{Token: token, ReturnTo: portal.LocalPath(e.returnTo), Kept: ses.Kept, Absolute: ses.Absolute, Account: e.account}, nil
}

func idTokenPlace(digest []byte) string { return fmt.Sprintf("session %x", digest) }

// finishAttempt takes an attempt of a browser out of the table: one that is
// gone has been finished by somebody else, and nobody signs in with it twice.
func (u *unit) finishAttempt(ctx context.Context, digest []byte) error {
	ok, err := one(ctx, u, `DELETE FROM attempts WHERE digest = $1 AND portal = $2`, blob(digest), u.portal)
	if err != nil {
		return err
	}
	if !ok {
		return portal.ErrAttempt
	}
	_, err = u.ExecContext(ctx, `DELETE FROM federations WHERE attempt = $1`, blob(digest))
	return err
}

// SessionByToken is the session a browser's cookie names, used now. It is
// portal.ErrNoSession when there is none that counts: unknown, lapsed, ended,
// of another portal, or of an account that was disabled or secured since.
func (s *Store) SessionByToken(ctx context.Context, portalID string, token portal.Secret) (portal.Session, error) {
	if token == "" {
		return portal.Session{}, portal.ErrNoSession
	}
	ses, generation, err := s.readSession(ctx, portalID, token)
	if err != nil {
		return portal.Session{}, failed("read session", err)
	}
	now := s.now()
	set, err := readSettings(ctx, s.db, portalID)
	if err != nil {
		return portal.Session{}, failed("read settings", err)
	}
	if ses.Portal, err = s.PortalByID(ctx, portalID); err != nil {
		return portal.Session{}, err
	}
	lifetimes := set.Lifetimes.Within(s.Lifetimes)
	if ses, err = counting(ses, generation, lifetimes, now); err != nil {
		return portal.Session{}, err
	}
	touched, note := lifetimes.Touch(ses, now)
	if note {
		_, err = s.db.ExecContext(ctx, `UPDATE sessions SET seen = $1, idle = $2 WHERE digest = $3`,
			micros(touched.Seen), micros(touched.Idle), token.Digest())
		if err != nil {
			return portal.Session{}, failed("touch session", err)
		}
	}
	return touched, nil
}

// counting is a session with the lengths that hold for it at now: the portal may
// have made them shorter since it started. It is portal.ErrNoSession when the
// session is over.
func counting(ses portal.Session, generation int64, l portal.Lifetimes, now time.Time) (portal.Session, error) {
	ses = l.Shorten(ses)
	if err := ses.Live(generation, now); err != nil {
		return portal.Session{}, err
	}
	if ses.Kept && !ses.Portal.KeepSigned && now.Sub(ses.Started) >= l.Absolute {
		return portal.Session{}, portal.ErrNoSession // the portal's switch was turned off since (S15)
	}
	return ses, nil
}

func (s *Store) readSession(ctx context.Context, portalID string, token portal.Secret) (portal.Session, int64, error) {
	var row sessionRow
	a, err := scanAccount(s.db.QueryRowContext(ctx, `SELECT `+accountColumns+`, `+sessionColumns+`
		FROM`+accountTables+`JOIN sessions s ON s.account = a.id WHERE s.digest = $1 AND s.portal = $2`, token.Digest(), portalID),
		row.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		return portal.Session{}, 0, portal.ErrNoSession
	}
	ses := row.session()
	ses.Account = a.Account
	return ses, row.generation, err
}

// sessionColumns are what a sessionRow is read from, of sessions s.
const sessionColumns = `s.id, s.generation, s.method, s.connection, s.kept, s.started, s.seen, s.idle, s.absolute,
	s.proved, s.network, s.agent, s.country`

type sessionRow struct {
	ses                                               portal.Session
	method                                            string
	generation, started, seen, idle, absolute, proved int64
}

func (r *sessionRow) fields() []any {
	return []any{&r.ses.ID, &r.generation, &r.method, &r.ses.Connection, &r.ses.Kept, &r.started, &r.seen, &r.idle, &r.absolute,
		&r.proved, &r.ses.Network, &r.ses.Agent, &r.ses.Country}
}

// session is the row without what other tables know: account and portal.
func (r *sessionRow) session() portal.Session {
	ses := r.ses
	ses.Method, ses.Proved = discovery.SignIn(r.method), when(r.proved)
	ses.Started, ses.Seen, ses.Idle, ses.Absolute = when(r.started), when(r.seen), when(r.idle), when(r.absolute)
	return ses
}

// Sessions are all sessions of an account that count now, the one used last
// first.
func (s *Store) Sessions(ctx context.Context, portalID, accountID string) ([]portal.Session, error) {
	a, err := accountByID(ctx, s.db, portalID, accountID)
	if err != nil || a == nil {
		return nil, failed("read account", err)
	}
	p, err := s.PortalByID(ctx, portalID)
	if err != nil {
		return nil, err
	}
	set, err := readSettings(ctx, s.db, portalID)
	if err != nil {
		return nil, failed("read settings", err)
	}
	lifetimes := set.Lifetimes.Within(s.Lifetimes)
	rows, err := s.db.QueryContext(ctx, `SELECT `+sessionColumns+` FROM sessions s
		WHERE s.account = $1 AND s.portal = $2 ORDER BY s.seen DESC, s.started DESC`, accountID, portalID)
	if err != nil {
		return nil, failed("read sessions", err)
	}
	defer func() { _ = rows.Close() }()
	now := s.now()
	var out []portal.Session
	for rows.Next() {
		var row sessionRow
		if err := rows.Scan(row.fields()...); err != nil {
			return nil, failed("read sessions", err)
		}
		ses := row.session()
		ses.Account, ses.Portal = a.Account, p
		if ses, err := counting(ses, row.generation, lifetimes, now); err == nil {
			out = append(out, ses)
		}
	}
	return out, failed("read sessions", rows.Err())
}

// SignOut ends one session, and says what the IdP has to be told. Without a
// session there is nothing to end, which is no error.
func (s *Store) SignOut(ctx context.Context, portalID string, v portal.Visitor, token portal.Secret) (ended portal.Ended, err error) {
	if token == "" {
		return ended, nil
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		var sealed []byte
		err := u.QueryRowContext(ctx, `DELETE FROM sessions WHERE digest = $1 AND portal = $2 RETURNING account, connection, id_token`,
			token.Digest(), portalID).Scan(&ended.Account, &ended.Connection, &sealed)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		// Signing out does without the hint when it does not open any more, as
		// after a change of the vault's key.
		plain, _ := s.vault.Open(idTokenPlace(token.Digest()), sealed)
		ended.IDToken = portal.Secret(plain)
		u.audit(portal.Event{Account: ended.Account, Action: "session.end", Target: ended.Connection})
		return nil
	})
	return ended, err
}

// SignOutAll ends every session of an account, on all its devices, none of which
// is trusted any more.
func (s *Store) SignOutAll(ctx context.Context, portalID string, v portal.Visitor, accountID string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		ok, err := one(ctx, u, `UPDATE accounts SET generation = generation + 1 WHERE id = $1 AND portal = $2`, accountID, portalID)
		if err != nil {
			return err
		}
		if !ok {
			return errNoAccount
		}
		u.audit(portal.Event{Account: accountID, Action: "session.end_all"})
		if _, err = u.ExecContext(ctx, `DELETE FROM sessions WHERE account = $1`, accountID); err != nil {
			return err
		}
		_, err = u.ExecContext(ctx, `UPDATE devices SET trusted = 0 WHERE account = $1 AND trusted > 0`, accountID)
		return err
	})
}

var errNoSession = &discovery.Error{Kind: discovery.NotFound, Code: "session_unknown"}

// EndSession ends one session of an account, by its public ID: with its next
// request, on whichever process, that browser is signed in no more. One that is
// not the account's is not found, whoever's it is.
func (s *Store) EndSession(ctx context.Context, portalID string, v portal.Visitor, accountID, id string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		ok, err := one(ctx, u, `DELETE FROM sessions WHERE portal = $1 AND id = $2 AND account = $3 AND id <> ''`, portalID, id, accountID)
		if err != nil {
			return err
		}
		if !ok {
			return u.refuse(portal.Event{Account: accountID, Action: "access.refused", Target: anID(id)}, errNoSession)
		}
		u.audit(portal.Event{Account: accountID, Action: "session.ended", Target: id})
		return nil
	})
}

// EndOtherSessions ends all sessions of an account but the one called keep, and
// whatever was half begun elsewhere: the account's generation rises, and the
// session that is kept goes along. Other browsers are not trusted any more.
func (s *Store) EndOtherSessions(ctx context.Context, portalID string, v portal.Visitor, accountID, keep string) error {
	return s.change(ctx, portalID, v, func(u *unit) error { return u.endOthers(ctx, accountID, keep) })
}

func (u *unit) endOthers(ctx context.Context, accountID, keep string) error {
	var generation int64
	err := u.QueryRowContext(ctx, `UPDATE accounts SET generation = generation + 1 WHERE id = $1 AND portal = $2 RETURNING generation`,
		accountID, u.portal).Scan(&generation)
	if err != nil {
		return err
	}
	kept, err := one(ctx, u, `UPDATE sessions SET generation = $1 WHERE portal = $2 AND account = $3 AND id = $4 AND generation = $5`,
		generation, u.portal, accountID, keep, generation-1)
	if err != nil {
		return err
	}
	if !kept {
		return portal.ErrNoSession // it was ended a moment ago, from elsewhere
	}
	if _, err := u.ExecContext(ctx, `DELETE FROM sessions WHERE account = $1 AND id <> $2`, accountID, keep); err != nil {
		return err
	}
	u.audit(portal.Event{Account: accountID, Action: "session.ended", Target: "others"})
	_, err = u.ExecContext(ctx, `UPDATE devices SET trusted = 0 WHERE account = $1 AND trusted > 0 AND browser <> $2`, accountID, blob(u.visitor.Browser.Digest()))
	return err
}

// anID is what somebody sent as a row's name, if it could be one. Anything else
// stays out of the audit log: it could be a secret.
func anID(s string) string {
	if len(s) == 32 && strings.Trim(s, "0123456789abcdef") == "" {
		return s
	}
	return ""
}
