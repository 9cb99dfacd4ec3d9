package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/federation/oidc"
	"github.com/domicile-sso/domicile/federation/saml"
	"github.com/domicile-sso/domicile/portal"
)

func connectionCommand() *cobra.Command {
	return group("connection", "Identity providers of portals",
		group("add", "Connect a portal to an identity provider", connectionAddSAML(), connectionAddOIDC()),
		connectionList())
}

func connectionAddSAML() *cobra.Command {
	c := federation.Connection{Kind: federation.SAML}
	var s federation.SAMLSettings
	var metadata, entityID string
	cmd := &cobra.Command{
		Use:   "saml ID --portal ID --metadata FILE|URL",
		Short: "Connect a portal to a SAML 2.0 identity provider",
		Long: `Connect a portal to a SAML 2.0 identity provider.

The provider's metadata is read from a file, or fetched over https from a public
address. Running the command again takes over new metadata, such as another
certificate; what the provider was told about us, and every setting whose flag is
not given, stays as it is.`,
		Example: `  domicile connection add saml acme-saml --config eu.yaml --portal acme \
      --metadata https://login.acme.example/metadata.xml --name "Acme Entra ID"`,
		Args: takes("ID"),
		RunE: onRegion(func(r *operator, args []string) error {
			doc, err := r.read(metadata)
			if err != nil {
				return fmt.Errorf("metadata: %w", err)
			}
			read, err := saml.ParseMetadata(doc, entityID, r.now(), r.metadata...)
			if err != nil {
				return fmt.Errorf("metadata: %w", err)
			}
			old, err := r.connection(c.Portal, args[0])
			if err != nil {
				return err
			}
			if was := old.SAML; was != nil {
				unless(r, "skew", &s.SkewSeconds, was.SkewSeconds)
				unless(r, "allow-idp-initiated", &s.AllowIDPInitiated, was.AllowIDPInitiated)
				unless(r, "force-authn", &s.ForceAuthn, was.ForceAuthn)
				unless(r, "inclusive-c14n", &s.InclusiveC14N, was.InclusiveC14N)
				unless(r, "require-acr", &s.RequiredACR, was.RequiredACR)
				r.leave(&c, old)
			}
			read.SkewSeconds, read.AllowIDPInitiated = s.SkewSeconds, s.AllowIDPInitiated
			read.InclusiveC14N, read.ForceAuthn, read.RequiredACR = s.InclusiveC14N, s.ForceAuthn, s.RequiredACR
			if isURL(metadata) {
				read.MetadataURL = metadata
			}
			c.ID, c.SAML = args[0], &read
			return r.put(c)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&metadata, "metadata", "", "the provider's metadata: a file or an https address")
	f.StringVar(&entityID, "entity-id", "", "which provider, when the metadata holds several")
	f.IntVar(&s.SkewSeconds, "skew", 0, "how many seconds its clock may be off: 60 by default and at most")
	f.BoolVar(&s.AllowIDPInitiated, "allow-idp-initiated", false, "accept sign-ins that start at the provider")
	f.BoolVar(&s.ForceAuthn, "force-authn", false, "ask the provider for a fresh sign-in each time")
	f.BoolVar(&s.InclusiveC14N, "inclusive-c14n", false, "accept inclusive canonicalisation in signatures")
	f.StringSliceVar(&s.RequiredACR, "require-acr", nil, "authentication contexts that are good enough; any by default")
	connectionFlags(cmd, &c)
	return required(cmd, "portal", "metadata")
}

// secretVariable is where a client secret is read from when no file is named: a
// flag would be seen by everybody who can list processes.
const secretVariable = "DOMICILE_CLIENT_SECRET"

func connectionAddOIDC() *cobra.Command {
	c := federation.Connection{Kind: federation.OIDC}
	var s federation.OIDCSettings
	var secretFile string
	cmd := &cobra.Command{
		Use:   "oidc ID --portal ID --issuer URL --client-id ID",
		Short: "Connect a portal to an OpenID provider",
		Long: `Connect a portal to an OpenID provider.

The provider's configuration is read from its issuer over https. The client
secret comes from a file or from the variable ` + secretVariable + `; without
either, a new connection is a public client, protected by PKCE alone. Running the
command again reads the provider's configuration anew; every setting whose flag is
not given stays as it is, and so does the secret while the issuer is the same.`,
		Example: `  domicile connection add oidc globex-oidc --config us.yaml --portal globex \
      --issuer https://login.globex.example --client-id domicile --client-secret-file globex.secret`,
		Args: takes("ID"),
		RunE: onRegion(func(r *operator, args []string) error {
			secret, err := clientSecret(secretFile)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(r.ctx, fetch.Timeout)
			defer cancel()
			read, err := oidc.New(r.outbound, r.now).Discover(ctx, s.Issuer)
			if err != nil {
				return fmt.Errorf("read the provider's configuration: %w", err)
			}
			old, err := r.connection(c.Portal, args[0])
			if err != nil {
				return err
			}
			if was := old.OIDC; was != nil {
				unless(r, "scopes", &s.Scopes, was.Scopes)
				unless(r, "tenant", &s.RequiredTenant, was.RequiredTenant)
				unless(r, "trust-email", &s.TrustEmail, was.TrustEmail)
				unless(r, "email-verified-string", &s.EmailVerifiedString, was.EmailVerifiedString)
				unless(r, "require-acr", &s.RequiredACR, was.RequiredACR)
				unless(r, "max-age", &s.MaxAgeSeconds, was.MaxAgeSeconds)
				if secret == "" && was.Issuer == s.Issuer { // the store keeps the secret, too
					unless(r, "auth-method", &s.AuthMethod, was.AuthMethod)
				}
				r.leave(&c, old)
			}
			read.ClientID, read.ClientSecret, read.Scopes = s.ClientID, secret, s.Scopes
			read.RequiredTenant, read.TrustEmail, read.EmailVerifiedString = s.RequiredTenant, s.TrustEmail, s.EmailVerifiedString
			read.RequiredACR, read.MaxAgeSeconds = s.RequiredACR, s.MaxAgeSeconds
			switch {
			case s.AuthMethod != "":
				read.AuthMethod = s.AuthMethod
			case secret == "":
				read.AuthMethod = "none"
			}
			c.ID, c.OIDC = args[0], &read
			return r.put(c)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&s.Issuer, "issuer", "", "the provider's issuer, an https address")
	f.StringVar(&s.ClientID, "client-id", "", "what the provider calls us")
	f.StringVar(&secretFile, "client-secret-file", "", "file with the client secret")
	f.StringVar(&s.AuthMethod, "auth-method", "", "client_secret_basic, client_secret_post or none; what the provider offers by default")
	f.StringSliceVar(&s.Scopes, "scopes", []string{"email", "profile"}, "scopes besides openid")
	f.StringVar(&s.RequiredTenant, "tenant", "", "Entra ID: the tenant whose people may sign in")
	f.BoolVar(&s.TrustEmail, "trust-email", false, "the provider owns its domain and leaves email_verified out")
	f.BoolVar(&s.EmailVerifiedString, "email-verified-string", false, `accept email_verified as the string "true"`)
	f.StringSliceVar(&s.RequiredACR, "require-acr", nil, "authentication contexts that are good enough; any by default")
	f.IntVar(&s.MaxAgeSeconds, "max-age", 0, "insist on a sign-in no older than this many seconds")
	connectionFlags(cmd, &c)
	return required(cmd, "portal", "issuer", "client-id")
}

func connectionFlags(cmd *cobra.Command, c *federation.Connection) {
	f := cmd.Flags()
	f.StringVar(&c.Portal, "portal", "", "the portal")
	f.StringVar(&c.Name, "name", "", "name shown to administrators; the ID by default")
	f.StringVar(&c.Mapping.Email, "map-email", "", "attribute or claim with the address")
	f.StringVar(&c.Mapping.Name, "map-name", "", "attribute or claim with the full name")
	f.StringVar(&c.Mapping.GivenName, "map-given-name", "", "attribute or claim with the first name")
	f.StringVar(&c.Mapping.FamilyName, "map-family-name", "", "attribute or claim with the last name")
	f.StringVar(&c.Mapping.Groups, "map-groups", "", "attribute or claim with the groups")
}

// connection is the one with that ID, or the zero Connection.
func (r *operator) connection(portal, id string) (federation.Connection, error) {
	c, _, err := r.store.Connection(r.ctx, portal, id)
	if unknown(err) {
		return federation.Connection{}, nil
	}
	return c, err
}

// leave keeps what connections of both kinds have, as far as its flags were not
// typed.
func (r *operator) leave(c *federation.Connection, old federation.Connection) {
	unless(r, "name", &c.Name, old.Name)
	unless(r, "map-email", &c.Mapping.Email, old.Mapping.Email)
	unless(r, "map-name", &c.Mapping.Name, old.Mapping.Name)
	unless(r, "map-given-name", &c.Mapping.GivenName, old.Mapping.GivenName)
	unless(r, "map-family-name", &c.Mapping.FamilyName, old.Mapping.FamilyName)
	unless(r, "map-groups", &c.Mapping.Groups, old.Mapping.Groups)
}

func clientSecret(file string) (string, error) {
	if file == "" {
		return os.Getenv(secretVariable), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("client secret: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("client secret: %s is empty", file)
	}
	return secret, nil
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
}

// read is a file, or a document at an address that somebody else runs.
func (r *operator) read(where string) ([]byte, error) {
	if !isURL(where) {
		return os.ReadFile(where)
	}
	ctx, cancel := context.WithTimeout(r.ctx, fetch.Timeout)
	defer cancel()
	return fetch.Get(ctx, r.outbound, where)
}

func (r *operator) put(c federation.Connection) error {
	stored, changed, err := r.store.PutConnection(r.ctx, c)
	if err != nil {
		return err
	}
	p, err := r.store.PortalByID(r.ctx, stored.Portal)
	if err != nil {
		return err
	}
	r.did(changed, "Connection %s serves portal %s.", stored.ID, stored.Portal)
	r.tell(p, stored)
	return nil
}

// tell prints what the provider has to know of us.
func (r *operator) tell(p portal.Portal, c federation.Connection) {
	addresses := portal.Addresses(p, c)
	r.say("\nGive this to the administrator of the identity provider:")
	switch c.Kind {
	case federation.SAML:
		r.say("  Entity ID (audience)  %s", c.SAML.EntityID)
		r.say("  ACS URL (reply URL)   %s", addresses[0])
		for _, a := range addresses[1:] {
			r.say("    of a standby        %s", a)
		}
		r.say("  Metadata              %s", c.SAML.EntityID)
	case federation.OIDC:
		r.say("  Redirect URI          %s", addresses[0])
		for _, a := range addresses[1:] {
			r.say("    of a standby        %s", a)
		}
	}
}

func connectionList() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:     "list --portal ID",
		Short:   "List the connections of a portal and what their providers know of us",
		Example: "  domicile connection list --config eu.yaml --portal acme",
		Args:    noArgs,
		RunE: onRegion(func(r *operator, _ []string) error {
			p, err := r.store.PortalByID(r.ctx, id)
			if err != nil {
				return err
			}
			all, err := r.store.Connections(r.ctx, id)
			if err != nil {
				return err
			}
			t := r.table("ID", "KIND", "NAME", "PROVIDER", "OURS")
			for _, c := range all {
				provider := ""
				if c.SAML != nil {
					provider = c.SAML.IDPEntityID
				}
				if c.OIDC != nil {
					provider = c.OIDC.Issuer
				}
				t.row(c.ID, string(c.Kind), c.Name, provider, strings.Join(portal.Addresses(p, c), " "))
			}
			return t.done("Portal " + id + " has no connections yet.")
		}),
	}
	c.Flags().StringVar(&id, "portal", "", "the portal")
	return required(c, "portal")
}
