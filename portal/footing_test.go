package portal_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/portal"
)

// What is written is read back, and nothing else is read.
func TestFooting(t *testing.T) {
	n := 0
	for _, status := range []portal.Status{portal.Active, portal.Invited, portal.Disabled} {
		for _, password := range []string{"none", "own", "temporary"} {
			for bits := range 16 {
				for _, known := range [][]string{nil, {"a-saml"}, {"a-saml", "b-oidc"}} {
					f := portal.Footing{Status: status, Password: password == "own", Temporary: password == "temporary",
						Factor: bits&1 > 0, Proven: bits&2 > 0, Primary: bits&4 > 0, Several: bits&8 > 0, Known: known}
					back, ok := portal.ParseFooting(f.String())
					if diff := cmp.Diff(f, back); !ok || diff != "" {
						t.Errorf("%q: %t\n%s", f, ok, diff)
					}
					n++
				}
			}
		}
	}
	if n != 3*3*16*3 {
		t.Errorf("%d footings", n)
	}
	for _, text := range []string{"", "a", "ao-ph", "xo-ph-", "ax-ph-", "ao-phz", "ao-ph-  a", "ao-ph- a ", "ao-ph-a", " ao-ph-"} {
		if f, ok := portal.ParseFooting(text); ok {
			t.Errorf("%q is read as %+v", text, f)
		}
	}
}

// A footing says of somebody what the rule about moves asks.
func TestFootingMoved(t *testing.T) {
	idp, password := portal.Way{Connection: "b-oidc"}, portal.Way{Password: true}
	for text, want := range map[string]struct {
		idp, password portal.MoveClass
		unfactored    bool
	}{
		"ao-ph-":               {portal.MoveRecognised, portal.MovePassword, true},
		"aofph-":               {portal.MoveRecognised, portal.MovePassword, false},
		"a--ph-":               {portal.MoveRecognised, portal.MoveMailed, true},
		"a--ph- a-saml b-oidc": {portal.MoveKnown, portal.MoveMailed, true},
		"a--ph- b-oidc-2":      {portal.MoveRecognised, portal.MoveMailed, true},
		"a--p-s":               {portal.MoveElsewhere, portal.MoveElsewhere, false},
		"a---h-":               {portal.MoveInvited, portal.MoveMailed, true},
		"it--h-":               {portal.MoveInvited, portal.MoveInvited, true},
		"i---h-":               {portal.MoveInvited, portal.MoveReinvite, true},
		"d--ph- b-oidc":        {portal.MoveDisabled, portal.MoveDisabled, false},
	} {
		f, ok := portal.ParseFooting(text)
		if !ok {
			t.Fatalf("%q does not parse", text)
		}
		if got := idp.Class(f.Moved(idp)); got != want.idp {
			t.Errorf("%q to a connection: %s, want %s", text, got, want.idp)
		}
		if got := password.Class(f.Moved(password)); got != want.password {
			t.Errorf("%q to passwords: %s, want %s", text, got, want.password)
		}
		if f.Unfactored() != want.unfactored {
			t.Errorf("%q: unfactored is %t", text, f.Unfactored())
		}
	}
}
