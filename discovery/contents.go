package discovery

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Contents are what a Snapshot holds, in the form that Replace takes: what a
// front door keeps for a start without its database. There is nothing personal
// in it.
type Contents struct {
	Portals    []PortalState
	Routes     []Route
	Incomplete []string // regions that have more than is here
}

// Contents returns the state that lookups see, in an order that depends on
// nothing else, or false when there is none yet.
func (s *Snapshot) Contents() (Contents, bool) {
	st := s.state.Load()
	if st == nil {
		return Contents{}, false
	}
	c := Contents{
		Portals:    make([]PortalState, 0, len(st.portals)),
		Routes:     make([]Route, 0, st.routes),
		Incomplete: slices.Clone(st.incomplete),
	}
	for _, at := range st.portals {
		c.Portals = append(c.Portals, PortalState{Portal: at.Portal, Gone: at.gone})
	}
	for _, routes := range st.exact {
		c.Routes = append(c.Routes, routes...)
	}
	for _, routes := range st.wild {
		c.Routes = append(c.Routes, routes...)
	}
	slices.SortFunc(c.Portals, func(a, b PortalState) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Routes, func(a, b Route) int {
		return cmp.Or(strings.Compare(a.Domain, b.Domain), strings.Compare(a.Portal, b.Portal))
	})
	slices.Sort(c.Incomplete)
	return c, true
}

// Confirm notes that the state was seen to be the directory's own at a time.
func (s *Snapshot) Confirm(at time.Time) {
	s.asOf.Store(at.UnixMicro())
	s.doubtful.Store(false)
}

// AsOf is when the state was last seen to be the directory's own; zero when
// nobody has said.
func (s *Snapshot) AsOf() time.Time {
	if at := s.asOf.Load(); at != 0 {
		return time.UnixMicro(at)
	}
	return time.Time{}
}

// Doubt notes that the directory may have more by now than the state. What is
// there leads on; that something is not there is not known any more. Confirm ends
// the doubt.
func (s *Snapshot) Doubt() { s.doubtful.Store(true) }

// Doubtful reports whether there has been a Doubt since the last Confirm.
func (s *Snapshot) Doubtful() bool { return s.doubtful.Load() }
