package discovery_test

import (
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/regions"
)

// reports is what a carrier says of the processes of regions.
type reports map[string]regions.Health

func (h reports) health(name string) regions.Health { return h[name] }

// newPair is a resolver for one portal of "eu" that "eu-west" may serve in its
// place; change spoils one thing.
func newPair(t *testing.T, change func(w world, p *discovery.Portal, h reports)) *discovery.Resolver {
	t.Helper()
	w := world{
		"eu":       {Region: "eu", Jurisdiction: "EU", Name: "Frankfurt", Version: 1, Hosts: []string{"*.eu.example.com"}, Standbys: []string{"eu-west"}},
		"eu-west":  {Region: "eu-west", Jurisdiction: "EU", Name: "Dublin", Version: 1, Hosts: []string{"*.eu-west.example.com"}},
		"eu-north": {Region: "eu-north", Jurisdiction: "EU", Name: "Oslo", Version: 1, Hosts: []string{"*.eu-north.example.com"}},
		"us":       {Region: "us", Jurisdiction: "US", Name: "Virginia", Version: 1, Hosts: []string{"*.us.example.com"}},
	}
	p := discovery.Portal{ID: "acme", Name: "Acme", URL: "https://acme.eu.example.com", Region: "eu", Disclosure: discovery.Listed,
		Standbys: []discovery.Standby{{Region: "eu-west", URL: "https://acme.eu-west.example.com"}}}
	h := reports{"eu": regions.Down, regions.StandIn("eu-west", "eu"): regions.Up}
	if change != nil {
		change(w, &p, h)
	}
	s := new(discovery.Snapshot)
	s.Replace([]discovery.PortalState{{Portal: p}}, []discovery.Route{{Domain: "acme.example", Portal: "acme", Connection: "idp", SignIn: []discovery.SignIn{discovery.SAML}}})
	return &discovery.Resolver{Snapshot: s, Directory: &fixed{}, Keys: keys, Regions: w, Health: h.health}
}

// A lookup leads to a standby only where the signed records of both regions say
// so, whatever claims and reports of health say.
func TestLaw8Standby(t *testing.T) {
	const (
		home    = "https://acme.eu.example.com of eu"
		standby = "https://acme.eu-west.example.com of eu-west for eu"
		down    = "down: " + home
	)
	use := func(region, url string) func(world, *discovery.Portal, reports) {
		return func(w world, p *discovery.Portal, h reports) {
			p.Standbys = append(p.Standbys, discovery.Standby{Region: region, URL: url})
			h[regions.StandIn("eu-west", "eu")] = regions.Down
			h[region], h[regions.StandIn(region, "eu")] = regions.Up, regions.Up
		}
	}
	named := func(by func(world, *discovery.Portal, reports), region string) func(world, *discovery.Portal, reports) {
		return func(w world, p *discovery.Portal, h reports) {
			by(w, p, h)
			r := w["eu"]
			r.Standbys = append(r.Standbys, region)
			w["eu"] = r
		}
	}
	for _, c := range []struct {
		name   string
		change func(w world, p *discovery.Portal, h reports)
		want   string
	}{
		{"home down, standby up", nil, standby},
		{"home up", func(_ world, _ *discovery.Portal, h reports) { h["eu"] = regions.Up }, home},
		{"nothing known", func(_ world, _ *discovery.Portal, h reports) { clear(h) }, home},
		{"of home nothing known", func(_ world, _ *discovery.Portal, h reports) { delete(h, "eu") }, home},
		{"of the standby nothing known", func(_ world, _ *discovery.Portal, h reports) { delete(h, regions.StandIn("eu-west", "eu")) }, down},
		{"standby down", func(_ world, _ *discovery.Portal, h reports) { h[regions.StandIn("eu-west", "eu")] = regions.Down }, down},
		{"the standby's own processes are not those that stand in", func(_ world, _ *discovery.Portal, h reports) {
			clear(h)
			h["eu"] = regions.Down
			h["eu-west"] = regions.Up
		}, down},
		{"the portal has none", func(_ world, p *discovery.Portal, _ reports) { p.Standbys = nil }, down},
		{"another jurisdiction, not named", use("us", "https://acme.us.example.com"), down},
		{"another jurisdiction, named by mistake", named(use("us", "https://acme.us.example.com"), "us"), down},
		{"same jurisdiction, not named", use("eu-north", "https://acme.eu-north.example.com"), down},
		{"the second choice", named(use("eu-north", "https://acme.eu-north.example.com"), "eu-north"), "https://acme.eu-north.example.com of eu-north for eu"},
		{"the URL is another region's", func(_ world, p *discovery.Portal, _ reports) { p.Standbys[0].URL = "https://acme.us.example.com" }, down},
		{"the URL is nobody's", func(_ world, p *discovery.Portal, _ reports) {
			p.Standbys[0].URL = "https://acme.eu-west.example.com.evil.example"
		}, down},
		{"the URL is home's", func(_ world, p *discovery.Portal, _ reports) { p.Standbys[0].URL = "https://other.eu.example.com" }, down},
		{"the standby moved to another jurisdiction", func(w world, _ *discovery.Portal, _ reports) {
			r := w["eu-west"]
			r.Jurisdiction = "US"
			w["eu-west"] = r
		}, down},
		{"the standby has no valid record", func(w world, _ *discovery.Portal, _ reports) { delete(w, "eu-west") }, down},
		{"home no longer names it", func(w world, _ *discovery.Portal, _ reports) { r := w["eu"]; r.Standbys = nil; w["eu"] = r }, down},
		{"home has no valid record", func(w world, _ *discovery.Portal, _ reports) { delete(w, "eu") }, ""},
		{"home's URL is not covered", func(_ world, p *discovery.Portal, _ reports) { p.URL = "https://acme.evil.example" }, ""},
		{"not for this browser", func(_ world, p *discovery.Portal, _ reports) { p.Disclosure = discovery.Proven }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newPair(t, c.change)
			found, _ := r.Resolve(t.Context(), must(t, "ada@acme.example"))
			if len(found) > 1 {
				t.Fatalf("%d destinations", len(found))
			}
			got := ""
			for _, d := range found {
				if got = d.Portal.URL + " of " + d.Region.Region; d.Standby() {
					got += " for " + d.StandsInFor.Region
				}
				if d.Down {
					got = "down: " + got
				}
				if d.Jurisdiction() != "EU" || d.Connection != "idp" || d.Portal.Region != "eu" {
					t.Errorf("told %s %s %s", d.Jurisdiction(), d.Connection, d.Portal.Region)
				}
			}
			if got != c.want {
				t.Errorf("led to %q, want %q", got, c.want)
			}
			if r.Vouches("us", "acme") || !strings.HasPrefix(c.name, "the second") && r.Vouches("eu-north", "acme") {
				t.Error("a region that is no standby may speak of the portal")
			}
		})
	}
}

// Who is back is used again, at the next lookup.
func TestStandbyForAsLongAsItTakes(t *testing.T) {
	var h reports
	r := newPair(t, func(_ world, _ *discovery.Portal, have reports) { h = have })
	for _, want := range []string{"https://acme.eu-west.example.com", "https://acme.eu.example.com", "https://acme.eu-west.example.com"} {
		d, ok := r.Destination("acme")
		if !ok || d.Portal.URL != want {
			t.Errorf("led to %q, want %q", d.Portal.URL, want)
		}
		h["eu"] = map[regions.Health]regions.Health{regions.Down: regions.Up, regions.Up: regions.Down}[h["eu"]]
	}
	if !r.Vouches("eu-west", "acme") || !r.Vouches("eu", "acme") || r.Vouches("eu", "nobody") {
		t.Error("who may speak of the portal")
	}
	if p, _ := r.Snapshot.Portal("acme"); p.URL != "https://acme.eu.example.com" {
		t.Error("a lookup changed the snapshot")
	}
}

func TestStandbysOfAClaim(t *testing.T) {
	s := func(region, url string) discovery.Standby { return discovery.Standby{Region: region, URL: url} }
	west := s("eu-west", "https://acme.eu-west.example.com")
	for name, c := range map[string]struct {
		standbys []discovery.Standby
		good     bool
	}{
		"none":         {nil, true},
		"one":          {[]discovery.Standby{west}, true},
		"two":          {[]discovery.Standby{west, s("eu-north", "https://acme.eu-north.example.com")}, true},
		"region twice": {[]discovery.Standby{west, s("eu-west", "https://other.eu-west.example.com")}, false},
		"URL twice":    {[]discovery.Standby{west, s("eu-north", west.URL)}, false},
		"own region":   {[]discovery.Standby{s("eu", "https://acme.eu-west.example.com")}, false},
		"own URL":      {[]discovery.Standby{s("eu-west", "https://acme.eu.example.com")}, false},
		"path":         {[]discovery.Standby{s("eu-west", "https://acme.eu-west.example.com/x")}, false},
		"plain http":   {[]discovery.Standby{s("eu-west", "http://acme.eu-west.example.com")}, false},
		"two in one":   {[]discovery.Standby{s("eu-west", "https://acme.eu-west.example.com us=https://evil.example")}, false},
		"two by name":  {[]discovery.Standby{s("eu-west=https://evil.example us", "https://acme.eu-west.example.com")}, false},
		"script":       {[]discovery.Standby{s("eu-west", "javascript:alert(1)")}, false},
		"no region":    {[]discovery.Standby{s("", west.URL)}, false},
		"many": {[]discovery.Standby{s("a", "https://a.example.com"), s("b", "https://b.example.com"), s("c", "https://c.example.com"),
			s("d", "https://d.example.com"), s("e", "https://e.example.com")}, false},
	} {
		p := discovery.Portal{ID: "acme", Name: "Acme", URL: "https://acme.eu.example.com", Region: "eu", Disclosure: discovery.Listed, Standbys: c.standbys}
		if err := p.Check(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		} else if err != nil && strings.Contains(err.Error(), "evil") {
			t.Errorf("%s: the refusal repeats what it refuses: %v", name, err)
		}
	}
}
