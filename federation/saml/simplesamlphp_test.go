package saml_test

import (
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/saml"
)

var input = regexp.MustCompile(`<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"`)

// An identity provider that none of us wrote signs somebody in: our metadata
// and signed request are understood there, its metadata and answer here.
func TestSimpleSAMLphp(t *testing.T) {
	person := servertest.Person{Email: "ada@acme.example", Password: "correct horse", GivenName: "Ada", FamilyName: "Lovelace"}
	idp := servertest.SimpleSAMLphp(t, []servertest.Person{person})
	now := time.Now()
	res, err := http.Get(idp.MetadataURL)
	doc := body(t, res, err)
	if _, err := saml.ParseMetadata([]byte(doc), "", now); err == nil {
		t.Error("an IdP on plain http was imported without asking for it")
	}
	settings, err := saml.ParseMetadata([]byte(doc), idp.EntityID, now, saml.DangerouslyAllowLoopback())
	if err != nil {
		t.Fatal(err)
	}
	settings.EntityID, settings.ACS = entityID, acs
	_, pair := keys()
	connection := federation.Connection{ID: "acme", Kind: federation.SAML, SAML: &settings}
	metadata, err := saml.Metadata(connection, pair)
	if err != nil {
		t.Fatal(err)
	}
	idp.Trust(metadata)

	started := federation.Attempt{RequestID: "id-" + idptest.NewID(), State: "opaque state/+&="}
	request, err := saml.NewRequest(connection, started, pair, now)
	if err != nil {
		t.Fatal(err)
	}
	answer := signInAtPHP(t, request.URL, person)
	if answer.Get("RelayState") != started.State {
		t.Errorf("relay state %q", answer.Get("RelayState"))
	}
	want := saml.Expect{Connection: connection, Key: pair, RequestIDs: []string{started.RequestID}, Now: time.Now()}
	got, err := saml.Verify(answer.Get("SAMLResponse"), want)
	if err != nil {
		t.Fatal(err)
	}
	if got.Email != person.Email || got.Name != "Ada Lovelace" || got.GivenName != "Ada" || got.FamilyName != "Lovelace" ||
		got.Issuer != idp.EntityID || got.Subject == "" || got.InResponseTo != started.RequestID || got.OnceID == "" {
		t.Errorf("identity %+v", got)
	}
	want.RequestIDs = []string{"id-another"}
	_, err = saml.Verify(answer.Get("SAMLResponse"), want)
	checkRefusal(t, err, "in_response_to")
}

// signInAtPHP goes through SimpleSAMLphp's login page and returns the form its
// answer is in.
func signInAtPHP(t *testing.T, at string, person servertest.Person) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	res, err := browser.Get(at)
	page := body(t, res, err)
	form := inputs(page)
	if !form.Has("AuthState") {
		t.Fatalf("no login form: %s", page)
	}
	form.Set("username", person.Email)
	form.Set("password", person.Password)
	res, err = browser.PostForm(res.Request.URL.String(), form)
	page = body(t, res, err)
	answer := inputs(page)
	if !answer.Has("SAMLResponse") {
		t.Fatalf("no answer: %s", page)
	}
	return answer
}

func inputs(page string) url.Values {
	form := url.Values{}
	for _, m := range input.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	return form
}
