package faults

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A tally is what came of what people tried during a fault.
type tally struct {
	mu       sync.Mutex
	lookup   counts
	signIn   counts
	told     int           // were told that their portal does not answer
	first    time.Time     // when the first of them was
	slowTold time.Duration // the longest time until then, from the first obstacle
	wrong    []string
	failures []string
	trouble  time.Time // when somebody last needed another try
	why      error
	whys     map[string]int // how often

	standIns int // sign-ins at a standby
	later    int // strangers who were asked to try again
}

// counts are of one kind of thing that people try.
type counts struct {
	all    int
	again  int           // worked, and took more than one try
	failed int           // did not work however often it was tried
	slow   time.Duration // the longest that anybody waited who got there
}

// An outcome is how one thing ended.
type outcome struct {
	failed error
	wrong  string
	told   bool
	again  bool
	later  bool          // a stranger was asked to try again, rather than told that nothing is known
	wait   time.Duration // for an answer, for the slowest page, or from the first obstacle to the end
}

func (y *tally) add(c *counts, o outcome, now time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	c.all++
	switch {
	case o.wrong != "":
		y.wrong = append(y.wrong, o.wrong)
	case o.failed != nil:
		c.failed++
		y.failures = append(y.failures, o.failed.Error())
		y.trouble = now
	case o.later:
		y.later++
	case o.told:
		if y.told++; y.told == 1 {
			y.first = now
		}
		y.slowTold = max(y.slowTold, o.wait)
		y.trouble = now
	case o.again:
		c.again++
		y.trouble = now
		fallthrough
	default:
		c.slow = max(c.slow, o.wait)
	}
}

// upset notes that somebody needs another try, now.
func (y *tally) upset(now time.Time, why error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.trouble, y.why = now, why
	if y.whys == nil {
		y.whys = map[string]int{}
	}
	y.whys[digits.ReplaceAllString(why.Error(), "N")]++
}

// stood counts a sign-in at a standby.
func (y *tally) stood() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.standIns++
}

func (y *tally) quietSince(now time.Time) time.Duration {
	y.mu.Lock()
	defer y.mu.Unlock()
	return now.Sub(y.trouble)
}

var digits = regexp.MustCompile(`[0-9]+|\?[^ "]*`)

// obstacles are what stood in people's way, most often first.
func (y *tally) obstacles() string {
	var lines []string
	for _, why := range slices.SortedFunc(maps.Keys(y.whys), func(a, b string) int { return y.whys[b] - y.whys[a] }) {
		lines = append(lines, fmt.Sprintf("%6d× %s", y.whys[why], why))
	}
	return strings.Join(lines[:min(8, len(lines))], "\n")
}

// A result is a line of the table.
type result struct {
	fault  string
	struck time.Time
	during time.Duration // from the strike to the return
	back   time.Duration // from the return until nobody noticed anything and every change was found
	tally  *tally
	itself string // what recovered by itself, and how
	stands bool   // another region stands in
}

func (r result) row() string {
	y := r.tally
	y.mu.Lock()
	defer y.mu.Unlock()
	told := "–"
	if y.told > 0 {
		told = fmt.Sprintf("%d, from %s on, each in ≤ %s", y.told, short(y.first.Sub(r.struck)), short(y.slowTold))
	}
	itself := r.itself
	if r.stands {
		itself += fmt.Sprintf(" (%d sign-ins there)", y.standIns)
	}
	if y.later > 0 {
		itself += fmt.Sprintf(" (%d strangers were asked to try again)", y.later)
	}
	return fmt.Sprintf("| %s | %s | %d | %d | %d | %d | %s | %d | %d | %d | %s | %s | %s | %s |", r.fault, short(r.during),
		y.lookup.all, y.lookup.again, y.lookup.failed, len(y.wrong), short(y.lookup.slow),
		y.signIn.all, y.signIn.again, y.signIn.failed, short(y.signIn.slow), told, short(r.back), itself)
}

func short(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

const head = `| Fault | away | lookups | again | failed | wrong | longest | sign-ins | again | failed | longest | told | back after | what recovered by itself |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---|`
