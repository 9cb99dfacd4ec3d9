package portal

import (
	"cmp"
	"errors"
	"time"
)

// How long sessions live. "Keep me signed in" (S15) is for one's own device.
const (
	SessionIdle     = time.Hour
	SessionAbsolute = 12 * time.Hour
	KeptIdle        = 14 * 24 * time.Hour
	KeptAbsolute    = 30 * 24 * time.Hour

	// MaxSessions is how many sessions one account may have at once. One more
	// ends the one that was used least recently.
	MaxSessions = 10

	// SeenEvery bounds how often use of a session is written down.
	SeenEvery = time.Minute
)

// ErrNoSession: the browser is not signed in here. The caller leads to the
// sign-in page; it never says why.
var ErrNoSession = errors.New("no session")

// Lifetimes say how long sessions live where an operator wants it otherwise.
// Zero members mean the constants above.
type Lifetimes struct {
	Idle, Absolute         time.Duration
	KeptIdle, KeptAbsolute time.Duration // with "keep me signed in"
}

// Of is how long a session lives without use, and at most.
func (l Lifetimes) Of(kept bool) (idle, absolute time.Duration) {
	if kept {
		return cmp.Or(l.KeptIdle, KeptIdle), cmp.Or(l.KeptAbsolute, KeptAbsolute)
	}
	return cmp.Or(l.Idle, SessionIdle), cmp.Or(l.Absolute, SessionAbsolute)
}

// NewSession sets the limits of a session that starts at now. cap is the IdP's
// own end of the session (SAML SessionNotOnOrAfter); zero: none given.
func (l Lifetimes) NewSession(s Session, now, cap time.Time) Session {
	idle, absolute := l.Of(s.Kept)
	s.Started, s.Seen = now, now
	s.Absolute = now.Add(absolute)
	if !cap.IsZero() && cap.Before(s.Absolute) {
		s.Absolute = cap
	}
	s.Idle = earlier(now.Add(idle), s.Absolute)
	return s
}

// Live reports ErrNoSession when the session, whose row was written in
// generation of its account, no longer counts at now.
func (s Session) Live(generation int64, now time.Time) error {
	switch {
	case s.Account.Status != Active,
		s.Account.Generation != generation,
		!now.Before(s.Idle),
		!now.Before(s.Absolute),
		now.Before(s.Started.Add(-time.Minute)): // the clock was set back
		return ErrNoSession
	}
	return nil
}

// Touch is the session used at now, and whether that is worth writing down.
func (l Lifetimes) Touch(s Session, now time.Time) (Session, bool) {
	if now.Sub(s.Seen) < min(SeenEvery, s.Idle.Sub(s.Seen)/2) {
		return s, false
	}
	idle, _ := l.Of(s.Kept)
	s.Seen = now
	s.Idle = earlier(now.Add(idle), s.Absolute)
	return s, true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
