package regions

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Catalogue holds the regions the front door believes in. Readers see one
// immutable snapshot at a time; [Catalogue.Apply] replaces it whole. A carrier
// that withholds or spoils records changes nothing: the last good record of
// each region stays until it expires.
type Catalogue struct {
	roots []ed25519.PublicKey
	now   func() time.Time

	applying sync.Mutex // one writer at a time
	current  atomic.Pointer[snapshot]
}

type snapshot struct {
	held map[string]held
}

type held struct {
	record Record
	signed string
}

// NewCatalogue returns an empty catalogue that believes records signed by any
// of roots.
func NewCatalogue(roots []ed25519.PublicKey, now func() time.Time) *Catalogue {
	c := &Catalogue{roots: slices.Clone(roots), now: now}
	c.current.Store(&snapshot{held: map[string]held{}})
	return c
}

// Apply verifies each record and puts the good ones in place of what is held;
// a refused record leaves the last good one. The errors, all of type
// [*Refusal], say which were refused and why. A region that records does not
// mention stays: only its expiry, or a newer record, ends a record.
//
// Versions only rise. A record that has expired is refused too, but where
// nothing is known of its region it is remembered, never returned, so that
// after a restart from disk an older record with a longer life cannot take its
// place.
func (c *Catalogue) Apply(records []string) []error {
	c.applying.Lock()
	defer c.applying.Unlock()

	next := maps.Clone(c.current.Load().held)
	var refused []error
	for _, signed := range records {
		r, err := Inspect(signed, c.roots)
		if err == nil {
			err = c.place(next, r, signed)
		}
		if err != nil {
			refused = append(refused, err)
		}
	}
	c.current.Store(&snapshot{held: next})
	return refused
}

// place puts r into next unless the rules between versions, or the clock,
// refuse it.
func (c *Catalogue) place(next map[string]held, r Record, signed string) error {
	last, known := next[r.Region]
	if known {
		if signed == last.signed {
			return r.Current(c.now())
		}
		if err := succeeds(r, last.record); err != nil {
			return err
		}
	}
	err := r.Current(c.now())
	if err == nil || !known && err.(*Refusal).Code == Expired {
		next[r.Region] = held{r, signed}
	}
	return err
}

// succeeds reports why r may not take the place of last, or nil.
func succeeds(r, last Record) error {
	switch {
	case r.Version < last.Version:
		return &Refusal{r.Region, RolledBack, fmt.Sprintf("version %d, and %d is known", r.Version, last.Version)}
	case r.Version == last.Version:
		return &Refusal{r.Region, Equivocation, fmt.Sprintf("version %d is known with other content: sign it as a higher one", r.Version)}
	case r.Jurisdiction != last.Jurisdiction:
		// People and evidence rely on where a region's data lies. Another
		// territory is another region, and portals are moved to it one by one.
		return &Refusal{r.Region, Jurisdiction, fmt.Sprintf("from %s to %s: give the region in %[2]s another name", last.Jurisdiction, r.Jurisdiction)}
	}
	return nil
}

// Region returns the record of a region, or false when it is unknown or its
// record has expired.
func (c *Catalogue) Region(name string) (Record, bool) {
	h, ok := c.current.Load().held[name]
	if !ok || !c.now().Before(h.record.Expires) {
		return Record{}, false
	}
	return h.record, true
}

// Regions returns the unexpired records, by name.
func (c *Catalogue) Regions() []Record {
	now := c.now()
	var rs []Record
	for _, h := range c.current.Load().held {
		if now.Before(h.record.Expires) {
			rs = append(rs, h.record)
		}
	}
	slices.SortFunc(rs, func(a, b Record) int { return strings.Compare(a.Region, b.Region) })
	return rs
}

// Signed returns what is held in signed form, for keeping on disk. It includes
// expired records: they still bar older ones.
func (c *Catalogue) Signed() []string {
	current := c.current.Load().held
	var out []string
	for _, name := range slices.Sorted(maps.Keys(current)) {
		out = append(out, current[name].signed)
	}
	return out
}
