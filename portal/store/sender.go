package store

import (
	"context"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// Sender is whose address a portal's invitations come from (S14). ok is false
// when it is the operator's: nobody was chosen, or, if why is not nil, whoever
// was may not be it any more.
func (s *Store) Sender(ctx context.Context, portalID string) (who portal.Account, ok bool, why error, err error) {
	set, err := readSettings(ctx, s.db, portalID)
	if err != nil {
		return who, false, nil, failed("read settings", err)
	}
	who, why, err = sender(ctx, s.db, set, s.now())
	return who, set.Sender != "" && why == nil && err == nil, why, failed("read sender", err)
}

// sender reads the account that settings name, and why it may not be the sender.
func sender(ctx context.Context, q querier, set portal.Settings, now time.Time) (who portal.Account, why, err error) {
	if set.Sender == "" {
		return who, nil, nil
	}
	a, err := accountByID(ctx, q, set.Portal, set.Sender)
	if err != nil {
		return who, nil, err
	}
	if a == nil {
		return who, &discovery.Error{Kind: discovery.Invalid, Field: "sender", Code: "sender_unknown",
			Say: "There is no account with this address in this portal."}, nil
	}
	l, err := licenceOf(ctx, q, a.ID)
	if err != nil {
		return who, nil, err
	}
	return a.Account, portal.MaySend(a.Account, l, now), nil
}

// from is the address that an invitation comes from; zero: the operator's. When
// the chosen person may not be it any more, invitations go on from the operator.
func (u *unit) from(ctx context.Context, kind portal.LetterKind, set portal.Settings) (discovery.Address, error) {
	if kind != portal.InvitationLetter && kind != portal.TemporaryLetter {
		return discovery.Address{}, nil
	}
	who, why, err := sender(ctx, u, set, u.now)
	if err != nil || why != nil {
		return discovery.Address{}, err
	}
	return who.Primary, nil
}
