package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
)

// writeOutbox queues what the use case changed. The counter's row is locked
// from here to the commit, so that sequences are committed in their order and a
// reader never sees a later one first.
func (u *unit) writeOutbox(ctx context.Context) error {
	if len(u.changes) > 0 {
		if err := u.writeChanges(ctx); err != nil {
			return err
		}
	}
	for _, t := range u.moved {
		if err := u.tellSome(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (u *unit) writeChanges(ctx context.Context) error {
	last, err := u.takeSequences(ctx, int64(len(u.changes)))
	if err != nil {
		return err
	}
	first := last - int64(len(u.changes)-1)*portal.SeqStep
	for i, c := range u.changes {
		// One row for each thing: a newer change moves it to the end. queued
		// stays, because that long the directory has been behind.
		_, err := u.ExecContext(ctx, `INSERT INTO outbox (seq, topic, portal, name, queued) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (topic, portal, name) DO UPDATE SET seq = excluded.seq`,
			first+int64(i)*portal.SeqStep, string(c.Topic), c.Portal, c.Name, micros(u.now))
		if err != nil {
			return err
		}
	}
	return nil
}

// takeSequences reserves room for n changes and returns the sequence of the
// last one's first claim.
func (u *unit) takeSequences(ctx context.Context, n int64) (last int64, err error) {
	err = u.QueryRowContext(ctx, `UPDATE outbox_counter SET last = last + CAST($1 AS BIGINT) WHERE id = 1 RETURNING last`, n*portal.SeqStep).Scan(&last)
	return last - portal.SeqStep + 1, err
}

// PendingClaims are the next claims in order of sequence, at most limit, made
// from what is true now, and the last sequence the front door has confirmed.
func (s *Store) PendingClaims(ctx context.Context, region string, keys discovery.BlindKeys, limit int) (claims []discovery.Claim, after int64, err error) {
	if len(keys) == 0 || len(keys) > portal.SeqStep {
		return nil, 0, fmt.Errorf("pending claims: %d blinding keys", len(keys))
	}
	if err = s.db.QueryRowContext(ctx, `SELECT acked FROM outbox_counter WHERE id = 1`).Scan(&after); err != nil {
		return nil, 0, failed("read outbox", err)
	}
	rows, err := s.pending(ctx, limit/len(keys))
	if err != nil {
		return nil, 0, failed("read outbox", err)
	}
	w := claimWriter{s: s, region: region, keys: keys, ways: map[string][]way{}}
	for _, r := range rows {
		more, err := w.claims(ctx, r)
		if err != nil {
			return nil, 0, failed("make claim", err)
		}
		claims = append(claims, more...)
	}
	// Asked last: rows that were read before somebody else took over are older
	// than everything queued then.
	if held, _, _, err := s.holder(ctx); err != nil {
		return nil, 0, failed("read outbox", err)
	} else if held != "" && held != versionsOf(keys) {
		return nil, 0, fmt.Errorf("pending claims: %w", errHeld)
	}
	return claims, after, nil
}

type pendingRow struct {
	seq int64
	portal.Change
	status    portal.Status // of who holds the address; empty: nobody
	confirmed bool
}

func (s *Store) pending(ctx context.Context, limit int) ([]pendingRow, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT o.seq, o.topic, o.portal, o.name, COALESCE(a.status, '')
		FROM outbox o
		LEFT JOIN addresses h ON o.topic = 'address' AND h.portal = o.portal AND h.address = o.name AND h.confirmed > 0
		LEFT JOIN accounts a ON a.id = h.account
		ORDER BY o.seq LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []pendingRow
	for rows.Next() {
		var r pendingRow
		var topic, status string
		if err := rows.Scan(&r.seq, &topic, &r.Portal, &r.Name, &status); err != nil {
			return nil, err
		}
		r.Topic, r.status, r.confirmed = portal.Topic(topic), portal.Status(status), status != ""
		out = append(out, r)
	}
	return out, rows.Err()
}

// way is how a domain of a portal signs in.
type way struct {
	portal.Domain
	kind federation.Kind
}

// claimWriter makes claims of rows; it reads each portal's domains once.
type claimWriter struct {
	s      *Store
	region string
	keys   discovery.BlindKeys
	ways   map[string][]way
}

func (w *claimWriter) claims(ctx context.Context, r pendingRow) ([]discovery.Claim, error) {
	switch r.Topic {
	case portal.PortalChanged:
		p, err := readPortal(ctx, w.s.db, `id = $1`, r.Portal)
		if err != nil {
			return nil, err
		}
		return []discovery.Claim{{Seq: r.seq, Portal: &discovery.Portal{
			ID: p.ID, Name: p.Name, URL: p.URL, Disclosure: p.Disclosure, Region: w.region, Standbys: p.Standbys}}}, nil
	case portal.RouteChanged:
		return w.route(ctx, r)
	case portal.AddressChanged:
		return w.entries(ctx, r)
	case portal.SweepRest:
		below, err := strconv.ParseInt(r.Name, 10, 64)
		return []discovery.Claim{{Seq: r.seq, Sweep: below}}, err
	}
	return nil, fmt.Errorf("outbox row %d: unknown topic %q", r.seq, r.Topic)
}

func (w *claimWriter) route(ctx context.Context, r pendingRow) ([]discovery.Claim, error) {
	ways, err := w.waysOf(ctx, r.Portal)
	if err != nil {
		return nil, err
	}
	for _, d := range ways {
		if d.Name == r.Name {
			return []discovery.Claim{{Seq: r.seq, Route: &discovery.Route{
				Domain: d.Name, Portal: r.Portal, Connection: d.Connection, SignIn: d.Ways(d.kind)}}}, nil
		}
	}
	return []discovery.Claim{{Seq: r.seq, Gone: true, Route: &discovery.Route{Domain: r.Name, Portal: r.Portal}}}, nil
}

// entries claims an address once for each live version of the blinding key.
func (w *claimWriter) entries(ctx context.Context, r pendingRow) ([]discovery.Claim, error) {
	address, err := discovery.ParseAddress(r.Name)
	if err != nil {
		return nil, fmt.Errorf("outbox row %d: its address does not parse", r.seq)
	}
	ways, err := w.waysOf(ctx, r.Portal)
	if err != nil {
		return nil, err
	}
	gone := !portal.Findable(r.status, r.confirmed)
	signIn := []discovery.SignIn{discovery.Password}
	if d, ok := covering(ways, address.Domain(), func(w way) portal.Domain { return w.Domain }); ok {
		signIn = d.Ways(d.kind)
	}
	var out []discovery.Claim
	for i, id := range w.keys.IDs(address) {
		out = append(out, discovery.Claim{Seq: r.seq + int64(i), Gone: gone,
			Entry: &discovery.Entry{Blind: id, Portal: r.Portal, SignIn: signIn}})
	}
	return out, nil
}

func (w *claimWriter) waysOf(ctx context.Context, portalID string) ([]way, error) {
	if ways, ok := w.ways[portalID]; ok {
		return ways, nil
	}
	all, err := readDomains(ctx, w.s.db, portalID)
	if err != nil {
		return nil, err
	}
	ways := make([]way, len(all))
	for i, d := range all {
		kind, err := kindOf(ctx, w.s.db, d.Connection)
		if err != nil {
			return nil, err
		}
		ways[i] = way{d, kind}
	}
	w.ways[portalID] = ways
	return ways, nil
}

// Ack notes that the front door has applied everything up to last. A change
// that was changed again since has moved beyond it and stays.
func (s *Store) Ack(ctx context.Context, last int64) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM outbox WHERE seq <= $1`, last); err != nil {
		return failed("confirm", err)
	}
	_, err := s.db.ExecContext(ctx, `UPDATE outbox_counter SET acked = $1 WHERE id = 1 AND acked < $1`, last)
	return failed("confirm", err)
}

// Sending notes, before claims are sent, that the directory may have those up to
// a sequence from now on.
func (s *Store) Sending(ctx context.Context, upTo int64) error {
	_, err := s.db.ExecContext(ctx, `UPDATE outbox_counter SET sent = $1 WHERE id = 1 AND sent < $1`, upTo)
	return failed("note what is sent", err)
}

// Sent is the highest sequence noted by Sending, by whichever process. A
// directory that has more was told by a later state of this database, which has
// been set back since.
func (s *Store) Sent(ctx context.Context) (upTo int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT sent FROM outbox_counter WHERE id = 1`).Scan(&upTo)
	return upTo, failed("read what was sent", err)
}

// Rebuild notes that last is what the front door has applied, be it less than
// we thought or more, and queues everything again behind it. It is one
// transaction: a note without the queue would pass for an up-to-date directory.
// after is what was confirmed when this was decided: where it no longer is,
// another process has decided the same, and nothing is done.
//
// What the front door says is not believed beyond portal.MaxLearnt: whoever writes
// to its database could otherwise leave this region no sequences, and with them no
// way to change an account.
func (s *Store) Rebuild(ctx context.Context, after, last int64) error {
	if last > portal.MaxLearnt {
		return fmt.Errorf("the directory names sequence %d, which no region has come to: see last in its table progress", last)
	}
	return s.change(ctx, "", portal.Visitor{}, func(u *unit) error {
		var had int64
		err := u.QueryRowContext(ctx, `UPDATE outbox_counter SET acked = $1 WHERE id = 1 AND acked = $2 RETURNING last`, last, after).Scan(&had)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := u.ExecContext(ctx, `UPDATE outbox_counter SET last = $1, sent = $1 WHERE id = 1`, max(had, last)); err != nil {
			return err
		}
		return u.republish(ctx)
	})
}

// Republish queues everything there is, and a sweep behind it: what this region
// claimed before and does not claim again is forgotten.
func (s *Store) Republish(ctx context.Context) error {
	return s.change(ctx, "", portal.Visitor{}, func(u *unit) error { return u.republish(ctx) })
}

func (u *unit) republish(ctx context.Context) error {
	// Taking the counter first keeps everybody else from committing changes
	// until all of this is queued.
	start, err := u.takeSequences(ctx, 1)
	if err != nil {
		return err
	}
	if _, err := u.ExecContext(ctx, `DELETE FROM outbox`); err != nil {
		return err
	}
	sources := []struct{ topic, portal, name, from string }{
		{"portal", "id", "''", "portals"},
		{"route", "portal", "name", "domains"},
		{"address", "portal", "address", "addresses WHERE confirmed > 0"},
	}
	for _, src := range sources {
		var n int64
		if err := u.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+src.from).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		last, err := u.takeSequences(ctx, n)
		if err != nil {
			return err
		}
		_, err = u.ExecContext(ctx, `INSERT INTO outbox (seq, topic, portal, name, queued)
			SELECT CAST($1 AS BIGINT) + CAST($2 AS BIGINT) * (ROW_NUMBER() OVER (ORDER BY `+src.portal+`, `+src.name+`) - 1), '`+src.topic+`', `+
			src.portal+`, `+src.name+`, CAST($3 AS BIGINT) FROM `+src.from,
			last-(n-1)*portal.SeqStep, portal.SeqStep, micros(u.now))
		if err != nil {
			return err
		}
	}
	u.audit(portal.Event{Action: "directory.republished", Method: "operator"})
	u.changes = append(u.changes, portal.Change{Topic: portal.SweepRest, Name: strconv.FormatInt(start, 10)})
	return nil
}

// OutboxAge is how long the oldest change has waited; 0: none waits.
func (s *Store) OutboxAge(ctx context.Context) (time.Duration, error) {
	var queued int64
	err := s.db.QueryRowContext(ctx, `SELECT COALESCE(MIN(queued), 0) FROM outbox`).Scan(&queued)
	if err != nil || queued == 0 {
		return 0, failed("read outbox", err)
	}
	return max(s.now().Sub(when(queued)), 0), nil
}
