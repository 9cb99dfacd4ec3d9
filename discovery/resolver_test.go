package discovery_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/regions"
)

func TestBlindIDVector(t *testing.T) {
	key := discovery.NewBlindKey(3, []byte(strings.Repeat("k", 32)))
	id := key.ID(must(t, "Ada@Acme.example"))
	// printf accountada@acme.example | openssl dgst -sha256 -hmac kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk
	const want = "03e9b65a755502f22bf1c82910798cb43f"
	if got := hex.EncodeToString(id[:]); got != want {
		t.Errorf("blind ID %s, want %s", got, want)
	}
	if other := key.ID(must(t, "ada@acme.example")); other != id {
		t.Error("two spellings of one address have two blind IDs")
	}
	if other := key.ID(must(t, "adb@acme.example")); other == id {
		t.Error("two addresses have one blind ID")
	}
}

func TestBlindIDText(t *testing.T) {
	id := discovery.NewBlindKey(1, make([]byte, 32)).ID(must(t, "ada@acme.example"))
	text, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	var back discovery.BlindID
	if err := json.Unmarshal(text, &back); err != nil || back != id {
		t.Fatalf("%s came back as %v, %v", text, back, err)
	}
	s := id.String()
	for _, bad := range []string{"", s[1:], s + "A", s[:22] + "=", s[:22] + "!", "\n" + s[1:], s[:11] + "\n" + s[12:]} {
		if back.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q was taken for a blind ID", bad)
		}
	}
}

func TestBlindKeysAreSecret(t *testing.T) {
	k := discovery.NewBlindKey(1, []byte(strings.Repeat("S", 32)))
	said := printed(k) + printed(discovery.BlindKeys{k})
	if s := leaks(said, "SSSS"); s != "" {
		t.Errorf("a blind key got out as %q", s)
	}
	if !strings.Contains(said, `"it":"<secret>"`) {
		t.Error("the log does not say that there was one")
	}
	for _, bad := range []discovery.BlindKeys{nil, {discovery.NewBlindKey(1, make([]byte, 31))}, {k, k}} {
		if bad.Check() == nil {
			t.Errorf("%d keys were found usable", len(bad))
		}
	}
}

func TestSnapshotMostSpecific(t *testing.T) {
	var s discovery.Snapshot
	if s.Ready() || s.Routes("acme.example") != nil {
		t.Error("the zero snapshot knows something")
	}
	var portals []discovery.PortalState
	for _, id := range []string{"exact", "near", "far", "second"} {
		portals = append(portals, discovery.PortalState{Portal: discovery.Portal{ID: id, Name: id}})
	}
	portals = append(portals, discovery.PortalState{Portal: discovery.Portal{ID: "gone"}, Gone: true})
	r := func(domain, portal string) discovery.Route { return discovery.Route{Domain: domain, Portal: portal} }
	s.Replace(portals, []discovery.Route{
		r("acme.example", "exact"), r("acme.example", "second"), r("*.acme.example", "far"), r("*.lab.acme.example", "near"),
		r("x.lab.acme.example", "exact"), r("gone.example", "gone"), r("lost.example", "nowhere"),
	})
	for domain, want := range map[string][]string{
		"acme.example":          {"exact", "second"},
		"a.acme.example":        {"far"},
		"lab.acme.example":      {"far"},
		"a.lab.acme.example":    {"near"},
		"a.b.lab.acme.example":  {"near"},
		"x.lab.acme.example":    {"exact"},
		"y.x.lab.acme.example":  {"near"},
		"notacme.example":       nil,
		"example":               nil,
		"gone.example":          nil,
		"lost.example":          nil,
		"acme.example.evil.com": nil,
	} {
		var got []string
		for _, r := range s.Routes(domain) {
			got = append(got, r.Portal)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s leads to %v, want %v", domain, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.Routes("a.b.lab.acme.example") }); n != 0 {
		t.Errorf("a route lookup allocates %v times", n)
	}
}

// fixed is a directory that answers from a map, and counts.
type fixed struct {
	entries map[discovery.BlindID][]discovery.Entry
	err     error
	calls   int
	ids     int
}

func (f *fixed) Entries(_ context.Context, ids []discovery.BlindID) ([]discovery.Entry, error) {
	f.calls++
	f.ids += len(ids)
	if f.err != nil {
		return nil, f.err
	}
	var all []discovery.Entry
	for _, id := range ids {
		all = append(all, f.entries[id]...)
	}
	return all, nil
}

type world map[string]regions.Record

func (w world) Region(name string) (regions.Record, bool) { r, ok := w[name]; return r, ok }

var keys = discovery.BlindKeys{discovery.NewBlindKey(2, []byte(strings.Repeat("2", 32))), discovery.NewBlindKey(1, []byte(strings.Repeat("1", 32)))}

func newResolver(t *testing.T) (*discovery.Resolver, *fixed, world) {
	t.Helper()
	w := world{
		"eu": {Region: "eu", Jurisdiction: "EU", Version: 1, Hosts: []string{"*.eu.example.com"}},
		"us": {Region: "us", Jurisdiction: "US", Version: 1, Hosts: []string{"*.us.example.com"}},
	}
	portal := func(id, name, url, region string, d discovery.Disclosure) discovery.PortalState {
		return discovery.PortalState{Portal: discovery.Portal{ID: id, Name: name, URL: url, Region: region, Disclosure: d}}
	}
	gone := portal("gone", "Gone", "https://gone.eu.example.com", "eu", discovery.Listed)
	gone.Gone = true
	s := new(discovery.Snapshot)
	s.Replace([]discovery.PortalState{
		portal("acme", "Zeta Acme", "https://acme.eu.example.com", "eu", discovery.Listed),
		portal("globex", "alpha Globex", "https://globex.us.example.com", "us", discovery.Listed),
		portal("hidden", "Hidden", "https://hidden.eu.example.com", "eu", discovery.Proven),
		portal("moved", "Moved", "https://moved.evil.example", "eu", discovery.Listed),
		portal("lost", "Lost", "https://lost.ca.example.com", "ca", discovery.Listed),
		portal("secret", "Secret", "https://secret.ca.example.com", "ca", discovery.Proven),
		gone,
	}, []discovery.Route{
		{Domain: "acme.example", Portal: "acme", Connection: "idp", SignIn: []discovery.SignIn{discovery.SAML}},
		{Domain: "hidden.example", Portal: "hidden", SignIn: []discovery.SignIn{discovery.OIDC}},
		{Domain: "moved.example", Portal: "moved", SignIn: []discovery.SignIn{discovery.OIDC}},
		{Domain: "lost.example", Portal: "lost", SignIn: []discovery.SignIn{discovery.OIDC}},
		{Domain: "secret.example", Portal: "secret", SignIn: []discovery.SignIn{discovery.OIDC}},
	})
	entry := func(address, portal string, key int) (discovery.BlindID, discovery.Entry) {
		id := keys[key].ID(must(t, address))
		return id, discovery.Entry{Blind: id, Portal: portal, SignIn: []discovery.SignIn{discovery.Password}}
	}
	f := &fixed{entries: make(map[discovery.BlindID][]discovery.Entry)}
	for _, e := range []struct {
		address, portal string
		key             int
	}{
		{"ada@acme.example", "acme", 0}, {"max@consult.example", "globex", 0}, {"max@consult.example", "acme", 1},
		{"max@consult.example", "hidden", 0}, {"hid@consult.example", "hidden", 0}, {"old@consult.example", "globex", 1},
		{"gone@consult.example", "gone", 0}, {"early@consult.example", "unheard", 0}, {"part@consult.example", "acme", 0}, {"part@consult.example", "lost", 0},
	} {
		id, entry := entry(e.address, e.portal, e.key)
		f.entries[id] = append(f.entries[id], entry)
	}
	return &discovery.Resolver{Snapshot: s, Directory: f, Keys: keys, Regions: w}, f, w
}

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name, address string
		proved        []string
		want          []string
		code          string // of the error
	}{
		{"domain", "new@acme.example", nil, []string{"acme idp [saml]"}, ""},
		{"DIS-01 the domain decides how one signs in", "ada@acme.example", nil, []string{"acme idp [saml]"}, ""},
		{"several, by name", "max@consult.example", nil, []string{"globex  [password]", "acme  [password]"}, ""},
		{"several, proved", "max@consult.example", []string{"x", "hidden"}, []string{"globex  [password]", "hidden  [password]", "acme  [password]"}, ""},
		{"REG-03 old key", "old@consult.example", nil, []string{"globex  [password]"}, ""},
		{"unknown", "nobody@consult.example", nil, nil, ""},
		{"hidden", "hid@consult.example", nil, nil, ""},
		{"hidden domain", "any@hidden.example", nil, nil, ""},
		{"hidden domain, proved", "any@hidden.example", []string{"hidden"}, []string{"hidden  [oidc]"}, ""},
		{"gone", "gone@consult.example", nil, nil, ""},
		{"N03 outside the region's record", "any@moved.example", nil, nil, discovery.CodeRegion},
		{"region without a record", "any@lost.example", nil, nil, discovery.CodeRegion},
		{"hidden in a region without a record", "any@secret.example", nil, nil, ""},
		{"some cannot be told", "part@consult.example", nil, []string{"acme  [password]"}, discovery.CodeRegion},
		{"snapshot behind", "early@consult.example", nil, nil, discovery.CodeNotReady},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, f, _ := newResolver(t)
			found, err := r.Resolve(t.Context(), must(t, c.address), c.proved...)
			var got []string
			for _, d := range found {
				got = append(got, fmt.Sprintf("%s %s %v", d.Portal.ID, d.Connection, d.SignIn))
				if d.Region.Region != d.Portal.Region || d.Jurisdiction() == "" {
					t.Errorf("%s is told with the record of %q", d.Portal.ID, d.Region.Region)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("destinations (-want +got):\n%s", diff)
			}
			wantUnavailable(t, err, c.code)
			if f.calls != 1 || f.ids != len(keys) {
				t.Errorf("DIS-02: the directory was asked %d times for %d IDs", f.calls, f.ids)
			}
		})
	}
}

func wantUnavailable(t *testing.T, err error, code string) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Errorf("failed: %v", err)
		}
		return
	}
	var e *discovery.Error
	if !errors.As(err, &e) || e.Kind != discovery.Unavailable || e.Code != code || e.Retry == 0 {
		t.Errorf("failed with %v, want %s", err, code)
	}
}

func TestResolveWithoutDirectory(t *testing.T) {
	r, f, _ := newResolver(t)
	f.err = errors.New("down")
	found, err := r.Resolve(t.Context(), must(t, "ada@acme.example"))
	wantUnavailable(t, err, discovery.CodeDirectory)
	if len(found) != 1 {
		t.Error("N04: the domain's route is lost with the database")
	}
	found, err = r.Resolve(t.Context(), must(t, "max@consult.example"))
	wantUnavailable(t, err, discovery.CodeDirectory)
	if len(found) != 0 {
		t.Error("found somebody in a directory that is down")
	}
	r.Snapshot = new(discovery.Snapshot)
	_, err = r.Resolve(t.Context(), must(t, "ada@acme.example"))
	wantUnavailable(t, err, discovery.CodeNotReady)
}

// While the directory cannot be read, what is known leads on, and what is not
// there is not known (law 5); a portal that is not named to strangers reads like
// any other address that leads nowhere.
func TestResolveInDoubt(t *testing.T) {
	r, _, _ := newResolver(t)
	r.Snapshot.Doubt()
	for address, want := range map[string]string{
		"new@acme.example": "", "max@consult.example": "",
		"nobody@consult.example": discovery.CodeStale, "hid@consult.example": discovery.CodeStale,
		"any@hidden.example": discovery.CodeStale, "gone@consult.example": discovery.CodeStale,
	} {
		found, err := r.Resolve(t.Context(), must(t, address))
		wantUnavailable(t, err, want)
		if (len(found) == 0) != (want != "") {
			t.Errorf("%s leads to %v", address, found)
		}
	}
	_, err := r.Domain("nowhere.example")
	wantUnavailable(t, err, discovery.CodeStale)
	seen := time.Unix(1_800_000_000, 0)
	r.Snapshot.Confirm(seen)
	_, err = r.Resolve(t.Context(), must(t, "nobody@consult.example"))
	wantUnavailable(t, err, "")
	if !r.Snapshot.AsOf().Equal(seen) {
		t.Errorf("as of %v", r.Snapshot.AsOf())
	}
}

// What a Snapshot holds makes another one that answers the same.
func TestContents(t *testing.T) {
	if _, ok := new(discovery.Snapshot).Contents(); ok {
		t.Error("the zero snapshot has contents")
	}
	r, _, _ := newResolver(t)
	c, ok := r.Snapshot.Contents()
	if !ok {
		t.Fatal("no contents")
	}
	var copied discovery.Snapshot
	copied.Replace(c.Portals, c.Routes, c.Incomplete...)
	again, _ := copied.Contents()
	if diff := cmp.Diff(c, again); diff != "" || len(c.Portals) == 0 || len(c.Routes) == 0 {
		t.Errorf("%d portals and %d routes, then: %s", len(c.Portals), len(c.Routes), diff)
	}
	for _, domain := range []string{"acme.example", "hidden.example", "moved.example"} {
		if diff := cmp.Diff(r.Snapshot.Routes(domain), copied.Routes(domain)); diff != "" {
			t.Errorf("%s: %s", domain, diff)
		}
	}
}

func TestResolveFollowsTheRecord(t *testing.T) {
	r, _, w := newResolver(t)
	a := must(t, "ada@acme.example")
	if found, err := r.Resolve(t.Context(), a); err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	w["eu"] = regions.Record{Region: "eu", Jurisdiction: "EU", Version: 2, Hosts: []string{"*.new.example.com"}}
	_, err := r.Resolve(t.Context(), a)
	wantUnavailable(t, err, discovery.CodeRegion)
	if _, ok := r.Destination("acme"); ok {
		t.Error("a portal outside its region's record is offered")
	}
	if _, ok := r.Destination("globex"); !ok {
		t.Error("a portal is not offered")
	}
}

func TestDomainAsksForNobody(t *testing.T) {
	r, f, _ := newResolver(t)
	if found, err := r.Domain("acme.example"); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	if found, err := r.Domain("hidden.example"); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	if f.calls != 0 {
		t.Error("the directory was asked")
	}
}

func TestDIS05Routable(t *testing.T) {
	for domain, code := range map[string]string{
		"acme.example": "", "*.acme.example": "", "umbrella.test": "", "acme.co.uk": "", "github.io": "", "corp.internal": "",
		"com": "domain_short", "co.uk": "domain_public_suffix", "*.co.uk": "domain_public_suffix", "*.github.io": "domain_public_suffix",
		"gmail.com": "domain_freemail", "*.gmail.com": "domain_freemail", "x.yahoo.co.uk": "domain_freemail", "web.de": "domain_freemail",
		"Acme.example": "domain_not_normalised", "foo.ck": "domain_public_suffix",
	} {
		err := discovery.Routable(domain)
		var e *discovery.Error
		got := ""
		if errors.As(err, &e) {
			got = e.Code
		}
		if got != code {
			t.Errorf("%s: %q, want %q", domain, got, code)
		}
	}
}
