package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
)

// StartAttempt begins a sign-in of the visitor's browser with the address, the
// page to return to and the choice to be kept signed in, as far as known. The
// handle goes into URLs and forms; without the browser's cookie it is worthless.
func (s *Store) StartAttempt(ctx context.Context, portalID string, v portal.Visitor, a portal.Attempt) (handle string, err error) {
	return s.startAttempt(ctx, s.db, portalID, v, a)
}

func (s *Store) startAttempt(ctx context.Context, q querier, portalID string, v portal.Visitor, a portal.Attempt) (string, error) {
	if v.Browser == "" {
		return "", portal.ErrAttempt // nothing to bind it to
	}
	handle, now := portal.NewSecret(), s.now()
	_, err := q.ExecContext(ctx, `INSERT INTO attempts
		(digest, portal, browser, address, return_to, keep, from_ticket, started, expires, purpose, session)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		handle.Digest(), portalID, v.Browser.Digest(), a.Address.Clear(), portal.LocalPath(a.ReturnTo), a.Keep, a.FromTicket,
		micros(now), micros(now.Add(portal.AttemptLife)), string(cmp.Or(a.Purpose, portal.ForSignIn)), a.Session)
	if err != nil {
		return "", failed("start attempt", err)
	}
	return handle.Clear(), nil
}

// StartFromTicket spends a ticket that was opened, once for ever, and starts an
// attempt with what it said. It is portal.ErrTicket when it was spent before, or
// may have been: one issued before this database was restored. Both times are
// the ticket's own: the row is kept well beyond its end.
func (s *Store) StartFromTicket(ctx context.Context, portalID string, v portal.Visitor, ticketID string, issued, expires time.Time, a portal.Attempt) (handle string, err error) {
	if ticketID == "" || v.Browser == "" {
		return "", portal.ErrTicket
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return "", failed("begin", err)
	}
	defer func() { _ = tx.Rollback() }()
	keep := max(micros(expires), micros(s.now())) + time.Hour.Microseconds()
	first, err := one(ctx, tx, `INSERT INTO tickets (id, expires)
		SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT) FROM restored WHERE at < CAST($3 AS BIGINT) ON CONFLICT DO NOTHING`,
		ticketID, keep, micros(issued.Add(-frontDoorAhead)))
	if err != nil {
		return "", failed("spend ticket", err)
	}
	if !first {
		return "", portal.ErrTicket
	}
	a.FromTicket = true
	if handle, err = s.startAttempt(ctx, tx, portalID, v, a); err != nil {
		return "", err
	}
	return handle, failed("commit", tx.Commit())
}

// AttemptByHandle reads an attempt of the visitor's browser: portal.ErrAttempt
// when it is unknown, over, or another browser's.
func (s *Store) AttemptByHandle(ctx context.Context, portalID string, v portal.Visitor, handle string) (portal.Attempt, error) {
	a, _, err := readAttempt(ctx, s.db, portalID, portal.Secret(handle).Digest(), s.now())
	if err == nil && !sameBrowser(a, v) {
		err = portal.ErrAttempt
	}
	if err != nil {
		return portal.Attempt{}, failed("read attempt", err)
	}
	return a.Attempt, nil
}

// attempt is the row, with the browser it is bound to.
type attempt struct {
	portal.Attempt
	browser []byte
}

// isProof reports whether the attempt ends in a proof and in no sign-in.
func (a attempt) isProof() bool {
	return a.Purpose == portal.ForConfirm || a.Purpose == portal.ForMerge || a.Purpose == portal.ForLoss
}

func sameBrowser(a attempt, v portal.Visitor) bool {
	return len(a.browser) > 0 && string(a.browser) == string(v.Browser.Digest())
}

func readAttempt(ctx context.Context, q querier, portalID string, digest []byte, now time.Time) (a attempt, found bool, err error) {
	var address string
	var started, expires int64
	err = q.QueryRowContext(ctx, `SELECT browser, address, return_to, keep, from_ticket, started, expires, purpose, session
		FROM attempts WHERE digest = $1 AND portal = $2`, blob(digest), portalID).
		Scan(&a.browser, &address, &a.ReturnTo, &a.Keep, &a.FromTicket, &started, &expires, &a.Purpose, &a.Session)
	if errors.Is(err, sql.ErrNoRows) {
		return a, false, portal.ErrAttempt
	}
	if err != nil {
		return a, false, err
	}
	a.Started, a.Expires = when(started), when(expires)
	if address != "" {
		if a.Address, err = discovery.ParseAddress(address); err != nil {
			return a, false, fmt.Errorf("stored address: %w", errors.New("does not parse"))
		}
	}
	return a, true, a.Usable(now)
}

// SetAddress notes the address typed in an attempt.
func (s *Store) SetAddress(ctx context.Context, portalID string, v portal.Visitor, handle string, a discovery.Address) error {
	ok, err := one(ctx, s.db, `UPDATE attempts SET address = $1 WHERE digest = $2 AND portal = $3 AND browser = $4 AND expires > $5`,
		a.Clear(), blob(portal.Secret(handle).Digest()), portalID, blob(v.Browser.Digest()), micros(s.now()))
	if err == nil && !ok {
		return portal.ErrAttempt
	}
	if err == nil {
		// Whoever starts again with another address has passed nothing yet.
		_, err = s.db.ExecContext(ctx, `DELETE FROM passed WHERE attempt = $1 AND portal = $2`, blob(portal.Secret(handle).Digest()), portalID)
	}
	return failed("update attempt", err)
}

// maxLegs is how many federated legs one browser may have under way at one
// connection; more push out those that are nearest to their end.
const maxLegs = 20

// StartFederation stores a federated leg of an attempt, under the digests of
// fa.ID (the __Host-sso cookie, which the legs of one browser share) and
// fa.State. The handle must be an attempt of the visitor's browser.
func (s *Store) StartFederation(ctx context.Context, portalID string, v portal.Visitor, handle string, fa federation.Attempt) error {
	sso, state := portal.Secret(fa.ID).Digest(), portal.Secret(fa.State).Digest()
	if sso == nil || state == nil {
		return fmt.Errorf("start federation: no cookie or no state")
	}
	if _, err := s.AttemptByHandle(ctx, portalID, v, handle); err != nil {
		return err
	}
	plain, err := json.Marshal(portal.Federated{Attempt: fa, Handle: handle})
	if err != nil {
		return fmt.Errorf("encode federation: %w", err)
	}
	sealed, err := s.vault.Seal("federation "+portalID+" "+fa.Connection, plain)
	if err != nil {
		return fmt.Errorf("seal federation: %w", err)
	}
	now := s.now()
	_, err = s.db.ExecContext(ctx, `INSERT INTO federations (state, sso, portal, connection, attempt, sealed, expires)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		state, sso, portalID, fa.Connection, portal.Secret(handle).Digest(), sealed, micros(now.Add(portal.FederationLife)))
	if err != nil {
		return failed("start federation", err)
	}
	_, err = s.db.ExecContext(ctx, `DELETE FROM federations WHERE sso = $1 AND connection = $2 AND state NOT IN
		(SELECT state FROM federations WHERE sso = $1 AND connection = $2 ORDER BY expires DESC LIMIT $3)`, sso, fa.Connection, maxLegs)
	return failed("bound federations", err)
}

// FederationByState finds the leg an IdP's answer belongs to: of this browser,
// this connection, and not over. Reading consumes nothing; signing in does.
func (s *Store) FederationByState(ctx context.Context, portalID string, sso portal.Secret, connectionID, state string) (portal.Federated, error) {
	var sealed []byte
	err := s.db.QueryRowContext(ctx, `SELECT sealed FROM federations
		WHERE state = $1 AND sso = $2 AND portal = $3 AND connection = $4 AND expires > $5`,
		blob(portal.Secret(state).Digest()), blob(sso.Digest()), portalID, connectionID, micros(s.now())).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return portal.Federated{}, portal.ErrAttempt
	}
	if err != nil {
		return portal.Federated{}, failed("read federation", err)
	}
	f, err := s.openFederation(portalID, connectionID, sealed)
	return f, failed("read federation", err)
}

func (s *Store) openFederation(portalID, connectionID string, sealed []byte) (f portal.Federated, err error) {
	plain, err := s.vault.Open("federation "+portalID+" "+connectionID, sealed)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(plain, &f)
}

// FederationsForBrowser are the legs of a browser at one connection that are
// not over: their request IDs are the ones a SAML response may answer.
func (s *Store) FederationsForBrowser(ctx context.Context, portalID string, sso portal.Secret, connectionID string) ([]portal.Federated, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT sealed FROM federations
		WHERE sso = $1 AND portal = $2 AND connection = $3 AND expires > $4 ORDER BY expires DESC LIMIT $5`,
		blob(sso.Digest()), portalID, connectionID, micros(s.now()), maxLegs)
	if err != nil {
		return nil, failed("read federations", err)
	}
	defer func() { _ = rows.Close() }()
	var out []portal.Federated
	for rows.Next() {
		var sealed []byte
		if err := rows.Scan(&sealed); err != nil {
			return nil, failed("read federations", err)
		}
		f, err := s.openFederation(portalID, connectionID, sealed)
		if err != nil {
			return nil, failed("read federations", err)
		}
		out = append(out, f)
	}
	return out, failed("read federations", rows.Err())
}
