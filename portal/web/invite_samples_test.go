package web

import (
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

var sampleRules = []string{"At least 10 characters.", "No blank at the beginning or the end."}

func sampleField(name string) page.Field {
	return page.Field{Name: name, Label: name, Type: "text", Hint: "What it is for."}
}

func sampleChoice(name string) page.Field {
	return page.Field{Name: name, Label: name, Options: []page.Option{{Text: "The usual"}, {Value: "other", Text: "Another"}}}
}

func inviteSamples() map[string]any {
	one := invitePage{Tabs: sampleTabs, Email: sampleField("email"), Given: sampleField("given_name"), Family: sampleField("family_name"),
		People: sampleField("people"), Role: sampleChoice("role"), Plan: sampleChoice("plan"), Language: sampleChoice("language"), MayPlan: true, MayImport: true}
	many := one
	many.Many, many.Sent, many.Left = true, "2 people were invited.", "1 line could not be done. It is below, to be put right."
	many.Results = []invitedRow{{"ada@acme.example", "Invitation sent", "good"}, {"Bob <bob@acme.example>", "Active already: no mail was sent", ""}, {"nonsense", "An address has an @.", "off"}}
	many.Waiting = []waitingRow{
		{Name: "Ada Lovelace", Address: "ada@acme.example", Path: "/admin/users/00", Role: "Member", Made: sampleMoment, Ends: sampleMoment, State: "Waiting"},
		{Name: "bob@acme.example", Address: "bob@acme.example", Path: "/admin/users/01", Role: "Guest", State: "Not sent yet", Class: "off"},
	}
	many.More = "And 12 more."
	wrong := one
	wrong.Email.Error = "An address has an @."
	wrong.Form = page.Check(&wrong.Email)
	return map[string]any{"one": one, "many": many, "wrong": wrong}
}

func importsSamples() map[string]any {
	p := importsPage{Tabs: sampleTabs, File: page.Field{Name: "file", Label: "CSV file", Type: "file", Hint: "Up to 4 MiB."}, List: sampleField("list"),
		Role: sampleChoice("role"), Plan: sampleChoice("plan"), Language: sampleChoice("language"), Columns: []importColumn{{"email", "The address."}},
		Imports: []importRow{{Path: "/admin/users/import/00", When: sampleMoment, State: "Done", Class: "good", Lines: "10,000", Added: "9,990"}}}
	wrong := p
	wrong.File.Error = "There is no column with addresses. Name it “email”."
	wrong.Form = page.Check(&wrong.File)
	return map[string]any{"any": p, "wrong": wrong}
}

func importSamples() map[string]any {
	dry := importPage{Tabs: sampleTabs, Path: "/admin/users/import/00", ID: "00", State: portal.ImportWaiting, Dry: true, When: sampleMoment,
		Lines: "10,000", Added: "9,000", Updated: "12", Skipped: "900", Failed: "88", All: 10000,
		Refused: []importProblemRow{{Line: 7, Field: "email", Say: "This is no complete address. Correct it."}, {Line: 9, Say: "This line was refused."}},
		Report:  "/admin/users/import/00/report.csv", MoreProblems: "And 86 more, in the report."}
	going, still, done, stopped := dry, dry, dry, dry
	going.Dry, going.Going, going.Done, going.Progress = false, true, 400, "400 of 10,000 lines are done."
	still.Dry, still.Going, still.Still, still.Progress = false, true, true, "400 of 10,000 lines are done."
	done.Dry, done.Finished, done.Invite = false, sampleMoment, true
	stopped.Dry, stopped.Why = false, "Somebody stopped it."
	return map[string]any{"looked at": dry, "under way": going, "still": still, "done": done, "stopped": stopped}
}

func domainsSamples() map[string]any {
	p := domainsPage{Tabs: sampleTabs, Domain: sampleField("domain"), Notice: "The domain is approved.", Domains: []approvedRow{
		{Name: "acme.example", Accounts: "120", Added: sampleMoment, SignIn: true},
		{Name: "*.acme.example", Accounts: "3", Added: sampleMoment, Ask: true, Covers: "3 accounts have their primary address there."},
	}}
	return map[string]any{"any": p, "none": domainsPage{Tabs: sampleTabs, Domain: sampleField("domain")}}
}

func notificationsSamples() map[string]any {
	p := notificationsPage{Tabs: sampleTabs, Version: 3, Sender: sampleField("sender"), Zone: sampleField("zone"), Language: sampleChoice("language"), Contact: sampleField("contact")}
	stale := p
	stale.Fallback = "This account is disabled."
	stale.Form = withStale("zone")
	return map[string]any{"any": p, "stale": stale}
}

func withStale(field string) page.Form {
	return page.Form{Problems: []page.Problem{{Say: "This was changed in the meantime."}},
		Differences: []page.Difference{{Field: field, Label: field, Saved: "UTC", Typed: "Europe/Zurich"}}}
}

func mailsSamples() map[string]any {
	return map[string]any{"any": mailsPage{Tabs: sampleTabs, Notice: "The text is saved.", Languages: []string{"English", "Français"}, Kinds: []mailRow{
		{Name: "Invitation", Tells: "To who is invited.", Texts: []mailCell{{"English", "/admin/mails/invitation/en", true}, {"Français", "/admin/mails/invitation/fr", false}}},
	}}}
}

func mailTextSamples() map[string]any {
	p := mailTextPage{Tabs: sampleTabs, Name: "Invitation", Tells: "To who is invited.", In: "Deutsch", Tag: "de", Path: "/admin/mails/invitation/de", Version: 2, Own: true,
		Subject: sampleField("subject"), Opening: sampleField("opening"), ShownSubject: "Willkommen", Shown: "Guten Tag,\n\n…"}
	stale := p
	stale.Form = withStale("subject")
	return map[string]any{"any": p, "stale": stale}
}

func policySamples() map[string]any {
	p := policyPage{Tabs: sampleTabs, Version: 3, Keep: true, Factor: sampleChoice("second_factor"), Without: "12 people have none.", Trust: sampleField("trust_days"),
		Password: sampleField("password_min"), Idle: sampleField("session_idle"), Absolute: sampleField("session_absolute"),
		KeptIdle: sampleField("kept_idle"), KeptAbsolute: sampleField("kept_absolute")}
	stale := p
	stale.Form, stale.KeepDifferent = withStale("trust_days"), true
	return map[string]any{"any": p, "stale": stale}
}
