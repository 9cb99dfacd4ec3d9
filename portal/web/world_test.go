package web

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/oidc"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// A world is one region on a real database, with its portals, their people and
// the identity providers they sign in at.
type world struct {
	t     *testing.T
	db    *sql.DB
	store *store.Store
	vault portal.Vault
	site  *Site
	saml  *idptest.SAMLIdP
	oidc  *idptest.OIDCProvider

	options   Options
	log       bytes.Buffer
	frontDoor ed25519.PrivateKey
	record    regions.Record

	mu  sync.Mutex
	now time.Time
}

const (
	acme     = "acme.eu.example.com"    // SAML
	globex   = "globex.us.example.com"  // OpenID Connect
	initech  = "initech.ca.example.com" // password, may keep signed in
	umbrella = "umbrella.eu.example.com"

	goodPassword = "correct horse battery staple"
)

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func address(t testing.TB, s string) discovery.Address {
	t.Helper()
	a, err := discovery.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Now().Truncate(time.Second)}
	w.db = sqltest.SQLite(t, store.Migrations)
	var err error
	w.vault, err = portal.NewVault(portal.NewVaultKey())
	if err != nil {
		t.Fatal(err)
	}
	w.store = store.New(w.db, w.vault, w.clock)

	publicKey, privateKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.frontDoor = privateKey
	key, err := ticket.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	w.record = regions.Record{Region: "eu-central", Jurisdiction: "EU", Name: "Frankfurt", Version: 1,
		Issued: w.now, Expires: w.now.Add(time.Hour), Hosts: []string{"*.example.com"}, TicketKeys: []regions.TicketKey{key.Public()}}
	_, publishing, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}

	outbound := fetch.New(fetch.Options{DangerouslyAllowLoopback: true})
	w.options = Options{
		Store: w.store, Now: w.clock, RelyingParty: oidc.New(outbound, w.clock),
		Tickets: &ticket.Opener{Region: "eu-central", Keys: []ticket.Key{key}, FrontDoors: []ed25519.PublicKey{publicKey}, Now: w.clock},
		Region:  "eu-central", RegionName: "Frankfurt", Jurisdiction: "EU",
		FrontDoor: "https://signin.example", Publishing: publishing,
		Limits: Limits{DangerouslyUnlimited: true}, // attacks come by the hundred, in one moment
		Log:    slog.New(slog.NewJSONHandler(&w.log, nil)),
	}
	if w.site, err = New(w.options); err != nil {
		t.Fatal(err)
	}
	w.people()
	t.Cleanup(w.checkLog)
	return w
}

// checkLog looks for anything personal or secret in what the site logged, after
// every test there is.
func (w *world) checkLog() {
	for _, leak := range []string{"@", "victim", goodPassword, betterPassword, "eyJ", "PHNhbWw", "SAMLResponse="} {
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, leak) {
				w.t.Errorf("%q in the log: %s", leak, line)
			}
		}
	}
}

// people fills the region: a portal for every way to sign in.
func (w *world) people() {
	w.t.Helper()
	ctx := w.t.Context()
	check := func(_ bool, err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	for id, host := range map[string]string{"acme": acme, "globex": globex, "initech": initech, "umbrella": umbrella} {
		check(w.store.CreatePortal(ctx, portal.Portal{ID: id, Name: strings.ToUpper(id[:1]) + id[1:], URL: "https://" + host,
			Disclosure: discovery.Listed, KeepSigned: id == "initech", Contact: "it@" + id + ".example", Created: w.clock()}))
	}
	check(w.store.PutDomain(ctx, portal.Domain{Name: "initech.example", Portal: "initech", Password: true, Proof: "operator", Proven: w.clock()}))
	for p, who := range map[string]string{"initech": "ian@initech.example", "umbrella": "uma@umbrella.example"} {
		check(w.store.DangerouslyCreateAccount(ctx, portal.Account{Portal: p, Primary: address(w.t, who), GivenName: "Ian"}, goodPassword))
	}
}

// Keys take long to make and mean nothing here.
var idpKeys = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// newFederatedWorld is newWorld with identity providers, one of each protocol.
func newFederatedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	ctx := t.Context()
	key, err := idpKeys()
	if err != nil {
		t.Fatal(err)
	}
	users := []idptest.User{
		{Subject: "s-1", Address: "ada@acme.example", Password: "pw", GivenName: "Ada", FamilyName: "Lovelace"},
		{Subject: "s-2", Address: "gus@globex.example", Password: "pw", GivenName: "Gus"},
		{Subject: "s-3", Address: "uma@umbrella.example", Password: "pw"},
	}

	if w.saml, err = idptest.NewSAML(idptest.SAMLOptions{URL: "https://idp.example", Users: users, Silent: true, Now: w.clock, Key: key}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"acme", "umbrella"} {
		settings := w.saml.Settings()
		settings.AllowIDPInitiated = p == "umbrella"
		if _, _, err := w.store.PutConnection(ctx, federation.Connection{ID: p + "-saml", Portal: p, Name: "The " + p + " provider",
			Kind: federation.SAML, SAML: &settings, Created: w.clock()}); err != nil {
			t.Fatal(err)
		}
	}

	w.oidc = idptest.NewOIDC(idptest.OIDCOptions{Users: users[1:], Silent: true, Now: w.clock, Key: key, Clients: []idptest.OIDCClient{
		{ID: "client", Secret: "s3cr3t", RedirectURIs: []string{"https://" + globex + "/oidc/globex-oidc/callback"}},
	}})
	srv := httptest.NewServer(w.oidc)
	t.Cleanup(srv.Close)
	w.oidc.SetIssuer(srv.URL)
	found, err := w.site.RelyingParty.Discover(ctx, srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	found.ClientID, found.ClientSecret, found.Scopes = "client", "s3cr3t", []string{"email", "profile"}
	if _, _, err := w.store.PutConnection(ctx, federation.Connection{ID: "globex-oidc", Portal: "globex", Name: "Globex ID",
		Kind: federation.OIDC, OIDC: &found, Created: w.clock()}); err != nil {
		t.Fatal(err)
	}

	for _, d := range []portal.Domain{
		{Name: "acme.example", Portal: "acme", Connection: "acme-saml", JIT: true},
		{Name: "globex.example", Portal: "globex", Connection: "globex-oidc", JIT: true},
		{Name: "umbrella.example", Portal: "umbrella", Connection: "umbrella-saml", Password: true, JIT: true},
	} {
		d.Proof, d.Proven = "operator", w.clock()
		if _, err := w.store.PutDomain(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// ticket seals one as the front door would.
func (w *world) ticket(portalID, who string) string {
	w.t.Helper()
	s, err := ticket.Seal(w.record, w.frontDoor, ticket.Ticket{Portal: portalID, Address: who, Issued: w.clock(), Expires: w.clock().Add(time.Minute)})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// letters takes what waits to be sent.
func (w *world) letters() map[portal.LetterKind]portal.Letter {
	w.t.Helper()
	due, err := w.store.DueLetters(w.t.Context(), 20)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[portal.LetterKind]portal.Letter{}
	for _, l := range due {
		out[l.Kind] = l.Letter
		if err := w.store.LetterSent(w.t.Context(), l.ID); err != nil {
			w.t.Fatal(err)
		}
	}
	return out
}

// codes are the reasons in a portal's audit log, oldest first.
func (w *world) codes(portalID string) []string {
	w.t.Helper()
	events, err := w.store.Events(w.t.Context(), portalID, portal.EventFilter{})
	if err != nil {
		w.t.Fatal(err)
	}
	var codes []string
	for _, e := range events {
		if e.Code != "" {
			codes = append(codes, e.Code)
		}
	}
	return codes
}

// A browser keeps the cookies of one host as a browser would, but for what
// depends on where a request comes from: post with cross sends what a form on
// another site sends.
type browser struct {
	w       *world
	host    string
	cookies map[string]*http.Cookie
	accept  string // the languages it asks for
}

func (w *world) browser(host string) *browser {
	return &browser{w: w, host: host, cookies: map[string]*http.Cookie{}}
}

// An answer is what came back, read.
type answer struct {
	*http.Response
	body string
	page pagetest.Page
}

func (b *browser) do(r *http.Request) answer {
	b.w.t.Helper()
	r.Host = b.host
	if b.accept != "" {
		r.Header.Set("Accept-Language", b.accept)
	}
	ctx := page.WithReference(r.Context(), page.NewReference())
	ctx = page.WithClient(ctx, netip.MustParseAddr(browserAt))
	for _, c := range b.cookies {
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Method == http.MethodPost && c.SameSite != http.SameSiteNoneMode {
			continue
		}
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	rec := httptest.NewRecorder()
	b.w.site.ServeHTTP(rec, r.WithContext(ctx))
	res := rec.Result()
	for _, c := range res.Cookies() {
		b.checkCookie(c)
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
	a := answer{Response: res, body: rec.Body.String()}
	a.page = pagetest.Parse(b.w.t, strings.NewReader(a.body))
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") && r.Method != http.MethodHead {
		pagetest.Accessible(b.w.t, a.page)
	}
	return a
}

// checkCookie holds every cookie to the same rules (SES-02, SES-04).
func (b *browser) checkCookie(c *http.Cookie) {
	b.w.t.Helper()
	want := http.SameSiteLaxMode
	if c.Name == ssoCookie {
		want = http.SameSiteNoneMode
		if c.MaxAge > 600 {
			b.w.t.Errorf("%s lives for %d s", c.Name, c.MaxAge)
		}
	}
	if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != want {
		b.w.t.Errorf("cookie %s", c)
	}
}

func (b *browser) get(path string) answer {
	b.w.t.Helper()
	return b.do(httptest.NewRequest(http.MethodGet, path, nil))
}

func (b *browser) post(path string, form url.Values) answer {
	b.w.t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

func (b *browser) crossPost(path string, form url.Values) answer {
	b.w.t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return b.do(r)
}

// follow goes on as long as the answer leads to a path of this site.
func (b *browser) follow(a answer) answer {
	b.w.t.Helper()
	for range 5 {
		to := a.Header.Get("Location")
		if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/") {
			return a
		}
		a = b.get(to)
	}
	b.w.t.Fatal("it goes round in circles")
	return a
}

// submit posts the (only) form of a page with its hidden fields and those given.
func (b *browser) submit(a answer, set url.Values) answer {
	b.w.t.Helper()
	form := url.Values{}
	for _, in := range a.page.All("main form input") {
		if kind := pagetest.Attr(in, "type"); kind == "hidden" || kind == "email" || kind == "text" {
			form.Set(pagetest.Attr(in, "name"), pagetest.Attr(in, "value"))
		}
	}
	for name, v := range set {
		form[name] = v
	}
	action := a.page.Attr("main form", "action")
	if action == "" {
		b.w.t.Fatalf("no form on the page:\n%s", a.body)
	}
	return b.post(action, form)
}

// signIn signs in with a password and lands where it leads.
func (b *browser) signIn(who, password string) answer {
	b.w.t.Helper()
	a := b.follow(b.submit(b.get("/login"), url.Values{"email": {who}}))
	return b.follow(b.submit(a, url.Values{"password": {password}}))
}

func (b *browser) signedIn() bool {
	b.w.t.Helper()
	return b.get("/").StatusCode == http.StatusOK
}

func (a answer) want(t testing.TB, status int, heading string) {
	t.Helper()
	if a.StatusCode != status || (heading != "" && a.page.Text("h1") != heading) {
		t.Fatalf("got %d %q to %q, want %d %q; problems: %s", a.StatusCode, a.page.Text("h1"), a.Header.Get("Location"), status, heading, a.page.Text(".summary"))
	}
}

// momentOf is a moment as somebody reads it who has chosen nothing.
func momentOf(t time.Time) moment {
	return moment{Human: t.Format("2 January 2006, 15:04 UTC"), Machine: t.Format(time.RFC3339)}
}
