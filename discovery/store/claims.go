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
	a := &application{tags: s.tags, room: s.room, record: record, owners: make(map[string]owner)}
	last, err := s.apply(ctx, a, b)
	if err != nil {
		s.metrics.failures.WithLabelValues("apply").Inc()
		err = errors.Join(err, s.forgetOf(ctx, err))
		return discovery.Receipt{}, fmt.Errorf("apply the claims of region %q: %w", record.Region, err)
	}
	ch := change{region: record.Region, position: a.position, rerouted: a.rerouted, ids: a.touched}
	s.raise(ch) // first: whoever asks a replica from here on knows how new it must be
	if s.cache != nil && (a.changed || len(a.touched) > 0) {
		s.cache.drop(ctx, ch)
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
	receipt := discovery.Receipt{Last: last}
	for _, r := range a.refused {
		s.log.Warn("claim refused", "region", record.Region, "seq", r.seq, "what", r.what, "code", r.code, "err", r.err)
		if len(receipt.Refused) < discovery.MaxRefused {
			receipt.Refused = append(receipt.Refused, discovery.Refused{Seq: r.seq, Code: r.code})
		}
	}
	return receipt, nil
}

// An application is one batch on its way into the tables.
type application struct {
	tx     *sql.Tx
	tags   TagKey
	room   Room
	record regions.Record
	owners map[string]owner // of the portals this batch speaks of

	portals, routes tally // of the region, as this batch leaves them

	waiting  []waiting           // entries to be written
	touched  []discovery.BlindID // the cache must forget these
	rerouted bool                // a portal or route has changed
	position int64               // of the region, after this batch
	changed  bool                // by this batch
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
	what string // the portal or domain it was about, if it can be one
	code string
	err  error
}

func (s *Store) apply(ctx context.Context, a *application, b discovery.Batch) (last int64, err error) {
	if err := s.contact.usable(); err != nil {
		return 0, err
	}
	a.tx, err = s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = a.tx.Rollback() }() // nothing to undo after Commit

	// The region's own row is the lock that puts its batches in order.
	region, now := a.record.Region, s.now().UnixMicro()
	if _, err := a.tx.ExecContext(ctx, `INSERT INTO progress (region, last, applied, whole, changed) VALUES ($1, 0, $2, $3, 0) ON CONFLICT DO NOTHING`, region, now, true); err != nil {
		return 0, err
	}
	var whole bool
	if err := a.tx.QueryRowContext(ctx, `UPDATE progress SET applied = $2 WHERE region = $1 RETURNING last, whole, changed`, region, now).Scan(&last, &whole, &a.position); err != nil {
		return 0, err
	}
	if b.After > last {
		a.skipped = len(b.Claims)
		return last, nil
	}
	before := last
	for _, c := range b.Claims {
		if c.Seq <= last {
			a.skipped++
			if c.Entry != nil { // whoever applied it may have ended before telling anybody what to drop
				a.touched = append(a.touched, c.Entry.Blind)
			}
			continue
		}
		a.applied++ // refuse takes it back
		if err := a.claim(ctx, c); err != nil {
			return 0, fmt.Errorf("claim %d: %w", c.Seq, err)
		}
		last = c.Seq
	}
	if err := a.flush(ctx); err != nil {
		return 0, fmt.Errorf("claims up to %d: %w", last, err)
	}
	if !whole && len(b.Claims) == 0 && b.After == last && last > 0 {
		// It agrees with us and has nothing left to say.
		whole, a.rerouted = true, true
	}
	if a.changed = last > before || a.rerouted; a.changed {
		if err := a.tx.QueryRowContext(ctx, `UPDATE progress SET last = $2, whole = $3, changed = changed + 1 WHERE region = $1 RETURNING changed`,
			region, last, whole).Scan(&a.position); err != nil {
			return 0, err
		}
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
	errHost    = errors.New("the URL is not a portal's that the region's signed record covers")
	errMany    = fmt.Errorf("more than %d portals of the region claim the address", discovery.MaxPortals)
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
		a.refuse(c.Seq, "", discovery.CodeShape, errShape)
		return nil
	}
	if c.Entry == nil {
		if err := a.flush(ctx); err != nil {
			return err
		}
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

func (a *application) refuse(seq int64, what, code string, err error) {
	a.applied--
	a.refused = append(a.refused, refusal{seq, what, code, err})
}

// named is a portal's ID for the log, which must not repeat what is none.
func named(portal string) string {
	if discovery.CheckID(portal) != nil {
		return "portal"
	}
	return portal
}

// routed is a route's domain for the log, which must not repeat what is none: a
// region may have put a person's address there.
func routed(domain string) string {
	if _, err := discovery.ParseRouteDomain(domain); err != nil {
		return "route"
	}
	return domain
}

func (a *application) portal(ctx context.Context, seq int64, gone bool, p discovery.Portal) error {
	if err := discovery.CheckID(p.ID); err != nil {
		a.refuse(seq, "portal", discovery.CodePortal, err)
		return nil
	}
	own, err := a.owner(ctx, p.ID)
	if err != nil {
		return err
	}
	if own.known && !own.gone && own.region != a.record.Region {
		a.refuse(seq, p.ID, discovery.CodeForeign, errForeign) // the first claim stays
		return nil
	}
	if gone {
		return a.portalGone(ctx, seq, p.ID)
	}
	if p.Region == "" {
		p.Region = a.record.Region
	}
	if code, err := a.checkPortal(p); err != nil {
		a.refuse(seq, p.ID, code, err)
		return nil
	}
	var holder string
	switch err := a.tx.QueryRowContext(ctx, `SELECT id FROM portals WHERE url = $1 AND NOT gone AND id <> $2`, p.URL, p.ID).Scan(&holder); {
	case err == nil:
		if _, err := a.owner(ctx, holder); err != nil {
			return err // a row that nobody claimed holds no URL
		}
		a.refuse(seq, p.ID, discovery.CodeURL, errURL)
		return nil
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	if fits, err := a.portalFits(ctx, seq, p.ID, own); err != nil || !fits {
		return err
	}
	// Two regions may be here at once, neither of which has seen the other: what
	// was true when we looked is asked again by the statement that writes.
	row := portalRow{p.ID, p.Region, p.Name, p.URL, string(p.Disclosure), discovery.StandbyText(p.Standbys), false, seq}
	res, err := a.tx.ExecContext(ctx, `
		INSERT INTO portals (id, region, name, url, disclosure, standbys, gone, seq, tag) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (id) DO UPDATE SET region = excluded.region, name = excluded.name, url = excluded.url,
			disclosure = excluded.disclosure, standbys = excluded.standbys, gone = excluded.gone, seq = excluded.seq, tag = excluded.tag
		WHERE portals.region = excluded.region OR portals.gone`,
		row.id, row.region, row.name, row.url, row.disclosure, row.standbys, row.gone, row.seq, a.tags.tag(row))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		a.portals.forget()
		a.refuse(seq, p.ID, discovery.CodeForeign, errForeign)
		return nil
	}
	a.rerouted = true
	a.checkStandbys(seq, p)
	a.owners[p.ID] = owner{known: true, region: a.record.Region}
	if !own.known || own.gone {
		// Entries that were claimed ahead of their portal count from now on.
		return a.touch(ctx, `SELECT blind FROM entries WHERE portal = $1 AND region = $2`, p.ID, a.record.Region)
	}
	return nil
}

func (a *application) checkPortal(p discovery.Portal) (code string, err error) {
	if p.Region != a.record.Region {
		return discovery.CodeForeign, errForeign
	}
	if err := p.Check(); err != nil {
		return discovery.CodePortal, err
	}
	if a.record.Allows(p.URL) != nil {
		return discovery.CodeHost, errHost // Allows repeats the URL
	}
	return "", nil
}

func (a *application) portalGone(ctx context.Context, seq int64, id string) error {
	return a.close(ctx, `id = $1 AND region = $2`, []any{id, a.record.Region}, &seq)
}

// close marks portals as gone: each is read first, since its tag covers the whole
// row. Only this region writes to a portal of its own that is not gone, and its
// batches are in order.
func (a *application) close(ctx context.Context, where string, args []any, seq *int64) error {
	rows, err := a.readPortals(ctx, where, args...)
	if err != nil {
		return err
	}
	for _, p := range rows {
		p.gone = true
		if seq != nil {
			p.seq = *seq
		}
		if _, err := a.tx.ExecContext(ctx, `UPDATE portals SET gone = $3, seq = $4, tag = $5 WHERE id = $1 AND region = $2`,
			p.id, p.region, p.gone, p.seq, a.tags.tag(p)); err != nil {
			return err
		}
		a.rerouted = true
		a.owners[p.id] = owner{known: true, region: p.region, gone: true}
	}
	return nil
}

// readPortals reads rows as they were claimed; one that was not is an error.
func (a *application) readPortals(ctx context.Context, where string, args ...any) ([]portalRow, error) {
	rows, err := a.tx.QueryContext(ctx, `SELECT id, region, name, url, disclosure, standbys, gone, seq, tag FROM portals WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []portalRow
	for rows.Next() {
		var p portalRow
		var tag []byte
		if err := rows.Scan(&p.id, &p.region, &p.name, &p.url, &p.disclosure, &p.standbys, &p.gone, &p.seq, &tag); err != nil {
			return nil, err
		}
		if !a.tags.made(p, tag) {
			return nil, p.forged(tag)
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

func (a *application) route(ctx context.Context, seq int64, gone bool, r discovery.Route) error {
	if gone {
		return a.routeGone(ctx, r)
	}
	if err := r.Check(); err != nil {
		code := discovery.CodeRoute
		if discovery.Routable(r.Domain) != nil {
			code = discovery.CodeNotRoutable
		}
		a.refuse(seq, routed(r.Domain), code, err)
		return nil
	}
	if mine, err := a.mine(ctx, r.Portal); err != nil || !mine {
		a.refuseForeign(seq, r.Domain, err)
		return err
	}
	if fits, err := a.routeFits(ctx, seq, r); err != nil || !fits {
		return err
	}
	a.rerouted = true
	row := routeRow{r.Domain, r.Portal, a.record.Region, r.Connection, joinWays(r.SignIn), seq}
	_, err := a.tx.ExecContext(ctx, `
		INSERT INTO routes (domain, portal, region, connection, sign_in, seq, tag) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (domain, portal, region) DO UPDATE SET connection = excluded.connection, sign_in = excluded.sign_in,
			seq = excluded.seq, tag = excluded.tag`,
		row.domain, row.portal, row.region, row.connection, row.signIn, row.seq, a.tags.tag(row))
	return err
}

func (a *application) routeGone(ctx context.Context, r discovery.Route) error {
	a.rerouted = true
	res, err := a.tx.ExecContext(ctx, `DELETE FROM routes WHERE domain = $1 AND portal = $2 AND region = $3`, r.Domain, r.Portal, a.record.Region)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	a.routes.n -= int(n) // which is nothing as long as they are not counted
	return err
}

func (a *application) refuseForeign(seq int64, what string, err error) {
	if err == nil {
		a.refuse(seq, what, discovery.CodeForeign, errForeign)
	}
}

// sweep forgets what this region claimed before a full re-publish and has not
// claimed again in it.
func (a *application) sweep(ctx context.Context, seq, before int64) error {
	if before < 0 || before > seq {
		a.refuse(seq, "sweep", discovery.CodeSweep, errSweep)
		return nil
	}
	region := a.record.Region
	if err := a.touch(ctx, `DELETE FROM entries WHERE region = $1 AND seq < $2 RETURNING blind`, region, before); err != nil {
		return err
	}
	a.routes.forget()
	if _, err := a.tx.ExecContext(ctx, `DELETE FROM routes WHERE region = $1 AND seq < $2`, region, before); err != nil {
		return err
	}
	if err := a.close(ctx, `region = $1 AND seq < $2 AND NOT gone`, []any{region, before}, nil); err != nil {
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
	rows, err := a.readPortals(ctx, `id = $1`, portal)
	if err != nil {
		return owner{}, err
	}
	var own owner
	if len(rows) > 0 {
		own = owner{known: true, region: rows[0].region, gone: rows[0].gone}
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
