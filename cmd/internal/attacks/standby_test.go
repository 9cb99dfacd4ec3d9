package attacks

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

const (
	west     = "eu-west"
	acmeWest = "https://acme.eu-west.domicile.example" // acme, served by eu-west while eu-central is down
)

// standbys are second addresses of portals.
var standbys = map[string]string{acmeWest: acme}

// reports is what a carrier says of the processes of regions: nothing, unless a
// test makes it say something.
type reports struct {
	mu   sync.Mutex
	told map[string]regions.Health
}

func (r *reports) of(name string) regions.Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told[name]
}

func (r *reports) say(told map[string]regions.Health) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = told
}

// A standIn is the region eu-west as it serves the portals of eu-central.
type standIn struct {
	*app.Portal
	record regions.Record
	key    ticket.Key
}

var (
	homeDown  = map[string]regions.Health{europe: regions.Down, regions.StandIn(west, europe): regions.Up}
	allDown   = map[string]regions.Health{europe: regions.Down, regions.StandIn(west, europe): regions.Down}
	homeAgain = map[string]regions.Health{europe: regions.Up, regions.StandIn(west, europe): regions.Up}
)

// stand signs eu-west's record, has eu-central's name it, gives acme a standby
// there, and starts its processes on eu-central's database.
func (w *world) stand(t *testing.T) *standIn {
	t.Helper()
	ctx := t.Context()
	home := w.Regions[europe]
	s := &standIn{}
	var err error
	if s.key, err = ticket.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	publishing := ed25519.NewKeyFromSeed(random())
	public := publishing.Public().(ed25519.PublicKey)
	now := w.Clock.Now()
	s.record = regions.Record{
		Region: west, Jurisdiction: "EU", Name: "Dublin", Version: 1, Issued: now, Expires: now.AddDate(1, 0, 0),
		Hosts: []string{"*.eu-west.domicile.example"}, TicketKeys: []regions.TicketKey{s.key.Public()},
		PublishingKeys: []regions.PublishingKey{{ID: regions.KeyID(public), Public: public}},
	}
	home.Record.Version, home.Record.Standbys = 2, []string{west}
	w.sign(t, s.record, home.Record)

	old, err := home.Store().PortalByID(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	old.Standbys = []discovery.Standby{{Region: west, URL: acmeWest}}
	if changed, err := home.Store().CreatePortal(ctx, old); err != nil || !changed {
		t.Fatal(changed, err)
	}
	c, _, err := home.Store().Connection(ctx, "acme", "acme-oidc")
	if err != nil {
		t.Fatal(err)
	}
	w.IdPs.OIDC[c.ID].AddClient(idptest.OIDCClient{ID: c.ID, Secret: secretOfClient, RedirectURIs: portal.Addresses(old, c)})
	o := home.options
	o.Registry = prometheus.NewRegistry()
	o.Region, o.RegionName, o.StandsInFor, o.StandsInForName = west, "Dublin", europe, "Frankfurt"
	o.TicketKeys, o.Publishing = []ticket.Key{s.key}, publishing
	if s.Portal, err = app.NewPortal(ctx, o); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w.at(hostOf(acmeWest), s.Addr("public"))
	w.published(t)
	return s
}

// sign puts records into the catalogue and has the front door read it.
func (w *world) sign(t *testing.T, records ...regions.Record) {
	t.Helper()
	file := filepath.Join(w.dir, "regions.jws")
	lines, err := regions.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		signed, err := regions.Sign(r, w.root)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(slices.DeleteFunc(lines, func(s string) bool { return strings.Contains(payload(t, s), `"region":"`+r.Region+`"`) }), signed)
	}
	if err := regions.WriteFile(file, lines); err != nil {
		t.Fatal(err)
	}
	w.Front.Reload()
}

// told is where the front door leads an address: a host, or the status of a page
// that leads nowhere.
func (w *world) led(t testing.TB, b *browser, address string) (string, *answer) {
	t.Helper()
	w.Clock.Pass(time.Second)
	a := b.post(frontDoor+"/", url.Values{"email": {address}})
	if a.Status != http.StatusSeeOther {
		return fmt.Sprint(a.Status), a
	}
	to := a.leads()
	return to.Scheme + "://" + to.Host, a
}

// banner insists that a page says that it is the stand-in's.
func banner(t testing.TB, a *answer) {
	t.Helper()
	text := a.page().Text(".standin")
	for _, want := range []string{"stand-in for Frankfurt", "Dublin", "Same jurisdiction", "EU"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s: the banner does not say %q: %q", a.URL, want, text)
		}
	}
}

// People are signed in at the standby in every way, are told so, and the audit log
// says so too. When home is back, they go home.
func TestStandby(t *testing.T) {
	w := newWorld(t)
	s := w.stand(t)
	at := func(want string, who string) *answer {
		t.Helper()
		got, a := w.led(t, w.browser(t), who)
		if got != want {
			t.Fatalf("%s is led to %s, want %s: %s", who, got, want, a.text())
		}
		return a
	}
	at(acme, pat)
	w.health.say(homeDown)
	at(acmeWest, pat)
	at(gamma, "gil@gamma.example")

	t.Run("password", func(t *testing.T) {
		b := w.browser(t)
		_, a := w.led(t, b, pat)
		form := b.arrive(b.follow(a))
		banner(t, form)
		if form.URL.Host != hostOf(acmeWest) {
			t.Fatalf("arrived at %s", form.URL)
		}
		in := b.post(acmeWest+"/login/password", url.Values{"attempt": {form.page().Attr("input[name=attempt]", "value")}, "password": {password}})
		w.accepted(t, b, acmeWest, in, pat, "/")
		w.via(t, in)
		home := b.get(acmeWest + "/")
		banner(t, home)
		if got := home.page().Text("#jurisdiction"); got != "EU Frankfurt" {
			t.Errorf("the data lies in %q", got)
		}
		if got := b.signedIn(acme); got != "" {
			t.Errorf("the session of the standby is one at home, too: %q", got)
		}
	})
	t.Run("SAML", func(t *testing.T) { standbySAML(t, w) })
	t.Run("OIDC", func(t *testing.T) { standbyOIDC(t, w) })
	t.Run("ticket", func(t *testing.T) { standbyTickets(t, w, s) })
	t.Run("hosts", func(t *testing.T) {
		b := w.browser(t)
		b.via(s.Portal).get(acme + "/login").want(http.StatusMisdirectedRequest)
		b.via(s.Portal).get(beta + "/login").want(http.StatusMisdirectedRequest)
		b.via(w.Regions[europe].Portal).get(acmeWest + "/login").want(http.StatusMisdirectedRequest)
		if a := b.via(s.Portal).get(acme + "/login"); a.page().Text(".standin") == "" {
			t.Error("an error page of the stand-in does not say so")
		}
		if a := b.via(nil).get(acme + "/login"); a.page().Text(".standin") != "" {
			t.Error("a page of the region's own processes says that they stand in")
		}
	})
	t.Run("letters lead to the stand-in", func(t *testing.T) {
		w.guest(t, acme, "gwen@elsewhere.example", password)
		w.browser(t).post(acmeWest+"/password/forgot", url.Values{"email": {"gwen@elsewhere.example"}}).want(http.StatusOK)
		letters := w.mailed(t, acme, "gwen@elsewhere.example")
		if len(letters) != 1 || len(letters[0].Links) == 0 {
			t.Fatalf("%d letters", len(letters))
		}
		for _, link := range letters[0].Links {
			if !strings.HasPrefix(link, acmeWest+"/") {
				t.Errorf("a link leads to %s", link)
			}
		}
	})
	t.Run("a proof of the stand-in counts", func(t *testing.T) {
		b := w.browser(t)
		w.accepted(t, b, acmeWest, b.signInPassword(acmeWest, pat, password), pat, "/")
		to := b.get(acmeWest + "/remember").want(http.StatusSeeOther).leads()
		if a := b.get(to.String()).want(http.StatusOK); !strings.Contains(a.text(), "The acme portal") {
			t.Errorf("the front door does not believe it: %s", a.text())
		}
	})

	if publishes(t, s) {
		t.Error("a process that stands in publishes")
	}
	w.health.say(homeAgain)
	at(acme, pat)
	if err := s.Store().Audit(t.Context(), portal.Event{Portal: "acme", Action: "tried"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store(acme).CheckAudit(t.Context(), "acme"); err != nil {
		t.Errorf("the audit chain with rows of both: %v", err)
	}
}

// publishes reports whether a process has a publisher.
func publishes(t testing.TB, s *standIn) bool {
	t.Helper()
	all, err := s.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == "domicile_publish_batches_total" {
			return true
		}
	}
	return false
}

// via insists that the audit rows of an answer name the region that stood in.
func (w *world) via(t testing.TB, a *answer) {
	t.Helper()
	rows, err := w.store(acme).Events(t.Context(), "acme", portal.EventFilter{Reference: a.reference()})
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		if r.Via != west {
			t.Errorf("%s was served by %q", r.Action, r.Via)
		}
	}
}

// An assertion is good at the one address that its request named.
func standbySAML(t *testing.T, w *world) {
	b := w.browser(t)
	who := w.IdPs.Person(t, "acme.example")
	_, a := w.led(t, b, who.Address)
	trip := b.departing(acmeWest, "acme-saml", b.arriveUntilIdP(a))
	c, key, err := w.store(acme).Connection(t.Context(), "acme", "acme-saml")
	if err != nil {
		t.Fatal(err)
	}
	if request := inflated(t, trip.To.Query().Get("SAMLRequest")); !strings.Contains(request, `AssertionConsumerServiceURL="`+acmeWest+`/saml/acme-saml/acs"`) || !strings.Contains(request, c.SAML.EntityID) {
		t.Errorf("the request says %s", request)
	}
	idp := w.IdPs.SAML["acme-saml"]
	atHome := mint(t, idp, idptest.SAMLTarget{EntityID: c.SAML.EntityID, ACS: acme + "/saml/acme-saml/acs", RequestID: trip.RequestID, Certificate: key.Certificate}, idptest.SAMLMint{User: who})
	refused := trip.deliver(atHome).want(http.StatusForbidden)
	w.audited(t, acme, refused, "session.refused", "destination")
	w.via(t, refused)

	good := trip.assertion(who)
	// The same answer, taken home by somebody who copies cookies as well.
	thief := w.browser(t)
	thief.plant(acme, "__Host-sso", b.cookie(acmeWest, "__Host-sso"))
	refused = thief.crossPost(acme+"/saml/acme-saml/acs", url.Values{"SAMLResponse": {good}, "RelayState": {trip.State}}).want(http.StatusForbidden)
	w.audited(t, acme, refused, "session.refused", "destination")

	in := trip.deliver(good)
	w.accepted(t, b, acmeWest, in, who.Address, "/")
	w.via(t, in)
	if again := trip.deliver(good); again.session() != nil {
		t.Error("an assertion signed somebody in twice")
	}

	for _, at := range []string{acme, acmeWest} {
		doc := w.browser(t).get(at + "/saml/acme-saml/metadata").want(http.StatusOK).Body
		for i, acs := range []string{acme, acmeWest} {
			if !strings.Contains(doc, fmt.Sprintf(`Location="%s/saml/acme-saml/acs" index="%d"`, acs, i)) {
				t.Errorf("metadata of %s does not list %s as %d:\n%s", at, acs, i, doc)
			}
		}
		if !strings.Contains(doc, `entityID="`+c.SAML.EntityID+`"`) || strings.Count(doc, `isDefault="true"`) != 1 {
			t.Errorf("metadata of %s:\n%s", at, doc)
		}
	}
}

func standbyOIDC(t *testing.T, w *world) {
	b := w.browser(t)
	who := w.IdPs.Person(t, "acme-oidc.example")
	_, a := w.led(t, b, who.Address)
	trip := b.departing(acmeWest, "acme-oidc", b.arriveUntilIdP(a))
	if got, want := trip.To.Query().Get("redirect_uri"), acmeWest+"/oidc/acme-oidc/callback"; got != want {
		t.Errorf("the redirect URI is %s, want %s", got, want)
	}
	back := trip.authorise(who)
	if back.Host != hostOf(acmeWest) {
		t.Fatalf("the provider leads back to %s", back)
	}
	// The code, taken home with the cookies: the provider gives nothing for it there.
	thief := w.browser(t)
	thief.plant(acme, "__Host-sso", b.cookie(acmeWest, "__Host-sso"))
	stolen := *back
	stolen.Host = hostOf(acme)
	if got := thief.crossGet(stolen.String()); got.session() != nil {
		t.Error("a code that was asked for at the standby signs in at home")
	}
	trip = b.departing(acmeWest, "acme-oidc", b.get(acmeWest+"/login/acme-oidc"))
	in := b.crossGet(trip.authorise(who).String())
	w.accepted(t, b, acmeWest, in, who.Address, "/")
	w.via(t, in)
}

// arriveUntilIdP follows redirects from the front door until they leave for an
// identity provider, and returns the answer that does so.
func (b *browser) arriveUntilIdP(a *answer) *answer {
	b.t.Helper()
	for range 5 {
		if to := a.leads(); strings.HasPrefix(to.Host, "127.0.0.1") {
			return a
		}
		a = b.follow(a)
	}
	b.t.Fatal("nobody leads to the identity provider")
	return nil
}

// A ticket opens in the one region it was made out to.
func standbyTickets(t *testing.T, w *world, s *standIn) {
	seal := func(to regions.Record) string {
		now := w.Clock.Now()
		sealed, err := ticket.Seal(to, w.tickets, ticket.Ticket{Portal: "acme", Address: pat, Issued: now, Expires: now.Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	home := w.Regions[europe].Record
	w.browser(t).get(acmeWest + "/login?ticket=" + seal(home)).want(http.StatusForbidden)
	w.browser(t).get(acme + "/login?ticket=" + seal(s.record)).want(http.StatusForbidden)
	w.browser(t).get(acmeWest + "/login?ticket=" + seal(s.record)).want(http.StatusSeeOther)
}

// TestLaw8NoJurisdictionIsCrossed: whatever claims and reports say, nobody is led
// to another jurisdiction, nor to a place that the signed records do not name.
func TestLaw8NoJurisdictionIsCrossed(t *testing.T) {
	w := newWorld(t)
	w.stand(t)
	home := w.Regions[europe].Store()
	claim := func(standbys ...discovery.Standby) {
		t.Helper()
		p, err := home.PortalByID(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		p.Standbys = standbys
		if _, err := home.CreatePortal(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		w.published(t)
	}
	everywhereUp := map[string]regions.Health{europe: regions.Down, america: regions.Up, west: regions.Up,
		regions.StandIn(america, europe): regions.Up, regions.StandIn(west, europe): regions.Up}
	w.health.say(everywhereUp)
	for name, standby := range map[string]discovery.Standby{
		"another jurisdiction":                    {Region: america, URL: "https://acme.us.domicile.example"},
		"another jurisdiction's host":             {Region: west, URL: "https://acme.us.domicile.example"},
		"another portal's host":                   {Region: west, URL: gamma},
		"a host of nobody":                        {Region: west, URL: "https://acme.evil.example"},
		"a region that nobody signed":             {Region: "eu-south", URL: "https://acme.eu-west.domicile.example"},
		"a host that only looks like a standby's": {Region: west, URL: "https://acme.eu-west.domicile.example.evil.example"},
	} {
		claim(standby)
		if got, a := w.led(t, w.browser(t), pat); got != "503" {
			t.Errorf("%s: %s is led to %s", name, pat, got)
		} else if strings.Contains(a.Body, "acme.us.domicile.example") || strings.Contains(a.Body, "evil") || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: the page says %s", name, a.text())
		}
	}
	// The operator names a region of another jurisdiction by mistake.
	claim(discovery.Standby{Region: america, URL: "https://acme.us.domicile.example"})
	r := w.Regions[europe].Record
	r.Version, r.Standbys = r.Version+1, []string{west, america}
	w.sign(t, r)
	if got, _ := w.led(t, w.browser(t), pat); got != "503" {
		t.Errorf("a mistake leads to %s", got)
	}
	claim(discovery.Standby{Region: america, URL: "https://acme.us.domicile.example"}, discovery.Standby{Region: west, URL: acmeWest})
	if got, _ := w.led(t, w.browser(t), pat); got != acmeWest {
		t.Errorf("led to %s, want %s", got, acmeWest)
	}
	for name, told := range map[string]map[string]regions.Health{
		"nothing":           nil,
		"nothing of home":   {regions.StandIn(west, europe): regions.Up, america: regions.Up},
		"home is up":        homeAgain,
		"all others are up": {europe: regions.Unknown, west: regions.Up, america: regions.Up, regions.StandIn(west, europe): regions.Up},
	} {
		w.health.say(told)
		if got, _ := w.led(t, w.browser(t), pat); got != acme {
			t.Errorf("a report that says %s leads to %s", name, got)
		}
	}
}

// Where nothing stands in, the person is told at once what is going on.
func TestDown(t *testing.T) {
	w := newWorld(t)
	w.stand(t)
	w.health.say(allDown)
	b := w.browser(t)
	got, a := w.led(t, b, pat)
	if got != "503" || a.Header.Get("Retry-After") == "" {
		t.Fatalf("%s is led to %s", pat, got)
	}
	for _, want := range []string{"The acme portal is not answering", "stays in EU", "Frankfurt", hostOf(acme), "Nothing was sent anywhere else"} {
		if !strings.Contains(a.text(), want) {
			t.Errorf("the page does not say %q: %s", want, a.text())
		}
	}
	if strings.Contains(a.Body, pat) {
		t.Error("the page repeats the address")
	}
	choice := a.page().Attr("input[name=choice]", "value")
	b.post(frontDoor+"/choose", url.Values{"choice": {choice}}).want(http.StatusServiceUnavailable)
	anyway := b.post(frontDoor+"/choose/anyway", url.Values{"choice": {choice}}).want(http.StatusSeeOther)
	if to := anyway.leads(); to.Scheme+"://"+to.Host != acme || to.Query().Get("ticket") == "" {
		t.Errorf("tried anyway at %s", to)
	}
	b.arrive(anyway).want(http.StatusOK)

	var doc struct {
		Portals []struct{ ID, Region, Jurisdiction, URL, Status, Continue string }
	}
	ask := func() {
		t.Helper()
		doc.Portals = nil
		if err := json.Unmarshal([]byte(b.ask(email(pat)).want(http.StatusOK).Body), &doc); err != nil || len(doc.Portals) != 1 {
			t.Fatal(err, doc)
		}
	}
	ask()
	if p := doc.Portals[0]; p.Status != "down" || p.URL != acme || p.Region != europe || !strings.HasPrefix(p.Continue, acme+"/") {
		t.Errorf("a program is told %+v", p)
	}
	w.health.say(homeDown)
	ask()
	if p := doc.Portals[0]; p.Status != "standby" || p.URL != acmeWest || p.Region != west || p.Jurisdiction != "EU" || !strings.HasPrefix(p.Continue, acmeWest+"/") {
		t.Errorf("a program is told %+v", p)
	}
	finger := frontDoor + "/.well-known/webfinger?resource=acct:" + pat
	if body := b.get(finger).want(http.StatusOK).Body; !strings.Contains(body, `"urn:domicile:status":"standby"`) || !strings.Contains(body, acmeWest+"/login") {
		t.Errorf("WebFinger says %s", body)
	}
	w.health.say(homeAgain)
	if body := b.get(finger).want(http.StatusOK).Body; strings.Contains(body, "status") {
		t.Errorf("WebFinger says %s", body)
	}
	if body := b.ask(email(pat)).Body; strings.Contains(body, "status") {
		t.Errorf("the usual answer says %s", body)
	}
	if a := b.post(frontDoor+"/choose", url.Values{"choice": {choice}}).want(http.StatusSeeOther); a.leads().Host != hostOf(acme) {
		t.Errorf("trying again leads to %s", a.leads())
	}
}

// What the portals of a region that is down are called is told to nobody who
// would not be told otherwise.
func TestDIS01DownAndHidden(t *testing.T) {
	w := newWorld(t)
	w.stand(t)
	const hidden = "https://hidden.eu.domicile.example"
	w.hide(t, hidden, "hidden.example", "hid@elsewhere.example")
	w.published(t)
	b := w.browser(t)
	shape := func(address string) string {
		w.Clock.Pass(time.Second)
		a := b.post(frontDoor+"/", url.Values{"email": {address}})
		return fmt.Sprint(a.Status, len(a.Header), strings.ReplaceAll(a.text(), address, "…"))
	}
	up := shape("nobody@elsewhere.example")
	for name, told := range map[string]map[string]regions.Health{"down": allDown, "standby": homeDown} {
		w.health.say(told)
		for _, who := range []string{"nobody@elsewhere.example", "hid@elsewhere.example", "any@hidden.example"} {
			if got := shape(who); got != up {
				t.Errorf("%s: %s gets %q, want %q", name, who, got, up)
			}
		}
	}
}
