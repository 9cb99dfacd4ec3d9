package demo

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/oidc"
	"github.com/domicile-sso/domicile/federation/saml"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// populate does what an operator does with the commands portal, connection,
// domain and account. Every step is safe to repeat, so a kept folder is only
// brought up to date: nobody's password is set back.
func (d *Demo) populate(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, steps := range [][]func(context.Context) error{
		{d.acme, d.umbrella}, // one database each
		{d.globex},
		{d.initech},
	} {
		g.Go(func() error {
			for _, step := range steps {
				if err := step(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// found makes a portal and returns the store of its region.
func (d *Demo) found(ctx context.Context, id string) (*store.Store, error) {
	for _, p := range d.Portals {
		if p.ID != id {
			continue
		}
		s := d.Regions[p.Region].Store()
		_, err := s.CreatePortal(ctx, portal.Portal{
			ID: p.ID, Name: p.Name, URL: p.URL, Disclosure: discovery.Listed, KeepSigned: true,
			Contact: "help@" + p.ID + ".example", // read alike in every language
		})
		for _, a := range []portal.App{
			{ID: "desktop", Name: "Secure mail on the desktop", Kind: portal.OwnApp},
			{ID: "outlook", Name: "Secure mail for Outlook", Kind: portal.AddIn},
		} {
			if a.Portal = id; err == nil {
				_, err = s.PutApp(ctx, a)
			}
		}
		return s, err
	}
	return nil, fmt.Errorf("no portal %s", id)
}

func (d *Demo) acme(ctx context.Context) error {
	s, err := d.found(ctx, "acme")
	if err != nil {
		return err
	}
	if err := d.connectSAML(ctx, s, "acme", "Acme", d.idps.acme); err != nil {
		return err
	}
	if err := d.connectOIDC(ctx, s, "acme", "acme-oidc", "Acme’s new sign-in", d.host("acme.eu"), d.idps.acmeNew); err != nil {
		return err
	}
	if err := d.route(ctx, s, portal.Domain{Name: "acme.example", Portal: "acme", Connection: "acme-saml", JIT: true}); err != nil {
		return err
	}
	if err := d.account(ctx, s, portal.Owner, "acme", "ada@acme.example", "Ada", "Lovelace", ""); err != nil {
		return err
	}
	return d.account(ctx, s, portal.Guest, "acme", "max@consult.example", "Max", "Planck", password)
}

func (d *Demo) umbrella(ctx context.Context) error {
	s, err := d.found(ctx, "umbrella")
	if err != nil {
		return err
	}
	if err := d.connectSAML(ctx, s, "umbrella", "Umbrella", d.idps.umbrella); err != nil {
		return err
	}
	if err := d.route(ctx, s, portal.Domain{Name: "umbrella.example", Portal: "umbrella", Connection: "umbrella-saml", Password: true, JIT: true}); err != nil {
		return err
	}
	return d.account(ctx, s, portal.Owner, "umbrella", "uma@umbrella.example", "Uma", "Thorn", password)
}

func (d *Demo) globex(ctx context.Context) error {
	s, err := d.found(ctx, "globex")
	if err != nil {
		return err
	}
	if err := d.connectOIDC(ctx, s, "globex", "globex-oidc", "Globex sign-in", d.host("globex.us"), d.idps.globex); err != nil {
		return err
	}
	if err := d.route(ctx, s, portal.Domain{Name: "globex.example", Portal: "globex", Connection: "globex-oidc", JIT: true}); err != nil {
		return err
	}
	if err := d.account(ctx, s, portal.Owner, "globex", "gus@globex.example", "Gus", "Grissom", ""); err != nil {
		return err
	}
	return d.account(ctx, s, portal.Guest, "globex", "max@consult.example", "Max", "Planck", password)
}

func (d *Demo) initech(ctx context.Context) error {
	s, err := d.found(ctx, "initech")
	if err != nil {
		return err
	}
	if err := d.route(ctx, s, portal.Domain{Name: "initech.example", Portal: "initech", Password: true}); err != nil {
		return err
	}
	if err := d.account(ctx, s, portal.Owner, "initech", "iris@initech.example", "Iris", "Murdoch", password); err != nil {
		return err
	}
	if err := d.account(ctx, s, portal.Guest, "initech", "max@consult.example", "Max", "Planck", password); err != nil {
		return err
	}
	for _, p := range [][3]string{
		{"ian@initech.example", "Ian", "Fleming"},
		{"dan@initech.example", "Dan", "Brown"},
	} {
		if err := d.account(ctx, s, portal.Member, "initech", p[0], p[1], p[2], password); err != nil {
			return err
		}
	}
	dan, ivy := address("dan@initech.example"), address("ivy@initech.example")
	if _, err := s.Disable(ctx, "initech", portal.Visitor{}, dan); err != nil {
		return err
	}
	_, err = s.Invite(ctx, portal.Visitor{}, portal.Invitation{
		Portal: "initech", Address: ivy, GivenName: "Ivy", FamilyName: "Compton",
	})
	return err
}

func (d *Demo) connectSAML(ctx context.Context, s *store.Store, id, name string, idp *idptest.SAMLIdP) error {
	settings, err := saml.ParseMetadata(idp.Metadata(), "", d.o.Now(), saml.DangerouslyAllowLoopback())
	if err != nil {
		return fmt.Errorf("%s: metadata: %w", id, err)
	}
	c, _, err := s.PutConnection(ctx, federation.Connection{
		ID: id + "-saml", Portal: id, Name: name + " sign-in", Kind: federation.SAML, SAML: &settings,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	c, key, err := s.Connection(ctx, id, c.ID)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	ours, err := saml.Metadata(c, key)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	return idp.AddSP(ours)
}

func (d *Demo) connectOIDC(ctx context.Context, s *store.Store, portalID, id, name, at string, idp *idptest.OIDCProvider) error {
	settings, err := oidc.New(d.outbound(), d.o.Now).Discover(ctx, idp.Issuer())
	if err != nil {
		return fmt.Errorf("%s: read the provider's configuration: %w", id, err)
	}
	settings.ClientID, settings.ClientSecret = "domicile", "demo-client-secret"
	settings.Scopes = []string{"email", "profile"}
	c, _, err := s.PutConnection(ctx, federation.Connection{
		ID: id, Portal: portalID, Name: name, Kind: federation.OIDC, OIDC: &settings,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	idp.AddClient(idptest.OIDCClient{
		ID: settings.ClientID, Secret: settings.ClientSecret,
		RedirectURIs:   []string{c.OIDC.RedirectURI},
		PostLogoutURIs: []string{at + "/", at + "/login"},
	})
	return nil
}

func (d *Demo) route(ctx context.Context, s *store.Store, at portal.Domain) error {
	at.Proof, at.Proven = "operator", d.o.Now()
	_, err := s.PutDomain(ctx, at)
	return err
}

func (d *Demo) account(ctx context.Context, s *store.Store, role portal.Role, id, who, given, family string, secret portal.Secret) error {
	_, err := s.DangerouslyCreateAccount(ctx, portal.Account{
		Portal: id, Primary: address(who), GivenName: given, FamilyName: family, Role: role,
	}, secret)
	return err
}

// address is one of the demo's own, which parse.
func address(s string) discovery.Address {
	a, err := discovery.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}
