package web

import (
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// Limits bound how often strangers may make the region write something down: an
// attempt, a federated leg, a refusal in the audit log. Zero values mean 600
// steps a minute of one client, which has room for a whole office behind one
// address at nine o'clock, and 500 a second of all together. Guessing is bounded
// elsewhere and more tightly, by the store.
type Limits = page.Limits

func newLimiter(l Limits) *page.Limiter { return page.NewLimiter(l.Or(600, 500)) }

// admit counts a step of somebody who is not signed in, before anything is
// written down for it.
func (v *visit) admit() error {
	if wait := v.site.limiter.Wait(page.Client(v.r.Context()), v.site.Now()); wait > 0 {
		return portal.TooMany("rate_limited", wait)
	}
	return nil
}
