package portal

import (
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// A Topic is what sort of fact the directory has to hear about again.
type Topic string

const (
	PortalChanged  Topic = "portal"
	RouteChanged   Topic = "route"
	AddressChanged Topic = "address"
	SweepRest      Topic = "sweep" // ends a full re-publish
)

// A Change names what may be found differently from now on. It is not the new
// state: that is read when the claim is made, so that a change that was itself
// changed meanwhile is published once and right.
type Change struct {
	Topic  Topic
	Portal string
	Name   string // the domain of a route, the text of an address
}

// SeqStep is how many sequence numbers one change takes: an address is claimed
// once for every live version of the blinding key.
const SeqStep = 8

// MaxLearnt is the highest sequence that a region goes on from because the front
// door says that it has come so far. There is as much room beyond it.
const MaxLearnt = 1 << 62

// HoldFor is how long processes of a region with another list of blinding keys
// leave publishing to those that started after them and have gone silent.
const HoldFor = 2 * time.Minute

// Findable reports whether the directory may lead a person to an account: one
// that is invited or active, by an address that is confirmed.
func Findable(s Status, confirmed bool) bool {
	return confirmed && (s == Invited || s == Active)
}

// DisclosureOf is the disclosure of a portal that set none: the careful one.
func DisclosureOf(p Portal) discovery.Disclosure {
	if p.Disclosure == discovery.Listed {
		return discovery.Listed
	}
	return discovery.Proven
}
