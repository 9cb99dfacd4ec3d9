package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// How long one look at the database may take: at the counter, which is all that
// is read as long as nothing changes, and at everything.
const (
	glance = 2 * time.Second
	look   = 30 * time.Second
)

// doubtAfter is how old the snapshot gets before what is not in it is not known
// any more. Front doors look at the database every second: one look that fails is
// nothing yet.
const doubtAfter = 5 * time.Second

// Refresh reloads the snapshot if portals or routes have changed since. The first
// that succeeds has passed Options.Check before.
func (s *Store) Refresh(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	began := s.now()
	err := s.contact.pass(ctx)
	if err == nil {
		err = s.refresh(ctx)
	}
	if err == nil { // or a replica would be believed for being as new as was known some time ago
		err = s.learn(ctx)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx) // whoever hung up has learnt nothing of the database
	}
	s.contact.note(began, err)
	if err != nil {
		if age := began.Sub(s.snapshot.AsOf()); age < 0 || age >= doubtAfter { // a clock that was set back tells no age
			s.snapshot.Doubt()
		}
		s.metrics.failures.WithLabelValues("refresh").Inc()
		return fmt.Errorf("refresh the snapshot: %w", err)
	}
	s.snapshot.Confirm(began)
	return nil
}

// Watch keeps the snapshot up to date with what other front doors apply, until
// ctx ends. While the database does not answer, the last good snapshot stays.
func (s *Store) Watch(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var said time.Time // when the failure was last logged; zero: there is none
	for {
		err := s.Refresh(ctx)
		switch now := s.now(); {
		case ctx.Err() != nil:
			return
		case err == nil && !said.IsZero():
			said = time.Time{}
			s.log.Info("the directory can be read again")
		case err != nil && now.Sub(said) >= time.Minute:
			said = now
			s.log.Error("the directory cannot be read; the last good snapshot stays", "as_of", s.snapshot.AsOf(), "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.nudge: // another front door has changed something
		}
	}
}

var errForged = errors.New("rows that nobody claimed keep coming")

// refresh reads until it reads nothing but what was claimed.
func (s *Store) refresh(ctx context.Context) error {
	for range 3 {
		forged, err := s.load(ctx)
		if err != nil || len(forged) == 0 {
			return err
		}
		if err := s.forget(ctx, forged); err != nil {
			return err
		}
	}
	return errForged
}

// load replaces the snapshot, unless there are rows without a tag of ours. It
// reads the counter before the rows: a change in between is read twice rather
// than never.
func (s *Store) load(ctx context.Context) ([]*forgery, error) {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	quick, done := context.WithTimeout(ctx, glance)
	defer done()
	var n int64
	if err := s.db.QueryRowContext(quick, `SELECT n FROM changes WHERE id = 1`).Scan(&n); err != nil {
		return nil, err
	}
	if n == s.loaded {
		return nil, nil
	}
	read, forged, err := s.read(ctx)
	if err != nil || len(forged) > 0 {
		return forged, err
	}
	s.snapshot.Replace(read.Portals, read.Routes, read.Incomplete...)
	s.loaded = n
	return nil, nil
}

// read reads all that a snapshot holds, and what else is in the tables.
func (s *Store) read(ctx context.Context) (c discovery.Contents, forged []*forgery, err error) {
	if c.Incomplete, err = s.incomplete(ctx); err != nil {
		return c, nil, err
	}
	if c.Portals, forged, err = s.portals(ctx); err != nil {
		return c, nil, err
	}
	routes, more, err := s.routes(ctx, c.Portals)
	c.Routes = routes
	return c, append(forged, more...), err
}

// portals reads the portals that were claimed, and what else is in the table.
func (s *Store) portals(ctx context.Context) (portals []discovery.PortalState, forged []*forgery, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, region, name, url, disclosure, standbys, gone, seq, tag FROM portals`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p portalRow
		var tag []byte
		if err := rows.Scan(&p.id, &p.region, &p.name, &p.url, &p.disclosure, &p.standbys, &p.gone, &p.seq, &tag); err != nil {
			return nil, nil, err
		}
		if !s.tags.made(p, tag) {
			forged = append(forged, p.forged(tag))
			continue
		}
		portals = append(portals, discovery.PortalState{Gone: p.gone, Portal: discovery.Portal{
			ID: p.id, Region: p.region, Name: p.name, URL: p.url, Disclosure: discovery.Disclosure(p.disclosure),
			Standbys: discovery.ParseStandbys(p.standbys),
		}})
	}
	return portals, forged, rows.Err()
}

// routes reads the routes that were claimed, and what else is in the table. A
// route counts only while its portal is claimed by the region that claimed it.
func (s *Store) routes(ctx context.Context, portals []discovery.PortalState) (routes []discovery.Route, forged []*forgery, err error) {
	regions := make(map[string]string, len(portals))
	for _, p := range portals {
		if !p.Gone {
			regions[p.ID] = p.Region
		}
	}
	rows, err := s.db.QueryContext(ctx, `SELECT domain, portal, region, connection, sign_in, seq, tag FROM routes`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r routeRow
		var tag []byte
		if err := rows.Scan(&r.domain, &r.portal, &r.region, &r.connection, &r.signIn, &r.seq, &tag); err != nil {
			return nil, nil, err
		}
		if !s.tags.made(r, tag) {
			forged = append(forged, r.forged(tag))
			continue
		}
		if regions[r.portal] != r.region {
			continue
		}
		routes = append(routes, discovery.Route{Domain: r.domain, Portal: r.portal, Connection: r.connection, SignIn: splitWays(r.signIn)})
	}
	return routes, forged, rows.Err()
}

// incomplete are the regions of which something is missing since rows were dropped.
func (s *Store) incomplete(ctx context.Context) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT region FROM progress WHERE NOT whole`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var regions []string
	for rows.Next() {
		var region string
		if err := rows.Scan(&region); err != nil {
			return nil, err
		}
		regions = append(regions, region)
	}
	return regions, rows.Err()
}
