package portal_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func code(err error) string {
	var e *discovery.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	}
	return err.Error()
}

func TestLocalPath(t *testing.T) {
	for in, want := range map[string]string{
		"/":                             "/",
		"/inbox?m=1&x=%2F":              "/inbox?m=1&x=%2F",
		"/admin/users":                  "/admin/users",
		"/loginpage":                    "/loginpage",
		"":                              "/",
		"inbox":                         "/",
		"//evil.example":                "/",
		"/\\evil.example":               "/",
		"/\t/evil.example":              "/",
		"/a\r\nSet-Cookie: x":           "/",
		"https://evil.example/":         "/",
		"javascript:alert(1)":           "/",
		"/#":                            "/",
		"/a#b":                          "/",
		"/%zz":                          "/",
		"/%2f%2fevil.example":           "/",
		"/x/é":                          "/",
		"/login":                        "/",
		"/login?return=/":               "/",
		"/logout":                       "/",
		"/saml/acme/acs":                "/",
		"/oidc/acme/callback":           "/",
		"/" + strings.Repeat("a", 3000): "/",
	} {
		if got := portal.LocalPath(in); got != want {
			t.Errorf("%.40q: %q, want %q", in, got, want)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	f.Add("/a?b=c")
	f.Add("//evil")
	f.Fuzz(func(t *testing.T, s string) {
		got := portal.LocalPath(s)
		if got == "" || got[0] != '/' || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t #") {
			t.Errorf("%q became %q", s, got)
		}
		if portal.LocalPath(got) != got {
			t.Errorf("%q is not stable", got)
		}
	})
}

func TestCandidates(t *testing.T) {
	want := []string{"a.b.example", "*.b.example", "*.example"}
	if diff := cmp.Diff(want, portal.Candidates("a.b.example")); diff != "" {
		t.Error(diff)
	}
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.77":        "192.0.2.0/24",
		"::ffff:192.0.2.77": "192.0.2.0/24",
		"2001:db8:1:2:3::4": "2001:db8:1::/48",
		"fe80::1%eth0":      "fe80::/48",
		"":                  "",
	} {
		a, _ := netip.ParseAddr(in)
		if got := portal.Network(a); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPortalCheck(t *testing.T) {
	good := portal.Portal{ID: "acme", Name: "Acme", URL: "https://acme.eu.example.com"}
	for name, test := range map[string]struct {
		change func(*portal.Portal)
		want   string
	}{
		"good":           {func(*portal.Portal) {}, ""},
		"a port":         {func(p *portal.Portal) { p.URL += ":8443" }, ""},
		"the demo":       {func(p *portal.Portal) { p.URL = "http://acme.eu.localhost:8080" }, ""},
		"plain http":     {func(p *portal.Portal) { p.URL = "http://acme.eu.example.com" }, "portal_url"},
		"a path":         {func(p *portal.Portal) { p.URL += "/x" }, "portal_url"},
		"a slash":        {func(p *portal.Portal) { p.URL += "/" }, "portal_url"},
		"a user":         {func(p *portal.Portal) { p.URL = "https://u@acme.example" }, "portal_url"},
		"capitals":       {func(p *portal.Portal) { p.URL = "https://ACME.example" }, "portal_url"},
		"not localhost":  {func(p *portal.Portal) { p.URL = "http://evillocalhost" }, "portal_url"},
		"javascript":     {func(p *portal.Portal) { p.URL = "javascript:x" }, "portal_url"},
		"id":             {func(p *portal.Portal) { p.ID = "Acme" }, "portal_id"},
		"id with a dash": {func(p *portal.Portal) { p.ID = "-acme" }, "portal_id"},
		"id too long":    {func(p *portal.Portal) { p.ID = strings.Repeat("a", 41) }, "portal_id"},
		"no name":        {func(p *portal.Portal) { p.Name = " " }, "portal_name"},
		"name too long":  {func(p *portal.Portal) { p.Name = strings.Repeat("a", 121) }, "portal_name"},
		"name turned":    {func(p *portal.Portal) { p.Name = "Acme\u202e" }, "portal_name"},
		"numbers":        {func(p *portal.Portal) { p.URL = "https://192.0.2.7" }, "portal_url"},
		"usual port":     {func(p *portal.Portal) { p.URL += ":443" }, "portal_url"},
		"underscore":     {func(p *portal.Portal) { p.URL = "https://acme_eu.example.com" }, "portal_url"},
		"disclosure":     {func(p *portal.Portal) { p.Disclosure = "public" }, "portal_disclosure"},
	} {
		p := good
		test.change(&p)
		if _, err := portal.CheckPortal(p); code(err) != test.want {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// A connection's name stands in /login/{connection}, beside pages of ours.
func TestConnectionNames(t *testing.T) {
	p := portal.Portal{ID: "acme", Name: "Acme", URL: "https://acme.eu.example.com"}
	for name, want := range map[string]string{
		"acme-saml": "", "password-2": "", "password": "connection_id", "method": "connection_id", "Acme": "connection_id", "": "connection_id",
	} {
		c := federation.Connection{ID: name, Portal: p.ID, Kind: federation.SAML, SAML: &federation.SAMLSettings{}}
		if _, err := portal.FixConnection(p, c, nil); code(err) != want {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}

func TestArrival(t *testing.T) {
	ada, err := discovery.ParseAddress("ada@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	old, err := discovery.ParseAddress("old@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	holder := &portal.Account{ID: "holder", Status: portal.Active, Primary: ada}
	linked := &portal.Account{ID: "linked", Status: portal.Active, Primary: old}
	disabled := &portal.Account{ID: "disabled", Status: portal.Disabled, Primary: ada}
	base := portal.Arrival{
		Identity: federation.Identity{Connection: "c", Issuer: "i", Subject: "s", EmailVerified: true},
		Address:  ada, Known: true,
		Domain: portal.Domain{Name: "acme.example", Connection: "c", JIT: true, Proven: noon},
	}
	for name, test := range map[string]struct {
		change func(*portal.Arrival)
		want   portal.Verdict
		code   string
	}{
		"just in time":           {func(*portal.Arrival) {}, portal.Verdict{Link: true}, ""},
		"no just in time":        {func(a *portal.Arrival) { a.Domain.JIT = false }, portal.Verdict{}, "not_invited"},
		"known":                  {func(a *portal.Arrival) { a.Linked, a.Holder = holder, holder }, portal.Verdict{Account: holder}, ""},
		"known, unverified":      {func(a *portal.Arrival) { a.Linked, a.Holder, a.Identity.EmailVerified = holder, holder, false }, portal.Verdict{Account: holder}, ""},
		"known, disabled":        {func(a *portal.Arrival) { a.Linked = disabled }, portal.Verdict{}, "account_disabled"},
		"known, address is new":  {func(a *portal.Arrival) { a.Linked = linked }, portal.Verdict{Account: linked, Adopt: true}, ""},
		"known, address is not":  {func(a *portal.Arrival) { a.Linked, a.Holder = linked, holder }, portal.Verdict{Account: linked}, ""},
		"known, new, unverified": {func(a *portal.Arrival) { a.Linked, a.Identity.EmailVerified = linked, false }, portal.Verdict{Account: linked}, ""},
		"known, unproven domain": {func(a *portal.Arrival) { a.Linked, a.Known = holder, false }, portal.Verdict{}, "domain_not_proven"},
		"proof is missing":       {func(a *portal.Arrival) { a.Domain.Proven = time.Time{} }, portal.Verdict{}, "domain_not_proven"},
		"other connection":       {func(a *portal.Arrival) { a.Domain.Connection = "d" }, portal.Verdict{}, "domain_other_connection"},
		"no connection":          {func(a *portal.Arrival) { a.Domain.Connection, a.Identity.Connection = "", "" }, portal.Verdict{}, "domain_other_connection"},
		"no address":             {func(a *portal.Arrival) { a.Address = discovery.Address{} }, portal.Verdict{}, "email_missing"},
		"unverified":             {func(a *portal.Arrival) { a.Identity.EmailVerified = false }, portal.Verdict{}, "email_unverified"},
		"holder, proven":         {func(a *portal.Arrival) { a.Holder, a.HolderProven = holder, true }, portal.Verdict{Account: holder, Link: true}, ""},
		"holder, never proven":   {func(a *portal.Arrival) { a.Holder = holder }, portal.Verdict{Account: holder, Link: true, Wipe: true}, ""},
		"holder, other subject":  {func(a *portal.Arrival) { a.Holder, a.HolderProven, a.HolderOther = holder, true, true }, portal.Verdict{}, "subject_changed"},
		"holder, disabled":       {func(a *portal.Arrival) { a.Holder = disabled }, portal.Verdict{}, "account_disabled"},
	} {
		a := base
		test.change(&a)
		got, err := a.Decide()
		if code(err) != test.code || got != test.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestTokenUsable(t *testing.T) {
	good := portal.Token{Purpose: portal.ForReset, Expires: noon.Add(time.Minute)}
	used, invitation := good, good
	used.Used, invitation.Purpose = noon, portal.ForInvitation
	for name, test := range map[string]struct {
		token portal.Token
		now   time.Time
		want  string
	}{
		"good":          {good, noon, ""},
		"at its end":    {good, noon.Add(time.Minute), "link_refused"},
		"used":          {used, noon, "link_refused"},
		"other purpose": {invitation, noon, "link_refused"},
		"zero":          {portal.Token{}, noon, "link_refused"},
	} {
		if got := code(test.token.Usable(portal.ForReset, test.now)); got != test.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestSessionRules(t *testing.T) {
	start := func(kept bool, end time.Time) portal.Session {
		return portal.Lifetimes{}.NewSession(portal.Session{Kept: kept, Account: portal.Account{Status: portal.Active, Generation: 3}}, noon, end)
	}
	plain := start(false, time.Time{})
	for name, test := range map[string]struct {
		session    portal.Session
		generation int64
		after      time.Duration
		live       bool
	}{
		"new":                   {plain, 3, 0, true},
		"idle":                  {plain, 3, portal.SessionIdle, false},
		"older generation":      {plain, 2, 0, false},
		"clock set back":        {plain, 3, -time.Hour, false},
		"kept":                  {start(true, time.Time{}), 3, portal.KeptIdle - 1, true},
		"kept, idle":            {start(true, time.Time{}), 3, portal.KeptIdle, false},
		"the IdP's end":         {start(true, noon.Add(time.Minute)), 3, time.Minute, false},
		"the IdP's end is late": {start(false, noon.Add(48*time.Hour)), 3, portal.SessionIdle, false},
	} {
		if err := test.session.Live(test.generation, noon.Add(test.after)); (err == nil) != test.live {
			t.Errorf("%s: %v", name, err)
		}
	}
	touched, note := (portal.Lifetimes{}).Touch(plain, noon.Add(30*time.Minute))
	if !note || !touched.Idle.Equal(noon.Add(90*time.Minute)) {
		t.Errorf("touched: %+v %t", touched, note)
	}
	if _, note := (portal.Lifetimes{}).Touch(plain, noon.Add(time.Second)); note {
		t.Error("every use is written down")
	}
	if touched, _ := (portal.Lifetimes{}).Touch(plain, noon.Add(portal.SessionAbsolute-time.Minute)); touched.Idle.After(plain.Absolute) {
		t.Error("idle beyond absolute")
	}
}

func TestPersonName(t *testing.T) {
	for in, want := range map[string]string{
		"Ada":                    "Ada",
		"  Ada \r\n Bcc: x ":     "Ada Bcc: x",
		"A\u202eda":              "A da",
		"A\xffda":                "Ada",
		strings.Repeat("ä", 300): strings.Repeat("ä", 100),
		"O'Hara <script>":        "O'Hara <script>",
	} {
		if got := portal.PersonName(in); got != want {
			t.Errorf("%.20q: %q", in, got)
		}
	}
}
