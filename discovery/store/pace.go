package store

import "github.com/domicile-sso/domicile/discovery"

// To find a row, read it and check its tag takes microseconds longer than to find
// none, which a patient stranger could measure: of somebody with an account in a
// portal that is not named to strangers, the answer is the same as of nobody, and so
// has to be when it comes. What this process remembers takes as long either way.
//
// Go's own timers are no use for that: an idle process waits in whole milliseconds
// from when it begins to wait, and so keeps the difference to the last microsecond.

// A pace evens out how long an answer takes that had to be fetched.
type pace struct {
	begun bool
	at    moment
}

func (p *pace) begin() {
	if !p.begun {
		p.begun, p.at = true, clock()
	}
}

// even waits until the answer has taken whole milliseconds.
func (p *pace) even() {
	if p.begun {
		p.at.wait()
	}
}

// named reports whether entries lead to a portal that is named to strangers: how long
// such an answer takes tells nothing that it does not say itself.
func (s *Store) named(entries []discovery.Entry) bool {
	for i := range entries {
		if p, ok := s.snapshot.Portal(entries[i].Portal); ok && p.Disclosure == discovery.Listed {
			return true
		}
	}
	return false
}
