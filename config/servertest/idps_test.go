package servertest

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

var ada = Person{Email: "ada@acme.example", Password: "ada's \\ secret", GivenName: "Ada", FamilyName: "O'Lovelace"}

// browser keeps cookies and follows redirects.
func browser(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: patience}
}

func text(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// fields reads the hidden fields of the first form of a page.
func fields(page string) url.Values {
	v := url.Values{}
	for _, tag := range regexp.MustCompile(`<input[^>]+>`).FindAllString(page, -1) {
		name := regexp.MustCompile(`name="([^"]*)"`).FindStringSubmatch(tag)
		value := regexp.MustCompile(`value="([^"]*)"`).FindStringSubmatch(tag)
		if name != nil && value != nil {
			v.Set(html.UnescapeString(name[1]), html.UnescapeString(value[1]))
		}
	}
	return v
}

func TestOIDCProviderSignsIn(t *testing.T) {
	const client, secret = "domicile", "a secret of some length"
	codes := make(chan url.Values, 1)
	rp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		codes <- r.URL.Query()
	}))
	defer rp.Close()
	issuer := OIDCProvider(t, OIDCOptions{People: []Person{ada}, ClientID: client, ClientSecret: secret, RedirectURI: rp.URL + "/cb"})

	const verifier = "0123456789012345678901234567890123456789012"
	sum := sha256.Sum256([]byte(verifier))
	c := browser(t)
	res, err := c.Get(issuer + "/auth?" + url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {rp.URL + "/cb"}, "scope": {"openid email"},
		"state": {"s"}, "nonce": {"n"}, "login_hint": {ada.Email},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode())
	page := text(t, res, err)
	if !strings.Contains(page, "ada@acme.example") {
		t.Fatalf("no login form with the hint: %s", page)
	}
	res, err = c.PostForm(res.Request.URL.String(), url.Values{"login": {ada.Email}, "password": {"wrong"}})
	if text(t, res, err); res.StatusCode != http.StatusForbidden {
		t.Errorf("a wrong password: %s", res.Status)
	}
	res, err = c.PostForm(res.Request.URL.String(), url.Values{"login": {ada.Email}, "password": {ada.Password}})
	text(t, res, err)
	got := <-codes
	if got.Get("state") != "s" || got.Get("iss") != issuer || got.Get("code") == "" {
		t.Fatalf("callback: %v", got)
	}

	req, err := http.NewRequest(http.MethodPost, issuer+"/token", strings.NewReader(url.Values{
		"grant_type": {"authorization_code"}, "code": {got.Get("code")}, "redirect_uri": {rp.URL + "/cb"}, "code_verifier": {verifier},
	}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, url.QueryEscape(secret))
	res, err = http.DefaultClient.Do(req)
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	body := text(t, res, err)
	if err := json.Unmarshal([]byte(body), &tokens); err != nil || strings.Count(tokens.IDToken, ".") != 2 {
		t.Errorf("no ID token: %v in %s", err, body)
	}
}

func TestSimpleSAMLphpSignsIn(t *testing.T) {
	idp := SimpleSAMLphp(t, []Person{ada})
	answers := make(chan url.Values, 1)
	sp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		answers <- r.PostForm
	}))
	defer sp.Close()
	idp.Trust(fmt.Appendf(nil, `<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="urn:sp">
<md:SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
<md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="%s/acs" index="0"/>
</md:SPSSODescriptor></md:EntityDescriptor>`, sp.URL))

	// This service provider has no key, so its request is not signed, and the
	// identity provider must say so: ours will be.
	var deflated bytes.Buffer
	w, _ := flate.NewWriter(&deflated, flate.BestSpeed)
	fmt.Fprintf(w, `<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="id-1" Version="2.0" IssueInstant="%s"><saml:Issuer>urn:sp</saml:Issuer></samlp:AuthnRequest>`,
		time.Now().UTC().Format(time.RFC3339))
	w.Close()
	signOn := idp.URL + "saml2/idp/SSOService.php?" + url.Values{
		"SAMLRequest": {base64.StdEncoding.EncodeToString(deflated.Bytes())}, "RelayState": {"r"}}.Encode()
	res, err := browser(t).Get(signOn)
	if page := text(t, res, err); strings.Contains(page, `name="password"`) {
		t.Errorf("an unsigned request was accepted: %s", page)
	}

	// Started at the identity provider's side no request is needed.
	c := browser(t)
	res, err = c.Get(idp.URL + "saml2/idp/SSOService.php?" + url.Values{"spentityid": {"urn:sp"}, "RelayState": {"r"}}.Encode())
	page := text(t, res, err)
	form := fields(page)
	if !form.Has("AuthState") {
		t.Fatalf("no login form: %s", page)
	}
	form.Set("username", ada.Email)
	form.Set("password", ada.Password)
	res, err = c.PostForm(res.Request.URL.String(), form)
	page = text(t, res, err)
	answer := fields(page)
	if _, err := http.PostForm(sp.URL+"/acs", answer); err != nil {
		t.Fatal(err)
	}
	got := <-answers
	response, err := base64.StdEncoding.DecodeString(got.Get("SAMLResponse"))
	if err != nil || got.Get("RelayState") != "r" {
		t.Fatalf("answer: %v, RelayState %q, from %s", err, got.Get("RelayState"), page)
	}
	for _, want := range []string{ada.Email, subject(ada.Email), "SignatureValue", "nameid-format:persistent"} {
		if !bytes.Contains(response, []byte(want)) {
			t.Errorf("the response has no %q:\n%s", want, response)
		}
	}
}

func TestAxeIsInstalled(t *testing.T) {
	if len(Axe(t)) < 100_000 {
		t.Error("axe-core is too small to be itself")
	}
}
