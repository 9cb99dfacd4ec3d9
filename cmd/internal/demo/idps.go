package demo

import (
	"net/http"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/federation/idptest"
)

// idps are the organisations' identity providers, all on one host.
type idps struct {
	acme, umbrella *idptest.SAMLIdP
	globex         *idptest.OIDCProvider
	acmeNew        *idptest.OIDCProvider // what Acme may move to: the same people, known by other subjects
}

func employee(address, given, family string) idptest.User {
	name, _, _ := strings.Cut(address, "@")
	return idptest.User{Subject: "staff-" + name, Address: address, Password: password, GivenName: given, FamilyName: family}
}

func newIDPs(at string, k *keys, now func() time.Time) (*idps, error) {
	acme, err := idptest.NewSAML(idptest.SAMLOptions{
		URL: at + "/acme", Name: "Acme", Now: now, Key: k.acme,
		Users: []idptest.User{
			employee("ada@acme.example", "Ada", "Lovelace"),
			employee("alan@acme.example", "Alan", "Turing"),
		},
	})
	if err != nil {
		return nil, err
	}
	umbrella, err := idptest.NewSAML(idptest.SAMLOptions{
		URL: at + "/umbrella", Name: "Umbrella", Now: now, Key: k.umbrella,
		Users: []idptest.User{employee("uma@umbrella.example", "Uma", "Thorn")},
	})
	if err != nil {
		return nil, err
	}
	globex := idptest.NewOIDC(idptest.OIDCOptions{
		Issuer: at + "/globex", Name: "Globex", Now: now, Key: k.globex,
		Users: []idptest.User{employee("gus@globex.example", "Gus", "Grissom")},
	})
	ada, alan := employee("ada@acme.example", "Ada", "Lovelace"), employee("alan@acme.example", "Alan", "Turing")
	ada.Subject, alan.Subject = "a-1815", "a-1912"
	acmeNew := idptest.NewOIDC(idptest.OIDCOptions{
		Issuer: at + "/acme-new", Name: "Acme’s new provider", Now: now, Key: k.globex,
		Users: []idptest.User{ada, alan},
	})
	return &idps{acme: acme, umbrella: umbrella, globex: globex, acmeNew: acmeNew}, nil
}

func (i *idps) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); first {
	case "acme":
		i.acme.ServeHTTP(w, r)
	case "umbrella":
		i.umbrella.ServeHTTP(w, r)
	case "acme-new":
		i.acmeNew.ServeHTTP(w, r)
	case "globex":
		i.globex.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}
