package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/client"
	"github.com/domicile-sso/domicile/discovery/page/pagetest"
)

// cookie returns the one cookie an answer sets, or nil.
func (d *door) cookie(res *http.Response) *http.Cookie {
	d.t.Helper()
	all := res.Cookies()
	if len(all) == 0 {
		return nil
	}
	c := all[0]
	if len(all) > 1 || c.Name != "__Host-portals" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		d.t.Errorf("cookies %v", all)
	}
	return c
}

// offers is what the front page offers to continue to.
func (d *door) offers(c *http.Cookie) []string {
	d.t.Helper()
	var cookies []*http.Cookie
	if c != nil {
		cookies = append(cookies, c)
	}
	res := d.status(d.do(get("/", cookies...)), http.StatusOK)
	if len(res.Cookies()) != 0 {
		d.t.Error("a GET sets a cookie")
	}
	offered := []string{}
	for _, a := range d.page(res).All("#remembered a") {
		offered = append(offered, pagetest.Attr(a, "href"))
	}
	return offered
}

func (d *door) wantOffers(c *http.Cookie, want ...string) {
	d.t.Helper()
	for i := range want {
		want[i] = "https://" + want[i] + ".example.com/login"
	}
	if diff := cmp.Diff(append([]string{}, want...), d.offers(c)); diff != "" {
		d.t.Errorf("offers (-want +got):\n%s", diff)
	}
}

func (d *door) proof(region, portal string) string {
	d.t.Helper()
	p, err := client.Proof(d.regions[region].publishing, region, portal, frontDoor, d.now)
	check(d.t, err)
	return p
}

func TestContinueToTheLastPortal(t *testing.T) {
	d := newDoor(t)
	d.populate()
	d.wantOffers(nil)
	c := d.cookie(d.do(ask("canary@acme.example")))
	if c == nil || strings.Contains(c.Value, "acme") {
		t.Fatalf("the cookie is %v", c)
	}
	d.wantOffers(c, "acme.eu")
	c = d.cookie(d.do(ask("gus@globex.example", c)))
	d.wantOffers(c, "globex.us", "acme.eu")
	c = d.cookie(d.do(ask("canary@acme.example", c)))
	d.wantOffers(c, "acme.eu", "globex.us")

	bent := *c
	other := "A"
	if bent.Value[20] == 'A' {
		other = "B"
	}
	bent.Value = bent.Value[:20] + other + bent.Value[21:]
	for _, bad := range []*http.Cookie{{Name: c.Name}, {Name: c.Name, Value: "nonsense"}, {Name: c.Name, Value: strings.Repeat("A", 4000)}, &bent} {
		d.wantOffers(bad)
	}
	gone := d.cookie(d.status(d.do(post("/forget", nil, c)), http.StatusSeeOther))
	if gone == nil || gone.MaxAge >= 0 || gone.Value != "" {
		t.Errorf("forgetting leaves %v", gone)
	}
	d.now = d.now.Add(200 * 24 * time.Hour)
	d.wantOffers(c)
}

func TestCookieIsBounded(t *testing.T) {
	d := newDoor(t)
	var c *http.Cookie
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		d.publish("eu", portal("eu", id, "Portal "+id, discovery.Listed), route(id+".example", id, "", discovery.Password))
		var cookies []*http.Cookie
		if c != nil {
			cookies = append(cookies, c)
		}
		c = d.cookie(d.do(ask("x@"+id+".example", cookies...)))
	}
	d.wantOffers(c, "g.eu", "f.eu", "e.eu", "d.eu", "c.eu")
}

// Looking around does not push out what a region vouched for.
func TestProvedPortalsStay(t *testing.T) {
	d := newDoor(t)
	d.populate()
	c := d.cookie(d.do(post("/remember", url.Values{"proof": {d.proof("eu", "hidden")}})))
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		d.publish("eu", portal("eu", id, "Portal "+id, discovery.Listed), route(id+".example", id, "", discovery.Password))
		c = d.cookie(d.do(ask("x@"+id+".example", c)))
	}
	d.wantOffers(c, "f.eu", "e.eu", "d.eu", "c.eu", "hidden.eu")
}

func TestProvenPortalNeedsProof(t *testing.T) {
	d := newDoor(t)
	d.populate()
	proof := d.proof("eu", "hidden")

	res := d.status(d.do(get("/remember?proof="+proof)), http.StatusOK)
	if d.cookie(res) != nil {
		t.Error("DIS-26: a GET remembers")
	}
	p := d.page(res)
	if !strings.Contains(p.Text("h1"), "Hidden Ltd") || p.Attr("input[name=proof]", "value") != proof {
		t.Errorf("the question is %s", p.Text("main"))
	}
	c := d.cookie(d.status(d.do(post("/remember", url.Values{"proof": {proof}})), http.StatusSeeOther))
	d.wantOffers(c, "hidden.eu")

	d.status(d.do(ask("hid@consult.example")), http.StatusOK)
	res = d.status(d.do(ask("hid@consult.example", c)), http.StatusSeeOther)
	d.open("eu", "hidden", res.Header.Get("Location"))
	if d.cookie(res) != nil {
		t.Error("a proven portal is remembered by itself")
	}
	// Being sent to a listed portal proves nothing once it is listed no longer.
	listed := d.cookie(d.do(ask("ada@acme.example", c)))
	d.wantOffers(listed, "acme.eu", "hidden.eu")
	d.publish("eu", portal("eu", "acme", "Acme Corporation", discovery.Proven))
	d.wantOffers(listed, "hidden.eu")
	d.status(d.do(ask("ada@acme.example", listed)), http.StatusOK)
}

// bent is a token with another character in the middle of its signature. The
// last ones will not do: now and then they are what one would put there.
func bent(token string) string {
	b := []byte(token)
	at := len(b) - 40
	if b[at]++; b[at] == 'Z'+1 || b[at] == 'z'+1 || b[at] == '9'+1 || b[at] == '-'+1 || b[at] == '_'+1 {
		b[at] = 'A'
	}
	return string(b)
}

func TestProofsThatAreNone(t *testing.T) {
	d := newDoor(t)
	d.populate()
	other, err := client.Proof(d.regions["eu"].publishing, "eu", "acme", "https://another.example.com", d.now)
	check(t, err)
	lying, err := client.Proof(d.regions["us"].publishing, "eu", "acme", frontDoor, d.now)
	check(t, err)
	good := d.proof("eu", "acme")
	for name, c := range map[string]struct {
		proof  string
		status int
	}{
		"none":              {"", 403},
		"nonsense":          {"a.b.c", 403},
		"bent":              {bent(good), 403},
		"huge":              {strings.Repeat("a", 5000), 403},
		"other front door":  {other, 403},
		"other region":      {lying, 403},
		"foreign portal":    {d.proof("us", "acme"), 403},
		"unknown portal":    {d.proof("eu", "nowhere"), 403},
		"another statement": {strings.Repeat("e30.", 3), 403},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []*http.Request{get("/remember?proof=" + c.proof), post("/remember", url.Values{"proof": {c.proof}})} {
				if res := d.status(d.do(r), c.status); len(res.Cookies()) != 0 {
					t.Error("it is remembered")
				}
			}
		})
	}
	d.now = d.now.Add(discovery.ProofLife + time.Minute)
	d.status(d.do(post("/remember", url.Values{"proof": {good}})), http.StatusForbidden)
}
