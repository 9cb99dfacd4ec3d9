package portal

import (
	"strings"
	"time"
	"unicode"

	"github.com/domicile-sso/domicile/discovery"
)

// An Invitation is how an account of a person without federation comes to be.
// Its temporary password lives as long as its link and must be replaced on the
// way in (S10). Role, plan and language are written down with the account: what
// the person sends when taking it up cannot change them.
type Invitation struct {
	Portal     string
	Address    discovery.Address
	GivenName  string
	FamilyName string
	Role       Role   // empty: Member
	Plan       string // ID of a plan; empty: the usual one of the role
	Language   string // empty: the portal's
	By         string // account ID of who invited; empty: the operator
	Federated  bool   // the person signs in with the organisation's own sign-in: no temporary password
	Wait       bool   // make the account and send nothing yet
	Again      bool   // send it also to who has one that can still be taken up; what was sent before is void then
}

// An InviteOutcome is what became of an invitation.
type InviteOutcome string

const (
	InvitedNow    InviteOutcome = "invited"
	InvitedBefore InviteOutcome = "pending" // the person has an invitation that can be taken up: nothing was sent
	ActiveAlready InviteOutcome = "active"  // the person is here already: nothing was sent
)

// An InvitedAccount is a person who has not come yet.
type InvitedAccount struct {
	Account
	Inviter   string    // account ID; empty: the operator
	Made      time.Time // zero: nothing was sent yet
	Ends      time.Time // zero: never, as for who needs no temporary password
	Withdrawn bool
}

// Over reports whether the invitation cannot be taken up any more.
func (i InvitedAccount) Over(now time.Time) bool {
	return i.Withdrawn || !i.Ends.IsZero() && !now.Before(i.Ends)
}

// MayInvite reports why a person whose account is in this state cannot be
// invited (again), or nil. Inviting an active person changes nothing.
func MayInvite(s Status) error {
	if s == Disabled {
		return &discovery.Error{Kind: discovery.Conflict, Field: "email", Code: "account_disabled",
			Say: "This account is disabled. Enable it instead of inviting it."}
	}
	return nil
}

// MayInviteAs reports why somebody with the role actor may not invite a person
// to be role, or nil. Inviting is giving a role: who may not give roles invites
// members and guests, and nobody invites somebody who may do more than they.
func MayInviteAs(actor, role Role) error {
	switch {
	case !actor.May(InviteUsers):
		return &discovery.Error{Kind: discovery.Forbidden, Code: "inviter_refused",
			Say: "Your role in this portal does not allow that. Nothing was changed."}
	case role == Member || role == Guest:
		return nil
	case !actor.May(GrantRoles) || role.rank() > actor.rank():
		return &discovery.Error{Kind: discovery.Forbidden, Field: "role", Code: "grant_higher",
			Say: "You cannot give a role that may do more than your own."}
	}
	return nil
}

// InvitableRoles are the roles that actor may invite people to.
func InvitableRoles(actor Role) []Role {
	var out []Role
	for _, r := range []Role{Member, Guest, Auditor, HelpDesk, Administrator, Owner} {
		if MayInviteAs(actor, r) == nil {
			out = append(out, r)
		}
	}
	return out
}

// MaxInvited is how many people one form invites.
const MaxInvited = 200

// An InvitedLine is one line of a list of people to invite.
type InvitedLine struct {
	Text   string // as it was typed, without blanks around it
	Given  string
	Family string
	Email  discovery.Address
	Err    error // what is wrong with it
}

// InvitedLines reads a list of people, one on each line: an address, or a name
// and an address as mail programs write them ("Ada Lovelace <ada@acme.example>"),
// or address, given name and family name with commas or semicolons between.
// Empty lines are left out; an address is there once.
func InvitedLines(text string) ([]InvitedLine, error) {
	var out []InvitedLine
	seen := map[discovery.Address]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimFunc(line, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' })
		if line == "" {
			continue
		}
		if len(out) == MaxInvited {
			return nil, &discovery.Error{Kind: discovery.Invalid, Field: "people", Code: "people_many",
				Say: "These are more than 200 people. Invite them in several steps, or import a file."}
		}
		l := invitedLine(line)
		if l.Err == nil && seen[l.Email] {
			l.Err = &discovery.Error{Kind: discovery.Invalid, Field: "people", Code: "address_twice", Say: "This address is in the list twice."}
		}
		seen[l.Email] = true
		out = append(out, l)
	}
	if len(out) == 0 {
		return nil, &discovery.Error{Kind: discovery.Invalid, Field: "people", Code: "people_empty", Say: "Enter at least one address."}
	}
	return out, nil
}

func invitedLine(line string) InvitedLine {
	l := InvitedLine{Text: line}
	address := line
	if name, rest, ok := strings.Cut(line, "<"); ok && strings.HasSuffix(rest, ">") {
		address = strings.TrimSuffix(rest, ">")
		l.Given, l.Family = splitName(strings.Trim(strings.TrimSpace(name), `"`))
	} else if cells := strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ';' || r == '\t' }); len(cells) > 1 {
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), `"`)
		}
		address, l.Given = cells[0], PersonName(cells[1])
		if len(cells) > 2 {
			l.Family = PersonName(cells[2])
		}
		if len(cells) > 3 {
			l.Err = &discovery.Error{Kind: discovery.Invalid, Field: "people", Code: "line_long",
				Say: "Write address, given name and family name, and one person on each line."}
			return l
		}
	}
	l.Email, l.Err = discovery.ParseAddress(address)
	return l
}

// splitName takes the last word for the family name, and "Lovelace, Ada" for
// what it is.
func splitName(name string) (given, family string) {
	name = PersonName(name)
	if family, given, ok := strings.Cut(name, ","); ok {
		return strings.TrimSpace(given), strings.TrimSpace(family)
	}
	if i := strings.LastIndexByte(name, ' '); i > 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// ErrTemporaryExpired: the temporary password was right, but older than 72
// hours. It can be said, because only its receiver can have entered it.
var ErrTemporaryExpired = &discovery.Error{
	Kind: discovery.Forbidden,
	Code: "temporary_expired",
	Say:  "This temporary password is more than 72 hours old. Please ask for a new invitation.",
}
