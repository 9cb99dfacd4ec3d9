package idptest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// OIDCOptions describe a small OpenID provider.
type OIDCOptions struct {
	Issuer  string // "http://idp.localhost:8080/globex"; see SetIssuer
	Name    string // shown on the pages: "Globex"
	Clients []OIDCClient
	Users   []User
	Silent  bool // no login page: whoever login_hint names, or the first user, is signed in
	Now     func() time.Time
	Key     *rsa.PrivateKey // signs ID tokens, as RS256; nil: a new one
}

// OIDCClient is a relying party.
type OIDCClient struct {
	ID             string
	Secret         string // empty: a public client
	RedirectURIs   []string
	PostLogoutURIs []string
}

// An OIDCProvider is a small, correct OpenID provider for tests and the demo:
// authorisation code flow with PKCE, several users and clients. Break makes it
// an incorrect one.
type OIDCProvider struct {
	mu      sync.Mutex
	o       OIDCOptions
	keyID   string
	codes   map[string]oidcGrant
	access  map[string]oidcGrant
	faults  OIDCFaults
	counted map[string]int
}

// An oidcGrant is what a code or an access token stands for.
type oidcGrant struct {
	client, redirect, nonce, challenge, acr string
	user                                    User
	at                                      time.Time
}

// NewOIDC returns a provider. It is an http.Handler for everything under the
// path of its issuer.
func NewOIDC(o OIDCOptions) *OIDCProvider {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Name == "" {
		o.Name = "Test provider"
	}
	p := &OIDCProvider{o: o, codes: map[string]oidcGrant{}, access: map[string]oidcGrant{}, counted: map[string]int{}}
	if o.Key == nil {
		p.Rotate()
	} else {
		p.keyID = "key-1"
	}
	return p
}

// SetIssuer is for listeners whose address is known only once they listen.
func (p *OIDCProvider) SetIssuer(issuer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.Issuer = issuer
}

// Issuer is the provider's issuer.
func (p *OIDCProvider) Issuer() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.o.Issuer
}

// AddClient makes a relying party known, or replaces one.
func (p *OIDCProvider) AddClient(c OIDCClient) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.Clients = append(slices.DeleteFunc(slices.Clone(p.o.Clients), func(o OIDCClient) bool { return o.ID == c.ID }), c)
}

// Key is the signing key and its ID.
func (p *OIDCProvider) Key() (*rsa.PrivateKey, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.o.Key, p.keyID
}

// Rotate replaces the signing key; the old one is withdrawn at once.
func (p *OIDCProvider) Rotate() {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // the random source of the system failed
	}
	p.RotateTo(k, "key-"+rand.Text()[:8])
}

// RotateTo is Rotate with a key at hand.
func (p *OIDCProvider) RotateTo(k *rsa.PrivateKey, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.Key, p.keyID = k, id
}

// Requests says how often an endpoint was asked: discovery, jwks, authorize,
// token, userinfo, end_session, or trap for everything under /trap.
func (p *OIDCProvider) Requests(endpoint string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counted[endpoint]
}

func (p *OIDCProvider) now() time.Time { return p.o.Now() }

// ServeHTTP answers everything under the issuer's path.
func (p *OIDCProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	base := ""
	if u, err := url.Parse(p.Issuer()); err == nil {
		base = strings.TrimSuffix(u.Path, "/")
	}
	name, handle := p.endpoint(strings.TrimPrefix(r.URL.Path, base))
	p.mu.Lock()
	p.counted[name]++
	instead := p.faults.Serve[name]
	p.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	if instead != nil {
		instead(w, r)
		return
	}
	handle(w, r)
}

func (p *OIDCProvider) endpoint(path string) (string, http.HandlerFunc) {
	switch path {
	case "/.well-known/openid-configuration":
		return "discovery", p.discovery
	case "/jwks":
		return "jwks", p.jwks
	case "/authorize":
		return "authorize", p.authorize
	case "/token":
		return "token", p.token
	case "/userinfo":
		return "userinfo", p.userInfo
	case "/end_session":
		return "end_session", p.endSession
	}
	if strings.HasPrefix(path, "/trap") {
		return "trap", http.NotFound
	}
	return "", http.NotFound
}

func (p *OIDCProvider) discovery(w http.ResponseWriter, _ *http.Request) {
	issuer := p.Issuer()
	at := strings.TrimSuffix(issuer, "/")
	doc := map[string]any{
		"issuer":                                         issuer,
		"authorization_endpoint":                         at + "/authorize",
		"token_endpoint":                                 at + "/token",
		"userinfo_endpoint":                              at + "/userinfo",
		"jwks_uri":                                       at + "/jwks",
		"end_session_endpoint":                           at + "/end_session",
		"response_types_supported":                       []string{"code"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"scopes_supported":                               []string{"openid", "email", "profile"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post", "none"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	}
	edit(p, doc, func(f OIDCFaults) func(map[string]any) { return f.Discovery })
	writeJSON(w, http.StatusOK, doc)
}

func (p *OIDCProvider) jwks(w http.ResponseWriter, _ *http.Request) {
	k, id := p.Key()
	doc := map[string]any{"keys": []any{JWK(&k.PublicKey, id, "RS256")}}
	edit(p, doc, func(f OIDCFaults) func(map[string]any) { return f.Keys })
	writeJSON(w, http.StatusOK, doc)
}

// request is what an authorisation request asks for, once it is known to be one.
func (p *OIDCProvider) request(q url.Values) (oidcGrant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.o.Clients, func(c OIDCClient) bool { return c.ID == q.Get("client_id") })
	if i < 0 {
		return oidcGrant{}, errors.New("unknown client")
	}
	if !slices.Contains(p.o.Clients[i].RedirectURIs, q.Get("redirect_uri")) {
		return oidcGrant{}, errors.New("the redirect URI is not registered")
	}
	switch {
	case q.Get("response_type") != "code":
		return oidcGrant{}, errors.New("only the code flow is supported")
	case !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		return oidcGrant{}, errors.New("scope openid is missing")
	case q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43:
		return oidcGrant{}, errors.New("PKCE with S256 is required")
	case q.Get("state") == "" || q.Get("nonce") == "":
		return oidcGrant{}, errors.New("state and nonce are required")
	}
	acr, _, _ := strings.Cut(q.Get("acr_values"), " ")
	return oidcGrant{
		client: q.Get("client_id"), redirect: q.Get("redirect_uri"),
		nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), acr: acr,
	}, nil
}

func (p *OIDCProvider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	g, err := p.request(q)
	if err != nil {
		p.page(w, http.StatusBadRequest, oidcPage{Title: "Request refused", Problem: err.Error() + "."})
		return
	}
	page := oidcPage{Title: "Sign in to " + p.o.Name, Form: true, Hint: q.Get("login_hint"), leadsTo: g.redirect}
	if r.Method != http.MethodPost {
		if user, ok := p.silently(q.Get("login_hint")); ok {
			g.user = user
			p.answer(w, r, g, q.Get("state"), "")
			return
		}
		p.page(w, http.StatusOK, page)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if r.PostFormValue("cancel") != "" {
		p.answer(w, r, g, q.Get("state"), "access_denied")
		return
	}
	page.Hint = r.PostFormValue("email")
	user, ok := p.user(page.Hint)
	if !ok || subtle.ConstantTimeCompare([]byte(user.Password), []byte(r.PostFormValue("password"))) != 1 {
		page.Problem = "The address or the password is wrong."
		p.page(w, http.StatusUnauthorized, page)
		return
	}
	g.user = user
	p.answer(w, r, g, q.Get("state"), "")
}

func (p *OIDCProvider) silently(hint string) (User, bool) {
	if !p.o.Silent || len(p.o.Users) == 0 {
		return User{}, false
	}
	if u, ok := p.user(hint); ok {
		return u, true
	}
	return p.o.Users[0], true
}

func (p *OIDCProvider) user(address string) (User, bool) {
	for _, u := range p.o.Users {
		if strings.EqualFold(u.Address, strings.TrimSpace(address)) {
			return u, true
		}
	}
	return User{}, false
}

// answer sends the browser back with a code, or with an error.
func (p *OIDCProvider) answer(w http.ResponseWriter, r *http.Request, g oidcGrant, state, refusal string) {
	v := url.Values{"state": {state}, "iss": {p.Issuer()}}
	if refusal != "" {
		v.Set("error", refusal)
	} else {
		g.at = p.now()
		code := rand.Text()
		p.mu.Lock()
		p.codes[code] = g
		p.mu.Unlock()
		v.Set("code", code)
	}
	p.mu.Lock()
	change := p.faults.Answer
	p.mu.Unlock()
	if change != nil {
		change(v)
	}
	to, err := url.Parse(g.redirect)
	if err != nil {
		http.Error(w, "redirect URI", http.StatusBadRequest)
		return
	}
	q := to.Query()
	maps.Copy(q, v)
	to.RawQuery = q.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

func (p *OIDCProvider) token(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		writeJSON(w, http.StatusMethodNotAllowed, map[string]any{"error": "invalid_request"})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	client, ok := p.client(r)
	if !ok {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	code := r.PostFormValue("code")
	p.mu.Lock()
	g, ok := p.codes[code]
	delete(p.codes, code)
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || r.PostFormValue("grant_type") != "authorization_code" || g.client != client ||
		g.redirect != r.PostFormValue("redirect_uri") || p.now().Sub(g.at) > time.Minute ||
		g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	access := rand.Text()
	p.mu.Lock()
	p.access[access] = g
	p.mu.Unlock()
	doc := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": p.idToken(g, access)}
	edit(p, doc, func(f OIDCFaults) func(map[string]any) { return f.TokenAnswer })
	writeJSON(w, http.StatusOK, doc)
}

// client is who asks, by client_secret_basic, client_secret_post or, for a
// public client, by name alone.
func (p *OIDCProvider) client(r *http.Request) (string, bool) {
	id, secret := r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	if user, pass, ok := r.BasicAuth(); ok {
		u, err1 := url.QueryUnescape(user)
		s, err2 := url.QueryUnescape(pass)
		if err1 != nil || err2 != nil || secret != "" {
			return "", false // RFC 6749 2.3: one method per request
		}
		id, secret = u, s
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.o.Clients {
		if c.ID == id {
			return id, subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) == 1
		}
	}
	return "", false
}

// idToken makes the token of a grant, right or as wrong as Break wants it.
func (p *OIDCProvider) idToken(g oidcGrant, access string) string {
	now := p.now().Unix()
	sum := sha256.Sum256([]byte(access))
	claims := map[string]any{
		"iss": p.Issuer(), "aud": g.client, "sub": subject(g.user), "nonce": g.nonce,
		"iat": now, "exp": now + 300, "auth_time": now,
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
		"sid":     access[:8],
	}
	if g.acr != "" {
		claims["acr"] = g.acr
	}
	maps.Copy(claims, profileOf(g.user))
	k, id := p.Key()
	header := map[string]any{"alg": "RS256", "typ": "JWT", "kid": id}
	p.mu.Lock()
	f := p.faults
	p.mu.Unlock()
	if f.Header != nil {
		f.Header(header)
	}
	if f.Claims != nil {
		f.Claims(claims)
	}
	if f.Token != nil {
		return f.Token(header, claims)
	}
	return SignJWS("RS256", mustJSON(header), mustJSON(claims), k)
}

func subject(u User) string {
	if u.Subject != "" {
		return u.Subject
	}
	return u.Address
}

func profileOf(u User) map[string]any {
	m := map[string]any{"email": u.Address, "email_verified": true}
	if name := strings.TrimSpace(u.GivenName + " " + u.FamilyName); name != "" {
		m["name"] = name
	}
	if u.GivenName != "" {
		m["given_name"] = u.GivenName
	}
	if u.FamilyName != "" {
		m["family_name"] = u.FamilyName
	}
	if len(u.Groups) > 0 {
		m["groups"] = u.Groups
	}
	return m
}

func (p *OIDCProvider) userInfo(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	g, ok := p.access[token]
	p.mu.Unlock()
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		return
	}
	doc := profileOf(g.user)
	doc["sub"] = subject(g.user)
	edit(p, doc, func(f OIDCFaults) func(map[string]any) { return f.UserInfo })
	writeJSON(w, http.StatusOK, doc)
}

func (p *OIDCProvider) endSession(w http.ResponseWriter, r *http.Request) {
	to := r.FormValue("post_logout_redirect_uri")
	p.mu.Lock()
	registered := slices.ContainsFunc(p.o.Clients, func(c OIDCClient) bool {
		return c.ID == r.FormValue("client_id") && slices.Contains(c.PostLogoutURIs, to)
	})
	p.mu.Unlock()
	u, err := url.Parse(to)
	if !registered || err != nil {
		p.page(w, http.StatusOK, oidcPage{Title: "Signed out of " + p.o.Name})
		return
	}
	if state := r.FormValue("state"); state != "" {
		q := u.Query()
		q.Set("state", state)
		u.RawQuery = q.Encode()
	}
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}

// edit lets a fault change a document about to be sent.
func edit(p *OIDCProvider, doc map[string]any, which func(OIDCFaults) func(map[string]any)) {
	p.mu.Lock()
	f := which(p.faults)
	p.mu.Unlock()
	if f != nil {
		f(doc)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(mustJSON(v))
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only what tests put there can be at fault
	}
	return b
}
