package store

import (
	"context"
	"fmt"

	"github.com/domicile-sso/domicile/discovery"
)

// Room is how much of what lies in the memory of every front door one region may
// claim, so that whoever holds the key of one region cannot push the others out.
// 0 means 20,000 portals and 100,000 routes.
type Room struct {
	Portals int // also those that are gone: their rows stay
	Routes  int
}

// What a Room has that nobody has set: some 60 MiB where each is as long as it may be.
const (
	usualPortals = 20_000
	usualRoutes  = 100_000
)

func (r Room) orUsual() Room {
	if r.Portals <= 0 {
		r.Portals = usualPortals
	}
	if r.Routes <= 0 {
		r.Routes = usualRoutes
	}
	return r
}

// A tally is how many rows of a table are the region's: counted when it is first
// needed, and kept up to date from there on. The lock on the region's row of
// progress lets nobody else add any meanwhile.
type tally struct {
	known bool
	n     int
}

func (t *tally) forget() { *t = tally{} }

// full reports whether a table has room for no further row of the region.
func (a *application) full(ctx context.Context, t *tally, query string, most int) (bool, error) {
	if !t.known { // n may be anything until now
		if err := a.tx.QueryRowContext(ctx, query, a.record.Region).Scan(&t.n); err != nil {
			return false, err
		}
		t.known = true
	}
	return t.n >= most, nil
}

// portalFits refuses a portal that would be one too many. It says so of one that
// the region does not have yet; what it has, it may change.
func (a *application) portalFits(ctx context.Context, seq int64, id string, own owner) (bool, error) {
	if own.known && own.region == a.record.Region {
		return true, nil
	}
	full, err := a.full(ctx, &a.portals, `SELECT COUNT(*) FROM portals WHERE region = $1`, a.room.Portals)
	if err != nil {
		return false, err
	}
	if full {
		a.refuse(seq, id, discovery.CodeFullPortals, fmt.Errorf("the region has %d portals already, with those that are gone", a.portals.n))
		return false, nil
	}
	a.portals.n++
	return true, nil
}

// routeFits is portalFits for a route.
func (a *application) routeFits(ctx context.Context, seq int64, r discovery.Route) (bool, error) {
	var there int
	if err := a.tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM routes WHERE domain = $1 AND portal = $2 AND region = $3`,
		r.Domain, r.Portal, a.record.Region).Scan(&there); err != nil || there > 0 {
		return err == nil, err
	}
	full, err := a.full(ctx, &a.routes, `SELECT COUNT(*) FROM routes WHERE region = $1`, a.room.Routes)
	if err != nil {
		return false, err
	}
	if full {
		a.refuse(seq, r.Domain, discovery.CodeFullRoutes, fmt.Errorf("the region has %d routes already", a.routes.n))
		return false, nil
	}
	a.routes.n++
	return true, nil
}
