package portal

import (
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// A Usage is what one account has sent in one month (S28).
type Usage struct {
	Month    string    // "2026-11", of the portal's time zone
	Messages int64     // secure messages
	Last     time.Time // when the last of them was sent
}

// An Allowance is how many messages may be sent in a month. Two numbers bound
// it: what the plan includes, and what is let pass at all, which is there
// against abuse and holds for every plan.
type Allowance struct {
	Included int64 // by the plan; 0: without a limit
	Cap      int64 // against abuse
	Used     int64
}

// AllowanceOf is what a licence allows at now to somebody who has sent so many
// this month. Without a licence that is in force nothing is allowed.
func AllowanceOf(l Licence, used int64, now time.Time) Allowance {
	if !l.InForce(now) {
		return Allowance{Included: -1, Used: used}
	}
	return Allowance{Included: l.Plan.Messages, Cap: l.Plan.Cap, Used: used}
}

// Limit is the smaller of the two.
func (a Allowance) Limit() int64 {
	switch {
	case a.Included < 0:
		return 0
	case a.Included == 0:
		return a.Cap
	}
	return min(a.Included, a.Cap)
}

// Left is how many messages may still be sent this month.
func (a Allowance) Left() int64 { return max(0, a.Limit()-a.Used) }

// Unlimited reports whether only the cap against abuse holds.
func (a Allowance) Unlimited() bool { return a.Included == 0 }

// MaySend reports why one more message cannot be sent, or nil.
func (a Allowance) MaySend() error {
	switch {
	case a.Included < 0:
		return &discovery.Error{Kind: discovery.Forbidden, Code: "licence_missing",
			Say: "You have no licence to send messages. Ask your administrator for one."}
	case a.Left() > 0:
		return nil
	case a.Limit() < a.Cap || a.Included == a.Cap:
		return &discovery.Error{Kind: discovery.Forbidden, Code: "allowance_used",
			Say: "You have sent all messages that your licence includes this month. The next ones can go out next month, or with a larger licence."}
	}
	return &discovery.Error{Kind: discovery.Forbidden, Code: "cap_reached",
		Say: "You have sent very many messages this month. As a protection against abuse no more can go out. Ask your administrator."}
}
