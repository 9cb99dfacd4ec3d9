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
}

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
}

// The codes of the "not known now" answers of Resolve.
const (
	CodeNotReady  = "snapshot_not_ready"
	CodeDirectory = "directory_unavailable"
	CodeRegion    = "region_unavailable"
	// CodeIncomplete: rows of the directory were refused and are not claimed again yet.
	CodeIncomplete = "directory_incomplete"
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
	return r.tell(found, proved, cmpError(failed, r.missing(st, found)))
}

// missing is why nothing found does not mean that there is nothing. Regions
// without a valid record lead nobody anywhere, complete or not.
func (r *Resolver) missing(st *state, found []match) error {
	if len(found) > 0 {
		return nil
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
		record, ok := r.Regions.Region(m.at.Region)
		if !ok {
			failed = cmpError(failed, unavailable(CodeRegion, fmt.Errorf("region %q has no valid record", m.at.Region)))
			continue
		}
		if !m.at.permits(record) {
			failed = cmpError(failed, unavailable(CodeRegion, fmt.Errorf("the record of region %q does not cover the URL of portal %q", m.at.Region, m.at.ID)))
			continue
		}
		told = append(told, Destination{Portal: m.at.Portal, Region: record, SignIn: m.signIn, Connection: m.connection})
	}
	return told, failed
}

// Domain is Resolve for whoever asks about a domain and no person: no account is
// looked for.
func (r *Resolver) Domain(domain string, proved ...string) ([]Destination, error) {
	st := r.Snapshot.state.Load()
	if st == nil {
		return nil, unavailable(CodeNotReady, errors.New("no snapshot yet"))
	}
	found := routed(st, domain)
	return r.tell(found, proved, r.missing(st, found))
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
	record, ok := r.Regions.Region(at.Region)
	if !ok || !at.permits(record) {
		return Destination{}, false
	}
	return Destination{Portal: at.Portal, Region: record}, true
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
