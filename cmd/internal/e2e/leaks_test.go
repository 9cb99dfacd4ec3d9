package e2e

import (
	"bytes"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/federation/idptest"
)

// TestNothingLeaks: marked people do everything there is to do, and then all that
// the front door keeps, says and was asked is searched for them (N01); all that
// the regions log is searched for them too, and for every secret that passed.
// TestCanary does a part of it in a real browser; here nothing is hidden by one:
// each header and each address is looked at.
func TestNothingLeaks(t *testing.T) {
	const (
		mark    = "zanzibar"
		given   = "Zanzibargiven"
		family  = "Zanzibarfamily"
		theirs  = "Zanzibar-their-password-4"
		own     = "Zanzibar-own-password-5"
		changed = "Zanzibar-new-password-6"
		wrong   = "Zanzibar-wrong-password-7"
	)
	at := func(domain string) string { return mark + "." + strings.Split(domain, ".")[0] + "@" + domain }
	person := func(address string) idptest.User {
		return idptest.User{Address: address, Password: theirs, GivenName: given, FamilyName: family, Groups: []string{mark + "-group"}}
	}
	amy, guy, una := at("acme.example"), at("globex.example"), at("umbrella.example")
	ike, eve := at("initech.example"), at("elsewhere.example")
	f := ship(t, person(amy), person(guy), person(una)).sail()
	var crowd []*visitor
	someone := func() *visitor {
		v := visit(t)
		crowd = append(crowd, v)
		return v
	}
	var secrets []string
	invited := func(r *region, portal, address string) string {
		temporary := r.invited(portal, address)
		secrets = append(secrets, temporary)
		return temporary
	}

	// Everybody's way in.
	someone().open(f.url+"/").enter(amy).atSAML(f, theirs).home(f.acme, amy, "EU")
	someone().open(f.url+"/").enter(guy).atOpenID(f, theirs).home(f.globex, guy, "US")
	someone().open(f.url+"/").enter(una).click("Domain").atSAML(f, theirs).home(f.umbrella, una, "EU")
	temporary := invited(f.us, "initech", ike)
	ikes := someone().open(f.url + "/").enter(ike)
	ikes.submit("Sign in", "password", wrong).sees(http.StatusForbidden)
	ikes.firstTime(temporary, own).home(f.initech, ike, "US")
	ikes.click("Remember this portal").at(f.url, "/remember").submit("Yes, remember it")
	ikes.open(f.url+"/").sees(http.StatusOK, "Continue to Initech")
	ikes.submit("Forget")

	// Invited to two portals, in at one by the link of the mail: the chooser.
	temporary = invited(f.us, "initech", eve)
	invited(f.eu, "acme", eve)
	until(t, "the chooser", func() bool {
		ids, err := f.discover(eve)
		return err == nil && len(ids) == 2
	})
	links := f.smtp.letter(t, eve, "invited").links()
	link := links[slices.IndexFunc(links, func(l string) bool { return strings.Contains(l, "/invitation?token=") })]
	if !strings.HasPrefix(link, f.initech) {
		t.Fatalf("the first invitation leads to %s", link)
	}
	eves := someone().open(link)
	eves.submit("Save and sign in", "temporary", temporary, "new", own, "confirm", own).home(f.initech, eve, "US")
	someone().open(f.url+"/").enter(eve).submit("Initech").at(f.initech, "/login/password")

	// Forgotten, and a link used twice.
	forgetful := someone().open(f.initech + "/password/forgot")
	forgetful.submit("Send the link", "email", ike).sees(http.StatusOK)
	reset := f.smtp.letter(t, ike, "new password").links()[0]
	forgetful.open(reset).submit("Save the new password", "new", changed, "confirm", changed)
	someone().open(reset).sees(http.StatusForbidden)
	someone().open(f.url+"/").enter(ike).submit("Sign in", "password", changed).home(f.initech, ike, "US")

	// Refusals, at the front door, at the portals and at the identity providers.
	for _, typed := range []string{at("nowhere.example"), mark + " @", mark + "@" + mark + ".", strings.Repeat(mark, 60) + "@x.example", mark + "@xn--" + mark, "\"" + mark + "\"@x.example"} {
		someone().open(f.url + "/").enter(typed)
		f.question(t, typed)
	}
	lost := someone()
	for _, to := range []string{"/?email=" + url.QueryEscape(amy), "/" + mark, "/v1/discover?email=" + mark, "/.well-known/webfinger?resource=acct:" + url.QueryEscape(amy), "/remember?proof=" + mark} {
		lost.exchange(lost.request(http.MethodGet, f.url+to, nil), "")
		lost.trail = nil // what a person types into the address bar is not ours
	}
	r := lost.request(http.MethodPost, f.url+"/", url.Values{"email": {amy}, mark: {mark}})
	r.Header.Set("Referer", f.url+"/?"+mark)
	r.Header.Set("X-Forwarded-For", mark)
	r.Header.Set("User-Agent", mark)
	if err := lost.exchange(r, f.url); err != nil {
		t.Fatal(err)
	}
	someone().open(f.acme+"/").enter(at("nowhere.example")).submit("Sign in", "password", wrong)
	someone().open(f.acme + "/").enter(amy).submit("Cancel").submit("Continue").sees(http.StatusForbidden)
	f.us.do("account", "disable", ike, "--portal", "initech")
	someone().open(f.initech+"/").enter(ike).submit("Sign in", "password", changed).sees(http.StatusForbidden)
	f.us.do("account", "disable", eve, "--portal", "initech")
	f.knows(eve, "acme")

	// What the front door keeps and says, while it runs and after it.
	places := map[string][]byte{"its metrics": get(t, "http://"+f.probe+"/metrics")}
	f.keeps(t, places, "running: ")
	f.front.stop()
	f.keeps(t, places, "stopped: ")
	places["its log"] = []byte(f.front.printed())
	for _, v := range crowd {
		for _, s := range v.trail {
			if origin(s.url) == f.url {
				places["address "+s.url.String()] = []byte(s.url.RequestURI())
				var header bytes.Buffer
				if err := s.header.Write(&header); err != nil {
					t.Fatal(err)
				}
				places["headers of "+s.url.Path+": "+header.String()] = header.Bytes()
			}
		}
		// A ticket leads from the front door to a portal, and is sealed.
		for _, s := range v.trail {
			if s.url.Query().Has("ticket") {
				places["ticket "+s.url.RequestURI()] = []byte(s.url.RequestURI())
			}
		}
	}
	marks := append([]string{mark, temporary}, secrets...)
	search(t, places, marks)

	// What the regions log: nobody, and nothing that opens anything.
	for _, v := range crowd {
		for _, s := range v.secrets {
			if len(s) >= 16 {
				marks = append(marks, s)
			}
		}
	}
	for _, l := range []string{link, reset} {
		u, err := url.Parse(l)
		if err != nil {
			t.Fatal(err)
		}
		marks = append(marks, u.Query().Get("token"))
	}
	logs := map[string][]byte{}
	for _, r := range []*region{f.eu, f.us} {
		logs["metrics of "+r.name] = get(t, "http://"+loopback(r.probe)+"/metrics")
		r.stop()
		logs["log of "+r.name] = []byte(r.printed())
	}
	logs["log of the front door"] = []byte(f.front.printed())
	marks = append(marks, "what-the-provider-gave-us", "<Assertion", "<saml", "eyJ", "PHNhbWw", f.publicKey("us-east", "data.key"))
	search(t, logs, marks)

	// The search finds what is there: the region knows its people, and the front
	// door knows the domain.
	if !holds(t, f.path("eu-central"), mark) {
		t.Error("not even the region's own database holds the person")
	}
	if !holds(t, f.path("front"), "acme.example") {
		t.Error("not even the domain is in the front door's database")
	}
}

// keeps reads all files of the front door and the catalogue, as they are on disk.
func (f *fleet) keeps(t *testing.T, places map[string][]byte, when string) {
	t.Helper()
	seen := 0
	for _, root := range []string{f.path("front"), f.path("catalogue")} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			seen++
			places[when+path], err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"directory.db", "last-good"} {
		if len(places[when+f.path("front", name)]) == 0 {
			t.Errorf("%sthe front door keeps no %s", when, name)
		}
	}
	if when == "running: " && len(places[when+f.path("front", "directory.db-wal")]) == 0 {
		t.Error("there is no write-ahead log to search")
	}
}

// search looks for every form of every mark in every place.
func search(t *testing.T, places map[string][]byte, marks []string) {
	t.Helper()
	wanted := map[string]string{}
	for _, mark := range marks {
		for _, form := range forms(mark) {
			wanted[strings.ToLower(form)] = mark
		}
	}
	for place, text := range places {
		text = bytes.ToLower(text)
		for form, mark := range wanted {
			if at := bytes.Index(text, []byte(form)); at >= 0 {
				t.Errorf("%s holds %q, a form of %q: …%s…", place, form, mark, text[max(0, at-80):min(len(text), at+80)])
			}
		}
	}
}

// holds reports whether any file in a folder has the text.
func holds(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found = found || bytes.Contains(data, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
