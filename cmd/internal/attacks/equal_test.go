package attacks

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
	"github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/regions"
)

// A counted directory is the real one, with what it was asked noted down.
type counted struct {
	*store.Store
	calls, ids atomic.Int64
}

func (c *counted) Entries(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, error) {
	c.calls.Add(1)
	c.ids.Add(int64(len(ids)))
	return c.Store.Entries(ctx, ids)
}

// TestDIS02EqualWork: whoever is asked for, the front door computes the same
// number of blind IDs, puts the same number of questions to the directory, and
// the directory as many to its database. Two live key versions, as during a
// rotation (REG-03).
func TestDIS02EqualWork(t *testing.T) {
	w := shared(t)
	db := sqltest.SQLite(t, store.Migrations)
	snapshot := new(discovery.Snapshot)
	tags, err := store.NewTagKey([][]byte{random()})
	if err != nil {
		t.Fatal(err)
	}
	directory := &counted{Store: store.New(db, store.Options{Snapshot: snapshot, Tags: tags, Now: w.Clock.Now})}
	keys := discovery.BlindKeys{discovery.NewBlindKey(1, random()), discovery.NewBlindKey(2, random())}
	record := w.Regions[europe].Record
	claims := []discovery.Claim{
		{Portal: &discovery.Portal{ID: "acme", Name: "Acme", URL: acme, Disclosure: discovery.Listed, Region: europe}},
		{Portal: &discovery.Portal{ID: "hidden", Name: "Hidden", URL: "https://hidden.eu.domicile.example", Disclosure: discovery.Proven, Region: europe}},
		{Route: &discovery.Route{Domain: "acme.example", Portal: "acme", Connection: "acme-saml", SignIn: []discovery.SignIn{discovery.SAML}}},
		{Entry: &discovery.Entry{Blind: keys[:1].Current(addressOf("old@consult.example")), Portal: "acme", SignIn: []discovery.SignIn{discovery.Password}}},
		{Entry: &discovery.Entry{Blind: keys[1:].Current(addressOf("new@consult.example")), Portal: "acme", SignIn: []discovery.SignIn{discovery.Password}}},
		{Entry: &discovery.Entry{Blind: keys[1:].Current(addressOf("hid@consult.example")), Portal: "hidden", SignIn: []discovery.SignIn{discovery.Password}}},
	}
	for i := range claims {
		claims[i].Seq = int64(i + 1)
	}
	if _, err := directory.Apply(t.Context(), record, discovery.Batch{Region: europe, Claims: claims}); err != nil {
		t.Fatal(err)
	}
	catalogue := regions.NewCatalogue(nil, w.Clock.Now)
	site, err := web.New(web.Options{
		Resolver: &discovery.Resolver{Snapshot: snapshot, Directory: directory, Keys: keys, Regions: oneRegion{record}},
		Regions:  catalogue, URL: frontDoor, Tickets: w.tickets, Secrets: [][]byte{w.secret}, Now: w.Clock.Now, Limits: web.Limits{DangerouslyUnlimited: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	door := serve.Wrap(site, serve.Options{Site: "discovery", HTTPS: true, Error: site.Error})
	ask := func(address string) string {
		calls, ids := directory.calls.Load(), directory.ids.Load()
		r := httptest.NewRequest(http.MethodPost, frontDoor+"/v1/discover", strings.NewReader(email(address)))
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		door.ServeHTTP(rec, r)
		return fmt.Sprint(rec.Code, " questions ", directory.calls.Load()-calls, " blind IDs ", directory.ids.Load()-ids)
	}
	for _, who := range []string{"ann@acme.example", "old@consult.example", "new@consult.example", "hid@consult.example", "nob@consult.example", "nob@nowhere.example"} {
		if got, want := ask(who), "200 questions 1 blind IDs 2"; got != want {
			t.Errorf("%s: %s, want %s", who, got, want)
		}
	}
	// DIS-18: and nothing at all is done for what is no address.
	for _, who := range []string{strings.Repeat("a", 65) + "@b.test", strings.Repeat("a", 3000) + "@b.test", "a@" + strings.Repeat("b.", 1500) + "test", "nobody"} {
		if got, want := ask(who), "400 questions 0 blind IDs 0"; got != want {
			t.Errorf("%.20s…: %s, want %s", who, got, want)
		}
	}
}

type oneRegion struct{ regions.Record }

func (o oneRegion) Region(name string) (regions.Record, bool) {
	return o.Record, name == o.Record.Region
}

// hashes counts the Argon2id computations of do by the memory they take, 19 MiB
// each, of which nothing else here takes a tenth.
func hashes(do func()) int {
	const one = 19 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int((after.TotalAlloc - before.TotalAlloc) / one)
}
