package store

import (
	"errors"
	"slices"

	"github.com/domicile-sso/domicile/discovery"
)

var errStandby = errors.New("the region's signed record does not name the standby")

// checkStandbys tells the region which standbys of a portal would not be used
// today. The claim is kept all the same: the records decide at every lookup, and
// the next one may come after this claim. Losing the portal over its standby
// would be worse.
func (a *application) checkStandbys(seq int64, p discovery.Portal) {
	for _, s := range p.Standbys {
		if !slices.Contains(a.record.Standbys, s.Region) {
			a.applied++ // refuse takes it back, and the portal is applied
			a.refuse(seq, p.ID, discovery.CodeStandby, errStandby)
			return
		}
	}
}
