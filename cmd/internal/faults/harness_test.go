package faults

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

// TestDiffers shows that a wrong answer is seen as one.
func TestDiffers(t *testing.T) {
	ada := person{portal: "acme", jurisdiction: "EU", site: "http://acme.eu", standby: "http://acme.west"}
	right := destination{ID: "acme", Jurisdiction: "EU", URL: "http://acme.eu", Continue: "http://acme.eu/login?ticket=abc"}
	but := func(change func(*destination)) []destination {
		d := right
		change(&d)
		return []destination{d}
	}
	for name, c := range map[string]struct {
		who   person
		found []destination
		wrong bool
	}{
		"right":                      {ada, []destination{right}, false},
		"at the standby":             {ada, but(func(d *destination) { d.URL, d.Continue = ada.standby, ada.standby+"/login?ticket=abc" }), false},
		"nobody":                     {person{}, nil, false},
		"nobody is somebody":         {person{}, []destination{right}, true},
		"somebody is nobody":         {ada, nil, true},
		"twice":                      {ada, []destination{right, right}, true},
		"another portal":             {ada, but(func(d *destination) { d.ID = "globex" }), true},
		"another jurisdiction":       {ada, but(func(d *destination) { d.Jurisdiction = "US" }), true},
		"another site":               {ada, but(func(d *destination) { d.URL = "http://acme.us" }), true},
		"led elsewhere than is told": {ada, but(func(d *destination) { d.Continue = "http://acme.us/login?ticket=abc" }), true},
		"no ticket":                  {ada, but(func(d *destination) { d.Continue = "http://acme.eu/login?ticket=" }), true},
	} {
		if got := c.who.differs(c.found); (got != "") != c.wrong {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestHome shows that being signed in as somebody else, or elsewhere, is seen.
func TestHome(t *testing.T) {
	who := person{address: "ada@acme.example", jurisdiction: "EU", site: "http://acme.eu", standby: "http://acme.west"}
	at := func(site, address, kept string, aside string) error {
		l := &load{}
		l.fresh()
		to, err := url.Parse(site + "/")
		if err != nil {
			t.Fatal(err)
		}
		v := &visitor{load: l, who: who, at: to, page: read(aside + `<span id="address">` + address + `</span><dd id="jurisdiction">` + kept + ` <span>Frankfurt</span></dd>`)}
		return v.home()
	}
	const banner = `<aside class="standin">You are at the stand-in</aside>`
	for name, err := range map[string]error{
		"right":      at(who.site, who.address, "EU", ""),
		"stands in":  at(who.standby, who.address, "EU", banner),
		"!person":    at(who.site, "gus@globex.example", "EU", ""),
		"!elsewhere": at("http://acme.us", who.address, "EU", ""),
		"!kept":      at(who.site, who.address, "US", ""),
		"!silent":    at(who.standby, who.address, "EU", ""),
		"!banner":    at(who.site, who.address, "EU", banner),
	} {
		var m *mistake
		if want := strings.HasPrefix(name, "!"); errors.As(err, &m) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBalancer: what is not ready gets nothing, what refuses is passed over, and
// where nobody is left it says so.
func TestBalancer(t *testing.T) {
	ready := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Name", name)
		}))
		t.Cleanup(s.Close)
		return s
	}
	one, two := ready("one"), ready("two")
	unready := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(unready.Close)
	addr := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	b := balance(t, planttest.Free(t, 1)[0], readOnly, addr(one), addr(two), addr(unready))
	planttest.Until(t, "two processes", func() bool { return b.alive() == 2 })
	names := func() map[string]int {
		seen := map[string]int{}
		for range 20 {
			res, err := http.Post(b.url, "text/plain", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			seen[res.Header.Get("Name")]++
			if res.StatusCode == http.StatusBadGateway {
				seen["502"]++
			}
		}
		return seen
	}
	if got := names(); got["one"] == 0 || got["two"] == 0 || got[""] > 0 {
		t.Errorf("handed out as %v", got)
	}
	one.Close()
	planttest.Until(t, "one process", func() bool { return b.alive() == 1 })
	if got := names(); got["two"] != 20 {
		t.Errorf("with one process left: %v", got)
	}
	two.Close()
	planttest.Until(t, "no process", func() bool { return b.alive() == 0 })
	if got := names(); got["502"] != 20 {
		t.Errorf("with nobody left: %v", got)
	}
}

// TestSlope: what rises is seen to rise.
func TestSlope(t *testing.T) {
	if got := slope([]float64{1, 3, 5, 7}); got != 2 {
		t.Errorf("slope %v, want 2", got)
	}
	if got := slope([]float64{4, 4, 4}); got != 0 {
		t.Errorf("slope %v, want 0", got)
	}
}

// TestTally: each outcome is counted where it belongs.
func TestTally(t *testing.T) {
	y := new(tally)
	now := time.Unix(1e9, 0)
	for _, o := range []outcome{{}, {again: true, wait: time.Second}, {failed: errors.New("no")}, {wrong: "elsewhere"}, {told: true}, {later: true}} {
		y.add(&y.signIn, o, now)
	}
	if c := y.signIn; c != (counts{all: 6, again: 1, failed: 1, slow: time.Second}) || len(y.wrong) != 1 || len(y.failures) != 1 || y.told != 1 || y.later != 1 {
		t.Errorf("%+v", y)
	}
}
