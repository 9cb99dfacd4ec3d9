package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/regions"
)

// Apply applies a batch that the region of record has signed. Claims at or
// below the last sequence applied are skipped; a batch that starts from beyond
// it changes nothing, and the receipt tells the region where to start again. A
// claim that is not the region's to make is refused by itself: it is counted
// and logged, and the stream goes on.
func (s *Store) Apply(ctx context.Context, record regions.Record, b discovery.Batch) (discovery.Receipt, error) {
	a := &application{record: record, owners: make(map[string]owner)}
	last, err := s.apply(ctx, a, b)
	if err != nil {
		s.metrics.failures.WithLabelValues("apply").Inc()
		return discovery.Receipt{}, fmt.Errorf("apply the claims of region %q: %w", record.Region, err)
	}
	if s.cache != nil {
		s.cache.drop(ctx, a.touched)
	}
	if a.rerouted {
		if err := s.Refresh(ctx); err != nil {
			s.log.Error("the claims are applied, the snapshot is behind", "err", err)
		}
	}
	s.metrics.claims.WithLabelValues("applied").Add(float64(a.applied))
	s.metrics.claims.WithLabelValues("refused").Add(float64(len(a.refused)))
	s.metrics.claims.WithLabelValues("skipped").Add(float64(a.skipped))
	s.metrics.last.WithLabelValues(record.Region).Set(float64(s.now().Unix()))
	for _, r := range a.refused {
		s.log.Warn("claim refused", "region", record.Region, "seq", r.seq, "what", r.what, "err", r.err)
	}
	return discovery.Receipt{Last: last}, nil
}

// An application is one batch on its way into the tables.
type application struct {
	tx     *sql.Tx
	record regions.Record
	owners map[string]owner // of the portals this batch speaks of

	touched  []discovery.BlindID // the cache must forget these
	rerouted bool                // a portal or route has changed
	applied  int
	skipped  int
	refused  []refusal
}

type owner struct {
	known  bool
	region string
	gone   bool
}

type refusal struct {
	seq  int64
	what string // the portal or domain it was about
	err  error
}

func (s *Store) apply(ctx context.Context, a *application, b discovery.Batch) (last int64, err error) {
	a.tx, err = s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = a.tx.Rollback() }() // nothing to undo after Commit

	// The region's own row is the lock that puts its batches in order.
	region, now := a.record.Region, s.now().UnixMicro()
	if _, err := a.tx.ExecContext(ctx, `INSERT INTO progress (region, last, applied) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING`, region, now); err != nil {
		return 0, err
	}
	if err := a.tx.QueryRowContext(ctx, `UPDATE progress SET applied = $2 WHERE region = $1 RETURNING last`, region, now).Scan(&last); err != nil {
		return 0, err
	}
	if b.After > last {
		a.skipped = len(b.Claims)
		return last, nil
	}
	for _, c := range b.Claims {
		if c.Seq <= last {
			a.skipped++
			continue
		}
		a.applied++ // refuse takes it back
		if err := a.claim(ctx, c); err != nil {
			return 0, fmt.Errorf("claim %d: %w", c.Seq, err)
		}
		last = c.Seq
	}
	if _, err := a.tx.ExecContext(ctx, `UPDATE progress SET last = $2 WHERE region = $1`, region, last); err != nil {
		return 0, err
	}
	if a.rerouted {
		if _, err := a.tx.ExecContext(ctx, `UPDATE changes SET n = n + 1 WHERE id = 1`); err != nil {
			return 0, err
		}
	}
	return last, a.tx.Commit()
}

var (
	errShape   = errors.New("a claim is about exactly one thing")
	errForeign = errors.New("the portal belongs to another region")
	errURL     = errors.New("the URL belongs to another portal")
	errSweep   = errors.New("a sweep reaches back, not ahead")
)

// claim applies one claim. An error is one of the database; a claim that breaks
// a rule is noted and passed over.
func (a *application) claim(ctx context.Context, c discovery.Claim) error {
	kinds := 0
	for _, set := range []bool{c.Portal != nil, c.Route != nil, c.Entry != nil, c.Sweep != 0} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		a.refuse(c.Seq, "", errShape)
		return nil
	}
	switch {
	case c.Portal != nil:
		return a.portal(ctx, c.Seq, c.Gone, *c.Portal)
	case c.Route != nil:
		return a.route(ctx, c.Seq, c.Gone, *c.Route)
	case c.Entry != nil:
		return a.entry(ctx, c.Seq, c.Gone, *c.Entry)
	}
	return a.sweep(ctx, c.Seq, c.Sweep)
}

func (a *application) refuse(seq int64, what string, err error) {
	a.applied--
	a.refused = append(a.refused, refusal{seq, what, err})
}

func (a *application) portal(ctx context.Context, seq int64, gone bool, p discovery.Portal) error {
	if err := discovery.CheckID(p.ID); err != nil {
		a.refuse(seq, "portal", err)
		return nil
	}
	own, err := a.owner(ctx, p.ID)
	if err != nil {
		return err
	}
	if own.known && !own.gone && own.region != a.record.Region {
		a.refuse(seq, p.ID, errForeign) // the first claim stays
		return nil
	}
	if gone {
		return a.portalGone(ctx, seq, p.ID)
	}
	if p.Region == "" {
		p.Region = a.record.Region
	}
	if err := a.checkPortal(p); err != nil {
		a.refuse(seq, p.ID, err)
		return nil
	}
	var holder string
	switch err := a.tx.QueryRowContext(ctx, `SELECT id FROM portals WHERE url = $1 AND NOT gone AND id <> $2`, p.URL, p.ID).Scan(&holder); {
	case err == nil:
		a.refuse(seq, p.ID, errURL)
		return nil
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	// Two regions may be here at once, neither of which has seen the other: what
	// was true when we looked is asked again by the statement that writes.
	res, err := a.tx.ExecContext(ctx, `
		INSERT INTO portals (id, region, name, url, disclosure, gone, seq) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET region = excluded.region, name = excluded.name, url = excluded.url,
			disclosure = excluded.disclosure, gone = excluded.gone, seq = excluded.seq
		WHERE portals.region = excluded.region OR portals.gone`,
		p.ID, p.Region, p.Name, p.URL, string(p.Disclosure), false, seq)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		a.refuse(seq, p.ID, errForeign)
		return nil
	}
	a.rerouted = true
	a.owners[p.ID] = owner{known: true, region: a.record.Region}
	if !own.known || own.gone {
		// Entries that were claimed ahead of their portal count from now on.
		return a.touch(ctx, `SELECT blind FROM entries WHERE portal = $1 AND region = $2`, p.ID, a.record.Region)
	}
	return nil
}

func (a *application) checkPortal(p discovery.Portal) error {
	if p.Region != a.record.Region {
		return errForeign
	}
	if err := p.Check(); err != nil {
		return err
	}
	return a.record.Allows(p.URL)
}

func (a *application) portalGone(ctx context.Context, seq int64, id string) error {
	res, err := a.tx.ExecContext(ctx, `UPDATE portals SET gone = $3, seq = $4 WHERE id = $1 AND region = $2`, id, a.record.Region, true, seq)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n > 0 {
		a.rerouted = true
		a.owners[id] = owner{known: true, region: a.record.Region, gone: true}
	}
	return nil
}

func (a *application) route(ctx context.Context, seq int64, gone bool, r discovery.Route) error {
	if gone {
		a.rerouted = true
		_, err := a.tx.ExecContext(ctx, `DELETE FROM routes WHERE domain = $1 AND portal = $2 AND region = $3`, r.Domain, r.Portal, a.record.Region)
		return err
	}
	if err := r.Check(); err != nil {
		a.refuse(seq, r.Domain, err)
		return nil
	}
	if mine, err := a.mine(ctx, r.Portal); err != nil || !mine {
		a.refuseForeign(seq, r.Domain, err)
		return err
	}
	a.rerouted = true
	_, err := a.tx.ExecContext(ctx, `
		INSERT INTO routes (domain, portal, region, connection, sign_in, seq) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (domain, portal, region) DO UPDATE SET connection = excluded.connection, sign_in = excluded.sign_in, seq = excluded.seq`,
		r.Domain, r.Portal, a.record.Region, r.Connection, joinWays(r.SignIn), seq)
	return err
}

func (a *application) entry(ctx context.Context, seq int64, gone bool, e discovery.Entry) error {
	if gone {
		a.touched = append(a.touched, e.Blind)
		_, err := a.tx.ExecContext(ctx, `DELETE FROM entries WHERE blind = $1 AND portal = $2 AND region = $3`, e.Blind[:], e.Portal, a.record.Region)
		return err
	}
	if err := e.Check(); err != nil {
		a.refuse(seq, e.Portal, err)
		return nil
	}
	if mine, err := a.mine(ctx, e.Portal); err != nil || !mine {
		a.refuseForeign(seq, e.Portal, err)
		return err
	}
	a.touched = append(a.touched, e.Blind)
	_, err := a.tx.ExecContext(ctx, `
		INSERT INTO entries (blind, portal, region, sign_in, seq) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (blind, portal, region) DO UPDATE SET sign_in = excluded.sign_in, seq = excluded.seq`,
		e.Blind[:], e.Portal, a.record.Region, joinWays(e.SignIn), seq)
	return err
}

func (a *application) refuseForeign(seq int64, what string, err error) {
	if err == nil {
		a.refuse(seq, what, errForeign)
	}
}

// sweep forgets what this region claimed before a full re-publish and has not
// claimed again in it.
func (a *application) sweep(ctx context.Context, seq, before int64) error {
	if before < 0 || before > seq {
		a.refuse(seq, "sweep", errSweep)
		return nil
	}
	region := a.record.Region
	if err := a.touch(ctx, `DELETE FROM entries WHERE region = $1 AND seq < $2 RETURNING blind`, region, before); err != nil {
		return err
	}
	if _, err := a.tx.ExecContext(ctx, `DELETE FROM routes WHERE region = $1 AND seq < $2`, region, before); err != nil {
		return err
	}
	if _, err := a.tx.ExecContext(ctx, `UPDATE portals SET gone = $3 WHERE region = $1 AND seq < $2 AND NOT gone`, region, before, true); err != nil {
		return err
	}
	a.rerouted = true
	clear(a.owners)
	return nil
}

// mine reports whether the region may speak of a portal: it is its own, or
// nobody's yet, since claims of one portal may overtake each other.
func (a *application) mine(ctx context.Context, portal string) (bool, error) {
	own, err := a.owner(ctx, portal)
	return err == nil && (!own.known || own.gone || own.region == a.record.Region), err
}

func (a *application) owner(ctx context.Context, portal string) (owner, error) {
	if own, ok := a.owners[portal]; ok {
		return own, nil
	}
	own := owner{known: true}
	err := a.tx.QueryRowContext(ctx, `SELECT region, gone FROM portals WHERE id = $1`, portal).Scan(&own.region, &own.gone)
	if errors.Is(err, sql.ErrNoRows) {
		own, err = owner{}, nil
	}
	if err != nil {
		return owner{}, err
	}
	a.owners[portal] = own
	return own, nil
}

// touch notes every blind ID that a statement returns.
func (a *application) touch(ctx context.Context, query string, args ...any) error {
	rows, err := a.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var blind []byte
		if err := rows.Scan(&blind); err != nil {
			return err
		}
		var id discovery.BlindID
		copy(id[:], blind)
		a.touched = append(a.touched, id)
	}
	return rows.Err()
}
