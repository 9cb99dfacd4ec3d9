package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
)

// RefuseFederated audits that an IdP's answer was not believed, before any rule
// of ours was asked.
func (s *Store) RefuseFederated(ctx context.Context, portalID string, v portal.Visitor, connectionID string, cause error) error {
	e := portal.Event{Action: "session.refused", Code: "federation_failed", Method: "federation", Target: connectionID}
	var r *federation.Refusal
	var known *discovery.Error
	switch {
	case errors.As(cause, &r):
		e.Code = r.Code
	case errors.As(cause, &known) && known.Code != "":
		e.Code = known.Code
	}
	return s.change(ctx, portalID, v, func(u *unit) error {
		u.audit(e)
		return nil
	})
}

// SignInFederated finishes a federated leg with what its IdP proved: it spends
// the leg and the one-time fact, applies portal.Arrival's rule, and starts the
// session. f is what FederationByState (or one of FederationsForBrowser) gave;
// the zero Federated stands for a response nobody asked for, which only a
// connection that allows them may send.
func (s *Store) SignInFederated(ctx context.Context, portalID string, v portal.Visitor, f portal.Federated, id federation.Identity) (in portal.SignedIn, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		c, _, err := s.readConnection(ctx, u, id.Connection)
		if errors.Is(err, sql.ErrNoRows) || err == nil && c.Portal != portalID {
			return errNoConnection
		}
		if err != nil {
			return err
		}
		no := portal.Event{Action: "session.refused", Method: string(c.Kind), Target: c.ID}
		if err := u.spendOnce(ctx, c, id); err != nil {
			return u.refuseKnown(no, err)
		}
		att, err := u.spendLeg(ctx, c, f, id)
		if err != nil {
			return u.refuseKnown(no, err)
		}
		arrival, err := u.gather(ctx, id)
		if err != nil {
			return err
		}
		if arrival.Linked != nil {
			no.Account = arrival.Linked.ID
		} else if arrival.Holder != nil {
			no.Account = arrival.Holder.ID
		}
		if att.isProof() {
			if err := portal.FreshProof(id.AuthTime, f.Started); err != nil {
				return u.refuse(no, err)
			}
		}
		verdict, err := arrival.Decide()
		if err != nil {
			if code := portal.Alarming(err); code != "" {
				alert := no
				alert.Action, alert.Code = "security.alert", code
				u.audit(alert)
			}
			return u.refuseKnown(no, err)
		}
		if att.isProof() {
			if verdict.Account == nil {
				return u.refuse(no, portal.ErrProofOther) // a proof makes no account
			}
			if err := u.mayProve(ctx, entry{account: *verdict.Account, method: discovery.SignIn(c.Kind), purpose: att.Purpose, session: att.Session}); err != nil {
				return err
			}
		}
		a, err := u.apply(ctx, arrival, verdict, portal.Secret(f.Handle))
		if err != nil {
			return err
		}
		if len(att.browser) == 0 {
			att.browser = v.Browser.Digest()
		}
		in, err = u.pass(ctx, f.Handle, entry{
			account: a, method: discovery.SignIn(c.Kind), connection: c.ID, browser: att.browser, keep: att.Keep,
			end: id.SessionExpiry, idToken: portal.Secret(id.IDToken), vouched: id.AuthTime,
		})
		return err
	})
	return in, err
}

// refuseKnown audits and commits what a rule said; what the database said rolls
// back.
func (u *unit) refuseKnown(e portal.Event, err error) error {
	var known *discovery.Error
	if !errors.As(err, &known) {
		return err
	}
	return u.refuse(e, err)
}

var (
	errReplayed = &discovery.Error{Kind: discovery.Forbidden, Code: "assertion_replayed",
		Say: "This sign-in has been used already. Please start again."}
	errUnsolicited = &discovery.Error{Kind: discovery.Forbidden, Code: "unsolicited",
		Say: "This sign-in was not started here. Please start at the sign-in page."}
)

// spendOnce inserts the one-time fact: of fifty at once, one succeeds. The row
// stays for at least ten minutes, also for an assertion that was about to end.
func (u *unit) spendOnce(ctx context.Context, c federation.Connection, id federation.Identity) error {
	if id.OnceID == "" || id.Issuer == "" || id.Subject == "" {
		return &discovery.Error{Kind: discovery.Forbidden, Code: "identity_incomplete"}
	}
	h := sha256.New()
	for _, s := range []string{c.ID, id.Issuer, id.OnceID} {
		h.Write([]byte{byte(len(s) >> 24), byte(len(s) >> 16), byte(len(s) >> 8), byte(len(s))})
		h.Write([]byte(s))
	}
	until := max(micros(id.OnceUntil), micros(u.now.Add(10*time.Minute)))
	ok, err := one(ctx, u, `INSERT INTO assertions (digest, expires) VALUES ($1, $2) ON CONFLICT DO NOTHING`, h.Sum(nil), until)
	if err == nil && !ok {
		return errReplayed
	}
	return err
}

// spendLeg takes the leg out of its table, and reads the attempt. Where there is
// none, nothing but the one-time fact keeps an assertion from being used again,
// so one that a restore may have made us forget is refused.
func (u *unit) spendLeg(ctx context.Context, c federation.Connection, f portal.Federated, id federation.Identity) (attempt, error) {
	if f.State == "" {
		if c.SAML == nil || !c.SAML.AllowIDPInitiated {
			return attempt{}, errUnsolicited
		}
		if forgotten, err := u.beforeRestore(ctx, id.Issued); err != nil || !forgotten {
			return attempt{}, err
		}
		return attempt{}, errReplayed
	}
	ok, err := one(ctx, u, `DELETE FROM federations WHERE state = $1 AND sso = $2 AND portal = $3 AND connection = $4 AND expires > $5`,
		portal.Secret(f.State).Digest(), blob(portal.Secret(f.ID).Digest()), u.portal, c.ID, micros(u.now))
	if err != nil {
		return attempt{}, err
	}
	if !ok {
		return attempt{}, portal.ErrAttempt
	}
	att, _, err := readAttempt(ctx, u, u.portal, portal.Secret(f.Handle).Digest(), u.now)
	return att, err
}

// gather collects what the rule looks at.
func (u *unit) gather(ctx context.Context, id federation.Identity) (a portal.Arrival, err error) {
	a.Identity = id
	a.Address, _ = discovery.ParseAddress(id.Email) // no address is the zero one, which the rule refuses
	if !a.Address.IsZero() {
		if a.Domain, a.Known, err = domainFor(ctx, u, u.portal, a.Address.Domain()); err != nil {
			return a, err
		}
	}
	var linked string
	err = u.QueryRowContext(ctx, `SELECT account FROM identities WHERE connection = $1 AND issuer = $2 AND subject = $3`,
		id.Connection, id.Issuer, id.Subject).Scan(&linked)
	switch {
	case err == nil:
		l, err := accountByID(ctx, u, u.portal, linked)
		if err != nil {
			return a, err
		}
		if l == nil {
			return a, errNoConnection // linked in a portal the connection has left: never
		}
		a.Linked = &l.Account
	case !errors.Is(err, sql.ErrNoRows):
		return a, err
	}
	if a.Address.IsZero() {
		return a, nil
	}
	h, err := accountByAddress(ctx, u, u.portal, a.Address)
	if err != nil || h == nil {
		return a, err
	}
	a.Holder, a.HolderProven = &h.Account, h.proof != portal.Unproven
	var n int
	err = u.QueryRowContext(ctx, `SELECT COUNT(*) FROM identities WHERE connection = $1 AND issuer = $2 AND account = $3`,
		id.Connection, id.Issuer, h.ID).Scan(&n)
	a.HolderOther = n > 0
	return a, err
}

// apply does what the verdict says. handle is the attempt's, which goes on.
func (u *unit) apply(ctx context.Context, a portal.Arrival, v portal.Verdict, handle portal.Secret) (acc portal.Account, err error) {
	id := a.Identity
	if v.Account == nil {
		acc = portal.Account{Status: portal.Active, Primary: a.Address, GivenName: id.GivenName, FamilyName: id.FamilyName}
		if acc.GivenName == "" && acc.FamilyName == "" {
			acc.GivenName = id.Name
		}
		if err = u.newAccount(ctx, &acc, portal.ByIdP); err != nil {
			return acc, err
		}
		u.audit(portal.Event{Account: acc.ID, Action: "account.created", Method: "jit", Target: id.Connection})
	} else {
		acc = *v.Account
	}
	if v.Wipe {
		if acc.Generation, err = u.wipe(ctx, acc.ID, handle); err != nil {
			return acc, err
		}
		u.audit(portal.Event{Account: acc.ID, Action: "account.secrets_wiped", Target: id.Connection})
	}
	if v.Link {
		_, err = u.ExecContext(ctx, `INSERT INTO identities (connection, issuer, subject, account, linked) VALUES ($1, $2, $3, $4, $5)`,
			id.Connection, id.Issuer, id.Subject, acc.ID, micros(u.now))
		if err != nil {
			return acc, err
		}
		_, err = u.ExecContext(ctx, `UPDATE addresses SET proof = $1 WHERE account = $2 AND address = $3 AND proof = ''`,
			string(portal.ByIdP), acc.ID, a.Address.Clear())
		if err != nil {
			return acc, err
		}
		if err = u.stand(ctx, acc.ID); err != nil {
			return acc, err
		}
		u.audit(portal.Event{Account: acc.ID, Action: "identity.linked", Target: id.Connection})
	}
	if v.Adopt {
		if err = u.adopt(ctx, acc.ID, a.Address); err != nil {
			return acc, err
		}
		acc.Primary = a.Address
	}
	return acc, nil
}

// wipe drops whatever was attached to an account before its address was ever
// proven: somebody else may have put it there. The attempt called handle goes on:
// it is the one of whoever proves the address now.
func (u *unit) wipe(ctx context.Context, accountID string, handle portal.Secret) (generation int64, err error) {
	for _, q := range []string{
		`DELETE FROM credentials WHERE account = $1`,
		`DELETE FROM identities WHERE account = $1`,
		`DELETE FROM devices WHERE account = $1`,
		`DELETE FROM factors WHERE account = $1`,
		`DELETE FROM recovery_codes WHERE account = $1`,
		`DELETE FROM addresses WHERE account = $1 AND confirmed = 0`,
	} {
		if _, err = u.ExecContext(ctx, q, accountID); err != nil {
			return 0, err
		}
	}
	if err = u.removeActivations(ctx, accountID); err != nil {
		return 0, err
	}
	if err = u.stand(ctx, accountID); err != nil {
		return 0, err
	}
	return u.endEverything(ctx, accountID, handle)
}

// adopt makes an address the IdP now names, free and in its proven domain, the
// account's primary one. The old one stays as an alias.
func (u *unit) adopt(ctx context.Context, accountID string, address discovery.Address) error {
	if _, err := u.ExecContext(ctx, `UPDATE addresses SET is_primary = FALSE WHERE account = $1`, accountID); err != nil {
		return err
	}
	_, err := u.ExecContext(ctx, `INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof)
		VALUES ($1, $2, $3, $4, TRUE, $5, $6)
		ON CONFLICT (account, address) DO UPDATE SET is_primary = TRUE, confirmed = excluded.confirmed, proof = excluded.proof, expires = 0`,
		accountID, u.portal, address.Clear(), address.Domain(), micros(u.now), string(portal.ByIdP))
	if err != nil {
		return err
	}
	u.audit(portal.Event{Account: accountID, Action: "alias.adopted", Method: "idp"})
	u.publish(portal.AddressChanged, address.Clear())
	return u.index(ctx, accountID)
}
