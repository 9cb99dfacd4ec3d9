package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/domicile-sso/domicile/portal"
)

const (
	setUpSMS  = "sms set-up"
	secondSMS = "sms"
)

// A textChallenge is a code that was sent, by its digest, and where to.
type textChallenge struct {
	Number string // of a set-up
	Name   string
	Factor string // of a sign-in: the factor whose telephone it was sent to
	Digest []byte
}

// textDigest binds a code to the one challenge it was sent for: a table of all
// million digests is good for one row. It is sealed besides.
func textDigest(owner []byte, code portal.Secret) []byte {
	d := sha256.Sum256(append(append([]byte("text code "), owner...), code.Clear()...))
	return d[:]
}

// BeginSMS sends a code to a telephone that is to become a second factor.
func (s *Store) BeginSMS(ctx context.Context, portalID string, v portal.Visitor, at SetUp, name string, number portal.E164) error {
	// Who is to pay for a message is known before it is written.
	b, err := s.bench(ctx, s.db, portalID, v, at)
	if err != nil {
		return failed("read set-up", err)
	}
	if err := s.chargeText(ctx, portalID, b.account.ID, v, number); err != nil {
		return err
	}
	return s.change(ctx, portalID, v, func(u *unit) error {
		b, err := s.bench(ctx, u, portalID, v, at)
		if err != nil {
			return err
		}
		if err := u.mayAdd(ctx, b.account.ID, portal.SMSFactor); err != nil {
			return err
		}
		return u.sendCode(ctx, b.account, b.owner, setUpSMS, number, textChallenge{Number: number.Clear(), Name: portal.FactorName(name)})
	})
}

func (s *Store) chargeText(ctx context.Context, portalID, accountID string, v portal.Visitor, number portal.E164) error {
	if !s.Texts {
		return ErrNoTexts
	}
	wait, err := s.charge(ctx, portal.TextBuckets(portalID, accountID, number, v)...)
	if err == nil && wait > 0 {
		return portal.TooMany("text_throttled", wait)
	}
	return err
}

func (u *unit) sendCode(ctx context.Context, a *account, owner []byte, purpose string, to portal.E164, c textChallenge) error {
	code := portal.NewTextCode()
	c.Digest = textDigest(owner, code)
	plain, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := u.ask(ctx, owner, purpose, a.ID, plain, portal.TextCodeLife); err != nil {
		return err
	}
	u.audit(portal.Event{Account: a.ID, Action: "factor.code_sent", Method: string(portal.SMSFactor), Target: c.Factor})
	return u.text(ctx, a, to, portal.Text{Code: code, Expires: u.now.Add(portal.TextCodeLife)})
}

// PendingSMS is the telephone being set up; it is empty when there is none.
func (s *Store) PendingSMS(ctx context.Context, portalID string, v portal.Visitor, at SetUp) (portal.E164, error) {
	b, err := s.bench(ctx, s.db, portalID, v, at)
	if err != nil {
		return "", failed("read set-up", err)
	}
	c, ok, err := s.asked(ctx, s.db, portalID, b.owner, setUpSMS, b.account.ID)
	if err != nil || !ok {
		return "", failed("read set-up", err)
	}
	var t textChallenge
	err = json.Unmarshal(c.plain, &t)
	return portal.E164(t.Number), failed("read set-up", err)
}

// ConfirmSMS adds the telephone that is being set up, once the code that was sent
// there is right.
func (s *Store) ConfirmSMS(ctx context.Context, portalID string, v portal.Visitor, at SetUp, code portal.Secret) (in portal.SignedIn, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		b, err := s.bench(ctx, u, portalID, v, at)
		if err != nil {
			return err
		}
		t, err := u.takeTextCode(ctx, b.account.ID, b.owner, setUpSMS, code)
		if err != nil {
			return u.refuseKnown(portal.Event{Account: b.account.ID, Action: "factor.refused", Method: string(portal.SMSFactor)}, err)
		}
		in, err = u.addFactor(ctx, at, b, portal.Factor{Kind: portal.SMSFactor, Name: t.Name}, []byte(t.Number), nil, 0)
		return err
	})
	return in, err
}

// takeTextCode spends the challenge whose code it is, or counts a wrong try.
func (u *unit) takeTextCode(ctx context.Context, accountID string, owner []byte, purpose string, code portal.Secret) (t textChallenge, err error) {
	typed := portal.TypedCode(code)
	if typed == "" {
		return t, portal.ErrFactorShape
	}
	c, ok, err := u.s.asked(ctx, u, u.portal, owner, purpose, accountID)
	if err != nil {
		return t, err
	}
	if !ok {
		return t, portal.ErrTextCode
	}
	if err := json.Unmarshal(c.plain, &t); err != nil {
		return t, err
	}
	if subtle.ConstantTimeCompare(t.Digest, textDigest(owner, typed)) != 1 {
		if err := u.missed(ctx, c, portal.TextCodeTries); err != nil {
			return t, err
		}
		return t, portal.ErrTextCode
	}
	return t, u.spend(ctx, c)
}

// SendFactorCode sends a code to a telephone of the account whose half sign-in it
// is.
func (s *Store) SendFactorCode(ctx context.Context, portalID string, v portal.Visitor, handle, factorID string) error {
	h, err := s.readHalf(ctx, s.db, portalID, v, handle)
	if err != nil {
		return failed("read half sign-in", err)
	}
	phone, err := s.phone(ctx, s.db, h.account.ID, factorID)
	if err != nil {
		return failed("read factor", err)
	}
	if err := s.chargeText(ctx, portalID, h.account.ID, v, phone); err != nil {
		return err
	}
	return s.change(ctx, portalID, v, func(u *unit) error {
		h, err := u.half(ctx, handle)
		if err != nil {
			return err
		}
		to, err := s.phone(ctx, u, h.account.ID, factorID)
		if err != nil {
			return err
		}
		return u.sendCode(ctx, h.account, h.digest, secondSMS, to, textChallenge{Factor: factorID})
	})
}

// phone is the number of a factor.
func (s *Store) phone(ctx context.Context, q querier, accountID, factorID string) (portal.E164, error) {
	var sealed []byte
	err := q.QueryRowContext(ctx, `SELECT sealed FROM factors WHERE id = $1 AND account = $2 AND kind = $3 AND confirmed > 0`,
		factorID, accountID, string(portal.SMSFactor)).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errNoFactor
	}
	if err != nil {
		return "", err
	}
	plain, err := s.vault.Open(factorPlace(factorID), sealed)
	return portal.E164(plain), err
}

// useText accepts a code that was sent for the half sign-in.
func (u *unit) useText(ctx context.Context, h half, code portal.Secret) error {
	t, err := u.takeTextCode(ctx, h.account.ID, h.digest, secondSMS, code)
	if err != nil {
		return err
	}
	ok, err := one(ctx, u, `UPDATE factors SET used = $1 WHERE id = $2 AND account = $3 AND confirmed > 0`, micros(u.now), t.Factor, h.account.ID)
	if err == nil && !ok {
		return portal.ErrTextCode // the telephone was removed meanwhile
	}
	return err
}
