package web

import (
	"time"

	"github.com/domicile-sso/domicile/discovery/page"
)

var (
	sampleTabs    = []tab{{Name: "Licence and profile", Path: "/account/profile", Current: true}, {Name: "Addresses", Path: "/account/addresses"}}
	sampleMoment  = momentOf(time.Date(2026, 11, 20, 18, 5, 0, 0, time.UTC))
	sampleLicence = licenceFacts{Plan: "Professional", Kind: "Professional licence", Address: "ada@acme.example", Since: sampleMoment,
		EndsLabel: "Renewal", Ends: sampleMoment, EndsNote: "Renewed by itself", Release: "/account/licence", Note: "For another plan, ask your administrator."}
	sampleUsage   = usageFacts{Used: "12 messages", Left: "9,988 messages", Cap: "No more than 10,000.", Last: sampleMoment}
	sampleEffects = []effectLine{{"seat_freed", "One licence becomes free.", false}, {"sending_ends", "No more messages.", true}}
	sampleHolders = []holderRow{
		{Name: "Ada Lovelace", Address: "ada@acme.example", Path: "/admin/users/0123456789abcdef0123456789abcdef/licence", Plan: "Professional", Since: sampleMoment, Ends: sampleMoment, EndsLabel: "Expired", Over: true},
		{Name: "bob@acme.example", Address: "bob@acme.example", Plan: "Guest", Since: sampleMoment, Ends: moment{Human: "Without an end"}, EndsLabel: "Expiry", Off: true},
	}
)

func profileSamples() map[string]any {
	input := func(name string) page.Field {
		return page.Field{Name: name, Label: name, Type: "text", Optional: true}
	}
	choice := func(name string) page.Field {
		return page.Field{Name: name, Label: name, Options: []page.Option{{Text: "None"}, {Value: "CH", Text: "Switzerland (+41)"}}}
	}
	p := profilePage{Tabs: sampleTabs, Address: "ada@acme.example", Licence: sampleLicence, Usage: sampleUsage,
		Months: []usageMonth{{"November 2026", "12", sampleMoment}, {"October 2026", "0", moment{}}},
		profileForm: profileForm{Version: 3, GivenName: input("given_name"), FamilyName: input("family_name"), Zone: input("zone"), Culture: choice("culture"),
			Language: choice("language"), Cell: input("cell"), Country: choice("sms_country"), Protected: choice("return_protection")}}
	p.Zone.Options = []page.Option{{Value: "Europe/Zurich", Text: "UTC+01:00"}}
	p.Protected.Fixed = true
	saved, bare, wrong, stale := p, p, p, p
	saved.Notice = "Your profile is saved."
	bare.Licence, bare.Usage.Last = licenceFacts{Note: "For a licence, ask your administrator."}, moment{}
	wrong.Zone.Error = "This is not a time zone we know."
	wrong.Form = page.Check(&wrong.Zone, &wrong.Cell)
	stale.Problems = []page.Problem{{Say: "This was changed in the meantime."}}
	stale.Differences = []page.Difference{{Field: "zone", Label: "Time zone", Saved: "UTC", Typed: "Europe/Zurich"}, {Field: "cell", Label: "Cell number", Typed: "+41 78 123 45 67"}}
	return map[string]any{"as it is": p, "saved": saved, "no licence": bare, "wrong": wrong, "stale": stale}
}

func licencesSamples() map[string]any {
	plans := []planRow{
		{Name: "Guest", Kind: "Guest licence", ID: "guest", Used: "3", Seats: "Without a limit", Free: "–", Messages: "10", Term: "Without an end", Holders: "/admin/licences?plan=guest", Release: "Administrators only", May: "yes"},
		{Name: "Professional", Kind: "Professional licence", ID: "professional", Used: "20", Seats: "20", Free: "0", Full: true, Messages: "Without a limit", Term: "12 months", Holders: "/admin/licences?plan=professional", Release: "People themselves", May: "no"},
	}
	return map[string]any{
		"ending": licencesPage{Tabs: sampleTabs, Plans: plans, Ending: sampleHolders, Days: 60},
		"none":   licencesPage{Tabs: sampleTabs, Plans: plans, Days: 60, Notice: "The plan is changed."},
	}
}

func userLicenceSamples() map[string]any {
	plan := page.Field{Name: "plan", Label: "Plan", Value: "pro", Options: []page.Option{{Value: "none", Text: "No licence"}, {Value: "pro", Text: "Professional Pro – 2 free"}}}
	p := userLicencePage{Tabs: sampleTabs, Name: "Ada Lovelace", Address: "ada@acme.example", Path: "/admin/users/00/licence", Back: "/admin/users/00",
		Licence: sampleLicence, Usage: sampleUsage, Plan: plan, Renewal: "no"}
	chosen, full, saved := p, p, p
	chosen.Chosen = &chosenLicence{Title: "Upgrade to the plan Pro", Plan: "pro", Mark: "0123456789abcdef", Effects: sampleEffects}
	full.Plan.Error = "All licences of this plan are in use."
	full.Form = page.Check(&full.Plan)
	saved.Notice, saved.Name, saved.Renewal = "The licence is changed.", "", "yes"
	return map[string]any{"as it is": p, "chosen": chosen, "full": full, "saved": saved}
}

func activitySamples() map[string]any {
	return map[string]any{
		"events": activityPage{Tabs: sampleTabs, Older: "/account/activity?before=7", First: "/account/activity", Rows: []activityRow{
			{At: sampleMoment, What: "Signed in", Network: "192.0.2.0/24", Reference: "ABCD-EFGH"},
			{At: sampleMoment, What: "Sign-in refused", Refused: true},
			{At: sampleMoment, What: "Profile changed", By: "An administrator"},
		}},
		"nothing": activityPage{Tabs: sampleTabs},
	}
}
