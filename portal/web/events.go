package web

import (
	"slices"
	"strings"

	"github.com/domicile-sso/domicile/portal"
)

// events says what happened, in the order in which the audit log offers it. The
// text is a locale key. A test holds the list against the sources: the actions
// that are written are in it, and no others.
//
//locale:texts
var events = []struct{ action, text string }{
	{"session.start", "Sign-in succeeded"},
	{"session.proved", "Confirmed who they are"},
	{"session.end", "Signed out"},
	{"session.ended", "Ended a session"},
	{"session.end_all", "Signed out everywhere"},
	{"session.refused", "Sign-in refused"},
	{"proof.refused", "Confirmation of identity refused"},
	{"ticket.refused", "Link from the global sign-in page refused"},
	{"browser.trusted", "Browser trusted"},
	{"browser.distrusted", "Trusted browsers forgotten"},
	{"access.refused", "Access refused"},

	{"account.created", "Account created"},
	{"account.invited", "Invitation sent"},
	{"account.proved", "Account proven, to be joined with another one"},
	{"account.secrets_wiped", "Older passwords and links made void"},
	{"account.disabled", "Account disabled"},
	{"account.enabled", "Account enabled"},
	{"account.merged", "Accounts joined"},
	{"account.merge_refused", "Joining of accounts refused"},
	{"invitation.redeemed", "Invitation taken up"},
	{"invitation.withdrawn", "Invitation withdrawn"},
	{"identity.linked", "Linked with the organisation’s own sign-in"},
	{"profile.changed", "Profile changed"},
	{"role.changed", "Role changed"},

	{"alias.added", "Address added, not confirmed yet"},
	{"alias.sent", "Confirmation of an address sent again"},
	{"alias.adopted", "Address taken over from the organisation’s sign-in"},
	{"alias.confirmed", "Address confirmed"},
	{"alias.removed", "Address removed"},
	{"alias.promoted", "Primary address changed"},
	{"alias.refused", "Change of addresses refused"},

	{"password.changed", "Password changed"},
	{"password.reset", "Password reset by a mailed link"},
	{"password.reset_requested", "Link for a new password asked for"},
	{"password.reset_refused", "Link for a new password refused"},
	{"password.temporary_accepted", "Temporary password entered"},
	{"factor.added", "Second factor added"},
	{"factor.removed", "Second factor removed"},
	{"factor.used", "Second factor used"},
	{"factor.refused", "Second factor refused"},
	{"factor.asked", "Second factor asked for"},
	{"factor.code_sent", "Code sent by text message"},
	{"factor.codes_drawn", "Recovery codes made"},
	{"factor.cloned", "Passkey looks like a copy of another one"},
	{"recovery.asked", "Help with a lost second factor asked for"},
	{"recovery.cancelled", "Help with a lost second factor no longer asked for"},
	{"recovery.allowed", "Recovery after a lost second factor allowed"},
	{"recovery.reopened", "Recovery after a lost second factor to be decided on once more"},
	{"recovery.refused", "Recovery after a lost second factor refused"},
	{"recovery.finished", "Recovery after a lost second factor finished"},

	{"activation.created", "App or add-in activated"},
	{"activation.removed", "Activation of an app or add-in removed"},
	{"activation.restored", "App or add-in activated again"},
	{"activation.refused", "App or add-in refused"},
	{"app.put", "App or add-in registered"},

	{"licence.assigned", "Licence assigned"},
	{"licence.changed", "Licence changed"},
	{"licence.released", "Licence released"},
	{"licence.refused", "Change of a licence refused"},
	{"plan.changed", "Plan changed"},
	{"usage.refused", "Message refused: the limit of the month is reached"},

	{"domain.approved", "Domain approved"},
	{"domain.removed", "Domain no longer approved"},
	{"domain.put", "Sign-in of a domain set by the operator"},
	{"settings.changed", "Settings changed"},
	{"mail_text.changed", "Text of a mail changed"},
	{"connection.put", "Sign-in connection set by the operator"},
	{"connection.moved", "Domain moved to another way of signing in"},
	{"connection.undone", "Move of a domain undone"},
	{"connection.move_refused", "Move of a domain refused"},
	{"portal.created", "Portal created"},
	{"portal.changed", "Portal changed by the operator"},

	{"import.started", "Import started"},
	{"import.finished", "Import finished"},
	{"users.exported", "List of users exported"},
	{"audit.exported", "Audit log exported"},

	{"database.restored", "Database restored from a backup by the operator"},
	{"directory.republished", "Everything told to the directory again"},
}

// An eventGroup is what one looks for together; kinds are what its actions begin
// with.
type eventGroup struct {
	name, text string
	kinds      []string
}

//locale:texts
var eventGroups = []eventGroup{
	{"access", "Sign-ins and sessions", []string{"session", "proof", "ticket", "browser", "access"}},
	{"accounts", "Accounts and roles", []string{"account", "invitation", "identity", "profile", "role"}},
	{"addresses", "Addresses", []string{"alias"}},
	{"security", "Passwords and second factors", []string{"password", "factor", "recovery"}},
	{"apps", "Apps and add-ins", []string{"activation", "app"}},
	{"licences", "Licences", []string{"licence", "plan", "usage"}},
	{"settings", "Settings of the portal", []string{"domain", "settings", "mail_text", "connection", "portal"}},
	{"data", "Imports and exports", []string{"import", "users", "audit"}},
	{"operation", "Operation", []string{"database", "directory"}},
}

// eventText is what happened, as the visitor reads it; an action of a version
// that is not this one stands for itself.
func (v *visit) eventText(action string) string {
	for _, e := range events {
		if e.action == action {
			return v.t(e.text)
		}
	}
	return action
}

// eventWays say how a thing was done, where that is not said by who did it.
//
//locale:texts
var eventWays = []struct{ method, text string }{
	{"password", "Password"},
	{"saml", "Organisation’s own sign-in"},
	{"oidc", "Organisation’s own sign-in"},
	{"idp", "Organisation’s own sign-in"},
	{"federation", "Organisation’s own sign-in"},
	{"jit", "Organisation’s own sign-in"},
	{"passkey", "Passkey"},
	{"totp", "Authenticator app"},
	{"sms", "Codes by SMS"},
	{"code", "Recovery code"},
	{"import", "Import"},
	{"merge", "Accounts joined"},
	{"operator", ""},
	{"console", ""},
	{"account", ""},
}

// eventWay is how a thing was done, as the visitor reads it; what is not in the
// list stands for itself.
func (v *visit) eventWay(method string) string {
	for _, w := range eventWays {
		switch {
		case w.method != method:
		case w.text == "":
			return ""
		default:
			return v.t(w.text)
		}
	}
	return method
}

// eventTarget is what a thing was done to. Roles have names that people know.
func (v *visit) eventTarget(action, target string) string {
	was, is, ok := strings.Cut(target, " → ")
	if action != "role.changed" || !ok {
		return target
	}
	return v.roleName(portal.Role(was)) + " → " + v.roleName(portal.Role(is))
}

// actionsOf are the actions of a group; none for a name that is no group's.
func actionsOf(group string) []string {
	var actions []string
	for _, g := range eventGroups {
		if g.name != group {
			continue
		}
		for _, e := range events {
			if kind, _, _ := strings.Cut(e.action, "."); slices.Contains(g.kinds, kind) {
				actions = append(actions, e.action)
			}
		}
	}
	return actions
}
