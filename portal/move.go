package portal

import (
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// A Way is how addresses in a domain sign in.
type Way struct {
	Connection string // empty: a password of the portal, and nothing else
	Password   bool   // a password as well
	JIT        bool   // an account is made on the first federated sign-in
}

// Way is how addresses in the domain sign in now.
func (d Domain) Way() Way { return Way{d.Connection, d.Password, d.JIT} }

// Seen is the way as a form carries it, to notice that it has changed since.
func (w Way) Seen() string {
	s := "password"
	if w.Connection != "" {
		s = w.Connection
	}
	if w.Connection != "" && w.Password {
		s += "+password"
	}
	if w.JIT {
		s += "+jit"
	}
	return s
}

// UndoMoveFor is how long the move of a domain can be undone.
const UndoMoveFor = 14 * 24 * time.Hour

// A Move changed how a domain signs in (S16). Nothing of its people was touched:
// accounts, addresses, identities and passwords stay, and so moving back finds
// everything as it was.
//
// Whoever comes through the new connection is recognised by the rule for every
// federated sign-in ([Arrival.Decide]): by subject if the connection knows them,
// else by an address that they have proven, which links the two.
type Move struct {
	ID            string
	Portal        string
	Domain        string
	Before, After Way
	Account       string // who moved it
	Moved         time.Time
	UndoUntil     time.Time
	Undone        time.Time // zero: it stands
}

// MoveTo is the way that the domain can be moved to, made consistent, or what
// keeps it from being moved there. The connection must be one of the portal's
// own, which the caller sees to.
func (d Domain) MoveTo(to Way) (Way, error) {
	if d.Proven.IsZero() {
		return to, &discovery.Error{Kind: discovery.Forbidden, Code: "domain_not_proven",
			Say: "It is not proven that this domain is your organisation’s. Ask the operator to see to that first."}
	}
	if to.Connection == "" {
		to.Password, to.JIT = true, false
	}
	if to == d.Way() {
		return to, &discovery.Error{Kind: discovery.Conflict, Field: "to", Code: "move_same",
			Say: "People of this domain sign in that way already. Choose another way."}
	}
	return to, nil
}

// A MoveState is what a move looks like when somebody wants it undone.
type MoveState struct {
	Domain  Domain
	Known   bool // there is such a domain still
	Later   bool // it was moved again since, and that stands
	Changed bool // the connection it would go back to was changed or removed since
}

// Undo reports why the move cannot be undone at now, or nil. It brings back what
// was, so it must still be known what that would be.
func (m Move) Undo(s MoveState, now time.Time) error {
	no := func(code, say string) error {
		return &discovery.Error{Kind: discovery.Conflict, Code: code, Say: say}
	}
	switch {
	case !m.Undone.IsZero():
		return no("move_undone", "This has been undone already.")
	case !now.Before(m.UndoUntil):
		return no("move_old", "This was too long ago to be undone. Move the domain back instead.")
	case !s.Known:
		return no("move_domain_gone", "This domain does not belong to the portal any more.")
	case s.Later:
		return no("move_later", "The domain was moved again after that. Undo the later move first.")
	case s.Domain.Way() != m.After:
		return no("move_domain_changed", "The operator has changed how people of this domain sign in since. Move the domain instead.")
	case s.Changed:
		return no("move_connection_changed", "The operator has changed the connection that it would go back to since. Move the domain there instead, once it is right.")
	}
	return nil
}

// A MovedPerson is what the rule about moves looks at: somebody who has a
// confirmed address in the domain.
type MovedPerson struct {
	Account   Account
	Address   discovery.Address // the one in the domain
	Proven    bool              // it was shown to be theirs
	Known     bool              // the new connection has signed them in before
	Password  bool              // they have a password of their own
	Temporary bool              // they were sent a temporary one that counts still
	Elsewhere bool              // their primary address is in another domain
}

// A MoveClass says what a move means to somebody.
type MoveClass string

const (
	MoveKnown      MoveClass = "known"      // recognised by what the new connection calls them
	MoveRecognised MoveClass = "recognised" // recognised by their proven address
	MoveInvited    MoveClass = "invited"    // have not signed in yet; the invitation holds
	MoveElsewhere  MoveClass = "elsewhere"  // their primary address signs in as before
	MovePassword   MoveClass = "password"   // sign in with the password they have
	MoveMailed     MoveClass = "mailed"     // lose their only way in: get a mail that leads to a password
	MoveReinvite   MoveClass = "reinvite"   // lose the way in before they ever used it: need a new invitation
	MoveDisabled   MoveClass = "disabled"   // stay out
)

// MoveClasses are all of them, the ones to look at first.
func MoveClasses() []MoveClass {
	return []MoveClass{MoveMailed, MoveReinvite, MoveRecognised, MoveKnown, MovePassword, MoveInvited, MoveElsewhere, MoveDisabled}
}

// Class is what moving to w means to p.
func (w Way) Class(p MovedPerson) MoveClass {
	invited := p.Account.Status == Invited
	switch {
	case p.Account.Status == Disabled:
		return MoveDisabled
	case w.Connection != "" && p.Known:
		return MoveKnown
	case w.Connection != "" && (invited || !p.Proven):
		return MoveInvited
	case w.Connection == "" && invited && !p.Temporary:
		return MoveReinvite
	case w.Connection == "" && invited:
		return MoveInvited
	case p.Elsewhere:
		return MoveElsewhere
	case w.Connection != "":
		return MoveRecognised
	case p.Password:
		return MovePassword
	}
	return MoveMailed
}

// Endangers reports whether p could find themselves locked out by moving to w: the
// new connection has never signed them in and there is no password beside it, or
// there is nothing but a password and they have none.
func (w Way) Endangers(p MovedPerson) bool {
	switch w.Class(p) {
	case MoveRecognised, MoveInvited:
		return !w.Password || !p.Password
	case MoveMailed, MoveReinvite:
		return true
	}
	return false
}
