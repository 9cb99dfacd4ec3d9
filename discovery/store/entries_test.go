package store_test

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
)

func entry(seq int64, portal string, n int, ways ...discovery.SignIn) discovery.Claim {
	id := discovery.BlindID{1, byte(n), byte(n >> 8), 0xff}
	return discovery.Claim{Seq: seq, Entry: &discovery.Entry{Blind: id, Portal: portal, SignIn: ways}}
}

// Entries are written many at a time, and it must not show: whatever stands
// between them, and however often one comes again, the last word counts.
func TestEntriesTogether(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		var claims []discovery.Claim
		seq := int64(0)
		next := func() int64 { seq++; return seq }
		claims = append(claims, portal(next(), "eu-central", "acme", "https://acme.eu.example.com"))
		for n := range 250 {
			claims = append(claims, entry(next(), "acme", n, discovery.Password))
		}
		claims = append(claims,
			entry(next(), "acme", 7, discovery.SAML), entry(next(), "acme", 7, discovery.OIDC), // twice in one statement
			entry(next(), "acme", 8, discovery.SAML), gone(entry(next(), "acme", 8)), // put and taken away
			gone(entry(next(), "acme", 9)), entry(next(), "acme", 9, discovery.SAML), // and the other way round
			portal(next(), "eu-central", "zebra", "https://zebra.eu.example.com"),
			entry(next(), "zebra", 7, discovery.Password))
		f.apply(eu, claims...)

		for n, want := range map[int]string{6: "acme[password]", 7: "acme[oidc] zebra[password]", 8: "", 9: "acme[saml]", 249: "acme[password]", 250: ""} {
			found, err := f.Entries(t.Context(), []discovery.BlindID{entry(0, "", n).Entry.Blind})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for i, e := range found {
				if i > 0 {
					got += " "
				}
				got += fmt.Sprint(e.Portal, e.SignIn)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("entry %d (-want +got):\n%s", n, diff)
			}
		}
	})
}
