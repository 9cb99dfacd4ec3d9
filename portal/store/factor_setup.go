package store

import (
	"context"
	"errors"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// A SetUp is where a factor is being set up: in a session, or on the way in by
// somebody who must have one and has none.
type SetUp struct {
	session portal.Session
	handle  string // of the attempt; empty: in the session
}

// InSession is a set-up by somebody who is signed in. That the person has proved
// lately who they are is for the caller to see to.
func InSession(ses portal.Session) SetUp { return SetUp{session: ses} }

// InHalf is a set-up on the way in, in half a sign-in.
func InHalf(handle string) SetUp { return SetUp{handle: handle} }

// A bench is a set-up, looked up: whose it is, and what challenges belong to it.
type bench struct {
	account *account
	owner   []byte
	half    *half // nil: in a session
}

// bench finds what is being set up where. A half that lacks a factor which the
// account has is none: a password alone must not add a second way past it.
func (s *Store) bench(ctx context.Context, q querier, portalID string, v portal.Visitor, at SetUp) (b bench, err error) {
	if at.handle != "" {
		h, err := s.readHalf(ctx, q, portalID, v, at.handle)
		if err != nil {
			return b, err
		}
		if h.next != portal.NeedsEnrol {
			return b, portal.ErrAttempt
		}
		return bench{account: h.account, owner: h.digest, half: &h}, nil
	}
	var generation int64
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(generation), 0) FROM sessions WHERE id = $1 AND portal = $2 AND account = $3 AND id <> ''`,
		at.session.ID, portalID, at.session.Account.ID).Scan(&generation)
	if err != nil {
		return b, err
	}
	b.owner = sessionOwner(at.session.ID)
	b.account, err = accountByID(ctx, q, portalID, at.session.Account.ID)
	if err == nil && (b.account == nil || b.account.Generation != generation || portal.MaySignIn(b.account.Status) != nil) {
		return b, portal.ErrNoSession
	}
	return b, err
}

// addFactor adds a factor that was shown to work, tells its owner, and goes on:
// in a session, others end; on the way in, the sign-in is complete.
func (u *unit) addFactor(ctx context.Context, at SetUp, b bench, f portal.Factor, secret, handle []byte, step int64) (portal.SignedIn, error) {
	if err := u.mayAdd(ctx, b.account.ID, f.Kind); err != nil {
		return portal.SignedIn{}, err
	}
	f.ID = newID()
	sealed, err := u.s.vault.Seal(factorPlace(f.ID), secret)
	if err != nil {
		return portal.SignedIn{}, err
	}
	_, err = u.ExecContext(ctx, `INSERT INTO factors (id, portal, account, kind, name, sealed, handle, step, created, confirmed, used)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, 0)`,
		f.ID, u.portal, b.account.ID, string(f.Kind), f.Name, sealed, blob(handle), step, micros(u.now))
	if err != nil {
		return portal.SignedIn{}, err
	}
	if err := u.stand(ctx, b.account.ID); err != nil {
		return portal.SignedIn{}, err
	}
	u.audit(portal.Event{Account: b.account.ID, Action: "factor.added", Method: string(f.Kind), Target: f.ID})
	if err := u.tellFactor(ctx, b.account, portal.Letter{Factor: portal.FactorNews{What: portal.FactorAdded, Kind: f.Kind, Name: f.Name}}); err != nil {
		return portal.SignedIn{}, err
	}
	if b.half == nil {
		return portal.SignedIn{}, u.factorChanged(ctx, b.account.ID, at.session.ID)
	}
	return u.enrolled(ctx, at.handle, *b.half)
}

// enrolled ends a half sign-in with a factor that has just been set up. Whoever
// had come in without one is out.
func (u *unit) enrolled(ctx context.Context, handle string, h half) (in portal.SignedIn, err error) {
	if err := u.claimHalf(ctx, h); err != nil {
		return in, err
	}
	if h.entry.account.Generation, err = u.endGeneration(ctx, h.account.ID, ""); err != nil {
		return in, err
	}
	h.entry.proved = u.now
	return u.conclude(ctx, handle, h.entry)
}

func (u *unit) mayAdd(ctx context.Context, accountID string, kind portal.FactorKind) error {
	var n int
	err := u.QueryRowContext(ctx, `SELECT COUNT(*) FROM factors WHERE account = $1 AND kind = $2 AND confirmed > 0`, accountID, string(kind)).Scan(&n)
	if err == nil && n >= portal.MaxFactors {
		return portal.ErrFactorsMany
	}
	return err
}

// tellFactor writes to every confirmed address of an account: whoever is behind a
// change that its owner did not make may be reading one of them.
func (u *unit) tellFactor(ctx context.Context, a *account, l portal.Letter) error {
	l.Kind = portal.FactorLetter
	return u.tell(ctx, a, l)
}

// tell writes a letter to every confirmed address of an account.
func (u *unit) tell(ctx context.Context, a *account, l portal.Letter) error {
	rows, err := u.QueryContext(ctx, `SELECT address FROM addresses WHERE account = $1 AND confirmed > 0 ORDER BY is_primary DESC, address`, a.ID)
	if err != nil {
		return err
	}
	var to []discovery.Address
	err = func() error {
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			address, err := discovery.ParseAddress(s)
			if err != nil {
				return errors.New("stored address does not parse")
			}
			to = append(to, address)
		}
		return rows.Err()
	}()
	if err != nil {
		return err
	}
	for _, l.To = range to {
		if err := u.post(ctx, a, l); err != nil {
			return err
		}
	}
	return nil
}
