package attacks

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/web"
)

// A fleet is a world as in production: Europe is two processes on one PostgreSQL
// database, and the front door has a Redis.
type fleet struct {
	*world
	second *app.Portal // Europe's other process
	server *servertest.RedisServer
	rdb    *redis.Client // anybody's
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{server: servertest.ControlledRedis(t)}
	client := func() *redis.Client {
		return redis.NewClient(&redis.Options{Addr: f.server.Addr, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	}
	f.rdb = client()
	t.Cleanup(func() { _ = f.rdb.Close() })
	var err error
	f.world, err = start(t.TempDir(), func(w *world) {
		w.databases = map[string]string{europe: servertest.Postgres(t)}
		w.redis = client() // which the front door closes
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.stop(); err != nil {
			t.Error(err)
		}
	})
	f.second = f.Regions[europe].Node(t)
	f.published(t)
	return f
}

// split sends n requests at once, half of them to each process, with the cookies
// of one browser.
func (f *fleet) split(b *browser, n int, r func(i int) request) []*answer {
	b.t.Helper()
	there := *b
	there.via(f.second)
	other := make(chan []*answer)
	go func() { other <- there.burst(n/2, func(i int) request { return r(n - n/2 + i) }) }()
	return append(b.burst(n-n/2, r), <-other...)
}

// one insists that of all answers one is a success, and that the others refuse
// and sign nobody in.
func one(t testing.TB, answers []*answer, success int, session bool) {
	t.Helper()
	in := 0
	for _, a := range answers {
		switch a.Status {
		case success:
			in++
			if session != (a.session() != nil) {
				t.Errorf("the one that counts has a session: %v", a.session() != nil)
			}
		case http.StatusForbidden, http.StatusTooManyRequests:
			secured(t, a)
			dull(t, a)
			if a.session() != nil {
				t.Errorf("a session with %d", a.Status)
			}
		default:
			t.Errorf("got %d: %s", a.Status, a.text())
		}
	}
	if in != 1 {
		t.Errorf("%d of %d count, want 1", in, len(answers))
	}
}

// TestFleet: what counts once counts once, however many ask for it at the same
// moment at two processes of the region, with Redis there, emptied, and gone.
func TestFleet(t *testing.T) {
	f := newFleet(t)
	for _, row := range []struct {
		name string
		test func(*testing.T, *fleet)
	}{
		{"DIS-22 one ticket", fleetTicket},
		{"SAM-58 SAM-59 one assertion", fleetAssertion},
		{"SAM-62 one unsolicited assertion", fleetUnsolicited},
		{"OID-31 one code", fleetCode},
		{"PWD-18 one link", fleetLinks},
		{"PWD-01 guesses", fleetGuesses},
		{"SES-16 SES-15 sessions that end", fleetSessions},
		{"SES-18 too many sessions", fleetTooMany},
		{"DIS-13 DIS-14 what is not the same address", onPostgres(variants)},
		{"SES-14 timeouts", onPostgres(timeouts)},
		{"LOG-03 a changed audit log", onPostgres(changedAudit)},
		{"LOG-04 no audit, no change", onPostgres(noAudit)},
		{"DIS-34 somebody who has moved", fleetMoved},
		{"CON-07 CON-08 DIS-22 Redis is emptied and gone", fleetWithoutRedis},
	} {
		t.Run(row.name, func(t *testing.T) {
			f.Clock.Pass(2 * time.Hour) // the throttle is empty
			row.test(t, f)
		})
	}
}

// onPostgres is for what the two databases might see differently.
func onPostgres(test func(*testing.T, *world)) func(*testing.T, *fleet) {
	return func(t *testing.T, f *fleet) { test(t, f.world) }
}

func fleetTicket(t *testing.T, f *fleet) {
	sealed := f.seal(t, acme, pat)
	mark := f.Log.Len()
	one(t, f.split(f.browser(t), 50, func(int) request { return request{URL: acme + "/login?ticket=" + sealed} }), http.StatusSeeOther, false)
	f.quiet(t, mark, sealed, pat)
	f.refusedTicket(t, acme, sealed, "ticket_spent")
}

func fleetAssertion(t *testing.T, f *fleet) {
	b, who := f.browser(t), f.IdPs.Person(t, "acme.example")
	trip := b.depart(acme, "acme-saml")
	form := url.Values{"SAMLResponse": {trip.assertion(who)}, "RelayState": {trip.State}}
	before, mark := f.count(t, acme, "sessions"), f.Log.Len()
	post := request{Method: http.MethodPost, URL: trip.acs(), Form: form, From: f.IdPs.server.URL}
	one(t, f.split(b, 50, func(int) request { return post }), http.StatusSeeOther, true)
	f.only(t, before, who)
	f.quiet(t, mark, form.Get("SAMLResponse"), who.Address)
	f.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "in_response_to"}, func() *answer {
		return f.browser(t).via(f.second).crossPost(trip.acs(), form)
	})
}

// only insists on one session more than before, of somebody with one account.
func (f *fleet) only(t testing.TB, before int, who idptest.User) {
	t.Helper()
	if n := f.count(t, acme, "sessions") - before; n != 1 {
		t.Errorf("%d sessions", n)
	}
	if n := f.count(t, acme, "accounts a JOIN addresses d ON d.account = a.id WHERE d.address = $1", who.Address); n != 1 {
		t.Errorf("%d accounts", n)
	}
}

func fleetUnsolicited(t *testing.T, f *fleet) {
	f.allowUnsolicited(t)
	who := f.IdPs.Person(t, "acme.example")
	form := f.unsolicited(t, who)
	before := f.count(t, acme, "sessions")
	one(t, f.split(f.browser(t), 50, func(int) request {
		return request{Method: http.MethodPost, URL: acmeConfirm, Form: form, From: acme}
	}), http.StatusSeeOther, true)
	f.only(t, before, who)
	// CON-08: also in the last moment in which it is valid.
	f.Clock.Pass(6*time.Minute - time.Second)
	f.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "assertion_replayed"}, func() *answer {
		return f.browser(t).via(f.second).post(acmeConfirm, form)
	})
}

func fleetCode(t *testing.T, f *fleet) {
	b, who := f.browser(t), f.IdPs.Person(t, "acme-oidc.example")
	trip := b.depart(acme, "acme-oidc")
	back := trip.authorise(who)
	before, mark := f.count(t, acme, "sessions"), f.Log.Len()
	one(t, f.split(b, 50, func(int) request { return request{URL: back.String(), From: f.IdPs.server.URL} }), http.StatusSeeOther, true)
	f.only(t, before, who)
	f.quiet(t, mark, back.Query().Get("code"), who.Address)
}

func fleetLinks(t *testing.T, f *fleet) {
	const who, forgetful = "race@guest.example", "former@guest.example"
	f.guest(t, acme, who, password)
	reset := f.resetToken(t, acme, who)
	invited, temporary := f.invite(t, acme, "raced@guest.example")
	_, byForm := f.invite(t, acme, forgetful)
	form := f.named(t, "192.0.2.220")
	change := form.arrive(form.signInPassword(acme, forgetful, byForm))
	for _, race := range []struct {
		b       *browser
		path    string
		form    url.Values
		success int
		session bool
	}{
		{f.named(t, "192.0.2.221"), "/password/reset", url.Values{"token": {reset}}, http.StatusOK, false},
		{f.named(t, "192.0.2.222"), "/invitation", url.Values{"token": {invited}, "temporary": {temporary}}, http.StatusSeeOther, true},
		{form, "/password/change", url.Values{"attempt": {change.page().Attr("input[name=attempt]", "value")}, "temporary": {byForm}}, http.StatusSeeOther, true},
	} {
		t.Run(race.path, func(t *testing.T) {
			race.form.Set("new", betterPassword)
			race.form.Set("confirm", betterPassword)
			mark := f.Log.Len()
			one(t, f.split(race.b, 50, func(int) request {
				return request{Method: http.MethodPost, URL: acme + race.path, Form: race.form, From: acme}
			}), race.success, race.session)
			f.quiet(t, mark, reset, invited, temporary, byForm, betterPassword)
		})
	}
}

// PWD-01: five tries at an account, not five at each process.
func fleetGuesses(t *testing.T, f *fleet) {
	b := f.named(t, "198.51.100.9")
	form := b.arrive(b.post(acme+"/login", url.Values{"email": {pat}}))
	handle := form.page().Attr("input[name=attempt]", "value")
	counts := map[int]int{}
	for _, a := range f.split(b, 50, func(i int) request {
		return request{Method: http.MethodPost, URL: acme + "/login/password", From: acme,
			Form: url.Values{"attempt": {handle}, "password": {fmt.Sprint("not the password ", i)}}}
	}) {
		counts[a.Status]++
		if a.session() != nil {
			t.Error("signed in with a wrong password")
		}
	}
	// Some may have been told to come back because too many passwords were being
	// proved; that is no try.
	if counts[http.StatusForbidden] > 5 || counts[http.StatusForbidden] == 0 || counts[http.StatusForbidden]+counts[http.StatusTooManyRequests] != 50 {
		t.Errorf("answers by status: %v, want at most five 403", counts)
	}
	f.Clock.Pass(time.Hour)
	if a := f.named(t, "198.51.100.10").via(f.second).signInPassword(acme, pat, password); a.session() == nil {
		t.Errorf("PWD-02: an hour later the owner is kept out: %d", a.Status)
	}
}

// SES-16: while one process ends a session, no answer of the other that comes
// after it knows the session; so for signing out and for an account that is
// disabled.
func fleetSessions(t *testing.T, f *fleet) {
	for name, end := range map[string]func(b *browser){
		"signed out": func(b *browser) { b.post(acme+"/logout", url.Values{}) },
		"disabled": func(b *browser) {
			address := b.get(acme + "/").page().Text("#address")
			if _, err := f.store(acme).Disable(t.Context(), "acme", portal.Visitor{}, addressOf(address)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			here := f.browser(t)
			f.member(t, here, "")
			there := f.browser(t).via(f.second)
			there.plant(acme, web.SessionCookie, here.cookie(acme, web.SessionCookie))
			if there.signedIn(acme) == "" {
				t.Fatal("the other process does not know the session")
			}
			busy, ended := make(chan struct{}), make(chan struct{})
			go func() { // it stays in use while it ends
				defer close(busy)
				for range 50 {
					_, _, _ = there.exchange(request{URL: acme + "/account"})
				}
				<-ended
			}()
			end(here)
			close(ended)
			after := there.burst(20, func(int) request { return request{URL: acme + "/account"} })
			<-busy
			for _, a := range after {
				if a.Status == http.StatusOK {
					t.Fatal("the session lives on at the other process")
				}
			}
		})
	}
}

// SES-18: many sign in to one account at once, at both processes: no more
// sessions than there may be.
func fleetTooMany(t *testing.T, f *fleet) {
	who := f.IdPs.Person(t, "acme.example")
	first := f.browser(t).departWith(acme, "acme-saml", who.Address, "/")
	f.accepted(t, first.b, acme, first.deliver(first.assertion(who)), who.Address, "/") // and has an account
	const extra = 20
	var trips []*trip
	for i := range portal.MaxSessions + extra {
		b := f.browser(t)
		if i%2 == 1 {
			b.via(f.second)
		}
		trips = append(trips, b.departWith(acme, "acme-saml", who.Address, "/"))
	}
	done := make(chan *answer, len(trips))
	for _, trip := range trips {
		response := trip.assertion(who)
		go func() {
			a, _, err := trip.b.exchange(request{Method: http.MethodPost, URL: trip.acs(), From: f.IdPs.server.URL,
				Form: url.Values{"SAMLResponse": {response}, "RelayState": {trip.State}}})
			if err != nil {
				t.Error(err)
			}
			done <- a
		}()
	}
	for range trips {
		if a := <-done; a != nil && a.session() == nil {
			t.Errorf("not signed in: %d %s", a.Status, a.text())
		}
	}
	if n := f.count(t, acme, "sessions s JOIN addresses d ON d.account = s.account WHERE d.address = $1", who.Address); n != portal.MaxSessions {
		t.Errorf("%d sessions, want %d", n, portal.MaxSessions)
	}
}

// DIS-34: somebody moves to a portal in another jurisdiction. The front door
// leads there at once, and who still has an old ticket is told by the old region
// what strangers are told.
func fleetMoved(t *testing.T, f *fleet) {
	const mover, stranger = "mover@partner.example", "stranger@partner.example"
	f.guest(t, acme, mover, password)
	f.published(t)
	door := f.browser(t)
	if told := door.ask(email(mover)).told(); !slices.Equal(told, []string{"acme"}) {
		t.Fatalf("found at %q", told)
	}
	old := door.post(frontDoor+"/", url.Values{"email": {mover}})
	if _, err := f.store(acme).Disable(t.Context(), "acme", portal.Visitor{}, addressOf(mover)); err != nil {
		t.Fatal(err)
	}
	f.guest(t, gamma, mover, password)
	f.published(t)
	f.settled(t, func() bool { return slices.Equal(door.ask(email(mover)).told(), []string{"gamma"}) })
	if to := door.post(frontDoor+"/", url.Values{"email": {mover}}).leads(); originOf(to.String()) != gamma {
		t.Errorf("led to %s", to)
	}
	enter := func(b *browser, form *answer) *answer {
		return f.refused(t, acme, refusal{Status: http.StatusForbidden, Secrets: []string{mover, stranger, password}}, func() *answer {
			return b.post(acme+"/login/password", url.Values{"attempt": {form.page().Attr("input[name=attempt]", "value")}, "password": {password}})
		})
	}
	late, nobody := f.named(t, "192.0.2.34"), f.named(t, "192.0.2.35")
	told := enter(late, late.arrive(late.get(old.leads().String())))
	known := enter(nobody, nobody.arrive(nobody.post(acme+"/login", url.Values{"email": {stranger}})))
	says := func(a *answer, who string) string {
		return strings.NewReplacer(a.reference(), "", who, "").Replace(a.text())
	}
	if a, b := says(told, mover), says(known, stranger); a != b {
		t.Errorf("who has moved is told\n%s\nand a stranger\n%s", a, b)
	}
}

// CON-07, CON-08: nothing that counts once is in Redis. All of it is used, Redis
// is emptied, and nothing counts again; so too when Redis is gone.
func fleetWithoutRedis(t *testing.T, f *fleet) {
	f.allowUnsolicited(t)
	f.guest(t, acme, "flushed@guest.example", password)
	door := f.browser(t)
	// By the front door, which remembers in Redis.
	landed := door.post(frontDoor+"/", url.Values{"email": {pat}})
	spent := landed.leads().Query().Get("ticket")
	door.follow(landed).leads()

	b, who := f.browser(t), f.IdPs.Person(t, "acme.example")
	trip := b.depart(acme, "acme-saml")
	asked := url.Values{"SAMLResponse": {trip.assertion(who)}, "RelayState": {trip.State}}
	f.accepted(t, b, acme, b.crossPost(trip.acs(), asked), who.Address, "/")
	unasked := f.unsolicited(t, who)
	f.accepted(t, b, acme, b.confirm(b.crossPost(acmeACS, unasked)), who.Address, "/")
	reset := url.Values{"token": {f.resetToken(t, acme, "flushed@guest.example")}, "new": {betterPassword}, "confirm": {betterPassword}}
	b.post(acme+"/password/reset", reset).want(http.StatusOK)
	again := func(t *testing.T) {
		t.Helper()
		for _, node := range []*app.Portal{nil, f.second} {
			f.refusedTicket(t, acme, spent, "ticket_spent")
			x := f.browser(t).via(node)
			x.get(acme + "/login?ticket=" + spent).want(http.StatusForbidden)
			f.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "in_response_to"}, func() *answer { return x.crossPost(trip.acs(), asked) })
			f.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "assertion_replayed"}, func() *answer { return x.post(acmeConfirm, unasked) })
			f.refused(t, acme, refusal{Status: http.StatusForbidden, Action: "password.reset_refused"}, func() *answer { return x.post(acme+"/password/reset", reset) })
		}
	}
	if keys, err := f.rdb.Keys(t.Context(), "*").Result(); err != nil || len(keys) == 0 {
		t.Fatalf("nothing is in Redis: %v", err)
	} else if strange := slices.DeleteFunc(keys, func(key string) bool {
		return strings.HasPrefix(key, "domicile:e1:") || strings.HasPrefix(key, "rate:domicile:")
	}); len(strange) > 0 {
		t.Errorf("Redis keeps %q", strange)
	}
	again(t)
	if err := f.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	again(t)
	f.server.Kill()
	again(t)
	// And who comes is let in as ever.
	fresh := f.browser(t)
	f.Clock.Pass(time.Minute)
	a := fresh.post(frontDoor+"/", url.Values{"email": {pat}})
	if in := fresh.follow(a).leads(); in.Path != "/login" {
		t.Errorf("without Redis, one is led to %s", in.Path)
	}
}
