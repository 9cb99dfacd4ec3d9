package web_test

import (
	"bytes"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/client"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/discovery/store"
	"github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

const frontDoor = "https://sign-in.example.com"

// A door is a front door with two regions behind it, as a test holds it.
type door struct {
	t        testing.TB
	site     *web.Site
	intake   *httptest.Server
	db       *sql.DB
	log      *bytes.Buffer
	registry *prometheus.Registry
	now      time.Time
	public   ed25519.PublicKey // of the front door
	keys     discovery.BlindKeys
	regions  map[string]*region
	store    *store.Store
}

// A region is what publishes and opens tickets.
type region struct {
	record     regions.Record
	tickets    ticket.Key
	publishing ed25519.PrivateKey
	client     client.Client
	last       int64
}

type change func(*web.Options)

func limits(l web.Limits) change               { return func(o *web.Options) { o.Limits = l } }
func withRedis(c redis.UniversalClient) change { return func(o *web.Options) { o.Redis = c } }

func newDoor(t testing.TB, changes ...change) *door {
	t.Helper()
	d := &door{t: t, log: new(bytes.Buffer), registry: prometheus.NewRegistry(), now: time.Unix(1_800_000_000, 0), regions: map[string]*region{}}
	clock := func() time.Time { return d.now }
	log := slog.New(slog.NewJSONHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	rootPublic, root, err := ed25519.GenerateKey(nil)
	check(t, err)
	catalogue := regions.NewCatalogue([]ed25519.PublicKey{rootPublic}, clock)
	for _, where := range []struct{ name, jurisdiction, hosts string }{{"eu", "EU", "*.eu.example.com"}, {"us", "US", "*.us.example.com"}} {
		r := &region{}
		r.tickets, err = ticket.GenerateKey()
		check(t, err)
		var public ed25519.PublicKey
		public, r.publishing, err = ed25519.GenerateKey(nil)
		check(t, err)
		r.record = regions.Record{Region: where.name, Jurisdiction: where.jurisdiction, Name: "Region " + where.name, Version: 1,
			Issued: d.now, Expires: d.now.Add(24 * time.Hour), Hosts: []string{where.hosts},
			TicketKeys: []regions.TicketKey{r.tickets.Public()}, PublishingKeys: []regions.PublishingKey{{Public: public}}}
		signed, err := regions.Sign(r.record, root)
		check(t, err)
		if errs := catalogue.Apply([]string{signed}); len(errs) > 0 {
			t.Fatal(errs)
		}
		d.regions[where.name] = r
	}
	d.db = sqltest.SQLite(t, store.Migrations)
	snapshot := new(discovery.Snapshot)
	cache, err := store.NewCache(store.CacheOptions{Secrets: [][]byte{secret}, Log: log, Metrics: d.registry, Now: clock})
	check(t, err)
	tags, err := store.NewTagKey([][]byte{secret})
	check(t, err)
	directory := store.New(d.db, store.Options{Snapshot: snapshot, Tags: tags, Cache: cache, Log: log, Metrics: d.registry, Now: clock})
	check(t, directory.Refresh(t.Context()))
	d.store = directory
	var tickets ed25519.PrivateKey
	d.public, tickets, err = ed25519.GenerateKey(nil)
	check(t, err)
	d.keys = discovery.BlindKeys{discovery.NewBlindKey(1, secret)}
	o := web.Options{
		Resolver: &discovery.Resolver{Snapshot: snapshot, Directory: directory, Keys: d.keys, Regions: catalogue},
		Regions:  catalogue, URL: frontDoor, Tickets: tickets, Secrets: [][]byte{secret}, Log: log, Metrics: d.registry, Now: clock,
		Limits: web.Limits{DangerouslyUnlimited: true},
	}
	for _, c := range changes {
		c(&o)
	}
	d.site, err = web.New(o)
	check(t, err)
	d.intake = httptest.NewServer(web.Intake(web.IntakeOptions{URL: frontDoor, Store: directory, Regions: catalogue, Log: log, Now: clock}))
	t.Cleanup(d.intake.Close)
	for name, r := range d.regions {
		r.client = client.Client{URL: d.intake.URL, FrontDoor: frontDoor, Region: name, Key: r.publishing, Now: clock}
	}
	return d
}

var secret = bytes.Repeat([]byte{9}, 32)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// publish sends claims as a region, giving them their sequence.
func (d *door) publish(region string, claims ...discovery.Claim) {
	d.t.Helper()
	r := d.regions[region]
	b := discovery.Batch{After: r.last, Claims: claims}
	for i := range b.Claims {
		r.last++
		b.Claims[i].Seq = r.last
	}
	receipt, err := r.client.Publish(d.t.Context(), b)
	check(d.t, err)
	if receipt.Last != r.last {
		d.t.Fatalf("the receipt says %d, want %d", receipt.Last, r.last)
	}
}

func portal(region, id, name string, disclosure discovery.Disclosure) discovery.Claim {
	return discovery.Claim{Portal: &discovery.Portal{ID: id, Name: name, URL: "https://" + id + "." + region + ".example.com", Disclosure: disclosure, Region: region}}
}

func route(domain, portal, connection string, ways ...discovery.SignIn) discovery.Claim {
	return discovery.Claim{Route: &discovery.Route{Domain: domain, Portal: portal, Connection: connection, SignIn: ways}}
}

func (d *door) entry(address, portal string) discovery.Claim {
	d.t.Helper()
	a, err := discovery.ParseAddress(address)
	check(d.t, err)
	return discovery.Claim{Entry: &discovery.Entry{Blind: d.keys.Current(a), Portal: portal, SignIn: []discovery.SignIn{discovery.Password}}}
}

// populate publishes what the tests look for.
func (d *door) populate() {
	d.t.Helper()
	d.publish("eu", portal("eu", "acme", "Acme Corporation", discovery.Listed), route("acme.example", "acme", "acme-saml", discovery.SAML),
		portal("eu", "hidden", "Hidden Ltd", discovery.Proven), d.entry("hid@consult.example", "hidden"),
		d.entry("max@consult.example", "acme"))
	d.publish("us", portal("us", "globex", "Globex", discovery.Listed), route("globex.example", "globex", "", discovery.OIDC, discovery.Password),
		d.entry("max@consult.example", "globex"))
}

func (d *door) do(r *http.Request) *http.Response {
	d.t.Helper()
	w := httptest.NewRecorder()
	d.site.ServeHTTP(w, r)
	return w.Result()
}

func from(r *http.Request, addr string) *http.Request {
	return r.WithContext(page.WithClient(r.Context(), netip.MustParseAddr(addr)))
}

func post(path string, form url.Values, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodPost, frontDoor+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

func ask(address string, cookies ...*http.Cookie) *http.Request {
	return post("/", url.Values{"email": {address}}, cookies...)
}

func get(path string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, frontDoor+path, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

func discover(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, frontDoor+"/v1/discover", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func (d *door) status(res *http.Response, want int) *http.Response {
	d.t.Helper()
	if res.StatusCode != want {
		d.t.Fatalf("status %d, want %d\n%s", res.StatusCode, want, body(d.t, res))
	}
	return res
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	check(t, err)
	return string(b)
}

func (d *door) page(res *http.Response) pagetest.Page {
	d.t.Helper()
	p := pagetest.Parse(d.t, res.Body)
	pagetest.Accessible(d.t, p)
	return p
}

// open opens the ticket in a URL as a portal of a region would.
func (d *door) open(region, portal, location string) ticket.Ticket {
	d.t.Helper()
	u, err := url.Parse(location)
	check(d.t, err)
	o := ticket.Opener{Region: region, Keys: []ticket.Key{d.regions[region].tickets}, FrontDoors: []ed25519.PublicKey{d.public}, Now: func() time.Time { return d.now }}
	opened, err := o.Open(u.Query().Get("ticket"), portal)
	check(d.t, err)
	if want := "https://" + portal + "." + region + ".example.com"; u.Scheme+"://"+u.Host != want || u.Path != "/login" {
		d.t.Errorf("leads to %s, want %s/login", location, want)
	}
	return opened
}

// quiet checks that nothing said so far names a person.
func (d *door) quiet(res *http.Response, local string) {
	d.t.Helper()
	metrics, err := d.registry.Gather()
	check(d.t, err)
	for where, text := range map[string]string{"log": d.log.String(), "headers": fmt.Sprint(res.Header), "metrics": fmt.Sprint(metrics)} {
		if strings.Contains(strings.ToLower(text), local) {
			d.t.Errorf("%s: %q is there:\n%s", where, local, text)
		}
	}
}

func TestTemplates(t *testing.T) {
	d := newDoor(t)
	pagetest.Templates(t, d.site.Pages(), web.Structs())
}

func TestRoutes(t *testing.T) {
	d := newDoor(t)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 200, ""}, {"HEAD", "/", 200, ""}, {"PUT", "/", 405, "GET, HEAD, POST"}, {"DELETE", "/v1/discover", 405, "POST"}, {"GET", "/v1/discover", 405, "POST"},
		{"OPTIONS", "/v1/discover", 405, "POST"}, {"GET", "/choose", 405, "POST"}, {"GET", "/forget", 405, "POST"}, {"POST", "/.well-known/webfinger", 405, "GET, HEAD"},
		{"GET", "/nowhere", 404, ""}, {"GET", "//", 404, ""}, {"GET", "/assets/none.css", 404, ""}, {"GET", "/v1/nowhere", 404, ""}, {"GET", "/login", 404, ""},
		{"GET", "/remember", 400, ""}, {"GET", "/?return_to=//evil.example", 200, ""},
	} {
		res := d.do(httptest.NewRequest(c.method, frontDoor+c.path, nil))
		if res.StatusCode != c.status || res.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d with Allow %q, want %d with %q", c.method, c.path, res.StatusCode, res.Header.Get("Allow"), c.status, c.allow)
		}
		if res.Header.Get("Set-Cookie") != "" || strings.Contains(body(t, res), "evil") {
			t.Errorf("%s %s changes something", c.method, c.path)
		}
		problem := res.Header.Get("Content-Type") == "application/problem+json"
		if want := strings.HasPrefix(c.path, "/v1/"); problem != want {
			t.Errorf("%s %s answers with %s", c.method, c.path, res.Header.Get("Content-Type"))
		}
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := web.New(web.Options{}); err == nil {
		t.Error("a front door without anything was built")
	}
}
