package store_test

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// fixture is a region with the portals acme (SAML, Cloud or Domain in one
// domain) and other.
type fixture struct {
	*store.Store
	t     *testing.T
	ctx   context.Context
	db    *sql.DB
	clock *clock
	key   []byte // of the vault
	saml  federation.Connection
	oidc  federation.Connection
}

const good = portal.Secret("seven Wandering otters 41")

func each(t *testing.T, f func(t *testing.T, x *fixture)) {
	t.Helper()
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) { f(t, newFixture(t, db)) })
}

// onSQLite is for what does not depend on the database.
func onSQLite(t *testing.T) *fixture {
	t.Helper()
	return newFixture(t, sqltest.SQLite(t, store.Migrations))
}

func newFixture(t *testing.T, db *sql.DB) *fixture {
	t.Helper()
	key := portal.NewVaultKey()
	vault, err := portal.NewVault(key)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{t: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)}
	x := &fixture{Store: store.New(db, vault, c.now), t: t, ctx: t.Context(), db: db, clock: c, key: key}
	t.Cleanup(x.countedRight)
	for _, p := range []portal.Portal{
		{ID: "acme", Name: "Acme Corporation", URL: "https://acme.eu.example.com", KeepSigned: true, Contact: "it@acme.example", Disclosure: discovery.Listed},
		{ID: "other", Name: "Other", URL: "https://other.eu.example.com"},
	} {
		if _, err := x.CreatePortal(x.ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	x.saml = x.connection(federation.Connection{ID: "acme-saml", Portal: "acme", Kind: federation.SAML,
		SAML: &federation.SAMLSettings{IDPEntityID: "https://idp.example/saml", SSORedirect: "https://idp.example/sso"}})
	x.oidc = x.connection(federation.Connection{ID: "acme-oidc", Portal: "acme", Kind: federation.OIDC,
		OIDC: &federation.OIDCSettings{Issuer: "https://idp.example", ClientID: "acme", ClientSecret: "s3cret-canary"}})
	x.domain(portal.Domain{Name: "acme.example", Portal: "acme", Connection: "acme-saml", JIT: true})
	x.domain(portal.Domain{Name: "both.example", Portal: "acme", Connection: "acme-oidc", Password: true})
	x.domain(portal.Domain{Name: "cloud.example", Portal: "acme"})
	return x
}

// stand is for an account that was written straight into the tables.
func (x *fixture) stand(portalID, accountID string) {
	x.t.Helper()
	if err := store.Stand(x.ctx, x.Store, portalID, accountID); err != nil {
		x.t.Fatal(err)
	}
}

// countedRight ends every test: whatever happened in it, people are counted as
// they are.
func (x *fixture) countedRight() {
	if x.db.Ping() != nil {
		return // a test of what happens without it
	}
	wrong, err := store.WrongFootings(context.WithoutCancel(x.ctx), x.Store)
	if err != nil && !x.t.Failed() {
		x.t.Errorf("count people: %v", err)
	}
	for _, w := range wrong {
		x.t.Error(w)
	}
}

func (x *fixture) connection(c federation.Connection) federation.Connection {
	x.t.Helper()
	stored, _, err := x.PutConnection(x.ctx, c)
	if err != nil {
		x.t.Fatal(err)
	}
	return stored
}

func (x *fixture) domain(d portal.Domain) {
	x.t.Helper()
	if _, err := x.PutDomain(x.ctx, d); err != nil {
		x.t.Fatal(err)
	}
}

func (x *fixture) account(address string) portal.Account {
	x.t.Helper()
	a := portal.Account{Portal: "acme", Primary: addr(x.t, address), GivenName: "Ada"}
	if created, err := x.DangerouslyCreateAccount(x.ctx, a, good); err != nil || !created {
		x.t.Fatalf("create account: %t, %v", created, err)
	}
	found, ok, err := x.AccountByAddress(x.ctx, "acme", a.Primary)
	if err != nil || !ok {
		x.t.Fatalf("read account: %t, %v", ok, err)
	}
	return found
}

func addr(t *testing.T, s string) discovery.Address {
	t.Helper()
	a, err := discovery.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func visitor(browser string) portal.Visitor {
	return portal.Visitor{Browser: portal.Secret(browser), Client: netip.MustParseAddr("192.0.2.77"), Reference: "REF-" + browser}
}

func (x *fixture) attempt(v portal.Visitor, address string) string {
	x.t.Helper()
	h, err := x.StartAttempt(x.ctx, "acme", v, portal.Attempt{Address: addr(x.t, address), ReturnTo: "/inbox?m=1"})
	if err != nil {
		x.t.Fatal(err)
	}
	return h
}

// signIn signs in with a password, from a browser.
func (x *fixture) signIn(browser, address string, password portal.Secret) (portal.SignedIn, error) {
	x.t.Helper()
	v := visitor(browser)
	return x.SignInPassword(x.ctx, "acme", v, x.attempt(v, address), password, false)
}

func (x *fixture) mustSignIn(browser, address string, password portal.Secret) portal.SignedIn {
	x.t.Helper()
	in, err := x.signIn(browser, address, password)
	if err != nil {
		x.t.Fatalf("sign in: %v", err)
	}
	return in
}

func (x *fixture) live(token portal.Secret) bool {
	x.t.Helper()
	_, err := x.SessionByToken(x.ctx, "acme", token)
	if err != nil && !errors.Is(err, portal.ErrNoSession) {
		x.t.Fatalf("session: %v", err)
	}
	return err == nil
}

// letters takes and ticks off every letter in the queue.
func (x *fixture) letters() []portal.Letter {
	x.t.Helper()
	var out []portal.Letter
	for {
		due, err := x.DueLetters(x.ctx, 10)
		if err != nil {
			x.t.Fatal(err)
		}
		if len(due) == 0 {
			return out
		}
		for _, p := range due {
			out = append(out, p.Letter)
			if err := x.LetterSent(x.ctx, p.ID); err != nil {
				x.t.Fatal(err)
			}
		}
	}
}

func (x *fixture) letter(kind portal.LetterKind) portal.Letter {
	x.t.Helper()
	for _, l := range x.letters() {
		if l.Kind == kind {
			return l
		}
	}
	x.t.Fatalf("no letter of kind %q", kind)
	return portal.Letter{}
}

// code is the code of an error a person may hear of, or what else it is.
func code(err error) string {
	var e *discovery.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return e.Code
	}
	return err.Error()
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
}

// audited reports whether the log has an action with a code.
func (x *fixture) audited(action, code string) bool {
	x.t.Helper()
	events, err := x.Events(x.ctx, "acme", portal.EventFilter{Action: action})
	if err != nil {
		x.t.Fatal(err)
	}
	for _, e := range events {
		if e.Code == code {
			return true
		}
	}
	return false
}

// parallel runs f fifty times at once and counts the codes of its errors.
func parallel(f func(i int) error) map[string]int {
	codes := make([]string, 50)
	var wg sync.WaitGroup
	for i := range codes {
		wg.Go(func() { codes[i] = code(f(i)) })
	}
	wg.Wait()
	out := map[string]int{}
	for _, c := range codes {
		out[c]++
	}
	return out
}

func wantOne(t *testing.T, got map[string]int, refused string) {
	t.Helper()
	if got["ok"] != 1 || got["ok"]+got[refused] != 50 {
		t.Errorf("got %v, want one success and 49 times %s", got, refused)
	}
}

func TestPortals(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		p := portal.Portal{ID: "acme", Name: "Acme Corporation", URL: "https://acme.eu.example.com", KeepSigned: true, Contact: "it@acme.example", Disclosure: discovery.Listed}
		if changed, err := x.CreatePortal(x.ctx, p); err != nil || changed {
			t.Errorf("the same again: changed %t, %v", changed, err)
		}
		p.Name = "Acme plc"
		if changed, err := x.CreatePortal(x.ctx, p); err != nil || !changed {
			t.Errorf("renamed: changed %t, %v", changed, err)
		}
		got, err := x.PortalByHost(x.ctx, "ACME.eu.example.com")
		if err != nil || got.Name != "Acme plc" || !got.KeepSigned {
			t.Errorf("by host: %+v, %v", got, err)
		}
		_, err = x.PortalByHost(x.ctx, "elsewhere.example.com")
		wantCode(t, err, "host_unknown")
		p.URL = "https://acme.us.example.com"
		_, err = x.CreatePortal(x.ctx, p)
		wantCode(t, err, "portal_url")
		_, err = x.CreatePortal(x.ctx, portal.Portal{ID: "thief", Name: "Thief", URL: "https://acme.eu.example.com"})
		wantCode(t, err, "portal_host_taken")
		all, err := x.Portals(x.ctx)
		if err != nil || len(all) != 2 {
			t.Errorf("portals: %v, %v", all, err)
		}
	})
}

func TestConnectionAddressesAreFixed(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		if got := x.saml.SAML.ACS; got != "https://acme.eu.example.com/saml/acme-saml/acs" {
			t.Errorf("ACS is %q", got)
		}
		c := x.saml
		s := *c.SAML
		s.EntityID, s.ACS, s.SSORedirect = "https://evil.example", "https://evil.example/acs", "https://idp.example/new"
		c.SAML = &s
		stored, changed, err := x.PutConnection(x.ctx, c)
		if err != nil || !changed || stored.SAML.EntityID != x.saml.SAML.EntityID || stored.SAML.ACS != x.saml.SAML.ACS {
			t.Errorf("after an update: %+v, changed %t, %v", stored.SAML, changed, err)
		}
		_, keys, err := x.Connection(x.ctx, "acme", "acme-saml")
		if err != nil || keys.Key == nil {
			t.Errorf("keys: %v", err)
		}
		if _, _, err := x.Connection(x.ctx, "other", "acme-saml"); code(err) != "connection_unknown" {
			t.Errorf("another portal's connection: %v", err)
		}
		// The secret stays when an update does not carry it, and is sealed.
		o := x.oidc
		settings := *o.OIDC
		settings.ClientSecret, settings.ClientID = "", "acme-2"
		o.OIDC = &settings
		if _, _, err := x.PutConnection(x.ctx, o); err != nil {
			t.Fatal(err)
		}
		got, _, err := x.Connection(x.ctx, "acme", "acme-oidc")
		if err != nil || got.OIDC.ClientSecret != "s3cret-canary" || got.OIDC.ClientID != "acme-2" {
			t.Errorf("secret lost: %v", err)
		}
		if _, changed, err := x.PutConnection(x.ctx, got); err != nil || changed {
			t.Errorf("the same again: changed %t, %v", changed, err)
		}
		var text, sealed string
		if err := x.db.QueryRow(`SELECT settings, secret FROM connections WHERE id = 'acme-oidc'`).Scan(&text, &sealed); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text+sealed, "canary") {
			t.Error("the client secret is stored in clear")
		}
		// Another issuer is another party: it must not be sent this one's secret.
		moved := *got.OIDC
		moved.ClientSecret, moved.Issuer = "", "https://other.example"
		got.OIDC = &moved
		if stored, _, err := x.PutConnection(x.ctx, got); err != nil || stored.OIDC.ClientSecret != "" {
			t.Errorf("the secret went along to another issuer: %v", err)
		}
	})
}

func TestDomainFor(t *testing.T) {
	x := onSQLite(t)
	x.domain(portal.Domain{Name: "*.acme.example", Portal: "acme"})
	x.domain(portal.Domain{Name: "*.eu.acme.example", Portal: "acme", Connection: "acme-saml"})
	for name, want := range map[string]string{
		"acme.example":      "acme.example",
		"a.acme.example":    "*.acme.example",
		"eu.acme.example":   "*.acme.example",
		"x.eu.acme.example": "*.eu.acme.example",
		"badacme.example":   "",
		"example":           "",
	} {
		d, ok, err := x.DomainFor(x.ctx, "acme", name)
		if err != nil || ok != (want != "") || d.Name != want {
			t.Errorf("%s: %q %t %v, want %q", name, d.Name, ok, err, want)
		}
	}
	if _, ok, _ := x.DomainFor(x.ctx, "other", "acme.example"); ok {
		t.Error("another portal's domain is found")
	}
	if _, err := x.PutDomain(x.ctx, portal.Domain{Name: "x.example", Portal: "other", Connection: "acme-saml"}); code(err) != "connection_unknown" {
		t.Errorf("another portal's connection: %v", err)
	}
	for _, name := range []string{"gmail.com", "*.gmail.com", "co.uk", "*.github.io"} {
		_, err := x.PutDomain(x.ctx, portal.Domain{Name: name, Portal: "acme", Connection: "acme-saml", JIT: true})
		if got := code(err); got != "domain_freemail" && got != "domain_public_suffix" {
			t.Errorf("%s belongs to everybody and was given to a portal: %v", name, err)
		}
	}
}

// say is what the person is told.
func say(err error) string {
	var e *discovery.Error
	if errors.As(err, &e) {
		return e.English()
	}
	return ""
}
