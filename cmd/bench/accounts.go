package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/pquerna/otp/hotp"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
	"github.com/domicile-sso/domicile/portal/web"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// fewAccounts and fewEvents are the portal that a large one is compared with.
const (
	fewAccounts = 100
	fewEvents   = 1000
)

// accounts measures what people of a portal ask for, among many accounts beside
// few: the same page, over loopback, through the real chain, in turns.
func (b *bench) accounts(ctx context.Context) error {
	var err error
	ran := false
	testing.Benchmark(func(t *testing.B) {
		if ran {
			return
		}
		ran = true
		for _, kind := range []string{"SQLite", "PostgreSQL"} {
			if err = b.accountsOn(ctx, t, kind); err != nil {
				return
			}
		}
	})
	if err == nil && !ran {
		err = errors.New("PostgreSQL is needed: make setup")
	}
	return err
}

func (b *bench) accountsOn(ctx context.Context, t testing.TB, kind string) (err error) {
	var sites [2]*crowd
	defer func() {
		for _, c := range sites {
			if c != nil {
				err = errors.Join(err, c.Stop(ctx))
			}
		}
	}()
	for i, size := range []struct{ accounts, events int }{{b.accountsLarge, b.events}, {fewAccounts, fewEvents}} {
		database := "sqlite:" + filepath.Join(b.dir, fmt.Sprintf("crowd-%s-%d.db", kind, i))
		if kind == "PostgreSQL" {
			database = servertest.Postgres(t)
		}
		if sites[i], err = b.crowd(ctx, database, size.accounts, size.events); err != nil {
			return err
		}
	}
	large, small := sites[0], sites[1]
	fmt.Printf("\nPages of a portal with %d accounts and %d rows of audit log, beside %d and %d, on %s; one request at a time\n\n",
		large.accounts, large.events, small.accounts, small.events, kind)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "page\trows\tsmall\tp50\tsmall\tratio\tp95\tsmall\t")
	defer func() { _ = w.Flush() }()
	for _, p := range crowdPages {
		if err := errors.Join(large.enter(ctx), small.enter(ctx)); err != nil {
			return err
		}
		us, them, err := b.turns(ctx, large.asks(p, b.round), small.asks(p, b.round))
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%.2f\t%s\t%s\t\n", p.name, large.rows, small.rows, milli(us.quantile(.5)), milli(them.quantile(.5)),
			float64(us.quantile(.5))/float64(them.quantile(.5)), milli(us.quantile(.95)), milli(them.quantile(.95)))
	}
	_ = w.Flush()
	if err := large.imports(ctx, b.lines); err != nil {
		return err
	}
	return large.move(ctx)
}

func milli(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// A crowd is a running region with one portal full of people.
type crowd struct {
	*app.Portal
	accounts, events int
	ahead            atomic.Int64 // of the clock, in nanoseconds
	admin            portal.Account
	cookie           string
	factor           portal.Secret // of whoever signs in with a second one
	client           http.Client
	turn             int
	rows             int // of the tables on the last page
}

const (
	crowdPortal = "crowd"
	crowdHost   = "crowd.eu.example.com"
	crowdMove   = "/admin/connections/crowd.example/move?to=crowd-oidc&jit=yes"
	crowdSecret = portal.Secret("five Curious herons by the lake")
)

func (c *crowd) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// crowd starts a region on a database and fills its portal.
func (b *bench) crowd(ctx context.Context, database string, accounts, events int) (*crowd, error) {
	p, err := b.parties()
	if err != nil {
		return nil, err
	}
	c := &crowd{accounts: accounts, events: events, client: http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	c.Portal, err = app.NewPortal(ctx, app.PortalOptions{
		Common: app.Common{Listen: "127.0.0.1:0", Database: database, Migrate: true, Log: slog.New(slog.DiscardHandler), Now: c.now},
		Region: p.record.Region, RegionName: p.record.Name, Jurisdiction: p.record.Jurisdiction, HTTPS: true,
		VaultKeys: [][]byte{make([]byte, 32)}, TicketKeys: []ticket.Key{p.opens}, Publishing: p.publishing,
		BlindKeys: p.blind, Outbound: fetch.New(fetch.Options{}), Limits: web.Limits{DangerouslyUnlimited: true},
		Lifetimes: portal.Lifetimes{Idle: 200 * time.Hour, Absolute: 400 * time.Hour},
	})
	if err != nil {
		return nil, err
	}
	if err := c.furnish(ctx, database); err != nil {
		return nil, errors.Join(err, c.Stop(ctx))
	}
	c.Start()
	return c, nil
}

// furnish makes the portal, the two people who do something, by the rules, and
// everybody else at once.
func (c *crowd) furnish(ctx context.Context, database string) error {
	s := c.Store()
	if _, err := s.CreatePortal(ctx, portal.Portal{ID: crowdPortal, Name: "Crowd", URL: "https://" + crowdHost, KeepSigned: true}); err != nil {
		return err
	}
	if _, err := s.PutDomain(ctx, portal.Domain{Name: "crowd.example", Portal: crowdPortal}); err != nil {
		return err
	}
	_, _, err := s.PutConnection(ctx, federation.Connection{ID: "crowd-oidc", Portal: crowdPortal, Name: "Crowd", Kind: federation.OIDC,
		OIDC: &federation.OIDCSettings{Issuer: "https://idp.example", ClientID: "crowd", ClientSecret: "none"}})
	if err != nil {
		return err
	}
	for _, who := range []struct {
		address string
		role    portal.Role
	}{{"admin@crowd.example", portal.Owner}, {"factor@crowd.example", portal.Member}} {
		a, err := discovery.ParseAddress(who.address)
		if err != nil {
			return err
		}
		account := portal.Account{Portal: crowdPortal, Primary: a, GivenName: "Nora", FamilyName: "Berg", Role: who.role}
		if _, err := s.DangerouslyCreateAccount(ctx, account, crowdSecret); err != nil {
			return err
		}
	}
	if err := c.enter(ctx); err != nil {
		return err
	}
	if err := c.addFactor(ctx); err != nil {
		return err
	}
	return fillCrowd(ctx, database, c.accounts, c.events)
}

// enter signs the administrator in, who from then on is asked for a while no more
// who they are.
func (c *crowd) enter(ctx context.Context) error {
	in, err := c.signIn(ctx, "admin@crowd.example")
	c.cookie, c.admin = web.SessionCookie+"="+in.Token.Clear(), in.Account
	return err
}

// crowdVisitor is the browser of one person: it has one session at a time.
func crowdVisitor(address string) portal.Visitor {
	return portal.Visitor{Browser: portal.Secret("the browser of " + address)}
}

// signIn goes through the steps that a sign-in takes, with a password.
func (c *crowd) signIn(ctx context.Context, address string) (portal.SignedIn, error) {
	s := c.Store()
	a, err := discovery.ParseAddress(address)
	if err != nil {
		return portal.SignedIn{}, err
	}
	handle, err := s.StartAttempt(ctx, crowdPortal, crowdVisitor(address), portal.Attempt{Address: a})
	if err != nil {
		return portal.SignedIn{}, err
	}
	return s.SignInPassword(ctx, crowdPortal, crowdVisitor(address), handle, crowdSecret, false)
}

// addFactor gives one person an authenticator app.
func (c *crowd) addFactor(ctx context.Context) error {
	s := c.Store()
	in, err := c.signIn(ctx, "factor@crowd.example")
	if err != nil {
		return err
	}
	ses, err := s.SessionByToken(ctx, crowdPortal, in.Token)
	if err != nil {
		return err
	}
	at := store.InSession(ses)
	if err := s.BeginTOTP(ctx, crowdPortal, crowdVisitor("factor@crowd.example"), at); err != nil {
		return err
	}
	if c.factor, _, err = s.PendingTOTP(ctx, crowdPortal, crowdVisitor("factor@crowd.example"), at); err != nil {
		return err
	}
	code, err := c.code()
	if err != nil {
		return err
	}
	_, err = s.ConfirmTOTP(ctx, crowdPortal, crowdVisitor("factor@crowd.example"), at, "App", code)
	return err
}

func (c *crowd) code() (portal.Secret, error) {
	code, err := hotp.GenerateCode(c.factor.Clear(), uint64(portal.StepAt(c.now())))
	return portal.Secret(code), err
}

// signInTwice signs in with a password and a code; each code counts once, so time
// goes on by as much as one is shown.
func (c *crowd) signInTwice(ctx context.Context) error {
	c.ahead.Add(int64(portal.StepSeconds * time.Second))
	in, err := c.signIn(ctx, "factor@crowd.example")
	if err != nil {
		return err
	}
	code, err := c.code()
	if err != nil {
		return err
	}
	_, err = c.Store().FinishFactor(ctx, crowdPortal, crowdVisitor("factor@crowd.example"), in.Attempt, portal.FactorTry{Way: string(portal.TOTPFactor), Code: code})
	return err
}

// A crowdPage is what is asked for: a path, or something that is done.
type crowdPage struct {
	name string
	path func(c *crowd, n int) string
	do   func(c *crowd, ctx context.Context) error
}

func fixed(path string) func(*crowd, int) string { return func(*crowd, int) string { return path } }

var crowdPages = []crowdPage{
	{name: "/admin", path: fixed("/admin")},
	{name: "/admin/users", path: fixed("/admin/users")},
	{name: "/admin/users, beginning of a name", path: func(_ *crowd, n int) string {
		return "/admin/users?q=" + url.QueryEscape(crowdNames[n%len(crowdNames)][:4])
	}},
	{name: "/admin/users, a name of everybody", path: fixed("/admin/users?q=Given")},
	{name: "/admin/users, six common words", path: fixed("/admin/users?q=Given+Love+crowd+p1+p2+p3")},
	{name: "/admin/users, an address", path: func(c *crowd, n int) string { return "/admin/users?q=" + crowdAddress(scatter(n)%c.accounts) }},
	{name: "/admin/users, disabled ones", path: fixed("/admin/users?status=disabled")},
	{name: "/admin/users, administrators", path: fixed("/admin/users?role=administrator")},
	{name: "/admin/users/…", path: func(c *crowd, n int) string { return "/admin/users/" + crowdID(scatter(n)%c.accounts) }},
	{name: "/admin/audit", path: fixed("/admin/audit")},
	{name: "/admin/audit, of one group", path: fixed("/admin/audit?group=licences")},
	{name: "/admin/audit, about one person", path: func(c *crowd, n int) string { return "/admin/audit?account=" + crowdID(scatter(n)%c.accounts) }},
	{name: "/admin/connections", path: fixed("/admin/connections")},
	{name: "/admin/connections/…/move", path: fixed(crowdMove)},
	{name: "/admin/connections/…/move, one group", path: fixed(crowdMove + "&class=recognised&page=2")},
	{name: "/admin/domains", path: fixed("/admin/domains")},
	{name: "/admin/policy", path: fixed("/admin/policy")},
	{name: "/account/profile", path: fixed("/account/profile")},
	{name: "/account/sessions", path: fixed("/account/sessions")},
	{name: "sign-in with password and code", do: (*crowd).signInTwice},
}

// asks is one side of a comparison: one request after the other for a turn.
func (c *crowd) asks(p crowdPage, turn time.Duration) side {
	return func(ctx context.Context) (result, error) {
		var took []time.Duration
		begin, busy := time.Now(), processor()
		for end := begin.Add(turn); len(took) < 5 || time.Now().Before(end); {
			c.turn++
			started := time.Now()
			var err error
			if p.do != nil {
				err = p.do(c, ctx)
			} else {
				err = c.get(ctx, p.path(c, c.turn))
			}
			if err != nil {
				return result{}, err
			}
			took = append(took, time.Since(started))
		}
		slices.Sort(took)
		return result{float64(len(took)) / time.Since(begin).Seconds(), (processor() - busy) / time.Duration(len(took)), took}, ctx.Err()
	}
}

func (c *crowd) get(ctx context.Context, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Addr("public")+path, nil)
	if err != nil {
		return err
	}
	r.Host = crowdHost
	r.Header.Set("Cookie", c.cookie)
	r.Header.Set("Accept", "text/html")
	res, err := c.client.Do(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	err = errors.Join(err, res.Body.Close())
	c.rows = bytes.Count(body, []byte("<tr"))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s %s", path, res.Status, res.Header.Get("Location"))
	}
	return err
}

// imports measures a file of new people, and the page that shows how far it is
// while it runs.
func (c *crowd) imports(ctx context.Context, lines int) error {
	var file strings.Builder
	file.WriteString("address,given name,family name\n")
	for n := range lines {
		fmt.Fprintf(&file, "new%d@crowd.example,Given%d,Family%d\n", n, n, n)
	}
	s := c.Store()
	v := portal.Visitor{Actor: c.admin.ID}
	began := time.Now()
	id, err := s.DryImport(ctx, v, store.ImportFile{Portal: crowdPortal, By: c.admin.ID, Text: file.String()})
	if err != nil {
		return err
	}
	dry := time.Since(began)
	began = time.Now()
	if err := s.StartImport(ctx, crowdPortal, v, c.admin.ID, id, false); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		for {
			i, err := s.ImportByID(ctx, crowdPortal, v, id)
			if err != nil || i.Done >= i.Lines {
				ended <- err
				return
			}
			if _, _, err := s.RunImport(ctx); err != nil { // beside the region's own worker, if it is free
				ended <- err
				return
			}
		}
	}()
	var page, signIn result
	for {
		select {
		case err := <-ended:
			fmt.Printf("\nImport of %d people: looked at in %s, then %.0f a second; meanwhile its page: p50 %s, p95 %s; a sign-in: p50 %s, p95 %s, at most %s\n",
				lines, dry.Round(time.Millisecond), float64(lines)/time.Since(began).Seconds(), milli(page.quantile(.5)), milli(page.quantile(.95)),
				milli(signIn.quantile(.5)), milli(signIn.quantile(.95)), milli(signIn.quantile(1)))
			return err
		default:
		}
		for _, do := range []struct {
			is *result
			do func() error
		}{{&page, func() error { return c.get(ctx, "/admin/users/import/"+id) }}, {&signIn, func() error { return c.signInTwice(ctx) }}} {
			started := time.Now()
			if err := do.do(); err != nil {
				return err
			}
			do.is.latencies = append(do.is.latencies, time.Since(started))
			slices.Sort(do.is.latencies)
		}
	}
}

// move measures how long the domain of everybody takes to be moved to a connection
// beside the password, which the directory hears of, and back, which people get
// mails about; and how long a sign-in takes meanwhile.
func (c *crowd) move(ctx context.Context) error {
	s, v := c.Store(), portal.Visitor{Actor: c.admin.ID}
	before, err := c.signInsWhile(ctx, func() (bool, error) { return false, nil })
	if err != nil {
		return err
	}
	fmt.Printf("\nA sign-in with password and code takes p50 %s.\n", milli(before.quantile(.5)))
	both := portal.Way{Connection: "crowd-oidc", Password: true}
	for _, m := range []struct {
		what string
		seen string
		to   portal.Way
	}{{"to a connection", portal.Way{}.Seen(), both}, {"to passwords", both.Seen(), portal.Way{}}} {
		began := time.Now()
		if _, err := s.MoveDomain(ctx, crowdPortal, v, "crowd.example", m.seen, m.to); err != nil {
			return err
		}
		answered := time.Since(began)
		meanwhile, err := c.signInsWhile(ctx, func() (bool, error) {
			left, err := s.Tellings(ctx, crowdPortal)
			return len(left) > 0, err
		})
		if err != nil {
			return err
		}
		fmt.Printf("Move %s: done after %s, everybody told after %s; a sign-in meanwhile: p50 %s, p95 %s, at most %s\n", m.what, milli(answered),
			time.Since(began).Round(100*time.Millisecond), milli(meanwhile.quantile(.5)), milli(meanwhile.quantile(.95)), milli(meanwhile.quantile(1)))
	}
	return nil
}

// signInsWhile signs in again and again, a few times at least.
func (c *crowd) signInsWhile(ctx context.Context, more func() (bool, error)) (result, error) {
	var took []time.Duration
	for {
		started := time.Now()
		if err := c.signInTwice(ctx); err != nil {
			return result{}, err
		}
		took = append(took, time.Since(started))
		if again, err := more(); err != nil || !again && len(took) >= 10 {
			slices.Sort(took)
			return result{latencies: took}, err
		}
	}
}
