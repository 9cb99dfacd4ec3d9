package web

import (
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

const sampleHandle = "lJq3i0oA6d1Vw5m7y2Zk9QxB4nT8cRfE"

func factorSamples() map[string]any {
	code := func(wrong *discovery.Error) (*page.Field, page.Form) {
		f := page.Field{Name: "code", Label: "Code", Type: "text", Autocomplete: "one-time-code", InputMode: "numeric"}
		form := withProblem(wrong, &f)
		return &f, form
	}
	app := factorPage{Attempt: sampleHandle, Then: "/inbox", Address: "ada@acme.example", Other: editPath(sampleHandle), Way: "totp", TrustDays: 30,
		Lead: "Open your authenticator app and enter the six digits it shows for Acme Corporation.", Recovery: "/login/recovery?attempt=" + sampleHandle,
		Ways: []wayLine{{"/login/passkey", "Use a passkey"}, {"/login/factor?way=code", "Use a recovery code"}}}
	wrong, phone, sent, proof := app, app, app, app
	app.Code, app.Form = code(nil)
	wrong.Trust = true
	wrong.Code, wrong.Form = code(portal.ErrFactorCode)
	phone.Way, phone.Lead, phone.Phones = "sms", "We send a code to your telephone.", []phoneLine{{"0", "•••• 89"}, {"1", "•••• 12"}}
	sent.Way, sent.Sent, sent.Phones = "sms", true, phone.Phones
	sent.Code, sent.Form = code(nil)
	proof.Proof, proof.TrustDays, proof.Other = true, 0, ""
	proof.Code, proof.Form = code(nil)
	return map[string]any{"app": app, "wrong": wrong, "phone": phone, "sent": sent, "proof": proof}
}

func totpSamples() map[string]any {
	secret := portal.Secret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
	p := totpPage{setUpPage: setUpPage{Tabs: sampleTabs, Action: "/account/security/totp", Back: "/account/security"},
		Code: page.Field{Name: "code", Label: "Code", Type: "text", Autocomplete: "one-time-code", InputMode: "numeric"},
		Name: page.Field{Name: "name", Label: "Name of the device", Type: "text", Optional: true, Autocomplete: "off", Hint: "Such as “Telephone”."}}
	begin, wrong := p, p
	p.QR, _ = newQRCode("otpauth://totp/Acme%20Corporation:ada@acme.example?algorithm=SHA1&digits=6&issuer=Acme%20Corporation&period=30&secret=" + secret)
	p.Key, wrong.QR, wrong.Key = portal.InGroups(secret).Clear(), p.QR, portal.InGroups(secret).Clear()
	p.Form = withProblem(nil, &p.Code, &p.Name)
	wrong.Form = withProblem(portal.ErrFactorShape, &wrong.Code, &wrong.Name)
	in := p
	in.setUpPage = setUpPage{Action: "/login/enrol", Attempt: sampleHandle, Then: "/inbox", Way: "totp", Back: "/login/enrol"}
	return map[string]any{"begin": begin, "key": p, "wrong": wrong, "on the way in": in}
}

func smsSamples() map[string]any {
	p := smsPage{setUpPage: setUpPage{Tabs: sampleTabs, Action: "/account/security/sms", Back: "/account/security"},
		Cell: page.Field{Name: "cell", Label: "Cell number", Type: "tel", Autocomplete: "tel", Hint: "With the country code."},
		Name: page.Field{Name: "name", Label: "Name of the device", Type: "text", Optional: true, Autocomplete: "off"},
		Code: page.Field{Name: "code", Label: "Code", Type: "text", Autocomplete: "one-time-code", InputMode: "numeric"}}
	sent := p
	p.Form = withProblem(nil, &p.Cell, &p.Name)
	sent.Sent, sent.Form = "+41 79 123 45 67", withProblem(portal.ErrTextCode, &sent.Code)
	return map[string]any{"begin": p, "sent": sent}
}

var sampleFactors = []factorLine{{ID: "0", Kind: "Authenticator app", Name: "Telephone", Added: sampleMoment, Used: sampleMoment}, {ID: "1", Kind: "Passkey", Added: sampleMoment}}

// securitySamples are the pages of the second step, of the security tab and of its
// part in the console, by page name and a word for the shape.
func securitySamples() map[string]map[string]any {
	password := page.Field{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password"}
	both := accountConfirmPage{Address: "uma@umbrella.example", Then: "/account/security/totp", Password: &password, Domain: "Umbrella Keycloak", Passkey: true}
	both.Form = withProblem(nil, both.Password)
	tab := securityPage{Tabs: sampleTabs, Ways: []string{"Domain: your organisation’s own sign-in (Keycloak)", "Cloud: your password for this portal"}, Password: true,
		Factors: sampleFactors, Codes: 9, Trusted: 2, TrustDays: 30, Texts: true, Notice: "Your account has a new second factor."}
	bare, demanded := securityPage{Tabs: sampleTabs}, securityPage{Tabs: sampleTabs, Demanded: true, Form: withProblem(portal.ErrFactorsMany)}
	console := userSecurityPage{Tabs: sampleTabs, Name: "Ada Lovelace", Path: "/admin/users/0/security", Back: "/admin/users/0", Ways: tab.Ways,
		Factors: []factorLine{{ID: "0", Kind: "Authenticator app", Added: sampleMoment}}, Codes: 1, Trusted: 1, Password: true, May: true, Notice: "Done."}
	higher := userSecurityPage{Tabs: sampleTabs, Name: "Olga Owner", Back: "/admin/users/0", Why: "An owner can do that.", Demanded: true}
	return map[string]map[string]any{
		"factor": factorSamples(), "totp": totpSamples(), "sms": smsSamples(),
		"enrol": {"any": enrolPage{Portal: "Acme Corporation", Attempt: sampleHandle, Then: "/inbox", Address: "ada@acme.example", Other: editPath(sampleHandle),
			Ways: []wayLine{{"/login/enrol?way=totp", "An authenticator app"}, {"/login/passkey", "A passkey"}}}},
		"account_confirm": {"both": both, "domain": accountConfirmPage{Address: "ada@acme.example", Domain: "Acme Entra ID", Notice: "What you sent was not saved.", Reference: "K3XQ-7MTA"}},
		"security":        {"all": tab, "none": bare, "demanded": demanded},
		"factor_remove": {"last": removePage{Tabs: sampleTabs, Factor: "0", What: "Authenticator app: Telephone", Last: true},
			"one of two": removePage{Tabs: sampleTabs, Factor: "0", What: "Passkey"}},
		"codes": {"drawn": codesPage{Tabs: sampleTabs, Portal: "Acme Corporation", Left: 10, Date: "20 November 2026", Codes: []string{"3f7k-9q2m-x4tz-0abc", "0000-1111-2222-3333"}},
			"left": codesPage{Tabs: sampleTabs, Left: 3, Date: "20 November 2026"}, "too early": codesPage{Tabs: sampleTabs, Early: true, Form: withProblem(portal.ErrNoFactorYet)}},
		"code_used":     {"some": codeUsedPage{Left: 9, Then: "/"}, "last": codeUsedPage{Then: "/"}},
		"user_security": {"may": console, "higher": higher},
	}
}
