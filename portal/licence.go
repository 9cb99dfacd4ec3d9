package portal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// A LicenceKind says what a plan is for.
type LicenceKind string

const (
	Professional LicenceKind = "professional" // sends, has aliases, may be the sender of invitations
	GuestLicence LicenceKind = "guest"        // answers those who wrote first
)

// A Feature is something that only some plans have.
type Feature string

const (
	Pro         Feature = "pro"          // return protection, signatures
	SelfRelease Feature = "self-release" // people may give their licence back by themselves
)

// Features are all of them.
func Features() []Feature { return []Feature{Pro, SelfRelease} }

// NoPlan stands for no licence at all where a plan is chosen.
const NoPlan = "none"

// A Plan is what a portal has licences of.
type Plan struct {
	Portal   string
	ID       string // [a-z0-9-]{1,40}
	Name     string // as people read it
	Kind     LicenceKind
	Features []Feature
	Seats    int64 // accounts that are not disabled; 0: as many as wanted
	Messages int64 // included in a month; 0: without a limit by the plan
	Cap      int64 // in a month, against abuse
	Months   int   // of a term; 0: without an end
	Place    int64 // higher is an upgrade
}

// Has reports whether the plan has a feature.
func (p Plan) Has(f Feature) bool { return slices.Contains(p.Features, f) }

// With is the plan with or without a feature.
func (p Plan) With(f Feature, has bool) Plan {
	p.Features = slices.DeleteFunc(slices.Clone(p.Features), func(old Feature) bool { return old == f })
	if has {
		p.Features = append(p.Features, f)
	}
	return p
}

// Free is how many more accounts may have the plan when so many have it;
// limited is false when any number may.
func (p Plan) Free(used int64) (n int64, limited bool) {
	if p.Seats == 0 {
		return 0, false
	}
	return max(0, p.Seats-used), true
}

// ErrNoSeat: every licence of a plan is in use.
var ErrNoSeat = &discovery.Error{Kind: discovery.Conflict, Field: "plan", Code: "seats_used",
	Say: "All licences of this plan are in use. Release one, or ask the operator of your portal for more."}

// Seat reports ErrNoSeat when nobody else can have the plan.
func (p Plan) Seat(used int64) error {
	if n, limited := p.Free(used); limited && n == 0 {
		return ErrNoSeat
	}
	return nil
}

var planID = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$`)

// Check reports what is wrong with a plan that an operator sets, or nil.
func (p Plan) Check() error {
	bad := func(field, say string) error {
		return &discovery.Error{Kind: discovery.Invalid, Field: field, Code: "plan_" + field, Say: say}
	}
	for _, f := range p.Features {
		if !slices.Contains(Features(), f) {
			return bad("feature", "There is no such feature of a plan.")
		}
	}
	switch {
	case !planID.MatchString(p.ID) || p.ID == NoPlan:
		return bad("id", "The ID of a plan has 1 to 40 small letters, digits and hyphens, and is not none.")
	case PersonName(p.Name) != p.Name || p.Name == "":
		return bad("name", "The name of a plan is one line of 1 to 100 characters.")
	case p.Kind != Professional && p.Kind != GuestLicence:
		return bad("kind", "A plan is of the kind professional or guest.")
	case p.Seats < 0 || p.Messages < 0 || p.Months < 0 || p.Place < 0:
		return bad("number", "Numbers of a plan are not negative.")
	case p.Cap < 1:
		return bad("cap", "A plan needs a cap against abuse: at least one message a month.")
	case p.Months > 120:
		return bad("months", "The term of a plan is at most ten years.")
	}
	return nil
}

// A Licence is an account's share in a plan. The zero Licence is none.
type Licence struct {
	Account string
	Plan    Plan
	Address discovery.Address // the licensed one
	Since   time.Time
	Ends    time.Time // of the first term; zero: never
	Renews  bool      // for another term, again and again
}

// None reports whether there is no licence.
func (l Licence) None() bool { return l.Plan.ID == "" }

// NewLicence is a licence of a plan from now on. Terms are counted in the
// calendar of the place.
func NewLicence(p Plan, account string, address discovery.Address, now time.Time, place *time.Location) Licence {
	l := Licence{Account: account, Plan: p, Address: address, Since: now, Renews: p.Months > 0}
	if p.Months > 0 {
		l.Ends = addMonths(now.In(place), p.Months)
	}
	return l
}

// addMonths is the same day so many months later, or the last day of a month
// that is too short for it: who starts on 31 January is not pushed into March.
func addMonths(t time.Time, n int) time.Time {
	last := time.Date(t.Year(), t.Month()+time.Month(n)+1, 0, 0, 0, 0, 0, t.Location()).Day()
	return time.Date(t.Year(), t.Month()+time.Month(n), min(t.Day(), last), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location()).UTC()
}

// Term is when the term that runs at now ends; zero: never. After that the
// licence is renewed or expired.
func (l Licence) Term(now time.Time, place *time.Location) time.Time {
	if l.Ends.IsZero() || !l.Renews || l.Plan.Months <= 0 || now.Before(l.Ends) {
		return l.Ends
	}
	for n := l.Plan.Months; ; n += l.Plan.Months {
		if end := addMonths(l.Ends.In(place), n); now.Before(end) {
			return end
		}
	}
}

// InForce reports whether the licence gives its rights at now.
func (l Licence) InForce(now time.Time) bool {
	return !l.None() && (l.Ends.IsZero() || l.Renews || now.Before(l.Ends))
}

// At is the licence as far as it is in force at now: an expired one is none.
func (l Licence) At(now time.Time) Licence {
	if l.InForce(now) {
		return l
	}
	return Licence{}
}

// Has reports whether the plan of the licence has a feature.
func (l Licence) Has(f Feature) bool { return l.Plan.Has(f) }

// MayHaveAliases reports why somebody may not add addresses by themselves, or
// nil (S20). What an administrator adds needs no licence.
func MayHaveAliases(l Licence, now time.Time) error {
	if l.InForce(now) && l.Plan.Kind == Professional {
		return nil
	}
	return &discovery.Error{Kind: discovery.Forbidden, Code: "alias_unlicensed",
		Say: "Adding addresses needs a professional licence. Ask your administrator for one, or to add the address for you."}
}

// DefaultKind is the kind of licence that somebody starts with.
func DefaultKind(r Role) LicenceKind {
	if r == Guest {
		return GuestLicence
	}
	return Professional
}

// A LicenceChange is what somebody wants to do with an account's licence.
type LicenceChange struct {
	Plan  string // ID of the plan to have; empty: none
	Keep  bool   // the plan stays; Renew says how it goes on
	Renew bool
}

// A Standing is what has to be known of an account before its licence changes.
type Standing struct {
	Account Account
	Licence Licence
	Used    int64 // messages this month
	Sender  bool  // invitations come from it
}

// Mark names what somebody has seen of a licence before changing it: with
// another mark the effects would be others.
func (s Standing) Mark(to Plan) string {
	l := s.Licence
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v|%d|%d|%t|%s|%t|%s|%+v", l.Plan, l.Since.UnixMicro(), l.Ends.UnixMicro(), l.Renews,
		s.Account.Status, s.Sender, s.Account.Protection, to))
	return hex.EncodeToString(sum[:8])
}

// An EffectKind is one thing that a change of a licence brings about.
type EffectKind string

const (
	SeatFreed         EffectKind = "seat_freed"
	SeatTaken         EffectKind = "seat_taken"
	SeatLater         EffectKind = "seat_later" // the account is disabled: no seat until it is enabled
	SendingEnds       EffectKind = "sending_ends"
	AllowanceChanges  EffectKind = "allowance"
	CapChanges        EffectKind = "cap"
	FeatureGained     EffectKind = "feature_gained"
	FeatureLost       EffectKind = "feature_lost"
	ProtectionEnds    EffectKind = "protection_ends" // it was on
	AliasesGained     EffectKind = "aliases_gained"
	AliasesFrozen     EffectKind = "aliases_frozen" // those there are stay, none can be added
	SenderEnds        EffectKind = "sender_ends"
	TermStarts        EffectKind = "term"
	TermNever         EffectKind = "term_never"
	RenewalEnds       EffectKind = "renewal_ends"
	RenewalGoesOn     EffectKind = "renewal_goes_on"
	NothingElseIsLost EffectKind = "kept" // messages, addresses and sessions stay
)

// An Effect is shown before it happens.
type Effect struct {
	Kind EffectKind
	Plan string    // name of the plan it is about
	From int64     // messages a month; 0: without a limit, -1: none
	To   int64     // the same, afterwards
	Used int64     // of them this month
	Day  time.Time // of the end of a term
}

// Loss reports whether the person can do less afterwards.
func (e Effect) Loss() bool {
	switch e.Kind {
	case SendingEnds, FeatureLost, ProtectionEnds, AliasesFrozen, SenderEnds, RenewalEnds:
		return true
	case CapChanges:
		return e.To < e.From
	case AllowanceChanges:
		return e.From >= 0 && (e.To < 0 || e.From == 0 && e.To > 0 || e.From > 0 && e.To > 0 && e.To < e.From)
	}
	return false
}

// Effects are all that a change brings about, for the page that asks whether it
// is meant. to is the licence afterwards.
func (s Standing) Effects(to Licence, now time.Time, place *time.Location) []Effect {
	from := s.Licence
	if !from.None() && from.Plan.ID == to.Plan.ID {
		return s.renewal(to, now, place)
	}
	var all []Effect
	if !from.None() {
		all = append(all, Effect{Kind: SeatFreed, Plan: from.Plan.Name})
	}
	switch {
	case to.None():
		all = append(all, Effect{Kind: SendingEnds})
	case s.Account.Status == Disabled:
		all = append(all, Effect{Kind: SeatLater, Plan: to.Plan.Name})
	default:
		all = append(all, Effect{Kind: SeatTaken, Plan: to.Plan.Name})
	}
	was, is := AllowanceOf(from, s.Used, now), AllowanceOf(to, s.Used, now)
	switch {
	case to.None():
	case was.Included != is.Included:
		all = append(all, Effect{Kind: AllowanceChanges, From: was.Included, To: is.Included, Used: s.Used})
	case was.Cap != is.Cap:
		all = append(all, Effect{Kind: CapChanges, From: was.Cap, To: is.Cap})
	}
	all = append(all, s.rights(from.At(now), to)...)
	switch {
	case to.None():
	case to.Ends.IsZero():
		all = append(all, Effect{Kind: TermNever})
	default:
		all = append(all, Effect{Kind: TermStarts, Day: to.Ends})
	}
	return append(all, Effect{Kind: NothingElseIsLost})
}

// rights are what may be done with one of the licences only.
func (s Standing) rights(from, to Licence) []Effect {
	var all []Effect
	if !from.Has(Pro) && to.Has(Pro) {
		all = append(all, Effect{Kind: FeatureGained, Plan: to.Plan.Name})
	}
	if from.Has(Pro) && !to.Has(Pro) {
		all = append(all, Effect{Kind: FeatureLost, Plan: from.Plan.Name})
		if s.Account.Protection != NoProtection {
			all = append(all, Effect{Kind: ProtectionEnds})
		}
	}
	was, is := from.Plan.Kind == Professional, to.Plan.Kind == Professional
	switch {
	case is && !was:
		all = append(all, Effect{Kind: AliasesGained})
	case was && !is:
		all = append(all, Effect{Kind: AliasesFrozen})
		if s.Sender {
			all = append(all, Effect{Kind: SenderEnds})
		}
	}
	return all
}

func (s Standing) renewal(to Licence, now time.Time, place *time.Location) []Effect {
	day := s.Licence.Term(now, place)
	if to.Renews {
		return []Effect{{Kind: RenewalGoesOn, Day: day}}
	}
	return []Effect{{Kind: RenewalEnds, Day: day}}
}

// MayChangeLicence reports why the licence cannot become that one, or nil. seats
// is how many accounts have the plan to be had now.
func (s Standing) MayChangeLicence(c LicenceChange, to Plan, seats int64) error {
	switch {
	case s.Account.MergedInto != "":
		return &discovery.Error{Kind: discovery.Conflict, Code: "account_merged", Say: "This account has become part of another one."}
	case c.Keep && s.Licence.None():
		return &discovery.Error{Kind: discovery.Conflict, Field: "plan", Code: "licence_none", Say: "There is no licence that could be renewed."}
	case c.Keep && s.Licence.Ends.IsZero():
		return &discovery.Error{Kind: discovery.Conflict, Field: "plan", Code: "licence_endless", Say: "This licence has no end: there is nothing to renew."}
	case c.Keep && s.Licence.Renews == c.Renew, !c.Keep && s.Licence.Plan.ID == c.Plan:
		return &discovery.Error{Kind: discovery.Conflict, Field: "plan", Code: "licence_same", Say: "This is what the person has already. Choose something else."}
	case c.Keep || c.Plan == "" || s.Account.Status == Disabled:
		return nil
	}
	return to.Seat(seats)
}

// MayRelease reports why somebody may not give their own licence back, or nil
// (S31).
func MayRelease(l Licence) error {
	if l.None() {
		return &discovery.Error{Kind: discovery.Conflict, Code: "licence_none", Say: "You have no licence that could be released."}
	}
	if l.Has(SelfRelease) {
		return nil
	}
	return &discovery.Error{Kind: discovery.Forbidden, Code: "release_refused",
		Say: "Licences of this plan are released by an administrator. Ask one of yours."}
}

// ParseFeatures reads what a plan's features are stored as.
func ParseFeatures(s string) []Feature {
	var all []Feature
	for _, f := range strings.Fields(s) {
		all = append(all, Feature(f))
	}
	return all
}

// FeatureText is what ParseFeatures reads.
func (p Plan) FeatureText() string {
	all := make([]string, len(p.Features))
	for i, f := range p.Features {
		all[i] = string(f)
	}
	return strings.Join(all, " ")
}
