package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// Passkeys in the database. A key pair is a row of factors, sealed, found by a
// digest of the name it has for itself. A challenge is a row of challenges that
// belongs to one attempt (signing in) or one session (making a passkey) and is
// taken out of the table by the first answer, right or wrong.

const (
	askPasskey  = "passkey"     // purpose of a challenge: to be answered by a passkey
	makePasskey = "passkey-new" // … by a new one
)

// A sealedPasskey is what the vault seals of a passkey.
type sealedPasskey struct {
	RPID       string
	Credential json.RawMessage
	Maker      string `json:",omitempty"`
}

func openPasskey(k portal.Passkey) (plain []byte, err error) {
	credential, err := json.Marshal(k.Credential)
	if err == nil {
		plain, err = json.Marshal(sealedPasskey{k.RPID, credential, k.Maker})
	}
	if err != nil {
		return nil, fmt.Errorf("encode passkey: %w", err)
	}
	return plain, nil
}

const passkeyColumns = `id, account, name, sealed, created, used`

func (s *Store) scanPasskey(row scanner) (k portal.Passkey, err error) {
	var sealed []byte
	var created, used int64
	if err := row.Scan(&k.ID, &k.Account, &k.Name, &sealed, &created, &used); err != nil {
		return k, err
	}
	plain, err := s.vault.Open(factorPlace(k.ID), sealed)
	if err != nil {
		return k, fmt.Errorf("passkey %s: %w", k.ID, err)
	}
	var open sealedPasskey
	if err := json.Unmarshal(plain, &open); err != nil {
		return k, fmt.Errorf("passkey %s: %w", k.ID, err)
	}
	k.RPID, k.Maker, k.Created, k.Used = open.RPID, open.Maker, when(created), when(used)
	return k, json.Unmarshal(open.Credential, &k.Credential)
}

func (s *Store) readPasskeys(ctx context.Context, q querier, accountID string) ([]portal.Passkey, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+passkeyColumns+` FROM factors
		WHERE account = $1 AND kind = 'passkey' AND confirmed > 0 ORDER BY created, id`, accountID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []portal.Passkey
	for rows.Next() {
		k, err := s.scanPasskey(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

// Passkeys are those of an account of the portal, the oldest first.
func (s *Store) Passkeys(ctx context.Context, portalID, accountID string) ([]portal.Passkey, error) {
	a, err := accountByID(ctx, s.db, portalID, accountID)
	if err != nil || a == nil {
		return nil, failed("read passkeys", err)
	}
	keys, err := s.readPasskeys(ctx, s.db, a.ID)
	return keys, failed("read passkeys", err)
}

// Party is a portal as passkeys know it where it is served now.
func (s *Store) Party(p portal.Portal) (portal.Party, error) {
	at := p.At(s.StandIn)
	if at == "" {
		at = p.URL
	}
	return portal.NewParty(at, p.Name)
}

func (u *unit) party(ctx context.Context) (portal.Party, error) {
	p, err := readPortal(ctx, u, `id = $1`, u.portal)
	if err != nil {
		return portal.Party{}, err
	}
	return u.s.Party(p)
}

func challengePlace(id string) string { return "challenge " + id }

// askBrowser keeps a ceremony for an owner; an older one of the same purpose is
// over.
func (u *unit) askBrowser(ctx context.Context, owner []byte, purpose, accountID string, c portal.Ceremony) error {
	plain, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode challenge: %w", err)
	}
	return u.ask(ctx, owner, purpose, accountID, plain, portal.CeremonyLife)
}

// errChallenge: there is no challenge that waits: answered before, expired, of
// another browser or portal.
var errChallenge = &discovery.Error{Kind: discovery.Forbidden, Code: "passkey_challenge",
	Say: "That took too long, or was answered before. Please try again."}

func (s *Store) openChallenge(id string, sealed []byte) (c portal.Ceremony, err error) {
	plain, err := s.vault.Open(challengePlace(id), sealed)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(plain, &c)
}

// takeChallenge spends a challenge: of fifty answers at once, one is looked at.
func (u *unit) takeChallenge(ctx context.Context, owner []byte, purpose string) (c portal.Ceremony, accountID string, err error) {
	var id string
	var sealed []byte
	err = u.QueryRowContext(ctx, `DELETE FROM challenges WHERE owner = $1 AND purpose = $2 AND portal = $3 AND expires > $4
		RETURNING id, account, sealed`, blob(owner), purpose, u.portal, micros(u.now)).Scan(&id, &accountID, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return c, "", errChallenge
	}
	if err != nil {
		return c, "", err
	}
	c, err = u.s.openChallenge(id, sealed)
	return c, accountID, err
}

// readChallenge reads one without spending it, for the page that puts it.
func (s *Store) readChallenge(ctx context.Context, portalID string, owner []byte, purpose string) (c portal.Ceremony, err error) {
	var id string
	var sealed []byte
	err = s.db.QueryRowContext(ctx, `SELECT id, sealed FROM challenges WHERE owner = $1 AND purpose = $2 AND portal = $3 AND expires > $4`,
		blob(owner), purpose, portalID, micros(s.now())).Scan(&id, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return c, errChallenge
	}
	if err != nil {
		return c, failed("read challenge", err)
	}
	c, err = s.openChallenge(id, sealed)
	return c, failed("read challenge", err)
}

// AskPasskey puts a challenge to the visitor's browser, in its attempt. Where the
// first step of a sign-in has been passed it is for that account's passkeys;
// otherwise whoever answers says who they are by it.
func (s *Store) AskPasskey(ctx context.Context, portalID string, v portal.Visitor, handle string, keep bool) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		owner := portal.Secret(handle).Digest()
		att, _, err := readAttempt(ctx, u, portalID, owner, u.now)
		if err != nil {
			return err
		}
		if !sameBrowser(att, v) {
			return portal.ErrAttempt
		}
		party, err := u.party(ctx)
		if err != nil {
			return err
		}
		h, waiting, err := u.waiting(ctx, handle)
		if err != nil {
			return err
		}
		if !waiting {
			c, err := party.Ask(nil, nil)
			if err != nil {
				return err
			}
			c.Keep = keep
			return u.askBrowser(ctx, owner, askPasskey, "", c)
		}
		keys, err := s.readPasskeys(ctx, u, h.account.ID)
		if err != nil {
			return err
		}
		c, err := party.Ask(&h.account.Account, keys)
		if err != nil {
			return err
		}
		return u.askBrowser(ctx, owner, askPasskey, h.account.ID, c)
	})
}

// waiting is the half of an attempt that lacks its second factor, if it is one.
func (u *unit) waiting(ctx context.Context, handle string) (h half, ok bool, err error) {
	h, err = u.half(ctx, handle)
	if errors.Is(err, portal.ErrAttempt) {
		return h, false, nil
	}
	return h, err == nil && h.next == portal.NeedsSecond, err
}

// AskedPasskey is the challenge that waits in an attempt of the visitor's
// browser. Reading spends nothing.
func (s *Store) AskedPasskey(ctx context.Context, portalID string, v portal.Visitor, handle string) (c portal.Ceremony, err error) {
	if _, err := s.AttemptByHandle(ctx, portalID, v, handle); err != nil {
		return c, err
	}
	return s.readChallenge(ctx, portalID, portal.Secret(handle).Digest(), askPasskey)
}

// SignInPasskey looks at the answer to an attempt's challenge. A right one is two
// factors at once: it signs in on its own, or completes what a password began.
func (s *Store) SignInPasskey(ctx context.Context, portalID string, v portal.Visitor, handle, answer string) (in portal.SignedIn, err error) {
	buckets := portal.PasskeyBuckets(portalID, v)
	if wait, err := s.charge(ctx, buckets...); err != nil || wait > 0 {
		return in, cmp.Or(err, portal.TooMany("passkey_throttled", wait))
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		owner := portal.Secret(handle).Digest()
		att, _, err := readAttempt(ctx, u, portalID, owner, u.now)
		if err != nil {
			return err
		}
		if !sameBrowser(att, v) {
			return portal.ErrAttempt
		}
		c, accountID, err := u.takeChallenge(ctx, owner, askPasskey)
		if err != nil {
			return u.refusePasskey(accountID, err)
		}
		a, err := u.checkPasskey(ctx, c, accountID, answer)
		if err != nil {
			return u.refusePasskey(accountID, err)
		}
		if accountID == "" {
			in, err = u.enterByPasskey(ctx, handle, att, a, c.Keep)
			return err
		}
		h, ok, err := u.waiting(ctx, handle)
		if err != nil {
			return err
		}
		if !ok || h.account.ID != a.ID {
			return portal.ErrAttempt
		}
		in, err = u.finish(ctx, handle, h, string(portal.PasskeyFactor), false)
		return err
	})
	if err != nil {
		return portal.SignedIn{}, err
	}
	return in, s.refund(ctx, buckets...)
}

// enterByPasskey is a sign-in, or a proof, by a passkey alone.
func (u *unit) enterByPasskey(ctx context.Context, handle string, att attempt, a *account, keep bool) (portal.SignedIn, error) {
	if att.Purpose != portal.ForConfirm {
		d, known, err := domainFor(ctx, u, u.portal, a.Primary.Domain())
		if err != nil {
			return portal.SignedIn{}, err
		}
		if err := portal.PasskeyAlone(d, known); err != nil {
			return portal.SignedIn{}, u.refuse(portal.Event{Account: a.ID, Action: "session.refused", Method: string(portal.ByPasskey)}, err)
		}
	}
	return u.pass(ctx, handle, entry{account: a.Account, method: portal.ByPasskey, double: true, browser: att.browser, keep: keep, returnTo: att.ReturnTo})
}

// refusePasskey audits a refusal, and lets through what is none.
func (u *unit) refusePasskey(accountID string, err error) error {
	var known *discovery.Error
	if !errors.As(err, &known) || known.Kind.Status() >= 500 {
		return err
	}
	var done *refusal
	if errors.As(err, &done) {
		return err
	}
	return u.refuse(portal.Event{Account: accountID, Action: "factor.refused", Method: string(portal.PasskeyFactor)}, err)
}

// checkPasskey finds the passkey that an answer is from, checks it, and keeps its
// counter. accountID is who was asked; empty: anybody.
func (u *unit) checkPasskey(ctx context.Context, c portal.Ceremony, accountID, answer string) (*account, error) {
	read, err := portal.ReadAnswer(answer)
	if err != nil {
		return nil, err
	}
	k, err := u.s.scanPasskey(u.QueryRowContext(ctx, `SELECT `+passkeyColumns+` FROM factors
		WHERE portal = $1 AND handle = $2 AND kind = 'passkey' AND confirmed > 0`, u.portal, read.Handle()))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, portal.ErrNoPasskey
	}
	if err != nil {
		return nil, err
	}
	refuse := func(action string, err error) error {
		return u.refuse(portal.Event{Account: k.Account, Action: action, Method: string(portal.PasskeyFactor), Target: k.ID}, err)
	}
	a, err := accountByID(ctx, u, u.portal, k.Account)
	if err != nil {
		return nil, err
	}
	if a == nil || accountID != "" && a.ID != accountID {
		return nil, refuse("factor.refused", portal.ErrNoPasskey)
	}
	party, err := u.party(ctx)
	if err != nil {
		return nil, err
	}
	checked, err := party.Check(c, read, a.Account, k)
	if errors.Is(err, portal.ErrCloned) {
		return nil, refuse("factor.cloned", err)
	}
	if err != nil {
		return nil, refuse("factor.refused", err)
	}
	// Only who has the passkey hears that the account is disabled.
	if err := portal.MaySignIn(a.Status); err != nil {
		return nil, refuse("session.refused", err)
	}
	plain, err := openPasskey(checked)
	if err != nil {
		return nil, err
	}
	sealed, err := u.s.vault.Seal(factorPlace(k.ID), plain)
	if err != nil {
		return nil, err
	}
	_, err = u.ExecContext(ctx, `UPDATE factors SET sealed = $1, used = $2 WHERE id = $3`, sealed, micros(u.now), k.ID)
	return a, err
}

// sessionOwner is whom a challenge belongs to that is put to somebody signed in.
func sessionOwner(sessionID string) []byte { return portal.Secret("session " + sessionID).Digest() }

// AskNewPasskey begins the making of a passkey.
func (s *Store) AskNewPasskey(ctx context.Context, portalID string, v portal.Visitor, at SetUp, name string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		b, err := s.bench(ctx, u, portalID, v, at)
		if err != nil {
			return err
		}
		party, err := u.party(ctx)
		if err != nil {
			return err
		}
		have, err := s.readPasskeys(ctx, u, b.account.ID)
		if err != nil {
			return err
		}
		c, err := party.Create(b.account.Account, have, name)
		if err != nil {
			return err
		}
		return u.askBrowser(ctx, b.owner, makePasskey, b.account.ID, c)
	})
}

// AskedNewPasskey is the challenge for a new passkey that waits.
func (s *Store) AskedNewPasskey(ctx context.Context, portalID string, v portal.Visitor, at SetUp) (portal.Ceremony, error) {
	b, err := s.bench(ctx, s.db, portalID, v, at)
	if err != nil {
		return portal.Ceremony{}, failed("read challenge", err)
	}
	return s.readChallenge(ctx, portalID, b.owner, makePasskey)
}

// AddPasskey keeps the passkey that a browser has made. On the way in it ends the
// half sign-in; in a session it ends the others.
func (s *Store) AddPasskey(ctx context.Context, portalID string, v portal.Visitor, at SetUp, answer string) (in portal.SignedIn, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		b, err := s.bench(ctx, u, portalID, v, at)
		if err != nil {
			return err
		}
		k, err := u.madePasskey(ctx, b, answer)
		if err != nil {
			return u.refusePasskey(b.account.ID, err)
		}
		secret, err := openPasskey(k)
		if err != nil {
			return err
		}
		in, err = u.addFactor(ctx, at, b, portal.Factor{Kind: portal.PasskeyFactor, Name: k.Name}, secret, k.Handle(), 0)
		return err
	})
	return in, err
}

// madePasskey checks the answer to a challenge for a new passkey, and that nobody
// of the portal has it: an account's passkeys are as many as it may have.
func (u *unit) madePasskey(ctx context.Context, b bench, answer string) (k portal.Passkey, err error) {
	c, asked, err := u.takeChallenge(ctx, b.owner, makePasskey)
	if err != nil {
		return k, err
	}
	if asked != b.account.ID {
		return k, errChallenge
	}
	party, err := u.party(ctx)
	if err != nil {
		return k, err
	}
	if k, err = party.Created(c, b.account.Account, answer); err != nil {
		return k, err
	}
	var taken int
	err = u.QueryRowContext(ctx, `SELECT COUNT(*) FROM factors WHERE portal = $1 AND handle = $2 AND kind = 'passkey'`, u.portal, k.Handle()).Scan(&taken)
	if err == nil && taken > 0 {
		err = portal.ErrPasskeyTaken
	}
	return k, err
}
