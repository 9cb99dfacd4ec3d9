package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// account is a row with what signing in needs to know beside it.
type account struct {
	portal.Account
	hash    portal.PasswordHash // empty: no password
	expires int64               // of a temporary password
	proof   portal.Proof        // of the address it was found by
}

const accountColumns = `a.id, a.portal, a.status, a.given_name, a.family_name, a.role, a.generation, a.version,
	a.zone, a.culture, a.language, a.cell, a.sms_country, a.return_protection, a.merged_into, a.created, a.last_sign_in,
	COALESCE(c.hash, ''), COALESCE(c.temporary, FALSE), COALESCE(c.expires, 0), p.address`

const accountTables = ` accounts a JOIN addresses p ON p.account = a.id AND p.is_primary LEFT JOIN credentials c ON c.account = a.id `

func scanAccount(row scanner, more ...any) (a account, err error) {
	var status, hash, primary, role, protection string
	var created, last int64
	dest := []any{&a.ID, &a.Portal, &status, &a.GivenName, &a.FamilyName, &role, &a.Generation, &a.Version,
		&a.Zone, &a.Culture, &a.Language, &a.Cell, &a.SMSCountry, &protection, &a.MergedInto, &created, &last,
		&hash, &a.MustChange, &a.expires, &primary}
	if err = row.Scan(append(dest, more...)...); err != nil {
		return a, err
	}
	a.Status, a.hash = portal.Status(status), portal.PasswordHash(hash)
	a.Role, a.Protection = portal.Role(role), portal.ReturnProtection(protection)
	a.Created, a.LastSignIn = when(created), when(last)
	if a.Primary, err = discovery.ParseAddress(primary); err != nil {
		return a, fmt.Errorf("account %s: its primary address does not parse", a.ID)
	}
	return a, nil
}

// accountByAddress finds who holds an address in a portal; nil: nobody.
func accountByAddress(ctx context.Context, q querier, portalID string, address discovery.Address) (*account, error) {
	var proof string
	a, err := scanAccount(q.QueryRowContext(ctx, `SELECT `+accountColumns+`, h.proof FROM`+accountTables+`
		JOIN addresses h ON h.account = a.id WHERE h.portal = $1 AND h.address = $2 AND h.confirmed > 0`,
		portalID, address.Clear()), &proof)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a.proof = portal.Proof(proof)
	return &a, nil
}

// accountByID: nil when there is none in the portal.
func accountByID(ctx context.Context, q querier, portalID, id string) (*account, error) {
	a, err := scanAccount(q.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM`+accountTables+`WHERE a.portal = $1 AND a.id = $2`, portalID, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// AccountByAddress finds who holds an address; ok is false when nobody does.
func (s *Store) AccountByAddress(ctx context.Context, portalID string, address discovery.Address) (found portal.Account, ok bool, err error) {
	a, err := accountByAddress(ctx, s.db, portalID, address)
	if err != nil || a == nil {
		return found, false, failed("read account", err)
	}
	return a.Account, true, nil
}

// newAccount inserts an account that holds one address.
func (u *unit) newAccount(ctx context.Context, a *portal.Account, proof portal.Proof) error {
	return u.newAccountWith(ctx, a, proof, "")
}

// newAccountWith is newAccount for somebody who was given a plan.
func (u *unit) newAccountWith(ctx context.Context, a *portal.Account, proof portal.Proof, plan string) error {
	a.ID, a.Portal, a.Created, a.Generation, a.Version = newID(), u.portal, u.now, 1, 1
	a.GivenName, a.FamilyName = portal.PersonName(a.GivenName), portal.PersonName(a.FamilyName)
	a.Role = cmp.Or(a.Role, portal.Member)
	_, err := u.ExecContext(ctx, `INSERT INTO accounts (id, portal, status, given_name, family_name, role, language, generation, created, last_sign_in)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)`,
		a.ID, u.portal, string(a.Status), a.GivenName, a.FamilyName, string(a.Role), a.Language, a.Generation, micros(u.now))
	if err != nil {
		return err
	}
	if err := u.tally(ctx, "status:"+string(a.Status), 1); err != nil {
		return err
	}
	_, err = u.ExecContext(ctx, `INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		a.ID, u.portal, a.Primary.Clear(), a.Primary.Domain(), true, micros(u.now), string(proof))
	if err != nil {
		return err
	}
	u.publish(portal.AddressChanged, a.Primary.Clear())
	if err := u.startLicence(ctx, *a, plan); err != nil {
		return err
	}
	return u.index(ctx, a.ID)
}

// setStatus is the only way an account's status changes.
func (u *unit) setStatus(ctx context.Context, a *portal.Account, status portal.Status) error {
	if a.Status == status {
		return nil
	}
	if err := portal.MayEnable(*a); err != nil {
		return err
	}
	switch portal.Disabled { // whoever is disabled takes no seat
	case status:
		if err := u.seat(ctx, a.ID, -1); err != nil {
			return err
		}
	case a.Status:
		if err := u.seat(ctx, a.ID, 1); err != nil {
			return err
		}
	}
	if _, err := u.ExecContext(ctx, `UPDATE accounts SET status = $1 WHERE id = $2`, string(status), a.ID); err != nil {
		return err
	}
	if err := u.tally(ctx, "status:"+string(a.Status), -1); err != nil {
		return err
	}
	a.Status = status
	if err := u.tally(ctx, "status:"+string(status), 1); err != nil {
		return err
	}
	return u.stand(ctx, a.ID)
}

// endEverything ends an account's sessions and voids its links: after a reset,
// a disabling, a first proof. What was begun before gets nowhere, but for the
// attempt called keep, in which this is done; empty: none.
func (u *unit) endEverything(ctx context.Context, accountID string, keep portal.Secret) (generation int64, err error) {
	err = u.QueryRowContext(ctx, `UPDATE accounts SET generation = generation + 1 WHERE id = $1 RETURNING generation`, accountID).Scan(&generation)
	if err != nil {
		return 0, err
	}
	for _, q := range []string{
		`DELETE FROM sessions WHERE account = $1`,
		`DELETE FROM passed WHERE account = $1`,
		`DELETE FROM challenges WHERE account = $1`,
		`UPDATE devices SET trusted = 0 WHERE account = $1 AND trusted > 0`,
		`UPDATE activations SET generation = generation + 1 WHERE account = $1`,
	} {
		if _, err = u.ExecContext(ctx, q, accountID); err != nil {
			return 0, err
		}
	}
	_, err = u.ExecContext(ctx, `DELETE FROM attempts WHERE portal = $1 AND digest <> $3 AND address IN
		(SELECT address FROM addresses WHERE account = $2 AND confirmed > 0)`, u.portal, accountID, blob(keep.Digest()))
	if err != nil {
		return 0, err
	}
	// A request for help goes as well: the link that withdraws it has just become void.
	_, err = u.ExecContext(ctx, `UPDATE recoveries SET expires = $1 WHERE account = $2 AND finished = 0 AND expires > $1`, micros(u.now), accountID)
	if err != nil {
		return 0, err
	}
	_, err = u.ExecContext(ctx, `UPDATE tokens SET used = $1 WHERE account = $2 AND used = 0`, micros(u.now), accountID)
	return generation, err
}

// publishAccount publishes every confirmed address of an account again.
func (u *unit) publishAccount(ctx context.Context, accountID string) error {
	rows, err := u.QueryContext(ctx, `SELECT address FROM addresses WHERE account = $1 AND confirmed > 0 ORDER BY address`, accountID)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var address string
		if err := rows.Scan(&address); err != nil {
			return err
		}
		u.publish(portal.AddressChanged, address)
	}
	return rows.Err()
}

// DangerouslyCreateAccount makes an active account with a password that
// somebody else knows, which no person's account may ever have: it is for the
// demo and for tests. An empty password makes none.
func (s *Store) DangerouslyCreateAccount(ctx context.Context, a portal.Account, password portal.Secret) (created bool, err error) {
	var hash portal.PasswordHash
	if password != "" {
		if hash, err = s.hasher.Hash(ctx, password); err != nil {
			return false, err
		}
	}
	err = s.change(ctx, a.Portal, portal.Visitor{}, func(u *unit) error {
		holder, err := accountByAddress(ctx, u, a.Portal, a.Primary)
		if err != nil || holder != nil {
			return err
		}
		created, a.Status = true, portal.Active
		if err := u.newAccount(ctx, &a, portal.ByOperator); err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "account.created", Method: "operator"})
		if hash == "" {
			return nil
		}
		return u.setPassword(ctx, a.ID, hash, false, 0)
	})
	return created && err == nil, err
}

// setPassword stores a hash; expires is for temporary ones.
func (u *unit) setPassword(ctx context.Context, accountID string, hash portal.PasswordHash, temporary bool, expires int64) error {
	_, err := u.ExecContext(ctx, `INSERT INTO credentials (account, hash, temporary, expires, changed) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account) DO UPDATE SET hash = excluded.hash, temporary = excluded.temporary, expires = excluded.expires, changed = excluded.changed`,
		accountID, string(hash), temporary, expires, micros(u.now))
	if err != nil {
		return err
	}
	return u.stand(ctx, accountID)
}
