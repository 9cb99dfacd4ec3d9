package attacks

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/oidc"
	"github.com/domicile-sso/domicile/federation/saml"
	"github.com/domicile-sso/domicile/portal"
)

// A place is one portal.
type place struct{ id, url, region string }

var places = []place{{"acme", acme, europe}, {"beta", beta, europe}, {"gamma", gamma, america}}

// Domains, by how their people sign in.
//
//	acme.example        acme-saml          beta.example        beta-saml
//	acme-oidc.example   acme-oidc          beta-oidc.example   beta-oidc
//	acme-cloud.example  password           gamma.example       gamma-saml
//	acme-both.example   acme-saml or a     gamma-cloud.example password
//	                    password
//
// Federated domains make accounts on the first sign-in.
var domains = []struct {
	name, portal, connection string
	password                 bool
}{
	{"acme.example", "acme", "acme-saml", false},
	{"acme-oidc.example", "acme", "acme-oidc", false},
	{"acme-cloud.example", "acme", "", true},
	{"acme-both.example", "acme", "acme-saml", true},
	{"beta.example", "beta", "beta-saml", false},
	{"beta-oidc.example", "beta", "beta-oidc", false},
	{"gamma.example", "gamma", "gamma-saml", false},
	{"gamma-cloud.example", "gamma", "", true},
}

// People with a password; there are few, because each costs an Argon2id.
const (
	pat      = "pat@acme-cloud.example"
	pam      = "pam@gamma-cloud.example"
	password = "three blue lanterns by the weir"
)

// The identity providers of the world. Each listens under a path of its own on
// one loopback listener. They sign in whomever the request's hint names, or
// anybody a test mints a message for.
type idps struct {
	server *httptest.Server
	SAML   map[string]*idptest.SAMLIdP      // by connection
	OIDC   map[string]*idptest.OIDCProvider // by connection

	calls  atomic.Int64 // requests of anybody, to any of them
	people atomic.Int64 // met so far
	crowd  atomic.Int64 // of them, at OpenID providers
}

// rsaKeys are made once for all worlds of the process: making them is what takes
// time.
var rsaKeys = sync.OnceValue(func() map[string]*rsa.PrivateKey {
	keys := map[string]*rsa.PrivateKey{}
	for _, name := range []string{"acme-saml", "beta-saml", "gamma-saml", "acme-oidc", "beta-oidc"} {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[name] = k
	}
	return keys
})

const secretOfClient = "client-secret-of-the-tests"

// crowd is how many different people each OpenID provider knows.
const crowd = 400

func startIdPs(now func() time.Time) *idps {
	i := &idps{SAML: map[string]*idptest.SAMLIdP{}, OIDC: map[string]*idptest.OIDCProvider{}}
	mux := http.NewServeMux()
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.calls.Add(1)
		mux.ServeHTTP(w, r)
	}))
	for name, key := range rsaKeys() {
		at := i.server.URL + "/" + name
		if name != "acme-oidc" && name != "beta-oidc" {
			idp, err := idptest.NewSAML(idptest.SAMLOptions{URL: at, Name: name, Silent: true, Key: key, Now: now})
			if err != nil {
				panic(err)
			}
			i.SAML[name] = idp
			mux.Handle("/"+name+"/", idp)
			continue
		}
		var users []idptest.User
		for n := range crowd {
			users = append(users, person(n, name+".example"))
		}
		i.OIDC[name] = idptest.NewOIDC(idptest.OIDCOptions{Issuer: at, Name: name, Silent: true, Users: users, Key: key, Now: now})
		mux.Handle("/"+name+"/", i.OIDC[name])
	}
	return i
}

func person(n int, domain string) idptest.User {
	return idptest.User{
		Subject: fmt.Sprintf("subject-%d-of-%s", n, domain), Address: fmt.Sprintf("person-%d@%s", n, domain),
		GivenName: "Robin", FamilyName: fmt.Sprintf("Number%d", n),
	}
}

// Person is somebody nobody has met before, in one of the federated domains.
func (i *idps) Person(t testing.TB, domain string) idptest.User {
	t.Helper()
	if !strings.Contains(domain, "-oidc.") {
		return person(int(i.people.Add(1)), domain)
	}
	n := int(i.crowd.Add(1)) - 1
	if n >= crowd {
		t.Fatal("the crowd is too small")
	}
	return person(n, domain)
}

// populate does what an operator does by command.
func (w *world) populate(ctx context.Context) error {
	var g errgroup.Group
	for _, p := range places {
		g.Go(func() error {
			s := w.home(p.url).Store()
			_, err := s.CreatePortal(ctx, portal.Portal{
				ID: p.id, Name: "The " + p.id + " portal", URL: p.url, Disclosure: discovery.Listed, KeepSigned: true,
				Contact: "the service desk of " + p.id,
			})
			if err != nil {
				return err
			}
			if _, err := w.connectSAML(ctx, p, p.id+"-saml", w.IdPs.SAML[p.id+"-saml"]); err != nil {
				return err
			}
			if idp := w.IdPs.OIDC[p.id+"-oidc"]; idp != nil {
				if _, err := w.connectOIDC(ctx, p, p.id+"-oidc", idp); err != nil {
					return err
				}
			}
			for _, d := range domains {
				if d.portal != p.id {
					continue
				}
				if err := w.route(ctx, d.name, d.portal, d.connection, d.password); err != nil {
					return err
				}
			}
			for _, who := range []string{pat, pam} {
				a := addressOf(who)
				if d, known, err := s.DomainFor(ctx, p.id, a.Domain()); err != nil {
					return err
				} else if known && d.AllowsPassword() {
					if _, err := s.DangerouslyCreateAccount(ctx, portal.Account{Portal: p.id, Primary: a, GivenName: "Pat"}, password); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (w *world) route(ctx context.Context, domain, portalID, connection string, password bool) error {
	for _, p := range places {
		if p.id == portalID {
			_, err := w.home(p.url).Store().PutDomain(ctx, portal.Domain{
				Name: domain, Portal: p.id, Connection: connection, Password: password, JIT: connection != "",
				Proof: "operator", Proven: w.Clock.Now(),
			})
			return err
		}
	}
	return fmt.Errorf("no portal %s", portalID)
}

// connectSAML gives a portal a connection to idp, by its metadata.
func (w *world) connectSAML(ctx context.Context, p place, id string, idp *idptest.SAMLIdP) (federation.Connection, error) {
	settings, err := saml.ParseMetadata(idp.Metadata(), "", w.Clock.Now(), saml.DangerouslyAllowLoopback())
	if err != nil {
		return federation.Connection{}, err
	}
	c, _, err := w.home(p.url).Store().PutConnection(ctx, federation.Connection{
		ID: id, Portal: p.id, Name: "Sign-in of " + p.id, Kind: federation.SAML, SAML: &settings,
	})
	return c, err
}

// connectOIDC gives a portal a connection to idp, by its discovery document.
func (w *world) connectOIDC(ctx context.Context, p place, id string, idp *idptest.OIDCProvider) (federation.Connection, error) {
	settings, err := oidc.New(w.outbound, w.Clock.Now).Discover(ctx, idp.Issuer())
	if err != nil {
		return federation.Connection{}, err
	}
	settings.ClientID, settings.ClientSecret, settings.Scopes = id, secretOfClient, []string{"email", "profile"}
	c, _, err := w.home(p.url).Store().PutConnection(ctx, federation.Connection{
		ID: id, Portal: p.id, Name: "OpenID of " + p.id, Kind: federation.OIDC, OIDC: &settings,
	})
	if err != nil {
		return c, err
	}
	idp.AddClient(idptest.OIDCClient{ID: id, Secret: secretOfClient, RedirectURIs: []string{c.OIDC.RedirectURI}})
	return c, nil
}

// Configure changes a connection until the test ends.
func (w *world) Configure(t testing.TB, portal, connection string, change func(*federation.Connection)) {
	t.Helper()
	id := idOf(portal)
	put := func(change func(*federation.Connection)) {
		s := w.store(portal) // another one after a restart
		c, _, err := s.Connection(context.Background(), id, connection)
		if err != nil {
			t.Fatal(err)
		}
		change(&c)
		if _, _, err = s.PutConnection(context.Background(), c); err != nil {
			t.Fatal(err)
		}
	}
	before, _, err := w.store(portal).Connection(t.Context(), id, connection)
	if err != nil {
		t.Fatal(err)
	}
	put(change)
	t.Cleanup(func() { put(func(c *federation.Connection) { *c = before }) })
}

// idOf is the ID of the portal at a URL.
func idOf(portal string) string {
	portal = or(standbys[portal], portal)
	for _, p := range places {
		if p.url == portal {
			return p.id
		}
	}
	panic("no portal at " + portal)
}

func addressOf(s string) discovery.Address {
	a, err := discovery.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}
