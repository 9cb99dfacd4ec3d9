package rotation

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery"
	directory "github.com/domicile-sso/domicile/discovery/store"
	directoryweb "github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/oidc"
	"github.com/domicile-sso/domicile/federation/saml"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
	"github.com/domicile-sso/domicile/portal/web"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

const (
	frontDoor = "https://domicile.example"
	acme      = "https://acme.eu.domicile.example" // SAML, OpenID Connect, password
	beta      = "https://beta.eu.domicile.example" // password
	region    = "eu-central"

	password = "three blue lanterns by the weir"
)

// People, and how they are found and sign in.
const (
	sam = "sam@acme-saml.example"   // by domain; SAML
	ola = "ola@acme-oidc.example"   // by domain; OpenID Connect
	pat = "pat@partner.example"     // by blind ID; password
	mia = "mia@consult.example"     // by blind ID, in both portals; password
	eve = "eve@nowhere.example"     // not found
	pam = "pam@acme-cloud.example"  // by domain; password
	ned = "ned@acme-nobody.example" // not found, and their domain is like others
)

// A clock goes as all clocks do, and jumps when the drill says so.
type clock struct {
	began, shows time.Time // what it showed when it was made

	mu     sync.Mutex
	jumped time.Duration
}

func newClock() *clock {
	return &clock{began: time.Now(), shows: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shows.Add(time.Since(c.began) + c.jumped)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jumped += d
}

// troubles are the last lines that are more than news.
func troubles(l *planttest.Log) string {
	var lines []string
	for line := range strings.Lines(l.String()) {
		if !strings.Contains(line, "no mail server") && (!strings.Contains(line, "level=INFO") || strings.Contains(line, " err=")) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-15):], "")
}

// A fleet is the product, its settings and the keys that lie offline.
type fleet struct {
	t      testing.TB
	clock  *clock
	log    planttest.Log
	front  role
	region role

	// The settings, as they stand in the configuration files.
	frontKeys  frontKeys
	regionKeys regionKeys
	described  described
	root       ed25519.PrivateKey
	version    int64
	catalogue  string

	directoryURL, databaseURL string
	transport                 *http.Transport
	idps                      *httptest.Server
	saml                      *idptest.SAMLIdP
	oidc                      *idptest.OIDCProvider

	gate sync.RWMutex // the clock does not jump while somebody signs in
	load load
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	f := &fleet{t: t, clock: newClock(), root: signingKey(),
		catalogue:    filepath.Join(t.TempDir(), "catalogue"),
		directoryURL: servertest.Postgres(t), databaseURL: servertest.Postgres(t),
		transport: &http.Transport{DisableKeepAlives: true},
	}
	signing, publishing, opener := signingKey(), signingKey(), ticketKey(t)
	blind := discovery.BlindKeys{discovery.NewBlindKey(1, random())}
	f.frontKeys = frontKeys{cookie: [][]byte{random()}, blind: blind, signing: signing, roots: []ed25519.PublicKey{public(f.root)}}
	f.regionKeys = regionKeys{data: [][]byte{random()}, ticket: []ticket.Key{opener}, publishing: publishing, blind: blind, signing: []ed25519.PublicKey{public(signing)}}
	f.described = described{[]regions.TicketKey{opener.Public()}, []regions.PublishingKey{publishingKey(publishing)}}
	f.identityProviders()
	f.writeRecord()
	f.front.start, f.region.start = f.startFront, f.startRegion
	t.Cleanup(f.stop)
	for _, r := range []*role{&f.front, &f.region} {
		if err := r.begin(); err != nil {
			t.Fatal(err)
		}
	}
	f.populate()
	return f
}

func (f *fleet) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, r := range []*role{&f.region, &f.front} {
		if err := r.end(ctx); err != nil {
			f.t.Error(err)
		}
	}
	f.idps.Close()
}

func (f *fleet) common(role, database string) app.Common {
	return app.Common{
		Listen: "127.0.0.1:0", Database: database, Migrate: true, Now: f.clock.Now, Registry: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(&f.log, nil)).With("role", role),
	}
}

func (f *fleet) startFront() (*node, error) {
	k := f.frontKeys
	o := app.DiscoveryOptions{
		Common: f.common("discovery", f.directoryURL), URL: frontDoor, Internal: "127.0.0.1:0",
		Tickets: k.signing, Secrets: k.cookie, BlindKeys: k.blind, Roots: k.roots,
		Catalogue: f.catalogue, Reread: 20 * time.Millisecond, Limits: directoryweb.Limits{DangerouslyUnlimited: true},
	}
	d, err := app.NewDiscovery(f.t.Context(), o)
	if err != nil {
		return nil, err
	}
	d.Start()
	return &node{public: d.Addr("public"), claims: d.Claims(), registry: o.Registry, stop: d.Stop}, nil
}

func (f *fleet) startRegion() (*node, error) {
	k := f.regionKeys
	claims := roundTripper(func(r *http.Request) (*http.Response, error) {
		return f.front.send(f.transport, r, func(n *node) string { return n.claims })
	})
	o := app.PortalOptions{
		Common: f.common("portal", f.databaseURL), Region: region, RegionName: "Frankfurt", Jurisdiction: "EU", HTTPS: true,
		VaultKeys: k.data, TicketKeys: k.ticket, Publishing: k.publishing, BlindKeys: k.blind,
		FrontDoor: frontDoor, FrontDoorKeys: k.signing, ClaimsURL: "http://claims.example",
		ClaimsClient: &http.Client{Transport: claims, Timeout: 10 * time.Second},
		Outbound:     fetch.New(fetch.Options{DangerouslyAllowLoopback: true, Log: slog.New(slog.DiscardHandler)}),
		Limits:       web.Limits{DangerouslyUnlimited: true},
	}
	p, err := app.NewPortal(f.t.Context(), o)
	if err != nil {
		return nil, err
	}
	p.Start()
	return &node{public: p.Addr("public"), registry: o.Registry, stop: p.Stop}, nil
}

// writeRecord is domicile region sign: it signs the region's description under
// the root key, as the next version.
func (f *fleet) writeRecord() {
	f.t.Helper()
	f.version++
	now := f.clock.Now()
	signed, err := regions.Sign(regions.Record{
		Region: region, Jurisdiction: "EU", Name: "Frankfurt", Version: f.version, Issued: now, Expires: now.AddDate(0, 3, 0),
		Hosts: []string{"*.eu.domicile.example"}, TicketKeys: f.described.ticket, PublishingKeys: f.described.publishing,
	}, f.root)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := regions.WriteFile(f.catalogue, []string{signed}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) identityProviders() {
	f.t.Helper()
	mux := http.NewServeMux()
	f.idps = httptest.NewServer(mux)
	var err error
	if f.saml, err = idptest.NewSAML(idptest.SAMLOptions{URL: f.idps.URL + "/saml-idp", Name: "saml", Silent: true, Now: f.clock.Now,
		Users: []idptest.User{{Subject: "subject-of-sam", Address: sam, GivenName: "Sam", FamilyName: "Saml"}}}); err != nil {
		f.t.Fatal(err)
	}
	f.oidc = idptest.NewOIDC(idptest.OIDCOptions{Issuer: f.idps.URL + "/oidc-idp", Name: "oidc", Silent: true, Now: f.clock.Now,
		Users: []idptest.User{{Subject: "subject-of-ola", Address: ola, GivenName: "Ola", FamilyName: "Oidc"}}})
	mux.Handle("/saml-idp/", f.saml)
	mux.Handle("/oidc-idp/", f.oidc)
}

// withRegion works on the region's database with its data keys, as the commands
// of an operator do.
func (f *fleet) withRegion(do func(*store.Store) error) {
	f.t.Helper()
	vault, err := portal.NewVault(f.regionKeys.data...)
	if err != nil {
		f.t.Fatal(err)
	}
	db, err := sqldb.Open(f.t.Context(), f.databaseURL)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := do(store.New(db, vault, f.clock.Now)); err != nil {
		f.t.Fatal(err)
	}
}

// census is domicile directory status, with the cookie keys of now.
func (f *fleet) census() directory.Tally {
	f.t.Helper()
	tags, err := directory.NewTagKey(f.frontKeys.cookie)
	if err != nil {
		f.t.Fatal(err)
	}
	db, err := sqldb.Open(f.t.Context(), f.directoryURL)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	all, err := directory.New(db, directory.Options{Snapshot: new(discovery.Snapshot), Tags: tags}).Census(f.t.Context())
	if err != nil || len(all) != 1 {
		f.t.Fatalf("%d regions in the directory: %v", len(all), err)
	}
	return all[0]
}

func (f *fleet) populate() {
	f.t.Helper()
	ctx := f.t.Context()
	f.withRegion(func(s *store.Store) error {
		for id, at := range map[string]string{"acme": acme, "beta": beta} {
			if _, err := s.CreatePortal(ctx, portal.Portal{ID: id, Name: "The " + id + " portal", URL: at, Disclosure: discovery.Listed, Contact: "it"}); err != nil {
				return err
			}
		}
		byMetadata, err := saml.ParseMetadata(f.saml.Metadata(), "", f.clock.Now(), saml.DangerouslyAllowLoopback())
		if err != nil {
			return err
		}
		if _, _, err := s.PutConnection(ctx, federation.Connection{ID: "acme-saml", Portal: "acme", Name: "SAML", Kind: federation.SAML, SAML: &byMetadata}); err != nil {
			return err
		}
		outbound := fetch.New(fetch.Options{DangerouslyAllowLoopback: true, Log: slog.New(slog.DiscardHandler)})
		discovered, err := oidc.New(outbound, f.clock.Now).Discover(ctx, f.oidc.Issuer())
		if err != nil {
			return err
		}
		discovered.ClientID, discovered.ClientSecret, discovered.Scopes = "acme", "client-secret-of-the-drill", []string{"email", "profile"}
		c, _, err := s.PutConnection(ctx, federation.Connection{ID: "acme-oidc", Portal: "acme", Name: "OpenID", Kind: federation.OIDC, OIDC: &discovered})
		if err != nil {
			return err
		}
		f.oidc.AddClient(idptest.OIDCClient{ID: "acme", Secret: "client-secret-of-the-drill", RedirectURIs: []string{c.OIDC.RedirectURI}})
		for domain, connection := range map[string]string{"acme-saml.example": "acme-saml", "acme-oidc.example": "acme-oidc", "acme-cloud.example": ""} {
			if _, err := s.PutDomain(ctx, portal.Domain{Name: domain, Portal: "acme", Connection: connection, Password: connection == "", JIT: connection != "",
				Proof: "operator", Proven: f.clock.Now()}); err != nil {
				return err
			}
		}
		for _, in := range [][2]string{{pat, "acme"}, {mia, "acme"}, {mia, "beta"}, {pam, "acme"}} {
			if err := f.account(ctx, s, in[0], in[1]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *fleet) account(ctx context.Context, s *store.Store, address, portalID string) error {
	a, err := discovery.ParseAddress(address)
	if err != nil {
		return err
	}
	if _, err := s.DangerouslyCreateAccount(ctx, portal.Account{Portal: portalID, Primary: a, GivenName: "Pat"}, password); err != nil {
		return fmt.Errorf("account %s in %s: %w", address, portalID, err)
	}
	return nil
}
