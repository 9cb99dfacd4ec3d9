package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/domicile-sso/domicile/regions"
)

// A Destination is a portal that an address leads to, as it may be told to this
// browser.
type Destination struct {
	Portal     Portal
	Region     regions.Record // names the jurisdiction; its keys seal the ticket
	SignIn     []SignIn
	Connection string // set when exactly one federation serves the address's domain

	// StandsInFor is the record of the portal's own region while another one of
	// its jurisdiction serves the portal: Region and Portal.URL are the standby's.
	// Zero: the portal is served where it lives.
	StandsInFor regions.Record

	// Down: the portal's region does not answer and nothing stands in for it.
	// Region and Portal.URL are its own; nobody is led there unasked.
	Down bool
}

// Standby reports whether another region serves the portal while its own is down.
func (d Destination) Standby() bool { return d.StandsInFor.Region != "" }

// Jurisdiction is the legal territory that the portal's data lies in.
func (d Destination) Jurisdiction() string { return d.Region.Jurisdiction }

// Regions is the catalogue of regions as the resolver needs it; it is
// *regions.Catalogue everywhere but in tests of this package. Region returns
// false for a region that is unknown or whose record has expired.
type Regions interface {
	Region(name string) (regions.Record, bool)
}

// A Resolver answers where an address leads.
type Resolver struct {
	Snapshot  *Snapshot
	Directory Directory
	Keys      BlindKeys
	Regions   Regions

	// Health says what is known of the processes of a region, or of those that
	// stand in for one (regions.StandIn). It must not wait. nil: nothing is known.
	Health func(name string) regions.Health
}

// The codes of the "not known now" answers of Resolve.
const (
	CodeNotReady  = "snapshot_not_ready"
	CodeDirectory = "directory_unavailable"
	CodeRegion    = "region_unavailable"
	// CodeIncomplete: rows of the directory were refused and are not claimed again yet.
	CodeIncomplete = "directory_incomplete"
	// CodeStale: the directory cannot be read, and may have more than was last seen of it.
	CodeStale = "snapshot_stale"
)

// Resolve returns the portals that a leads to, ordered by name. Portals with
// disclosure [Proven] are left out unless their ID is in proved, the portals
// that this browser proved itself for.
//
// The work is the same for every address: every blind ID is computed and the
// directory is asked exactly once, also when the domain alone decides.
//
// An error of Kind Unavailable means the answer is not, or not wholly, known
// right now. Destinations that come with it are right, but there may be more:
// they may be offered, never followed unasked.
func (r *Resolver) Resolve(ctx context.Context, a Address, proved ...string) ([]Destination, error) {
	st := r.Snapshot.state.Load()
	if st == nil {
		return nil, unavailable(CodeNotReady, errors.New("no snapshot yet"))
	}
	entries, failed := r.Directory.Entries(ctx, r.Keys.IDs(a))
	if failed != nil {
		failed = unavailable(CodeDirectory, failed)
	}

	found := routed(st, a.Domain())
	for i := range entries {
		at := st.portals[entries[i].Portal]
		if at == nil {
			// Claimed, but our snapshot is a moment behind.
			failed = cmpError(failed, unavailable(CodeNotReady, fmt.Errorf("portal %q is not in the snapshot", entries[i].Portal)))
			continue
		}
		found = add(found, match{at: at, signIn: entries[i].SignIn})
	}
	told, failed := r.tell(found, proved, failed)
	return told, cmpError(failed, r.missing(st, told))
}

// missing is why nothing told does not mean that there is nothing. Regions
// without a valid record lead nobody anywhere, complete or not. What is found and
// not told counts as nothing, or the error would tell of it.
func (r *Resolver) missing(st *state, told []Destination) error {
	if len(told) > 0 {
		return nil
	}
	if r.Snapshot.Doubtful() {
		return unavailable(CodeStale, errors.New("portals and routes are as last known"))
	}
	for _, name := range st.incomplete {
		if _, ok := r.Regions.Region(name); ok {
			return unavailable(CodeIncomplete, fmt.Errorf("region %q has not published everything again yet", name))
		}
	}
	return nil
}

// A match is a portal that an address leads to, before anything is told of it.
type match struct {
	at         *place
	signIn     []SignIn
	connection string
}

// add keeps the first match of a portal. Routes are added before entries: how
// one signs in must not depend on whether one has an account.
func add(found []match, m match) []match {
	for i := range found {
		if found[i].at == m.at {
			return found
		}
	}
	return append(found, m)
}

// tell drops what this browser may not see and what no valid record covers.
func (r *Resolver) tell(found []match, proved []string, failed error) ([]Destination, error) {
	if len(found) > 1 {
		slices.SortFunc(found, func(a, b match) int { return a.at.rank - b.at.rank })
	}
	var told []Destination
	for _, m := range found {
		if m.at.gone || m.at.Disclosure != Listed && !slices.Contains(proved, m.at.ID) {
			continue
		}
		d, err := r.locate(m.at)
		if err != nil {
			failed = cmpError(failed, unavailable(CodeRegion, err))
			continue
		}
		d.SignIn, d.Connection = m.signIn, m.connection
		told = append(told, d)
	}
	return told, failed
}

// locate says where a portal is served now, or why no valid record covers it.
func (r *Resolver) locate(at *place) (Destination, error) {
	home, ok := r.Regions.Region(at.Region)
	if !ok {
		return Destination{}, fmt.Errorf("region %q has no valid record", at.Region)
	}
	if !at.home.permits(home) {
		return Destination{}, fmt.Errorf("the record of region %q does not cover the URL of portal %q", at.Region, at.ID)
	}
	d := Destination{Portal: at.Portal, Region: home}
	if r.Health == nil || r.Health(at.Region) != regions.Down {
		return d, nil
	}
	for _, name := range home.Standbys {
		for _, spot := range at.standbys {
			if spot.region != name || r.Health(regions.StandIn(name, home.Region)) != regions.Up {
				continue
			}
			if record, ok := r.standsIn(spot, home); ok {
				d.Portal.URL, d.Region, d.StandsInFor = spot.url, record, home
				return d, nil
			}
		}
	}
	d.Down = true
	return d, nil
}

// standsIn is the record of a spot's region if, by what the root key signed of
// both regions, people of home may be led to that spot: whatever a claim names or
// a report of health says, no jurisdiction is crossed here.
func (r *Resolver) standsIn(at *spot, home regions.Record) (regions.Record, bool) {
	record, ok := r.Regions.Region(at.region)
	return record, ok && record.StandsInFor(home) && at.permits(record)
}

// Vouches reports whether region may speak of a portal: it is its own, or stands
// in for its own.
func (r *Resolver) Vouches(region, portal string) bool {
	st := r.Snapshot.state.Load()
	if st == nil {
		return false
	}
	at := st.portals[portal]
	if at == nil || at.gone {
		return false
	}
	if at.Region == region {
		return true
	}
	home, ok := r.Regions.Region(at.Region)
	return ok && slices.ContainsFunc(at.standbys, func(s *spot) bool {
		if s.region != region {
			return false
		}
		_, ok := r.standsIn(s, home)
		return ok
	})
}

// Domain is Resolve for whoever asks about a domain and no person: no account is
// looked for.
func (r *Resolver) Domain(domain string, proved ...string) ([]Destination, error) {
	st := r.Snapshot.state.Load()
	if st == nil {
		return nil, unavailable(CodeNotReady, errors.New("no snapshot yet"))
	}
	found := routed(st, domain)
	told, failed := r.tell(found, proved, nil)
	return told, cmpError(failed, r.missing(st, told))
}

// routed matches what the domain's most specific routes lead to.
func routed(st *state, domain string) []match {
	var found []match
	for _, route := range st.find(domain) {
		found = add(found, match{at: st.portals[route.Portal], signIn: route.SignIn, connection: route.Connection})
	}
	return found
}

// Destination returns one portal as it may be shown to a browser that proved
// itself for it, or false when it is unknown or no valid record covers it.
func (r *Resolver) Destination(portal string) (Destination, bool) {
	st := r.Snapshot.state.Load()
	if st == nil {
		return Destination{}, false
	}
	at := st.portals[portal]
	if at == nil || at.gone {
		return Destination{}, false
	}
	d, err := r.locate(at)
	return d, err == nil
}

func cmpError(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

func unavailable(code string, err error) error {
	return &Error{Kind: Unavailable, Code: code, Retry: 5 * time.Second, Err: err,
		Say: "We cannot look that up right now. Please try again in a moment."}
}
