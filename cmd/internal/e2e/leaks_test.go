package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/federation/idptest"
)

// What is marked, so that it is found wherever it ends up.
const (
	mark         = "zanzibar"
	markGiven    = "Zanzibargiven"
	markFamily   = "Zanzibarfamily"
	markTheirs   = "Zanzibar-their-password-4"
	markOwn      = "Zanzibar-own-password-5"
	markChanged  = "Zanzibar-new-password-6"
	markWrong    = "Zanzibar-wrong-password-7"
	clientSecret = "what-the-provider-gave-us"
)

// marked is the address of a marked person in a domain.
func marked(domain string) string { return mark + "." + strings.Split(domain, ".")[0] + "@" + domain }

// markedPeople are those that identity providers know.
func markedPeople() (people []idptest.User) {
	for _, domain := range []string{"acme.example", "globex.example", "umbrella.example"} {
		people = append(people, idptest.User{Address: marked(domain), Password: markTheirs, GivenName: markGiven, FamilyName: markFamily, Groups: []string{mark + "-group"}})
	}
	return people
}

// A crowd is everybody who was there, and what they were given.
type crowd struct {
	f        *fleet
	visitors []*visitor
	secrets  []string // temporary passwords and tokens of links
}

func (c *crowd) someone() *visitor {
	v := visit(c.f.t)
	c.visitors = append(c.visitors, v)
	return v
}

func (c *crowd) invited(r *region, portal, address string) string {
	temporary := r.invited(portal, address)
	c.secrets = append(c.secrets, temporary)
	return temporary
}

// held are all secrets that passed: those, and what browsers were given.
func (c *crowd) held() []string {
	held := slices.Clone(c.secrets)
	for _, v := range c.visitors {
		for _, s := range v.secrets {
			if len(s) >= 16 {
				held = append(held, s)
			}
		}
	}
	return held
}

// seen is all that the front door sent to browsers, and was asked for.
func (c *crowd) seen(t *testing.T, places map[string][]byte) {
	t.Helper()
	for _, v := range c.visitors {
		for _, s := range v.trail {
			if origin(s.url) == c.f.url {
				places["address "+s.url.String()] = []byte(s.url.RequestURI())
				var header bytes.Buffer
				if err := s.header.Write(&header); err != nil {
					t.Fatal(err)
				}
				places["headers of "+s.url.Path+": "+header.String()] = header.Bytes()
			}
			// A ticket leads from the front door to a portal, and is sealed.
			if s.url.Query().Has("ticket") {
				places["ticket "+s.url.RequestURI()] = []byte(s.url.RequestURI())
			}
		}
	}
}

// TestNothingLeaks: marked people do everything there is to do, and then all that
// the front door keeps, says and was asked is searched for them (N01); all that
// the regions log is searched for them too, and for every secret that passed.
// TestCanary does a part of it in a real browser; here nothing is hidden by one:
// each header and each address is looked at.
func TestNothingLeaks(t *testing.T) {
	f := ship(t, markedPeople()...).sail()
	c := &crowd{f: f}
	c.doEverything(t)

	// What the front door keeps and says, while it runs and after it.
	places := map[string][]byte{"its metrics": get(t, "http://"+f.probe+"/metrics")}
	f.keeps(t, places, "running: ")
	f.front.Stop()
	f.keeps(t, places, "stopped: ")
	places["its log"] = []byte(f.front.Printed())
	c.seen(t, places)
	search(t, places, append([]string{mark}, c.secrets...))

	// What the regions log: nobody, and nothing that opens anything.
	logs := map[string][]byte{}
	for _, r := range []*region{f.eu, f.us} {
		logs["metrics of "+r.name] = get(t, "http://"+planttest.Loopback(r.probe)+"/metrics")
		r.Stop()
		logs["log of "+r.name] = []byte(r.Printed())
	}
	logs["log of the front door"] = []byte(f.front.Printed())
	marks := append(c.held(), mark, clientSecret, "<Assertion", "<saml", "eyJhbGciOi", "eyJ0eXAiOi", "eyJraWQiOi", "PHNhbWw", planttest.PublicKey(f.t, f.path("us-east", "data.key")))
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

// doEverything leads marked people through all there is.
func (c *crowd) doEverything(t *testing.T) {
	t.Helper()
	f := c.f
	amy, guy, una := marked("acme.example"), marked("globex.example"), marked("umbrella.example")
	ike := marked("initech.example")

	// Everybody's way in.
	c.someone().open(f.url+"/").enter(amy).atSAML(f, markTheirs).home(f.acme, amy, "EU")
	c.someone().open(f.url+"/").enter(guy).atOpenID(f, markTheirs).home(f.globex, guy, "US")
	c.someone().open(f.url+"/").enter(una).click("Domain").atSAML(f, markTheirs).home(f.umbrella, una, "EU")
	temporary := c.invited(f.us, "initech", ike)
	ikes := c.someone().open(f.url + "/").enter(ike)
	ikes.submit("Sign in", "password", markWrong).sees(http.StatusForbidden)
	ikes.firstTime(temporary, markOwn).home(f.initech, ike, "US")
	ikes.click("Remember this portal").at(f.url, "/remember").submit("Yes, remember it")
	ikes.open(f.url+"/").sees(http.StatusOK, "Continue to Initech")
	ikes.submit("Forget")

	c.twoPortals(t)

	// Forgotten, and a link used twice.
	forgetful := c.someone().open(f.initech + "/password/forgot")
	forgetful.submit("Send the link", "email", ike).sees(http.StatusOK)
	reset := letter{text: f.smtp.Letter(t, ike, "new password")}.links()[0]
	forgetful.open(reset).submit("Save the new password", "new", markChanged, "confirm", markChanged)
	c.someone().open(reset).sees(http.StatusForbidden)
	c.someone().open(f.url+"/").enter(ike).submit("Sign in", "password", markChanged).home(f.initech, ike, "US")
	c.token(t, reset)

	c.refusals(t)
	f.us.do("account", "disable", ike, "--portal", "initech")
	c.someone().open(f.initech+"/").enter(ike).submit("Sign in", "password", markChanged).sees(http.StatusForbidden)
	f.us.do("account", "disable", marked("elsewhere.example"), "--portal", "initech")
	f.knows(marked("elsewhere.example"), "acme")
}

// token notes the token of a link as a secret.
func (c *crowd) token(t *testing.T, link string) {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	c.secrets = append(c.secrets, u.Query().Get("token"))
}

// twoPortals: invited to two portals, in at one by the link of the mail, and the
// chooser.
func (c *crowd) twoPortals(t *testing.T) {
	t.Helper()
	f, eve := c.f, marked("elsewhere.example")
	temporary := c.invited(f.us, "initech", eve)
	c.invited(f.eu, "acme", eve)
	planttest.Until(t, "the chooser", func() bool {
		ids, err := f.discover(eve)
		return err == nil && len(ids) == 2
	})
	links := letter{text: f.smtp.Letter(t, eve, "invited")}.links()
	link := links[slices.IndexFunc(links, func(l string) bool { return strings.Contains(l, "/invitation?token=") })]
	if !strings.HasPrefix(link, f.initech) {
		t.Fatalf("the first invitation leads to %s", link)
	}
	eves := c.someone().open(link)
	eves.submit("Save and sign in", "temporary", temporary, "new", markOwn, "confirm", markOwn).home(f.initech, eve, "US")
	c.someone().open(f.url+"/").enter(eve).submit("Initech").at(f.initech, "/login/password")
	c.token(t, link)
}

// refusals: at the front door, at the portals and at the identity providers.
func (c *crowd) refusals(t *testing.T) {
	t.Helper()
	f, amy := c.f, marked("acme.example")
	for _, typed := range []string{marked("nowhere.example"), mark + " @", mark + "@" + mark + ".", strings.Repeat(mark, 60) + "@x.example", mark + "@xn--" + mark, "\"" + mark + "\"@x.example"} {
		c.someone().open(f.url + "/").enter(typed)
		f.question(t, typed)
	}
	lost := c.someone()
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
	c.someone().open(f.acme+"/").enter(marked("nowhere.example")).submit("Sign in", "password", markWrong)
	c.someone().open(f.acme + "/").enter(amy).submit("Cancel").submit("Continue").sees(http.StatusForbidden)
}

// keeps reads all files of the front door and the catalogue, as they are on disk.
func (f *fleet) keeps(t *testing.T, places map[string][]byte, when string) {
	t.Helper()
	for _, root := range []string{f.path("front"), f.path("catalogue")} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a file that was being replaced when the folder was listed
			}
			places[when+path] = data
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"directory.db", "kept/regions", "kept/directory"} {
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
