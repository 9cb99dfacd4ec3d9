package discovery

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/domicile-sso/domicile/regions"
)

// A Snapshot holds every portal and domain route in memory. Readers see one
// whole state; Replace swaps it. The zero Snapshot is empty and not Ready.
type Snapshot struct {
	state atomic.Pointer[state]

	asOf     atomic.Int64 // Unix microseconds; 0: nobody has said
	doubtful atomic.Bool
}

type state struct {
	portals map[string]*place
	exact   map[string][]Route // "acme.example"
	wild    map[string][]Route // "acme.example" for "*.acme.example"
	routes  int

	incomplete []string // regions that have more than we know of
}

// A place is a portal with what lookups would otherwise compute each time.
type place struct {
	Portal
	gone     bool
	rank     int // position in the order of names
	home     spot
	standbys []*spot // as in Portal.Standbys
}

// A spot is an address of a portal, with what a region's record last said of it.
type spot struct {
	region, url string
	allowed     atomic.Pointer[verdict]
}

type verdict struct {
	version int64
	ok      bool
}

// A PortalState is a portal as the directory keeps it: one that is Gone is
// remembered, so that a stale entry reads as nothing and not as "not known".
type PortalState struct {
	Portal
	Gone bool
}

// Replace makes portals and routes the state that lookups see from now on.
// Routes to portals that are not there, or are gone, are left out. Of regions that
// are incomplete something is missing: while there is one, an address that leads
// nowhere is "not known now".
func (s *Snapshot) Replace(portals []PortalState, routes []Route, incomplete ...string) {
	next := &state{
		incomplete: incomplete,
		portals:    make(map[string]*place, len(portals)),
		exact:      make(map[string][]Route),
		wild:       make(map[string][]Route),
	}
	ordered := make([]*place, 0, len(portals))
	for _, p := range portals {
		at := &place{Portal: p.Portal, gone: p.Gone, home: spot{region: p.Region, url: p.URL}}
		for _, s := range p.Standbys {
			at.standbys = append(at.standbys, &spot{region: s.Region, url: s.URL})
		}
		next.portals[p.ID] = at
		ordered = append(ordered, at)
	}
	slices.SortFunc(ordered, func(a, b *place) int {
		return cmp.Or(
			strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)),
			strings.Compare(a.ID, b.ID))
	})
	for i, at := range ordered {
		at.rank = i
	}
	for _, r := range routes {
		at := next.portals[r.Portal]
		if at == nil || at.gone {
			continue
		}
		next.routes++
		if parent, wild := strings.CutPrefix(r.Domain, "*."); wild {
			next.wild[parent] = append(next.wild[parent], r)
		} else {
			next.exact[r.Domain] = append(next.exact[r.Domain], r)
		}
	}
	s.state.Store(next)
}

// Ready reports whether there has been a state to look at.
func (s *Snapshot) Ready() bool { return s.state.Load() != nil }

// Len counts the portals and routes that lookups see.
func (s *Snapshot) Len() (portals, routes int) {
	st := s.state.Load()
	if st == nil {
		return 0, 0
	}
	for _, at := range st.portals {
		if !at.gone {
			portals++
		}
	}
	return portals, st.routes
}

// Portal returns the portal with that ID.
func (s *Snapshot) Portal(id string) (Portal, bool) {
	if st := s.state.Load(); st != nil {
		if at := st.portals[id]; at != nil && !at.gone {
			return at.Portal, true
		}
	}
	return Portal{}, false
}

// Routes returns the most specific routes for a domain: those of the domain
// itself, else those of the longest wildcard over it.
func (s *Snapshot) Routes(domain string) []Route {
	if st := s.state.Load(); st != nil {
		return st.find(domain)
	}
	return nil
}

func (st *state) find(domain string) []Route {
	if routes := st.exact[domain]; routes != nil {
		return routes
	}
	for {
		dot := strings.IndexByte(domain, '.')
		if dot < 0 {
			return nil
		}
		domain = domain[dot+1:]
		if routes := st.wild[domain]; routes != nil {
			return routes
		}
	}
}

// permits reports whether the signed record of the spot's region covers its URL.
// The answer changes only with the record, so it is kept.
func (s *spot) permits(r regions.Record) bool {
	if v := s.allowed.Load(); v != nil && v.version == r.Version {
		return v.ok
	}
	ok := r.Allows(s.url) == nil
	s.allowed.Store(&verdict{version: r.Version, ok: ok})
	return ok
}
