package web

import (
	"io/fs"
	"maps"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/portal"
)

// someone is a visitor who asks for no language.
func someone() *visit {
	set, err := page.New(files, page.Options{Locales: []fs.FS{files}})
	if err != nil {
		panic(err)
	}
	return &visit{site: &Site{pages: set}, r: httptest.NewRequest("GET", "/", nil)}
}

// samples are every page in every shape a person may meet, by page name and a
// word for the shape.
func samples() map[string]map[string]any {
	const who = "ada.lovelace@acme.example"
	v := someone()
	handle := "lJq3i0oA6d1Vw5m7y2Zk9QxB4nT8cRfE"
	email := func(value, wrong string) (page.Field, page.Form) {
		f := v.emailField(value).With(wrong)
		return f, page.Check(&f)
	}
	empty, emptyForm := email("", "")
	empty.Focus = true
	bad, badForm := email("ada.lovelace@acme", "The part after the @ is not a complete domain name.")
	bad.Focus = true

	password := func(wrong *discovery.Error) passwordPage {
		p := passwordPage{
			Portal: "Acme Corporation", Contact: "it@acme.example", Attempt: handle, Then: "/account", Address: who,
			Other: editPath(handle), Forgot: "/password/forgot", MayKeep: true,
			Password: page.Field{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password"},
		}
		p.Form = withProblem(wrong, &p.Password)
		return p
	}
	change := changePage{Attempt: handle, Address: who, Other: editPath(handle), Temporary: v.temporaryField(), New: v.newField(), Confirm: v.confirmField(), Rules: sampleRules}
	changeBad := change
	change.Form = withProblem(nil, &change.Temporary, &change.New, &change.Confirm)
	changeBad.Form = withProblem(&discovery.Error{Field: "temporary", Say: "That is not right. What you entered ends with a blank, which copying often adds: remove it and try again."},
		&changeBad.Temporary, &changeBad.New, &changeBad.Confirm)
	reset := resetPage{Portal: "Acme Corporation", Token: handle, New: v.newField(), Confirm: v.confirmField(), Rules: sampleRules}
	reset.Form = withProblem(nil, &reset.New, &reset.Confirm)
	old := accountPasswordPage{Address: who, Old: page.Field{Name: "old", Label: "Password you have now", Type: "password", Autocomplete: "current-password"},
		New: v.newField(), Confirm: v.confirmField(), Rules: sampleRules}
	old.Form = withProblem(&discovery.Error{Field: "confirm", Say: "This is not the same as the new password above."}, &old.Old, &old.New, &old.Confirm)
	invited := invitationPage{Portal: "Acme Corporation", Address: who, Jurisdiction: "EU", Token: handle,
		Temporary: v.temporaryField(), New: v.newField(), Confirm: v.confirmField(), MayKeep: true, Rules: sampleRules}
	invited.Form = withProblem(nil, &invited.Temporary, &invited.New, &invited.Confirm)
	at := momentOf(time.Date(2026, 11, 20, 18, 5, 0, 0, time.UTC))

	all := map[string]map[string]any{
		"address": {
			"empty":   addressPage{Form: emptyForm, Portal: "Acme Corporation", Email: empty},
			"wrong":   addressPage{Form: badForm, Portal: "Acme Corporation", Contact: "it@acme.example", Attempt: handle, Then: "/account", Email: bad},
			"refused": addressPage{Form: emptyForm, Portal: "Acme Corporation", Notice: portal.ErrTicket.Say, Reference: "K3XQ-7MTA", Email: empty},
		},
		"method": {"both": methodPage{Portal: "Umbrella", Address: who, Cloud: "/login/password", Domain: "/login/umbrella-oidc", Other: editPath(handle)}},
		"password": {
			"empty":     password(nil),
			"wrong":     password(&discovery.Error{Field: "password", Say: "The address or the password is not right."}),
			"throttled": password(&discovery.Error{Kind: discovery.TooMany, Say: "There were too many tries. Please wait a little and try again."}),
		},
		"forgot": {
			"empty":   forgotPage{Form: emptyForm, Email: empty},
			"refused": forgotPage{Form: emptyForm, Email: empty, Notice: portal.ErrLink.Say, Reference: "K3XQ-7MTA"},
		},
		"forgot_sent": {"any": forgotSentPage{Portal: "Acme Corporation", Address: who, Minutes: 30}},
		"reset":       {"empty": reset},
		"reset_done":  {"any": resetDonePage{}},
		"change":      {"empty": change, "wrong": changeBad},
		"invitation":  {"any": invited},
		"confirm":     {"any": confirmPage{Portal: "Acme Corporation", Connection: "Acme Entra ID", Address: who, Action: "/saml/acme-saml/confirm", Response: "PHNhbWw+"}},
		"post":        {"any": postPage{Action: "https://idp.example/sso", Request: "PHNhbWw+", State: handle}},
		"signout":     {"any": signoutPage{Portal: "Acme Corporation", Address: who}},
		"signedout": {
			"here":       signedoutPage{Portal: "Acme Corporation"},
			"provider":   signedoutPage{Portal: "Acme Corporation", EndSession: "https://idp.example/end"},
			"everywhere": signedoutPage{Portal: "Acme Corporation", Everywhere: true},
		},
		"home": {
			"named": homePage{Portal: "Acme Corporation", Host: "acme.eu.example.com", Name: "Ada", FullName: "Ada Lovelace", Address: who,
				Jurisdiction: "EU", Region: "Frankfurt", Method: "Your organisation’s own sign-in: Acme Entra ID (SAML)", Ends: at,
				Idle: "Earlier if you do not use it for an hour", Remember: "/remember"},
			"bare": homePage{Portal: "Acme Corporation", Host: "acme.eu.example.com", Address: who, Jurisdiction: "EU",
				Method: "Your password for this portal", Ends: at, Idle: "Earlier if you do not use it for an hour"},
		},
		"profile":           profileSamples(),
		"addresses":         addressesSamples(),
		"addresses_confirm": {"any": addressConfirmPage{Address: "ada@new.example", Account: who, Token: handle, Way: "Signs in with a portal password."}},
		"addresses_user":    addressesUserSamples(),
		"merge":             {"any": mergePage{Address: "ada@new.example", Account: who, Token: handle}},
		"merge_summary":     mergeSamples(),
		"activity":          activitySamples(),
		"invite":            inviteSamples(),
		"imports":           importsSamples(),
		"import":            importSamples(),
		"domains":           domainsSamples(),
		"notifications":     notificationsSamples(),
		"mails":             mailsSamples(),
		"mail_text":         mailTextSamples(),
		"policy":            policySamples(),
		"sessions":          sessionsSamples(),
		"connections":       connectionsSamples(),
		"move":              moveSamples(),
		"licence_release":   {"any": releasePage{Tabs: sampleTabs, Plan: "Professional", Mark: "0123456789abcdef", Effects: sampleEffects}},
		"licences":          licencesSamples(),
		"licence_holders":   {"any": holdersPage{Tabs: sampleTabs, Plan: "Professional", Holders: sampleHolders, Next: "/admin/licences?plan=professional&after=00"}, "nobody": holdersPage{Plan: "Pro"}},
		"user_licence":      userLicenceSamples(),
		"account_password":  {"wrong": old},
	}
	maps.Copy(all, securitySamples())
	maps.Copy(all, consoleSamples())
	maps.Copy(all, passkeySamples())
	maps.Copy(all, recoverySamples())
	return all
}

func TestTemplatesFitTheirStructs(t *testing.T) {
	set, err := page.New(files, page.Options{})
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]any{}
	for name, shapes := range samples() {
		for _, data := range shapes {
			structs[name] = data
		}
	}
	pagetest.Templates(t, set, structs)
}

func TestEveryPageIsAccessible(t *testing.T) {
	set, err := page.New(files, page.Options{FrontDoor: "https://signin.example"})
	if err != nil {
		t.Fatal(err)
	}
	for name, shapes := range samples() {
		for shape, data := range shapes {
			t.Run(name+"/"+shape, func(t *testing.T) {
				r := httptest.NewRequest("GET", "/", nil)
				r = r.WithContext(page.WithFrame(r.Context(), page.Frame{Site: "Acme Corporation", Jurisdiction: "EU"}))
				w := httptest.NewRecorder()
				if err := set.Render(w, r, 200, name, data); err != nil {
					t.Fatal(err)
				}
				p := pagetest.Parse(t, w.Body)
				pagetest.Accessible(t, p)
				for _, in := range p.All("input[type=password]") {
					if pagetest.Attr(in, "value") != "" || pagetest.Attr(in, "autocomplete") == "" {
						t.Errorf("password field %q: value or no autocomplete", pagetest.Attr(in, "name"))
					}
				}
			})
		}
	}
}
