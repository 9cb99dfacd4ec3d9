package portal

import (
	"cmp"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// Bounds of what a portal's administrators decide about signing in. An operator's
// own lengths of sessions are the most in any case.
const (
	MaxTrustDays    = 90
	MaxPasswordMin  = 64
	MinSessionIdle  = 5 * time.Minute
	MinSessionTotal = 15 * time.Minute
)

// CheckPolicy reports what is wrong with the sign-in policy in s, or nil. The
// operator's lengths of sessions are the longest there may be.
func CheckPolicy(s Settings, operator Lifetimes) error {
	switch s.SecondFactor {
	case FactorOptional, FactorForPassword, FactorForEveryone:
	default:
		return unfit("second_factor", "second_factor_unknown", "Choose who needs a second factor.")
	}
	if s.TrustDays < 0 || s.TrustDays > MaxTrustDays {
		return unfit("trust_days", "trust_days_range", "Enter a number of days from 0 to 90. With 0 it is not offered.")
	}
	if s.PasswordMin != 0 && (s.PasswordMin < PasswordMin || s.PasswordMin > MaxPasswordMin) {
		return unfit("password_min", "password_min_range", "Enter a number from 10 to 64.")
	}
	idle, absolute := operator.Of(false)
	keptIdle, keptAbsolute := operator.Of(true)
	for _, l := range []struct {
		field           string
		is, least, most time.Duration
	}{
		{"session_idle", s.Lifetimes.Idle, MinSessionIdle, idle},
		{"session_absolute", s.Lifetimes.Absolute, MinSessionTotal, absolute},
		{"kept_idle", s.Lifetimes.KeptIdle, time.Hour, keptIdle},
		{"kept_absolute", s.Lifetimes.KeptAbsolute, time.Hour, keptAbsolute},
	} {
		if l.is != 0 && (l.is < min(l.least, l.most) || l.is > l.most) {
			return unfit(l.field, l.field+"_range", "This is shorter or longer than this installation allows. Leave it empty to have the usual.")
		}
	}
	l := s.Lifetimes.Within(operator)
	if s.Lifetimes.Idle != 0 && l.Idle > l.Absolute {
		return unfit("session_idle", "session_idle_long", "This is longer than a session lasts in all.")
	}
	if s.Lifetimes.KeptIdle != 0 && l.KeptIdle > l.KeptAbsolute {
		return unfit("kept_idle", "kept_idle_long", "This is longer than a session lasts in all.")
	}
	return nil
}

// Within are the lengths of sessions in a portal: its own where it has some, but
// never longer than the operator's.
func (l Lifetimes) Within(operator Lifetimes) Lifetimes {
	idle, absolute := operator.Of(false)
	keptIdle, keptAbsolute := operator.Of(true)
	return Lifetimes{
		Idle: min(cmp.Or(l.Idle, idle), idle), Absolute: min(cmp.Or(l.Absolute, absolute), absolute),
		KeptIdle: min(cmp.Or(l.KeptIdle, keptIdle), keptIdle), KeptAbsolute: min(cmp.Or(l.KeptAbsolute, keptAbsolute), keptAbsolute),
	}
}

// Shorten applies lengths that were made shorter after the session had started.
// A longer one is for new sessions.
func (l Lifetimes) Shorten(s Session) Session {
	idle, absolute := l.Of(s.Kept)
	s.Absolute = earlier(s.Absolute, s.Started.Add(absolute))
	s.Idle = earlier(earlier(s.Idle, s.Seen.Add(idle)), s.Absolute)
	return s
}

// MinPassword is how many characters a new password needs.
func (s Settings) MinPassword() int { return max(s.PasswordMin, PasswordMin) }

// unfit is what is wrong with one field of a form.
func unfit(field, code, say string) error {
	return &discovery.Error{Kind: discovery.Invalid, Field: field, Code: code, Say: say}
}

// ChangedSettings names what differs between two settings, for the audit log.
func ChangedSettings(old, set Settings) []string {
	var out []string
	for _, c := range []struct {
		name    string
		differs bool
	}{
		{"zone", old.Zone != set.Zone},
		{"language", old.Language != set.Language},
		{"sender", old.Sender != set.Sender},
		{"contact", old.Contact != set.Contact},
		{"keep_signed", old.KeepSigned != set.KeepSigned},
		{"second_factor", old.SecondFactor != set.SecondFactor},
		{"trust_days", old.TrustDays != set.TrustDays},
		{"session_idle", old.Lifetimes.Idle != set.Lifetimes.Idle},
		{"session_absolute", old.Lifetimes.Absolute != set.Lifetimes.Absolute},
		{"kept_idle", old.Lifetimes.KeptIdle != set.Lifetimes.KeptIdle},
		{"kept_absolute", old.Lifetimes.KeptAbsolute != set.Lifetimes.KeptAbsolute},
		{"password_min", old.PasswordMin != set.PasswordMin},
	} {
		if c.differs {
			out = append(out, c.name)
		}
	}
	return out
}
