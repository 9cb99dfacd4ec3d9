package app

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/domicile-sso/domicile/regions"
)

// A record may be issued in the future, as clocks have it: that of who signed it
// is ahead, or ours behind. A carrier offers it once. It is tried again until it
// counts, or what it replaces would be believed until it ends, and nobody led to
// the region from then on.

// early is what carriers have offered too early, all of it.
type early struct {
	mu     sync.Mutex
	offers map[*carried][]string
}

// note takes down what came of an offer.
func (e *early) note(from *carried, records []string, refused []error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.offers, from)
	if isEarly(refused) {
		if e.offers == nil {
			e.offers = map[*carried][]string{}
		}
		e.offers[from] = records
	}
}

func (e *early) of(from *carried) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.offers[from]
}

func isEarly(refused []error) bool {
	return slices.ContainsFunc(refused, func(err error) bool {
		var refusal *regions.Refusal
		return errors.As(err, &refusal) && refusal.Code == regions.NotYet
	})
}

// tryEarly takes an offer again once it counts, without an alarm each time that it
// does not yet.
func (d *Discovery) tryEarly(context.Context) error {
	for _, from := range []*carried{&d.inFile, &d.inConsul} {
		if records := d.early.of(from); records != nil && !isEarly(d.catalogue.Apply(records)) {
			d.accept(records, from)
		}
	}
	return nil
}
