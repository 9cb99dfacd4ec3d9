package portal_test

import (
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

func TestLifetimes(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := portal.Lifetimes{Idle: time.Minute, Absolute: 10 * time.Minute, KeptAbsolute: time.Hour}
	for kept, want := range map[bool][2]time.Duration{
		false: {time.Minute, 10 * time.Minute},
		true:  {time.Hour, time.Hour}, // idle is the usual two weeks, within absolute
	} {
		s := l.NewSession(portal.Session{Kept: kept}, start, time.Time{})
		if s.Idle.Sub(start) != want[0] || s.Absolute.Sub(start) != want[1] {
			t.Errorf("kept %v: ends after %s unused, %s at most; want %v", kept, s.Idle.Sub(start), s.Absolute.Sub(start), want)
		}
	}
	// Use is written down often enough for a short idle limit to be right.
	s := l.NewSession(portal.Session{}, start, time.Time{})
	used, note := l.Touch(s, start.Add(30*time.Second))
	if !note || used.Idle.Sub(start) != 90*time.Second {
		t.Errorf("used after half a minute: %v, ends after %s", note, used.Idle.Sub(start))
	}
}
