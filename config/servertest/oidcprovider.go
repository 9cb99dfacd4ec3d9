package servertest

import (
	_ "embed"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// A Person can sign in at the identity providers of this package.
type Person struct {
	Email, Password       string
	GivenName, FamilyName string

	// Unverified makes the OpenID provider say email_verified: false.
	Unverified bool
}

// OIDCOptions configure an OpenID provider.
type OIDCOptions struct {
	People []Person

	// One client, known to the provider from the start, as an enterprise's
	// administrator would have entered it.
	ClientID, ClientSecret string
	AuthMethod             string // of the token endpoint; "" is client_secret_basic
	RedirectURI            string

	// ClaimsInIDToken puts e-mail and names into the ID token. OIDC Core 5.4
	// has them in the UserInfo response only, when there is an access token.
	ClaimsInIDToken bool
}

//go:embed oidc-provider.mjs
var oidcProviderScript []byte

// OIDCProvider starts oidc-provider, a certified OpenID provider for Node, and
// returns its issuer. Its login page is a form with the fields "login" and
// "password"; the subject of a person is "sub-" and the address's hash.
func OIDCProvider(t testing.TB, o OIDCOptions) string {
	t.Helper()
	node, ok := find("node")
	if !ok {
		absent(t, "Node is not installed")
	}
	entry := npmFile(t, "oidc-provider/lib/index.js")
	if o.AuthMethod == "" {
		o.AuthMethod = "client_secret_basic"
	}
	type person struct {
		Subject       string `json:"subject"`
		Email         string `json:"email"`
		EmailVerified bool   `json:"emailVerified"`
		Password      string `json:"password"`
		GivenName     string `json:"givenName"`
		FamilyName    string `json:"familyName"`
	}
	people := make([]person, len(o.People))
	for i, p := range o.People {
		people[i] = person{subject(p.Email), p.Email, !p.Unverified, p.Password, p.GivenName, p.FamilyName}
	}
	client := map[string]any{
		"client_id":                  o.ClientID,
		"redirect_uris":              []string{o.RedirectURI},
		"token_endpoint_auth_method": o.AuthMethod,
	}
	if o.AuthMethod != "none" {
		client["client_secret"] = o.ClientSecret
	}

	var issuer string
	err := onFreePort(func(port int) error {
		issuer = named(port)
		dir, err := folder("oidc-provider", nil)
		if err != nil {
			return err
		}
		config, err := json.Marshal(map[string]any{
			"issuer": issuer, "port": port, "people": people,
			"clients": []any{client}, "claimsInIDToken": o.ClaimsInIDToken,
		})
		if err != nil {
			return err
		}
		script := filepath.Join(dir, "server.mjs")
		if err := os.WriteFile(script, oidcProviderScript, 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
			return err
		}
		p, err := start(dir, "TERM", nil, nil, node, script, entry, filepath.Join(dir, "config.json"))
		if err != nil {
			return err
		}
		if err := p.ready(returns200(issuer + "/.well-known/openid-configuration")); err != nil {
			p.stop()
			return err
		}
		t.Cleanup(p.stop)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("oidc-provider wrote:\n%s", p.log())
			}
		})
		return nil
	})
	if err != nil {
		t.Fatalf("servertest: starting oidc-provider: %v", err)
	}
	return issuer
}
