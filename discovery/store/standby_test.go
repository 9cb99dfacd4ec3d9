package store_test

import (
	"database/sql"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
)

// A standby that the record does not name costs nobody the portal: the region is
// told, and the records decide at the lookup.
func TestStandbysAreClaimed(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		standbys := []discovery.Standby{{Region: "eu-west", URL: "https://acme.eu-west.example.com"}, {Region: "eu-north", URL: "https://acme.eu-north.example.com"}}
		claim := func(seq int64, standbys ...discovery.Standby) discovery.Claim {
			c := portal(seq, "eu-central", "acme", "https://acme.eu.example.com")
			c.Portal.Standbys = standbys
			return c
		}
		has := func(want ...discovery.Standby) {
			t.Helper()
			p, ok := f.snapshot.Portal("acme")
			if diff := cmp.Diff(want, p.Standbys); !ok || diff != "" {
				t.Errorf("standbys (-want +got):\n%s", diff)
			}
		}
		named := eu
		named.Standbys = []string{"eu-west", "eu-north"}
		f.apply(named, claim(1, standbys...))
		has(standbys...)
		if f.log.Len() > 0 {
			t.Errorf("logged %s", f.log)
		}

		receipt, err := f.Apply(t.Context(), eu, discovery.Batch{Region: eu.Region, After: 1, Claims: []discovery.Claim{claim(2, standbys[0])}})
		if err != nil || receipt.Last != 2 || len(receipt.Refused) != 1 || receipt.Refused[0].Code != discovery.CodeStandby {
			t.Errorf("%+v, %v", receipt, err)
		}
		f.refused(discovery.CodeStandby)
		has(standbys[0])

		receipt, err = f.Apply(t.Context(), named, discovery.Batch{Region: eu.Region, After: 2,
			Claims: []discovery.Claim{claim(3, discovery.Standby{Region: "eu-west", URL: "https://acme.eu-west.example.com eu-north=https://evil.example"})}})
		if err != nil || len(receipt.Refused) != 1 || receipt.Refused[0].Code != discovery.CodePortal {
			t.Errorf("%+v, %v", receipt, err)
		}
		has(standbys[0])
		f.apply(named, claim(4))
		has()
	})
}
