package idptest

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/beevik/etree"
	wire "github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"
)

const maxRequest = 64 << 10 // bytes of an inflated AuthnRequest

// A samlPage is everything the identity provider shows: the login form, the
// form that carries the answer, or a sentence.
type samlPage struct {
	Title   string
	Style   template.CSS
	Login   bool
	Request string // the AuthnRequest, when it came by POST and must come along
	Relay   string
	Hint    string
	Problem string

	Action   string // where the answer goes
	Response string
	Script   string
}

var samlTemplate = template.Must(template.New("saml").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>{{.Style}}</style>
{{with .Script}}<script src="{{.}}" defer></script>
{{end}}</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{with .Problem}}<p role="alert">{{.}}</p>
{{end}}{{if .Login}}<form method="post">
{{with .Request}}<input type="hidden" name="SAMLRequest" value="{{.}}">
{{end}}{{with .Relay}}<input type="hidden" name="RelayState" value="{{.}}">
{{end}}<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" value="{{.Hint}}" required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">Sign in</button>
<button type="submit" name="cancel" value="1" formnovalidate>Cancel</button>
</form>
{{else if .Action}}<p>You are signed in.</p>
<form method="post" action="{{.Action}}">
<input type="hidden" name="SAMLResponse" value="{{.Response}}">
<input type="hidden" name="RelayState" value="{{.Relay}}">
<button type="submit">Continue</button>
</form>
{{end}}</main>
</body>
</html>
`))

func (p *SAMLIdP) page(w http.ResponseWriter, status int, page samlPage) {
	page.Style = pageStyle
	var b bytes.Buffer
	if err := samlTemplate.Execute(&b, page); err != nil {
		http.Error(w, "page", http.StatusInternalServerError)
		return
	}
	action := "'self'"
	if u, err := url.Parse(page.Action); err == nil && u.Host != "" {
		action = u.Scheme + "://" + u.Host
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+styleHash()+"'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action "+action)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// A samlRequest is an AuthnRequest that may be answered.
type samlRequest struct {
	target SAMLTarget
	relay  string
	acr    string
	posted string // the message as it came, if it came by POST
	hint   string
}

func (p *SAMLIdP) signOn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4*maxRequest)
	request, err := p.request(r)
	if err != nil {
		p.page(w, http.StatusBadRequest, samlPage{Title: "Request refused", Problem: err.Error() + "."})
		return
	}
	page := samlPage{Title: "Sign in to " + p.options().Name, Login: true, Hint: request.hint, Request: request.posted}
	if request.posted != "" {
		page.Relay = request.relay
	}
	if r.PostFormValue("cancel") != "" {
		p.answer(w, request, SAMLMint{Edit: failed("Responder", "AuthnFailed"), Sign: SignResponse})
		return
	}
	if r.Method == http.MethodPost && r.PostForm.Has("email") {
		page.Hint = r.PostFormValue("email")
		user, ok := p.User(page.Hint)
		if !ok || subtle.ConstantTimeCompare([]byte(user.Password), []byte(r.PostFormValue("password"))) != 1 {
			page.Problem = "The address or the password is wrong."
			p.page(w, http.StatusUnauthorized, page)
			return
		}
		p.answer(w, request, SAMLMint{User: user})
		return
	}
	if user, ok := p.silently(request.hint); ok {
		p.answer(w, request, SAMLMint{User: user})
		return
	}
	p.page(w, http.StatusOK, page)
}

func (p *SAMLIdP) silently(hint string) (User, bool) {
	o := p.options()
	if !o.Silent || len(o.Users) == 0 {
		return User{}, false
	}
	if user, ok := p.User(hint); ok {
		return user, true
	}
	return o.Users[0], true
}

func (p *SAMLIdP) answer(w http.ResponseWriter, request samlRequest, mint SAMLMint) {
	mint.ACR = request.acr
	if sp, ok := p.sp(request.target.EntityID); ok && sp.sealing != nil && mint.Edit == nil {
		request.target.Certificate = sp.sealing.Raw
		mint.Encrypt = &SAMLEncryption{}
	}
	response, err := p.Mint(request.target, mint)
	if err != nil {
		p.page(w, http.StatusInternalServerError, samlPage{Title: "No answer", Problem: err.Error() + "."})
		return
	}
	p.page(w, http.StatusOK, samlPage{Title: "Back to where you came from", Action: request.target.ACS, Response: response, Relay: request.relay, Script: p.options().URL + "/saml/post.js"})
}

// request reads an AuthnRequest of either binding.
func (p *SAMLIdP) request(r *http.Request) (samlRequest, error) {
	q := r.URL.Query()
	request := samlRequest{relay: q.Get("RelayState"), hint: q.Get("login_hint") + q.Get("username")}
	var text []byte
	var err error
	if q.Has("SAMLRequest") {
		text, err = inflate(q.Get("SAMLRequest"))
	} else {
		request.posted, request.relay = r.PostFormValue("SAMLRequest"), r.PostFormValue("RelayState")
		text, err = base64.StdEncoding.DecodeString(request.posted)
	}
	if err != nil {
		return samlRequest{}, errors.New("the request cannot be read")
	}
	var message wire.AuthnRequest
	if err := xml.Unmarshal(text, &message); err != nil || message.Issuer == nil || message.ID == "" {
		return samlRequest{}, errors.New("the request is not an AuthnRequest")
	}
	if message.Destination != p.SSO() {
		return samlRequest{}, errors.New("the request is meant for somebody else")
	}
	request.target = SAMLTarget{EntityID: message.Issuer.Value, ACS: message.AssertionConsumerServiceURL, RequestID: message.ID}
	if c := message.RequestedAuthnContext; c != nil {
		request.acr = c.AuthnContextClassRef
	}
	sp, known := p.sp(request.target.EntityID)
	if !known {
		return request, nil
	}
	if !slices.Contains(sp.acs, request.target.ACS) {
		return samlRequest{}, errors.New("the answer would go to an unregistered address")
	}
	if request.posted == "" {
		err = checkQuery(r.URL.RawQuery, sp.signing)
	} else {
		err = p.checkPosted(text, sp.signing)
	}
	if err != nil {
		return samlRequest{}, fmt.Errorf("the request is not signed by %s: %w", request.target.EntityID, err)
	}
	return request, nil
}

func inflate(s string) ([]byte, error) {
	deflated, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(deflated)), maxRequest+1))
	if err == nil && len(text) > maxRequest {
		err = errors.New("too large")
	}
	return text, err
}

// checkQuery verifies a redirect signature over the query as it came.
func checkQuery(query string, cert *x509.Certificate) error {
	raw := map[string]string{}
	for _, pair := range strings.Split(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if _, twice := raw[key]; twice {
			return errors.New("a parameter comes twice")
		}
		raw[key] = pair
	}
	signed := raw["SAMLRequest"]
	if relay, ok := raw["RelayState"]; ok {
		signed += "&" + relay
	}
	signed += "&" + raw["SigAlg"]
	values, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(values.Get("Signature"))
	if err != nil {
		return err
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || values.Get("SigAlg") != algRSASHA256 {
		return errors.New("the algorithm is not RSA-SHA256")
	}
	digest := sha256.Sum256([]byte(signed))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature)
}

func (p *SAMLIdP) checkPosted(text []byte, cert *x509.Certificate) error {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(text); err != nil {
		return err
	}
	v := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{cert}})
	v.Clock = dsig.NewFakeClockAt(p.options().Now())
	_, err := v.Validate(doc.Root())
	return err
}
