package saml_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/xml"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	wire "github.com/crewjam/saml"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/saml"
)

// listening is the identity provider of stage behind a real address, knowing
// the connection it serves.
func listening(t *testing.T) (*idptest.SAMLIdP, saml.Expect) {
	t.Helper()
	scene, want := stage(t)
	server := httptest.NewUnstartedServer(nil)
	at := "http://" + server.Listener.Addr().String() + "/acme"
	people := []idptest.User{ada, eve}
	people[0].Password = "correct horse"
	idp, err := idptest.NewSAML(idptest.SAMLOptions{URL: at, Name: "Acme", Users: people, Key: scene.IdP.Key(), Certificate: scene.IdP.Certificate(), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = idp
	server.Start()
	t.Cleanup(server.Close)
	settings := idp.Settings()
	settings.EntityID, settings.ACS = entityID, acs
	want.Connection.SAML = &settings
	metadata, err := saml.Metadata(want.Connection, want.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := idp.AddSP(metadata); err != nil {
		t.Fatal(err)
	}
	return idp, want
}

var attempt = federation.Attempt{RequestID: requestID, State: "state &SigAlg=none?/=+é", LoginHint: "ada+tag@acme.example"}

var (
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	hint   = regexp.MustCompile(`type="email"[^>]* value="([^"]*)"`)
	action = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
)

func fields(page string) url.Values {
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	return form
}

func body(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// send takes a request to the identity provider as a browser would, and returns
// the page and the address that the page's form goes to.
func send(t *testing.T, r saml.Request) (page, at string) {
	t.Helper()
	if r.Post != nil {
		res, err := http.PostForm(r.Post.Action, url.Values{"SAMLRequest": {r.Post.SAMLRequest}, "RelayState": {r.Post.RelayState}})
		return body(t, res, err), r.Post.Action
	}
	res, err := http.Get(r.URL)
	return body(t, res, err), r.URL
}

func TestSignIn(t *testing.T) {
	for _, binding := range []string{"redirect", "post"} {
		for _, sealed := range []bool{false, true} {
			t.Run(binding, func(t *testing.T) {
				idp, want := listening(t)
				if binding == "post" {
					want.Connection.SAML.SSORedirect = ""
				}
				if sealed {
					idp.EncryptFor(entityID)
				}
				request, err := saml.NewRequest(want.Connection, attempt, want.Key, noon)
				if err != nil {
					t.Fatal(err)
				}
				page, at := send(t, request)
				if m := hint.FindStringSubmatch(page); m == nil || html.UnescapeString(m[1]) != attempt.LoginHint {
					t.Errorf("the page does not know whom it waits for: %s", page)
				}
				form := fields(page)
				form.Set("email", ada.Address)
				form.Set("password", "wrong")
				res, err := http.PostForm(at, form)
				page = body(t, res, err)
				if res.StatusCode != http.StatusUnauthorized || action.MatchString(page) {
					t.Fatalf("wrong password: %s %s", res.Status, page)
				}
				form.Set("password", "correct horse")
				res, err = http.PostForm(at, form)
				page = body(t, res, err)
				if m := action.FindStringSubmatch(page); m == nil || html.UnescapeString(m[1]) != acs {
					t.Fatalf("the answer does not go to the ACS: %s", page)
				}
				answer := fields(page)
				if got := answer.Get("RelayState"); got != attempt.State {
					t.Errorf("relay state %q", got)
				}
				accepted(t, answer.Get("SAMLResponse"), want)

				form.Set("cancel", "1")
				res, err = http.PostForm(at, form)
				refused(t, fields(body(t, res, err)).Get("SAMLResponse"), want, "status")
			})
		}
	}
}

// The identity provider tells our requests from others': what it accepts is
// signed by our key, over all of it.
func TestRequestSignature(t *testing.T) {
	_, want := listening(t)
	other, err := saml.GenerateKeyPair("other", noon)
	if err != nil {
		t.Fatal(err)
	}
	login := func(r saml.Request) bool {
		page, _ := send(t, r)
		return strings.Contains(page, `name="password"`)
	}
	for _, binding := range []string{"redirect", "post"} {
		t.Run(binding, func(t *testing.T) {
			if binding == "post" {
				settings := *want.Connection.SAML
				settings.SSORedirect = ""
				want.Connection.SAML = &settings
			}
			good, err := saml.NewRequest(want.Connection, attempt, want.Key, noon)
			if err != nil {
				t.Fatal(err)
			}
			forged, err := saml.NewRequest(want.Connection, attempt, other, noon)
			if err != nil {
				t.Fatal(err)
			}
			if !login(good) || login(forged) {
				t.Errorf("our request: %v, another's: %v", login(good), login(forged))
			}
			if binding == "redirect" {
				good.URL = strings.Replace(good.URL, "RelayState=state", "RelayState=other", 1)
				if login(good) {
					t.Error("the relay state is not covered")
				}
			}
		})
	}
}

func decodeRequest(t *testing.T, r saml.Request) wire.AuthnRequest {
	t.Helper()
	var text []byte
	if r.Post != nil {
		var err error
		if text, err = base64.StdEncoding.DecodeString(r.Post.SAMLRequest); err != nil {
			t.Fatal(err)
		}
	} else {
		u, err := url.Parse(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		deflated, err := base64.StdEncoding.DecodeString(u.Query().Get("SAMLRequest"))
		if err != nil {
			t.Fatal(err)
		}
		if text, err = io.ReadAll(flate.NewReader(bytes.NewReader(deflated))); err != nil {
			t.Fatal(err)
		}
	}
	var got wire.AuthnRequest
	if err := xml.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, acr := range []string{"urn:acr:1", "urn:acr:2"} {
		if got.RequestedAuthnContext != nil && !strings.Contains(string(text), ">"+acr+"<") {
			t.Errorf("does not ask for %s: %s", acr, text)
		}
	}
	return got
}

func TestNewRequest(t *testing.T) {
	_, want := stage(t)
	s := want.Connection.SAML
	s.SSORedirect = "https://idp.example/sso?idpid=C01"
	r, err := saml.NewRequest(want.Connection, attempt, want.Key, noon)
	if err != nil {
		t.Fatal(err)
	}
	got := decodeRequest(t, r)
	if got.ID != requestID || got.Version != "2.0" || !got.IssueInstant.Equal(noon) || got.Destination != s.SSORedirect ||
		got.Issuer.Value != entityID || got.AssertionConsumerServiceURL != acs || got.ProtocolBinding != postBinding ||
		got.ForceAuthn != nil || got.RequestedAuthnContext != nil || got.Subject != nil {
		t.Errorf("request %+v", got)
	}
	s.ForceAuthn, s.RequiredACR = true, []string{"urn:acr:1", "urn:acr:2"}
	if r, err = saml.NewRequest(want.Connection, attempt, want.Key, noon); err != nil {
		t.Fatal(err)
	}
	got = decodeRequest(t, r)
	if got.ForceAuthn == nil || !*got.ForceAuthn || got.RequestedAuthnContext == nil || got.RequestedAuthnContext.Comparison != "exact" {
		t.Errorf("request %+v", got)
	}
}

// SAM-80: a relay state cannot add parameters, and the location's own survive.
func TestRedirectQuery(t *testing.T) {
	_, want := stage(t)
	want.Connection.SAML.SSORedirect = "https://idp.example/sso?idpid=C01"
	r, err := saml.NewRequest(want.Connection, attempt, want.Key, noon)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range strings.Split(u.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, name)
	}
	if diff := cmp.Diff([]string{"idpid", "SAMLRequest", "RelayState", "SigAlg", "Signature", "login_hint"}, names); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if q := u.Query(); q.Get("RelayState") != attempt.State || q.Get("login_hint") != attempt.LoginHint || q.Get("idpid") != "C01" || !strings.HasSuffix(q.Get("SigAlg"), "#rsa-sha256") {
		t.Errorf("query %v", q)
	}
	want.Connection.SAML.SSORedirect = "https://adfs.example/adfs/ls/"
	r, err = saml.NewRequest(want.Connection, attempt, want.Key, noon)
	if err != nil || !strings.Contains(r.URL, "&username=ada") || strings.Contains(r.URL, "login_hint") {
		t.Errorf("AD FS: %v, %v", r.URL, err)
	}
	nobody := attempt
	nobody.LoginHint = ""
	r, err = saml.NewRequest(want.Connection, nobody, want.Key, noon)
	if err != nil || strings.Contains(r.URL, "username") || strings.Contains(r.URL, "login_hint") {
		t.Errorf("without a hint: %v, %v", r.URL, err)
	}
}

func TestNewRequestRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*federation.Connection, *federation.Attempt, *saml.KeyPair){
		"not SAML":      func(c *federation.Connection, _ *federation.Attempt, _ *saml.KeyPair) { c.SAML = nil },
		"no key":        func(_ *federation.Connection, _ *federation.Attempt, k *saml.KeyPair) { *k = saml.KeyPair{} },
		"no request ID": func(_ *federation.Connection, a *federation.Attempt, _ *saml.KeyPair) { a.RequestID = "" },
		"long relay state": func(_ *federation.Connection, a *federation.Attempt, _ *saml.KeyPair) {
			a.State = strings.Repeat("x", 81)
		},
		"no location": func(c *federation.Connection, _ *federation.Attempt, _ *saml.KeyPair) {
			c.SAML.SSORedirect, c.SAML.SSOPost = "", ""
		},
		"bad location": func(c *federation.Connection, _ *federation.Attempt, _ *saml.KeyPair) {
			c.SAML.SSORedirect = "https://a b/%"
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, want := stage(t)
			a := attempt
			if _, err := saml.NewRequest(want.Connection, a, want.Key, noon); err != nil {
				t.Fatal(err)
			}
			spoil(&want.Connection, &a, &want.Key)
			if r, err := saml.NewRequest(want.Connection, a, want.Key, noon); err == nil {
				t.Errorf("built %v", r)
			}
		})
	}
}
