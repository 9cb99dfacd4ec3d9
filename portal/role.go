package portal

import (
	"slices"

	"github.com/domicile-sso/domicile/discovery"
)

// A Role says what a person may see and do in a portal (S34). It is a fact of the
// account, read anew with every request.
type Role string

const (
	Owner         Role = "owner"
	Administrator Role = "administrator"
	HelpDesk      Role = "helpdesk"
	Auditor       Role = "auditor"
	Member        Role = "member"
	Guest         Role = "guest"
)

// Roles are all of them, the one that may do most first.
func Roles() []Role { return []Role{Owner, Administrator, HelpDesk, Auditor, Member, Guest} }

// ParseRole reads a role from a form or a command.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(Roles(), r) {
		return r, nil
	}
	return "", &discovery.Error{Kind: discovery.Invalid, Field: "role", Code: "role_unknown", Say: "Choose one of the roles."}
}

// A Permission is one thing that somebody may do in the console.
type Permission string

const (
	SeeConsole        Permission = "console"
	SeeUsers          Permission = "users.see"
	ExportUsers       Permission = "users.export"
	InviteUsers       Permission = "users.invite"
	ImportUsers       Permission = "users.import"
	EditUsers         Permission = "users.edit"   // profile, aliases, security settings, sessions
	SwitchUsers       Permission = "users.switch" // disable and enable
	GrantRoles        Permission = "roles.grant"
	AllowRecoveries   Permission = "recoveries.allow"
	SeeLicences       Permission = "licences.see"
	AssignLicences    Permission = "licences.assign"
	ApproveDomains    Permission = "domains.approve"
	ChangeSettings    Permission = "settings.change" // notifications, mail texts, sign-in policy
	MoveConnections   Permission = "connections.move"
	SeeAudit          Permission = "audit.see"
	SeeOwnAccountOnly Permission = "" // what everybody may
)

// Permissions are all of them, for the table in the documentation and its test.
func Permissions() []Permission {
	return []Permission{SeeConsole, SeeUsers, ExportUsers, InviteUsers, ImportUsers, EditUsers, SwitchUsers, GrantRoles,
		AllowRecoveries, SeeLicences, AssignLicences, ApproveDomains, ChangeSettings, MoveConnections, SeeAudit}
}

// May reports whether the role has the permission.
func (r Role) May(p Permission) bool {
	switch r {
	case Owner, Administrator:
		return true
	case HelpDesk:
		return slices.Contains([]Permission{SeeOwnAccountOnly, SeeConsole, SeeUsers, InviteUsers, EditUsers, AllowRecoveries, SeeLicences}, p)
	case Auditor:
		return slices.Contains([]Permission{SeeOwnAccountOnly, SeeConsole, SeeUsers, ExportUsers, SeeLicences, SeeAudit}, p)
	}
	return p == SeeOwnAccountOnly
}

// rank orders roles by what they may do to others.
func (r Role) rank() int {
	switch r {
	case Owner:
		return 3
	case Administrator:
		return 2
	case HelpDesk, Auditor:
		return 1
	}
	return 0
}

// MayManage reports why actor may not change target's account, role or status,
// or nil: nobody does it to themselves in the console, nobody to a person of a
// higher role, and a help desk to none of its own rank either: neither to another
// help desk, nor to an auditor, who sees what it does not.
func MayManage(actor, target Account) error {
	switch {
	case actor.ID == target.ID:
		return &discovery.Error{Kind: discovery.Forbidden, Code: "manage_self",
			Say: "This is your own account. Another administrator has to do that."}
	case actor.Role.rank() < target.Role.rank(), actor.Role == HelpDesk && target.Role.rank() == HelpDesk.rank():
		return &discovery.Error{Kind: discovery.Forbidden, Code: "manage_higher",
			Say: "This person has a role that yours may not change. An owner can do that."}
	}
	return nil
}

// MayGrant reports why actor may not give target the role, or nil. Only owners
// make owners; MayManage holds as well.
func MayGrant(actor, target Account, to Role) error {
	if err := MayManage(actor, target); err != nil {
		return err
	}
	if !actor.Role.May(GrantRoles) || to.rank() > actor.Role.rank() {
		return &discovery.Error{Kind: discovery.Forbidden, Field: "role", Code: "grant_higher",
			Say: "You cannot give a role that may do more than your own."}
	}
	return nil
}

// ErrLastOwner: a portal that has an owner keeps one.
var ErrLastOwner = &discovery.Error{Kind: discovery.Conflict, Code: "last_owner",
	Say: "This is the last owner of the portal. Make somebody else an owner first."}

// MaySwitch reports why actor may not disable or enable target, or nil. An
// account that has become part of another one stays disabled (S21).
func MaySwitch(actor, target Account) error {
	if err := MayManage(actor, target); err != nil {
		return err
	}
	return MayEnable(target)
}

// Owns reports whether the account is one of the owners that a portal must not
// lose the last of.
func (a Account) Owns() bool { return a.Role == Owner && a.Status == Active }

// A RoleChange is what somebody chose for an account. Was is the role they saw
// it have; empty: whichever it has.
type RoleChange struct {
	Account string
	Was, To Role
}
