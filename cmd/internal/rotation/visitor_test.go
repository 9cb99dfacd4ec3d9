package rotation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/domicile-sso/domicile/discovery/page/pagetest"
)

// A load is people who look up and sign in all the while.
type load struct {
	mu       sync.Mutex
	done     map[string]int // journeys that went as they must, by kind
	failures []string
}

func (l *load) note(kind string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failures = append(l.failures, kind+": "+err.Error())
		return
	}
	if l.done == nil {
		l.done = map[string]int{}
	}
	l.done[kind]++
}

// counts returns how often each journey has been made, and what went wrong.
func (l *load) counts() (map[string]int, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	done := map[string]int{}
	for kind, n := range l.done {
		done[kind] = n
	}
	return done, slices.Clone(l.failures)
}

// A journey is what a person does; it ends as it must, or with an error.
type journey struct {
	kind string
	make func(context.Context) error
}

// journeys are what the people do, in three queues that go on side by side.
func (f *fleet) journeys() [3][]journey {
	regular := f.visitor()
	return [3][]journey{
		{
			{"password", func(ctx context.Context) error { return f.visitor().signIn(ctx, pam, acme, "") }},
			{"password, found by blind ID", func(ctx context.Context) error { return f.visitor().signIn(ctx, pat, acme, "") }},
			{"password, chosen of two portals", func(ctx context.Context) error { return f.visitor().signIn(ctx, mia, beta, "The beta portal") }},
		},
		{
			{"SAML", func(ctx context.Context) error { return f.visitor().signIn(ctx, sam, acme, "") }},
			{"OpenID Connect", func(ctx context.Context) error { return f.visitor().signIn(ctx, ola, acme, "") }},
			{"remembered", func(ctx context.Context) error { return regular.comesAgain(ctx) }},
		},
		{
			{"lookup by domain", func(ctx context.Context) error { return f.visitor().looksUp(ctx, sam, "acme") }},
			{"lookup by blind ID", func(ctx context.Context) error { return f.visitor().looksUp(ctx, mia, "acme", "beta") }},
			{"lookup of nobody", func(ctx context.Context) error { return f.visitor().looksUp(ctx, eve) }},
			{"lookup of nobody in a domain", func(ctx context.Context) error { return f.visitor().looksUp(ctx, ned) }},
		},
	}
}

// pace is how long the people of a queue take before the next one, so that the
// processors are not theirs alone.
const pace = 5 * time.Millisecond

// people keeps everybody busy until the test ends.
func (f *fleet) people() {
	ctx, cancel := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	for _, queue := range f.journeys() {
		busy.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				j := queue[i%len(queue)]
				f.gate.RLock()
				f.load.note(j.kind, j.make(context.WithoutCancel(ctx)))
				f.gate.RUnlock()
				<-tick.C
			}
		})
	}
	f.t.Cleanup(func() {
		cancel()
		busy.Wait()
	})
}

// A visitor is a person at a browser of their own.
type visitor struct {
	f      *fleet
	client *http.Client
	before bool // has been here
}

func (f *fleet) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // there are no options that could be wrong
	}
	return &visitor{f: f, client: &http.Client{Jar: jar, Transport: roundTripper(f.lead)}}
}

// lead is DNS, the proxies that end TLS, and what a browser says of a request.
func (f *fleet) lead(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Site", "none")
	if r.Method == http.MethodPost {
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if strings.HasSuffix(r.URL.Path, "/acs") {
			r.Header.Set("Origin", f.idps.URL)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}
	}
	switch r.URL.Scheme + "://" + r.URL.Host {
	case frontDoor:
		return f.front.send(f.transport, r, func(n *node) string { return n.public })
	case acme, beta:
		return f.region.send(f.transport, r, func(n *node) string { return n.public })
	case f.idps.URL:
		return f.transport.RoundTrip(r)
	}
	return nil, fmt.Errorf("led to %s", r.URL.Host) // law 2
}

// A place is a page and where it stands.
type place struct {
	pagetest.Page
	at *url.URL
}

// do sends a request, follows redirects and insists on a page.
func (v *visitor) do(ctx context.Context, method, to string, form url.Values) (place, error) {
	r, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(form.Encode()))
	if err != nil {
		return place{}, err
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.client.Do(r)
	if err != nil {
		return place{}, err
	}
	defer func() { _ = res.Body.Close() }()
	p := place{pagetest.Parse(v.f.t, res.Body), res.Request.URL}
	if res.StatusCode != http.StatusOK {
		return p, fmt.Errorf("%s %s ends at %s%s with %s: %s", method, to, p.at.Host, p.at.Path, res.Status, p.Text("main"))
	}
	return p, nil
}

// signIn goes from the front door to the signed-in home of a portal. Who has
// several portals chooses the one with that name.
func (v *visitor) signIn(ctx context.Context, address, portal, choice string) error {
	p, err := v.do(ctx, http.MethodPost, frontDoor+"/", url.Values{"email": {address}})
	if err != nil {
		return err
	}
	if choice != "" {
		if p, err = v.choose(ctx, p, choice); err != nil {
			return err
		}
	}
	switch {
	case p.Has("input[name=SAMLResponse]"):
		p, err = v.do(ctx, http.MethodPost, p.Attr("form", "action"), url.Values{
			"SAMLResponse": {p.Attr("input[name=SAMLResponse]", "value")}, "RelayState": {p.Attr("input[name=RelayState]", "value")}})
	case p.Has("input[name=password]"):
		p, err = v.do(ctx, http.MethodPost, "https://"+p.at.Host+"/login/password", url.Values{
			"attempt": {p.Attr("input[name=attempt]", "value")}, "password": {password}})
	}
	if err != nil {
		return err
	}
	if got, at := p.Text("#address"), "https://"+p.at.Host; got != address || at != portal {
		return fmt.Errorf("signed in as %q at %s%s: %s", got, at, p.at.Path, p.Text("main"))
	}
	return nil
}

func (v *visitor) choose(ctx context.Context, p place, name string) (place, error) {
	for i, n := range p.All(".choices button b") {
		if pagetest.Text(n) == name {
			return v.do(ctx, http.MethodPost, frontDoor+"/choose", url.Values{"choice": {pagetest.Attr(p.All("input[name=choice]")[i], "value")}})
		}
	}
	return p, fmt.Errorf("no choice of %s: %s", name, p.Text("main"))
}

// comesAgain is a browser that the front door has led to a portal before: its
// cookie has to be read by processes that did not make it.
func (v *visitor) comesAgain(ctx context.Context) error {
	p, err := v.do(ctx, http.MethodGet, frontDoor+"/", nil)
	if err != nil {
		return err
	}
	if v.before && p.Text("#remembered b") != "Continue to The acme portal" {
		return fmt.Errorf("not remembered: %s", p.Text("main"))
	}
	v.before = true
	_, err = v.do(ctx, http.MethodPost, frontDoor+"/", url.Values{"email": {pat}})
	return err
}

// looksUp asks the front door which portals an address leads to.
func (v *visitor) looksUp(ctx context.Context, address string, want ...string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, frontDoor+"/v1/discover", strings.NewReader(`{"email":"`+address+`"}`))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := v.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var answer struct{ Portals []struct{ ID string } }
	if err := json.Unmarshal(text, &answer); res.StatusCode != http.StatusOK || err != nil {
		return fmt.Errorf("%s is answered with %s: %s", address, res.Status, text)
	}
	var got []string
	for _, p := range answer.Portals {
		got = append(got, p.ID)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s leads to %q, want %q", address, got, want)
	}
	return nil
}
