package saml_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/saml"
)

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ada  = idptest.User{Subject: "u-1", Address: "ada@acme.example", GivenName: "Ada", FamilyName: "Lovelace", Groups: []string{"staff", "maths"}}
	eve  = idptest.User{Subject: "u-2", Address: "eve@acme.example"}
)

const (
	entityID  = "https://acme.eu.example.com/saml/acme/metadata"
	acs       = "https://acme.eu.example.com/saml/acme/acs"
	requestID = "id-0123456789abcdef"
)

// keys are made once: making them is what takes time in these tests.
var keys = sync.OnceValues(func() (*idptest.SAMLIdP, saml.KeyPair) {
	idp, err := idptest.NewSAML(idptest.SAMLOptions{URL: "https://idp.acme.example", Users: []idptest.User{ada, eve}, Now: func() time.Time { return noon }})
	if err != nil {
		panic(err)
	}
	pair, err := saml.GenerateKeyPair("acme", noon)
	if err != nil {
		panic(err)
	}
	return idp, pair
})

// stage is an identity provider, a connection to it and an open request.
func stage(t testing.TB) (idptest.SAMLScene, saml.Expect) {
	t.Helper()
	idp, pair := keys()
	settings := idp.Settings()
	settings.EntityID, settings.ACS = entityID, acs
	return idptest.SAMLScene{
			IdP:    idp,
			To:     idptest.SAMLTarget{EntityID: entityID, ACS: acs, RequestID: requestID, Certificate: pair.Certificate},
			User:   ada,
			Victim: eve,
		}, saml.Expect{
			Connection: federation.Connection{ID: "acme", Portal: "acme", Kind: federation.SAML, SAML: &settings},
			Key:        pair,
			RequestIDs: []string{"id-another", requestID},
			Now:        noon,
		}
}

func mint(t testing.TB, s idptest.SAMLScene, m idptest.SAMLMint) string {
	t.Helper()
	if m.User.Address == "" {
		m.User = ada
	}
	response, err := s.IdP.Mint(s.To, m)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func accepted(t testing.TB, response string, want saml.Expect) federation.Identity {
	t.Helper()
	got, err := saml.Verify(response, want)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	if got.Email != ada.Address {
		t.Fatalf("signed in somebody else: %+v", got)
	}
	return got
}

func refused(t *testing.T, response string, want saml.Expect, code string) {
	t.Helper()
	got, err := saml.Verify(response, want)
	checkRefusal(t, err, code)
	if got.Subject != "" || got.Email != "" {
		t.Errorf("a refusal came with an identity: %+v", got)
	}
}

func checkRefusal(t *testing.T, err error, code string) {
	t.Helper()
	var r *federation.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("got %v, want a refusal with code %q", err, code)
	}
	if r.Code != code {
		t.Errorf("refused with %v, want code %q", r, code)
	}
	for _, personal := range []string{ada.Address, eve.Address, ada.Subject, "<saml"} {
		if strings.Contains(r.Error(), personal) {
			t.Errorf("the refusal %q says more than it may", r)
		}
	}
}

func TestAttacks(t *testing.T) {
	for _, a := range idptest.SAMLAttacks() {
		t.Run(strings.TrimSpace(a.ID+" "+a.Name), func(t *testing.T) {
			scene, want := stage(t)
			accepted(t, mint(t, scene, idptest.SAMLMint{}), want)

			response, err := a.Build(scene)
			if err != nil {
				t.Fatal(err)
			}
			if a.Policy != nil {
				a.Policy(want.Connection.SAML)
			}
			if a.Accept {
				accepted(t, response, want)
				return
			}
			refused(t, response, want, a.Code)
			_, err = saml.Verify(response, want)
			var r *federation.Refusal
			if errors.As(err, &r) && status(r) != idptest.SAMLStatus(a.Code) {
				t.Errorf("status %d, want %d", status(r), idptest.SAMLStatus(a.Code))
			}
		})
	}
}

func status(r *federation.Refusal) int {
	if r.Status == 0 {
		return 403
	}
	return r.Status
}

// Every row of the corpus that a message can show is played here. The others
// need a memory (58, 59, 63, 69), a page (79, 81, 90) or a feature (35, 83, 84,
// 86), or have tests of their own beside this one (71, 73, 80, 85).
func TestCorpus(t *testing.T) {
	played := map[string]bool{}
	for _, a := range idptest.SAMLAttacks() {
		played[a.ID] = true
	}
	elsewhere := []int{35, 58, 59, 63, 69, 71, 73, 79, 80, 81, 83, 84, 85, 86, 90}
	for n := 1; n <= 90; n++ {
		if id := fmt.Sprintf("SAM-%02d", n); !played[id] && !slices.Contains(elsewhere, n) {
			t.Errorf("%s is not played", id)
		}
	}
}
