package discovery

// A Claim is one signed statement by a region: this portal, domain route or
// account entry is mine (or, with Gone, is mine no longer). Exactly one of
// Portal, Route, Entry and Sweep is set.

// Claims are states, not changes: applying the same one twice, or an older one
// late, leaves the directory as it was.
type Claim struct {
	Seq    int64   `json:"seq"`
	Gone   bool    `json:"gone,omitempty"`
	Portal *Portal `json:"portal,omitempty"`
	Route  *Route  `json:"route,omitempty"`
	Entry  *Entry  `json:"entry,omitempty"`

	// Sweep ends a full re-publish: whatever this region claimed with a
	// sequence below it, and has not claimed again since, is forgotten.
	Sweep int64 `json:"sweep,omitempty"`
}

// A Batch is what a region posts to the front door: a compact JWS (EdDSA by one
// of the region's publishing keys, typ "domicile-claims+jwt") with this payload.
type Batch struct {
	Region string  `json:"region"`
	After  int64   `json:"after"` // the last sequence the region knows to be applied
	Claims []Claim `json:"claims"`
	Issued int64   `json:"issued"` // Unix seconds

	// FrontDoor is the public URL of the front door the batch is made out to: what
	// one was told is nothing to another.
	FrontDoor string `json:"front_door"`
}

// A Receipt answers a batch, whether it was applied now, earlier or not at all.
// A region whose After is beyond Last (an empty or restored directory) publishes
// everything again.
type Receipt struct {
	Last int64 `json:"last"` // the last sequence applied for this region

	// Refused are claims of this batch that were passed over, at most MaxRefused.
	Refused []Refused `json:"refused,omitempty"`
}

// MaxRefused is how many refused claims a receipt names.
const MaxRefused = 50

// Refused is a claim that is not the region's to make, and why: a short constant
// such as CodeHost.
type Refused struct {
	Seq  int64  `json:"seq"`
	Code string `json:"code"`
}

// The codes of refused claims.
const (
	CodeShape       = "claim_malformed"        // not about exactly one thing
	CodeForeign     = "portal_of_other_region" // another region claimed the portal first
	CodeURL         = "portal_url_taken"       // another portal has the URL
	CodeHost        = "portal_outside_hosts"   // not a URL that the region's signed record covers
	CodePortal      = "portal_invalid"
	CodeRoute       = "route_invalid"
	CodeEntry       = "entry_invalid"
	CodeNotRoutable = "route_domain_not_owned"  // a public suffix, a provider of mail, or no domain
	CodeManyPortals = "entry_too_many_portals"  // MaxPortals of this region for one address
	CodeFullPortals = "region_too_many_portals" // the region has as many as it may have
	CodeFullRoutes  = "region_too_many_routes"
	CodeStandby     = "standby_not_named" // the portal is taken; its region's record does not name one of its standbys
	CodeSweep       = "sweep_ahead"       // a sweep reaches back
)

// MaxPortals is how many portals of one region may claim the same address: one
// region's claims must not bury another's.
const MaxPortals = 16
