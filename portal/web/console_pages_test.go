package web

import (
	"github.com/domicile-sso/domicile/discovery/page"
)

var (
	sampleEvents = []eventRow{
		{When: sampleMoment, What: "Signed in", Subject: personRef{"Ada Lovelace", "/admin/users/0"}, Method: "password", Reference: "K3XQ-7MTA", Network: "192.0.2.0/24"},
		{When: sampleMoment, What: "Access refused", Subject: personRef{Name: "Ada Lovelace"}, About: personRef{"Ian", "/admin/users/1"}, Code: "manage_higher", Refused: true},
		{When: sampleMoment, What: "Role changed", Subject: personRef{Name: "Ian"}, Actor: personRef{"Ada Lovelace", "/admin/users/0"}, Target: "member → owner"},
	}
)

func consoleSamples() map[string]map[string]any {
	figures := []figure{{Name: "Active", Value: "12", Path: "/admin/users?status=active"}, {Name: "Professional", Value: "3", Note: "of 5 licences"}}
	person := page.Field{Name: "person", Label: "Person", Type: "search", Value: "nobody", Optional: true}.With("Nobody in this portal matches.")
	q := page.Field{Name: "q", Label: "Name or address", Type: "search", Hint: "The beginning of each word is enough.", Optional: true}
	choice := func(name string) page.Field {
		return page.Field{Name: name, Label: name, Options: []page.Option{{Text: "All"}, {Value: "x", Text: "X"}}}
	}
	text := func(name, kind string) page.Field {
		return page.Field{Name: name, Label: name, Type: kind, Optional: true}
	}
	users := usersPage{Tabs: sampleTabs, Query: q, Status: choice("status"), Role: choice("role"), Plan: choice("plan"), Domain: text("domain", "text"),
		Invitation: choice("invitation"), Export: "/admin/users/export.csv", Invite: "/admin/users/invite", Import: "/admin/users/import", Total: "3 people"}
	found := users
	found.Users = []userRow{
		{Path: "/admin/users/0", Name: "Ada Lovelace", Address: "ada@acme.example", Status: badge{"Active", "good"}, Role: "Owner", Plan: "Pro", LastSignIn: sampleMoment},
		{Path: "/admin/users/1", Name: "Ian", Address: "ian@acme.example", Status: badge{"Disabled", "off"}, Role: "Member"},
	}
	found.Filtered, found.Earlier, found.Later = true, "/admin/users?before=1", "/admin/users?after=1"
	log := auditPage{Tabs: sampleTabs, Person: person, Group: choice("group"), Code: text("code", "text"), Reference: text("reference", "text"),
		From: text("from", "date"), Until: text("until", "date"), Export: "/admin/audit/export.csv"}
	wrong, one, several := log, log, log
	wrong.Form = page.Check(&person)
	one.Account, one.Who, one.Events, one.Newer, one.Older = "0", "Ada Lovelace", sampleEvents, "/admin/audit?newer=9", "/admin/audit?older=3"
	several.Choices = []personRef{{"Ada Lovelace, ada@acme.example", "/admin/audit?account=0"}}
	user := userPage{Tabs: sampleTabs, Path: "/admin/users/0", Name: "Ada Lovelace", Address: "ada@acme.example", Notice: "The profile is saved.",
		Status: badge{"Active", "good"}, Role: "Member", Plan: "Pro", Created: sampleMoment, LastSignIn: sampleMoment, Billed: "Counted",
		Sections: []tab{{Name: "Profile", Path: "/admin/users/0/profile"}}, MaySwitch: true, MayGrant: true, Was: "member", NewRole: choice("role"),
		MayEnd: true, SeesSessions: true, Sessions: []sessionRow{{Agent: "Firefox on Linux", Place: "192.0.2.0/24", Started: sampleMoment, Seen: sampleMoment}}, Events: sampleEvents, Audit: "/admin/audit?account=0"}
	off, own, stale := user, user, user
	off.Disabled, off.Fresh, off.Sessions, off.Merged, off.Why = true, true, nil, personRef{"Ian", "/admin/users/1"}, "No."
	own.Own, own.MayGrant, own.MaySwitch, own.MayEnd = true, false, false, false
	stale.Form = page.Form{Problems: []page.Problem{{Say: "This was changed in the meantime."}}, Differences: []page.Difference{{Field: "role", Label: "Role", Saved: "Auditor", Typed: "Owner"}}}
	return map[string]map[string]any{
		"console": {
			"busy": consolePage{Tabs: sampleTabs, Portal: "Acme", People: figures, Plans: figures, SignIns: "4 sign-ins", Days: []dayFigure{{Day: sampleMoment, Value: "4"}},
				Attention: []attentionLine{{"One invitation lapses.", "/admin/users?invitation=waiting", "Look at it"}, {Text: "Only one owner."}}, Newest: sampleEvents, HasPassword: true},
			"quiet": consolePage{Tabs: sampleTabs, Portal: "Acme"},
		},
		"users":        {"all": found, "nobody": users},
		"user":         {"member": user, "disabled": off, "own": own, "stale": stale},
		"user_profile": {"any": userProfilePage{profileForm: profileSample(), Tabs: sampleTabs, Name: "Ada Lovelace", Address: "ada@acme.example", Path: "/admin/users/0"}},
		"audit":        {"wrong": wrong, "one": one, "several": several, "nothing": log},
	}
}

func profileSample() profileForm {
	for _, p := range profileSamples() {
		if p, ok := p.(profilePage); ok {
			return p.profileForm
		}
	}
	return profileForm{}
}
