package web

import (
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

func sampleAddresses() []addressRow {
	return []addressRow{
		{Address: "ada.lovelace@acme.example", Badge: "Primary", Tone: "good", Licensed: true, Primary: true, Way: "Signs in with a portal password."},
		{Address: "ada@acme.example", Badge: "Confirmed", Way: "Signs in with a portal password."},
		{Address: "ada@new.example", Badge: "Pending", Tone: "warn", Pending: true, Note: "Can be confirmed until 21 November 2026, 14:00 UTC.", Way: "Signs in with a portal password."},
		{Address: "ada@old.example", Badge: "Pending", Tone: "off", Pending: true, Note: "The link is too old. Send the confirmation again.", Way: "Signs in with a portal password."},
	}
}

func sampleAddressField(wrong string) page.Field {
	return page.Field{Name: "email", Label: "New address", Type: "email", Autocomplete: "off"}.With(wrong)
}

func addressTabs() []tab {
	return []tab{{Name: "Licence and profile", Path: "/account/profile"}, {Name: "Addresses", Path: "/account/addresses", Current: true}}
}

func addressesSamples() map[string]any {
	list := addressesPage{Tabs: addressTabs(), Notice: "A confirmation was sent to ada@new.example.", Addresses: sampleAddresses(), Email: sampleAddressField(""), Hours: 24}
	wrong := list
	wrong.Notice, wrong.Email = "", sampleAddressField("This is one of your addresses already.")
	wrong.Form = page.Check(&wrong.Email)
	guest := list
	guest.Why = "Adding addresses needs a professional licence. Ask your administrator for one, or to add the address for you."
	return map[string]any{"list": list, "wrong": wrong, "guest": guest}
}

func addressesUserSamples() map[string]any {
	list := addressesUserPage{Tabs: addressTabs(), Name: "Ada Lovelace", Path: "/admin/users/0/addresses", User: "/admin/users/0", Addresses: sampleAddresses(), Email: sampleAddressField(""), Hours: 24}
	merged := list
	merged.Merged, merged.Addresses = true, sampleAddresses()[:1]
	return map[string]any{"list": list, "merged": merged}
}

func mergeSamples() map[string]any {
	p := mergeSummaryPage{Keep: "ada@acme.example", Gone: "ada@old.example", Addresses: []string{"ada@acme.example", "ada@old.example"},
		Lines: []mergeLine{{"role", "Role", "Member"}, {"licence", "Licence", "Professional stays."}}, Token: "token", Attempt: "attempt", Mark: "mark"}
	wrong := p
	wrong.Form = withProblem(&discovery.Error{Say: portal.ErrMergeChanged.Say})
	return map[string]any{"summary": p, "changed": wrong}
}
