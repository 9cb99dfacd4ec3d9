package store

import (
	"context"
	"errors"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// Half is what the pages of a second step need to know of it. It is
// portal.ErrAttempt when there is no such half sign-in of the visitor's browser.
func (s *Store) Half(ctx context.Context, portalID string, v portal.Visitor, handle string) (out portal.Half, err error) {
	h, err := s.readHalf(ctx, s.db, portalID, v, handle)
	if err != nil {
		return out, failed("read half sign-in", err)
	}
	out = portal.Half{Account: h.account.Account, Next: h.next, Purpose: h.att.Purpose, ReturnTo: h.att.ReturnTo, Texts: s.Texts}
	if out.Ways, err = s.Ways(ctx, portalID, h.account.ID); err != nil {
		return out, err
	}
	set, err := s.Settings(ctx, portalID)
	if err != nil {
		return out, err
	}
	if !h.att.isProof() {
		out.TrustDays = set.TrustDays
	}
	for _, f := range out.Ways.Factors {
		if f.Kind != portal.SMSFactor {
			continue
		}
		number, err := s.phone(ctx, s.db, h.account.ID, f.ID)
		if err != nil {
			return out, failed("read factor", err)
		}
		out.Phones = append(out.Phones, portal.Phone{Factor: f.ID, Hint: number.Hint()})
	}
	_, out.Sent, err = s.asked(ctx, s.db, portalID, h.digest, secondSMS, h.account.ID)
	return out, failed("read challenge", err)
}

// FinishFactor ends a half sign-in with a code: of an app, sent by SMS, or a
// recovery code. Errors name the field "code". After portal.HalfTries wrong ones
// the half sign-in is over.
func (s *Store) FinishFactor(ctx context.Context, portalID string, v portal.Visitor, handle string, try portal.FactorTry) (in portal.SignedIn, err error) {
	h, err := s.readHalf(ctx, s.db, portalID, v, handle)
	if err != nil {
		return in, failed("read half sign-in", err)
	}
	if err := try.Shape(); err != nil {
		return in, err
	}
	buckets, err := s.chargeFactor(ctx, portalID, v, h)
	if err != nil {
		return in, err
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		h, err := u.half(ctx, handle)
		if err != nil {
			return err
		}
		if h.next != portal.NeedsSecond {
			return portal.ErrAttempt
		}
		left, err := u.tryFactor(ctx, h, try)
		var wrong *discovery.Error
		if errors.As(err, &wrong) {
			return u.missedHalf(ctx, h, try.Way, err)
		}
		if err != nil {
			return err
		}
		in, err = u.finish(ctx, handle, h, try.Way, try.Trust)
		in.UsedCode, in.CodesLeft = try.Way == portal.RecoveryCode, left
		return err
	})
	if err == nil {
		err = s.refund(ctx, buckets...)
	}
	return in, err
}

// chargeFactor counts a try before it is made.
func (s *Store) chargeFactor(ctx context.Context, portalID string, v portal.Visitor, h half) ([]portal.Bucket, error) {
	var known int
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM devices WHERE account = $1 AND browser = $2`, h.account.ID, v.Browser.Digest()).Scan(&known)
	if err != nil {
		return nil, failed("read devices", err)
	}
	buckets := portal.FactorBuckets(portalID, h.account.ID, v, known > 0)
	wait, err := s.charge(ctx, buckets...)
	if err != nil || wait == 0 {
		return buckets, err
	}
	said, err := s.charge(ctx, portal.NoticeBuckets(portalID, h.account.Primary)...)
	answer := portal.TooMany("factor_throttled", wait)
	if err != nil || said > 0 {
		return nil, errors.Join(err, answer)
	}
	return nil, s.change(ctx, portalID, v, func(u *unit) error {
		return u.refuse(portal.Event{Account: h.account.ID, Action: "factor.refused"}, answer)
	})
}

// tryFactor accepts a code, or says as a rule does that it is wrong. left is how
// many recovery codes are, when one was used.
func (u *unit) tryFactor(ctx context.Context, h half, try portal.FactorTry) (left int, err error) {
	switch try.Way {
	case string(portal.TOTPFactor):
		ok, err := u.useTOTP(ctx, h.account.ID, portal.TypedCode(try.Code))
		if err == nil && !ok {
			err = portal.ErrFactorCode
		}
		return 0, err
	case string(portal.SMSFactor):
		return 0, u.useText(ctx, h, try.Code)
	case portal.RecoveryCode:
		ok, left, err := u.useCode(ctx, h.account.ID, try.Code)
		if err == nil && !ok {
			err = portal.ErrRecoveryCode
		}
		if err != nil {
			return 0, err
		}
		return left, u.tellFactor(ctx, h.account, portal.Letter{Factor: portal.FactorNews{What: portal.CodeUsed, Left: left}})
	}
	return 0, portal.ErrAttempt
}
