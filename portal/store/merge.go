package store

import (
	"cmp"
	"context"
	"errors"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// MergeByToken reads what a mailed link and the proof of the other account would
// join, for the page that asks. sessionID is the session of v.Actor's account that
// the proof was given for; handle is that proof, and empty for an account that
// needs none. It uses nothing up.
func (s *Store) MergeByToken(ctx context.Context, portalID string, v portal.Visitor, sessionID string, token portal.Secret, handle string) (portal.Joint, error) {
	m, err := s.merging(ctx, s.db, portalID, v, token)
	if err == nil && m.needsProof {
		var proven portal.Account
		proven, err = s.Proof(ctx, portalID, v, handle, portal.ForMerge, sessionID)
		if err == nil && proven.ID != m.gone.ID {
			err = portal.ErrMergeProof
		}
	}
	if err != nil {
		return portal.Joint{}, failed("read merge", err)
	}
	j, err := s.join(ctx, s.db, m)
	return j, failed("read merge", err)
}

// MergeNeedsProof says which address a merge is about, and whether somebody has
// to sign in to its account first. It is portal.ErrMergeChanged when there is
// nothing to merge: nobody else has the address any more.
func (s *Store) MergeNeedsProof(ctx context.Context, portalID string, v portal.Visitor, token portal.Secret) (address discovery.Address, needed bool, err error) {
	m, err := s.merging(ctx, s.db, portalID, v, token)
	if err != nil {
		return address, false, failed("read merge", err)
	}
	return m.address, m.needsProof, nil
}

// merging is the two accounts of a merge: the visitor's, and that of the address
// whose mailbox the link has proven to be the visitor's too.
type merging struct {
	address    discovery.Address
	keep, gone *account
	needsProof bool
}

func (s *Store) merging(ctx context.Context, q querier, portalID string, v portal.Visitor, token portal.Secret) (m merging, err error) {
	c, err := s.confirmation(ctx, q, portalID, v.Actor, token)
	if err != nil {
		return m, err
	}
	switch err := c.Decide(s.now()); {
	case err == nil:
		return m, portal.ErrMergeChanged
	case !errors.Is(err, portal.ErrMerge):
		return m, err
	}
	m.address = c.Token.Address
	if m.keep, err = accountByID(ctx, q, portalID, c.Account.ID); err != nil {
		return m, err
	}
	if m.gone, err = accountByID(ctx, q, portalID, c.Holder.ID); err != nil {
		return m, err
	}
	if m.keep == nil || m.gone == nil {
		return m, portal.ErrMergeChanged
	}
	passwords, err := allowsPassword(ctx, q, portalID, m.address, m.gone)
	m.needsProof = m.gone.NeedsProof(passwords)
	return m, err
}

// join gathers what both bring along and asks the rule.
func (s *Store) join(ctx context.Context, q querier, m merging) (portal.Joint, error) {
	keep, err := readJoining(ctx, q, m.keep)
	if err != nil {
		return portal.Joint{}, err
	}
	gone, err := readJoining(ctx, q, m.gone)
	if err != nil {
		return portal.Joint{}, err
	}
	if gone.Void, err = voidInvitation(ctx, q, m.gone.Account, s.now()); err != nil {
		return portal.Joint{}, err
	}
	return portal.Join(keep, gone, s.now())
}

func readJoining(ctx context.Context, q querier, a *account) (j portal.Joining, err error) {
	j.Account, j.HasPassword = a.Account, a.hash != "" && !a.MustChange
	all, err := readAliases(ctx, q, a.Portal, a.ID)
	if err != nil {
		return j, err
	}
	for _, alias := range all {
		if alias.Pending() {
			j.Pending++
		} else {
			j.Confirmed = append(j.Confirmed, alias.Address)
		}
	}
	if j.Identities, err = identitiesOf(ctx, q, a.ID); err != nil {
		return j, err
	}
	err = q.QueryRowContext(ctx, `SELECT
		(SELECT COUNT(*) FROM factors WHERE account = $1 AND confirmed > 0),
		(SELECT COUNT(*) FROM activations WHERE account = $1 AND removed = 0),
		(SELECT COALESCE(SUM(messages), 0) FROM usages WHERE account = $1),
		(SELECT COUNT(*) FROM audit WHERE account = $1 AND portal = $2)`, a.ID, a.Portal).
		Scan(&j.Factors, &j.Apps, &j.Messages, &j.Events)
	if err != nil {
		return j, err
	}
	j.Licence, err = licenceOf(ctx, q, a.ID)
	return j, err
}

// Merge makes one account of two (S21): the visitor's own, which stays, and the
// one that has the address of the link, which has signed in as well and is
// disabled for good. mark is that of the summary the person agreed to. All of it
// happens or nothing does. The session may do more afterwards, so it gets a new
// token.
func (s *Store) Merge(ctx context.Context, portalID string, v portal.Visitor, sessionID string, token portal.Secret, handle, mark string) (in portal.SignedIn, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		no := portal.Event{Account: v.Actor, Action: "account.merge_refused"}
		m, err := s.merging(ctx, u, portalID, v, token)
		if err != nil {
			return u.refuseKnown(no, err)
		}
		no.Target = m.gone.ID
		j, err := s.join(ctx, u, m)
		if err != nil {
			return u.refuseKnown(no, err)
		}
		if j.Mark() != mark {
			return portal.ErrMergeChanged
		}
		if err := u.spendMerge(ctx, m, sessionID, token, handle); err != nil {
			return u.refuseKnown(no, err)
		}
		if err := u.merge(ctx, j, m, sessionID); err != nil {
			return err
		}
		keep, err := accountByID(ctx, u, portalID, m.keep.ID)
		if err != nil || keep == nil {
			return orMissing(err)
		}
		in, err = u.retoken(ctx, entry{account: keep.Account, session: sessionID, returnTo: "/"})
		return err
	})
	return in, err
}

// spendMerge uses up what entitles to a merge: the link that was mailed, and the
// proof of the other account.
func (u *unit) spendMerge(ctx context.Context, m merging, sessionID string, token portal.Secret, handle string) error {
	// The link last: a proof that does not count can be given again, and the link
	// is still needed then.
	if m.needsProof {
		proven, err := u.spendProof(ctx, handle, portal.ForMerge, sessionID)
		if err != nil {
			return err
		}
		if proven.ID != m.gone.ID {
			return portal.ErrMergeProof
		}
	}
	return u.spendAlias(ctx, m.keep.ID, m.address, token)
}

func (u *unit) merge(ctx context.Context, j portal.Joint, m merging, sessionID string) error {
	keep, gone := m.keep, m.gone
	// Not later: what ends is found by the addresses the account still has.
	if _, err := u.endEverything(ctx, gone.ID, ""); err != nil {
		return err
	}
	steps := []func() error{
		func() error { return u.moveAddresses(ctx, keep.ID, gone) },
		func() error { return u.moveSignIn(ctx, j) },
		func() error { return u.moveFactors(ctx, keep.ID, gone.ID) },
		func() error { return u.moveUse(ctx, keep.ID, gone.ID) },
		func() error { return u.moveLicence(ctx, j) },
		func() error { return u.moveRole(ctx, j) },
		// What keep is and how one comes in has grown: other browsers come in anew.
		func() error { return u.endOthers(ctx, keep.ID, sessionID) },
		func() error { return u.close(ctx, keep, gone) },
		func() error { return u.index(ctx, keep.ID) },
		func() error { return u.index(ctx, gone.ID) },
		func() error { return u.publishAccount(ctx, keep.ID) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	u.audit(portal.Event{Account: keep.ID, Action: "account.merged", Target: gone.ID})
	u.audit(portal.Event{Account: gone.ID, Action: "account.merged", Target: keep.ID})
	for to, a := range map[discovery.Address]*account{keep.Primary: keep, gone.Primary: gone} {
		if err := u.post(ctx, a, portal.Letter{Kind: portal.AliasMergedLetter, To: to, About: keep.Primary}); err != nil {
			return err
		}
	}
	return nil
}

// exec runs statements about one account becoming part of another: $1 stays, $2
// goes.
func (u *unit) exec(ctx context.Context, keep, gone string, statements ...string) error {
	for _, q := range statements {
		if _, err := u.ExecContext(ctx, q, keep, gone); err != nil {
			return err
		}
	}
	return nil
}

// moveAddresses gives the addresses of one account to another. Of its primary one
// the old account keeps a row that is not confirmed and so reserves nothing: the
// console and the audit log go on telling who it was.
func (u *unit) moveAddresses(ctx context.Context, keep string, gone *account) error {
	return u.exec(ctx, keep, gone.ID,
		// Two rows of one address are one: the confirmed one stays.
		`DELETE FROM addresses WHERE account = $1 AND confirmed = 0 AND address IN (SELECT address FROM addresses WHERE account = $2 AND confirmed > 0)`,
		`DELETE FROM addresses WHERE account = $2 AND confirmed = 0 AND address IN (SELECT address FROM addresses WHERE account = $1)`,
		`UPDATE addresses SET account = $1 WHERE account = $2 AND NOT is_primary`,
		`UPDATE addresses SET confirmed = -confirmed WHERE account = $2 AND is_primary AND $1 <> ''`,
		`INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof, added, added_by, expires)
			SELECT CAST($1 AS TEXT), portal, address, domain, FALSE, -confirmed, CASE WHEN proof = '' THEN 'mail' ELSE proof END, added, added_by, 0
			FROM addresses WHERE account = $2 AND is_primary`,
		`UPDATE addresses SET confirmed = 0 WHERE account = $2 AND is_primary AND $1 <> ''`,
	)
}

// moveSignIn gives one account the ways to sign in of another: who it is at IdPs,
// its second factors, and its password if there is none yet.
func (u *unit) moveSignIn(ctx context.Context, j portal.Joint) error {
	keep, gone := j.Keep.ID, j.Gone.ID
	if j.PasswordMoves {
		err := u.exec(ctx, keep, gone,
			`DELETE FROM credentials WHERE account = $1 AND $2 <> ''`,
			`UPDATE credentials SET account = $1 WHERE account = $2`)
		if err != nil {
			return err
		}
	}
	return u.exec(ctx, keep, gone,
		`DELETE FROM credentials WHERE account = $2 AND $1 <> ''`,
		`UPDATE identities SET account = $1 WHERE account = $2`,
		`DELETE FROM factors WHERE account = $2 AND confirmed = 0 AND $1 <> ''`,
		`DELETE FROM recovery_codes WHERE account = $2 AND $1 <> ''`,
		`DELETE FROM devices WHERE account = $2 AND $1 <> ''`,
	)
}

// moveFactors gives one account the second factors of another. Passkeys note whose
// they were made for: the device that holds one goes on naming that account.
func (u *unit) moveFactors(ctx context.Context, keep, gone string) error {
	keys, err := u.s.readPasskeys(ctx, u, gone)
	if err != nil {
		return err
	}
	for _, k := range keys {
		k.Maker = cmp.Or(k.Maker, gone)
		plain, err := openPasskey(k)
		if err != nil {
			return err
		}
		sealed, err := u.s.vault.Seal(factorPlace(k.ID), plain)
		if err != nil {
			return err
		}
		if _, err := u.ExecContext(ctx, `UPDATE factors SET sealed = $1 WHERE id = $2`, sealed, k.ID); err != nil {
			return err
		}
	}
	return u.exec(ctx, keep, gone, `UPDATE factors SET account = $1 WHERE account = $2`)
}

// moveUse gives one account the apps of another, and what it has sent.
func (u *unit) moveUse(ctx context.Context, keep, gone string) error {
	return u.exec(ctx, keep, gone,
		`UPDATE activations SET account = $1, generation = generation + 1 WHERE account = $2`,
		`INSERT INTO usages (account, month, messages, last) SELECT CAST($1 AS TEXT), month, messages, last FROM usages WHERE account = $2
			ON CONFLICT (account, month) DO UPDATE SET messages = usages.messages + excluded.messages,
				last = CASE WHEN excluded.last > usages.last THEN excluded.last ELSE usages.last END`,
		`DELETE FROM usages WHERE account = $2 AND $1 <> ''`,
		`UPDATE settings SET sender = $1 WHERE sender = $2`,
	)
}

// moveLicence leaves the better of two licences with the account that stays, and
// releases the other.
func (u *unit) moveLicence(ctx context.Context, j portal.Joint) error {
	if !j.Released.None() {
		u.audit(portal.Event{Account: j.Released.Account, Action: "licence.released", Target: j.Released.Plan.ID})
	}
	if err := u.putLicence(ctx, j.Gone.Account, portal.Licence{}); err != nil || !j.LicenceMoves {
		return err
	}
	l := j.Licence
	l.Account = j.Keep.ID
	u.audit(portal.Event{Account: j.Keep.ID, Action: "licence.assigned", Target: l.Plan.ID})
	return u.putLicence(ctx, j.Keep.Account, l)
}

// moveRole gives the account that stays the higher of the two roles.
func (u *unit) moveRole(ctx context.Context, j portal.Joint) error {
	if j.Role == j.Keep.Role {
		return nil
	}
	if _, err := u.ExecContext(ctx, `UPDATE accounts SET role = $1, version = version + 1 WHERE id = $2`, string(j.Role), j.Keep.ID); err != nil {
		return err
	}
	u.audit(portal.Event{Account: j.Keep.ID, Action: "role.changed", Method: "merge", Target: string(j.Keep.Role) + " → " + string(j.Role)})
	return u.askAgain(ctx, j.Keep.ID) // it has risen
}

// close disables the account that has become part of another, for good, and
// leads everything there that still names it.
func (u *unit) close(ctx context.Context, keep, gone *account) error {
	if err := u.setStatus(ctx, &gone.Account, portal.Disabled); err != nil {
		return err
	}
	err := u.exec(ctx, keep.ID, gone.ID,
		`UPDATE accounts SET merged_into = $1 WHERE id = $2 OR merged_into = $2`,
		`DELETE FROM recoveries WHERE account = $2 AND finished = 0 AND $1 <> ''`,
	)
	u.audit(portal.Event{Account: gone.ID, Action: "account.disabled", Method: "merge"})
	return err
}
