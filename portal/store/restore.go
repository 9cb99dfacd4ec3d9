package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// A Table is one that a backup holds. Fresh is an SQL condition that the rows
// put there by a migration fulfil.
type Table struct{ Name, Fresh string }

// Kept are the tables that are backed up, parents before those that refer to
// them: what people would miss, and what proves what was done.
func Kept() []Table {
	return []Table{
		{"home", "id = 1"}, {"portals", ""}, {"standby_hosts", ""}, {"connections", ""}, {"domains", ""},
		{"settings", ""}, {"approved_domains", ""}, {"mail_texts", ""}, {"plans", ""}, {"apps", ""}, {"moves", ""}, {"tallies", ""},
		{"accounts", ""}, {"addresses", ""}, {"footings", ""}, {"words", ""}, {"identities", ""}, {"credentials", ""}, {"invitations", ""},
		{"licences", ""}, {"usages", ""}, {"factors", ""}, {"activations", ""},
		{"tickets", ""}, {"assertions", ""}, {"restored", "at = 0"},
		{"audit_heads", "portal = '' AND seq = 0"}, {"audit", ""},
		{"outbox_counter", "last = 0 AND acked = 0"},
	}
}

// Left are the tables that no backup holds. What is in them lives from an hour
// to a month, and what is worse, coming back it would be good a second time:
//
//   - sessions: one that was ended after the backup (signed out, disabled, a new
//     password) would be open again. Everybody signs in anew.
//   - attempts, federations: a sign-in begun before the backup could be finished
//     once more; without its federation, no answer of an IdP has a request it
//     could be the response to.
//   - tokens: a link for a new password used since could be used again.
//   - letters: a mail sent since would be sent again, with a link that is void.
//   - devices: a browser forgotten since, as after a new password, would be
//     spared the pauses between tries again.
//   - passed, challenges: half a sign-in could be finished once more.
//   - recovery_codes: one that was used since would be good again. People draw
//     new ones.
//   - recoveries: an administrator's word for one occasion would count again.
//   - imports, import_lines: people who were invited since would be again.
//   - tellings: everybody is published again, and who was written to is not twice.
//   - throttle: it is about the last minutes.
//   - outbox: everything is published again after a restore.
func Left() []string {
	return []string{"sessions", "attempts", "federations", "tokens", "letters", "devices",
		"passed", "challenges", "recovery_codes", "recoveries", "import_lines", "imports", "tellings", "throttle", "outbox"}
}

// The clocks of others may run ahead of ours: a front door's by five seconds
// (regions/ticket), an IdP's by a minute (federation/saml). What they had issued
// by the moment of a restore may say so much later a time.
const (
	frontDoorAhead = 5 * time.Second
	idpAhead       = time.Minute
)

// seqJump is how far the sequence of claims jumps at a restore: beyond anything
// that was handed out after the backup, so that no claim made from now on can
// pass for one the directory has already. It leaves room for eight million of
// them.
const seqJump = 1 << 40

// Restored is what a restore found and did, to be told to the operator.
type Restored struct {
	Portals, Accounts int64
	Temporary         int64 // temporary passwords that are void now
}

// Restored makes a database that a backup of the time taken was put into safe
// to serve from, in the transaction of the restore. From now on tickets and
// unsolicited assertions issued before it are refused, since whether they were
// used is not known any more; temporary passwords are void, since they may have
// been replaced; and the directory is told everything again. The audit chain of
// the region and of every portal goes on with an event that says so.
func (s *Store) Restored(ctx context.Context, tx *sql.Tx, taken time.Time) (r Restored, err error) {
	now := s.now().UTC()
	res, err := tx.ExecContext(ctx, `DELETE FROM credentials WHERE temporary`)
	if err != nil {
		return r, fmt.Errorf("void temporary passwords: %w", err)
	}
	if r.Temporary, err = res.RowsAffected(); err != nil {
		return r, err
	}
	const noTemporary = `UPDATE addresses SET footing = substr(footing, 1, 1) || '-' || substr(footing, 3) WHERE substr(footing, 2, 1) = $1`
	if _, err := tx.ExecContext(ctx, noTemporary, portal.TemporaryFooting); err != nil {
		return r, fmt.Errorf("void temporary passwords: %w", err)
	}
	if err := recountFootings(ctx, tx); err != nil {
		return r, fmt.Errorf("count people: %w", err)
	}
	// A TOTP code shown since the backup may have been used.
	if _, err := tx.ExecContext(ctx, `UPDATE factors SET step = $1 WHERE kind = 'totp'`, portal.StepAt(now)+1); err != nil {
		return r, fmt.Errorf("void codes of the last minute: %w", err)
	}
	if ok, err := one(ctx, tx, `UPDATE restored SET at = $1 WHERE id = 1`, micros(now)); err != nil || !ok {
		return r, fmt.Errorf("note the restore: %w", orMissing(err))
	}
	if ok, err := one(ctx, tx, `UPDATE outbox_counter SET last = last + CAST($1 AS BIGINT), sent = last + CAST($1 AS BIGINT) WHERE id = 1`, seqJump); err != nil || !ok {
		return r, fmt.Errorf("move the sequence of claims on: %w", orMissing(err))
	}
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM accounts`).Scan(&r.Accounts); err != nil {
		return r, err
	}
	chains, err := readChains(ctx, tx)
	if err != nil {
		return r, fmt.Errorf("read the audit chains: %w", err)
	}
	r.Portals = int64(len(chains)) - 1
	for _, portalID := range chains {
		u := &unit{Tx: tx, s: s, now: now, portal: portalID}
		err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM audit_heads WHERE portal = $1`, portalID).Scan(&u.seq, &u.hash)
		if err != nil {
			return r, fmt.Errorf("continue the audit chain: %w", err)
		}
		u.audit(portal.Event{Action: "database.restored", Method: "operator", Target: taken.UTC().Format(time.RFC3339)})
		if portalID == "" {
			if err := u.republish(ctx); err != nil {
				return r, fmt.Errorf("queue everything for the directory: %w", err)
			}
		}
		if err := u.writeOutbox(ctx); err != nil {
			return r, fmt.Errorf("queue everything for the directory: %w", err)
		}
		if err := u.writeAudit(ctx); err != nil {
			return r, fmt.Errorf("continue the audit chain: %w", err)
		}
	}
	return r, nil
}

// orMissing is for an update of a row that is always there.
func orMissing(err error) error {
	if err == nil {
		return sql.ErrNoRows
	}
	return err
}

func readChains(ctx context.Context, tx *sql.Tx) ([]string, error) {
	rows, err := tx.QueryContext(ctx, `SELECT portal FROM audit_heads ORDER BY portal`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var chains []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		chains = append(chains, id)
	}
	return chains, rows.Err()
}

// beforeRestore reports whether something that an IdP issued at a time may have
// been used before this database was restored, and forgotten by that.
func (u *unit) beforeRestore(ctx context.Context, issued time.Time) (bool, error) {
	var at int64
	if err := u.QueryRowContext(ctx, `SELECT at FROM restored WHERE id = 1`).Scan(&at); err != nil {
		return false, err
	}
	return at > 0 && !issued.After(when(at).Add(idpAhead)), nil
}
