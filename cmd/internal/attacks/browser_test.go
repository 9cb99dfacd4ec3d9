package attacks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/portal/web"
)

func hostOf(u string) string { return strings.TrimPrefix(u, "https://") }

// at says where a host listens from now on.
func (w *world) at(host, addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listeners[host] = addr
}

type viaKey struct{}

// dial leads a host name to its listener: what DNS and a load balancer do.
func (w *world) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	to, _ := ctx.Value(viaKey{}).(string)
	if to == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		to = w.listeners[host]
		w.mu.Unlock()
		if net.ParseIP(host).IsLoopback() {
			to = addr // an identity provider
		}
	}
	if to == "" {
		return nil, fmt.Errorf("nothing listens for %s", addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", to)
}

// A browser is one person's. It is not for several goroutines: see burst.
type browser struct {
	w       *world
	t       testing.TB
	cookies map[string]map[string]*http.Cookie // by host, by name
	node    string
	client  string // its address, as the proxy in front tells; empty: loopback
}

// browser opens a fresh one.
func (w *world) browser(t testing.TB) *browser {
	return &browser{w: w, t: t, cookies: map[string]map[string]*http.Cookie{}}
}

// via leads every request of the browser to one process of a region. Nil: the
// usual one.
func (b *browser) via(node *app.Portal) *browser {
	b.node = ""
	if node != nil {
		b.node = node.Addr("public")
	}
	return b
}

// A request is what a browser is made to send. The zero values of Method and
// From are a GET that a person typed.
type request struct {
	Method string
	URL    string
	Form   url.Values // sent as a form, in the order of its names
	Body   string     // sent instead of Form, with Type
	Type   string
	Header http.Header // in addition; a nil value takes a header away

	// From is the origin of the page that caused the request: the site itself,
	// another one, or "" for the address bar. It decides Origin, Sec-Fetch-Site
	// and which cookies go along.
	From string
}

// An answer is what came back.
type answer struct {
	Request request
	Status  int
	Header  http.Header
	Body    string
	URL     *url.URL
	Sent    []string // values of the form, the query and the cookies

	t testing.TB
}

// get opens an address that a person typed.
func (b *browser) get(to string) *answer {
	b.t.Helper()
	return b.send(request{URL: to})
}

// post sends a form of the site itself.
func (b *browser) post(to string, form url.Values) *answer {
	b.t.Helper()
	return b.send(request{Method: http.MethodPost, URL: to, Form: form, From: originOf(to)})
}

// crossPost sends a form from a page of another site.
func (b *browser) crossPost(to string, form url.Values) *answer {
	b.t.Helper()
	return b.send(request{Method: http.MethodPost, URL: to, Form: form, From: b.w.IdPs.server.URL})
}

// crossGet follows a link or a redirect of another site.
func (b *browser) crossGet(to string) *answer {
	b.t.Helper()
	return b.send(request{URL: to, From: b.w.IdPs.server.URL})
}

// follow does what the answer's Location says, once.
func (b *browser) follow(a *answer) *answer {
	b.t.Helper()
	to, err := a.URL.Parse(a.Header.Get("Location"))
	if err != nil || a.Header.Get("Location") == "" {
		b.t.Fatalf("%s %s: %d leads nowhere: %s", a.Request.Method, a.URL, a.Status, a.text())
	}
	return b.send(request{URL: to.String(), From: originOf(a.URL.String())})
}

// arrive follows redirects as far as they go.
func (b *browser) arrive(a *answer) *answer {
	b.t.Helper()
	for range 12 {
		if a.Status/100 != 3 {
			return a
		}
		a = b.follow(a)
	}
	b.t.Fatal("redirected for ever")
	return nil
}

// send sends a request and keeps the cookies of its answer.
func (b *browser) send(r request) *answer {
	b.t.Helper()
	a, set, err := b.exchange(r)
	if err != nil {
		b.t.Fatal(err)
	}
	b.keep(a.URL.Host, set)
	return a
}

// burst sends n requests at once, all with the cookies the browser has now, and
// keeps none that come back: each answer tells in Header what it set.
func (b *browser) burst(n int, r func(i int) request) []*answer {
	b.t.Helper()
	answers, errs := make([]*answer, n), make([]error, n)
	begin := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-begin
			answers[i], _, errs[i] = b.exchange(r(i))
		})
	}
	close(begin)
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		b.t.Fatal(err)
	}
	return answers
}

func (b *browser) exchange(r request) (*answer, []*http.Cookie, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, nil, err
	}
	body := r.Body
	if body == "" && r.Form != nil {
		body, r.Type = r.Form.Encode(), or(r.Type, "application/x-www-form-urlencoded")
	}
	// The proxy in front ends TLS: what the product gets is plain.
	plain := *u
	plain.Scheme = "http"
	ctx, cancel := context.WithTimeout(context.WithValue(b.t.Context(), viaKey{}, b.node), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, plain.String(), strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	b.dress(req, r, u)
	a := &answer{Request: r, URL: u, t: b.t}
	for _, values := range []url.Values{r.Form, u.Query()} {
		for name, v := range values {
			if name != "error" { // its values are words of a standard
				a.Sent = append(a.Sent, v...)
			}
		}
	}
	for _, c := range req.Cookies() {
		a.Sent = append(a.Sent, c.Value)
	}
	transport := b.w.transport
	if b.node != "" {
		transport = b.w.transport.Clone() // connections are pooled by name
		defer transport.CloseIdleConnections()
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, nil, err
	}
	a.Status, a.Header, a.Body = res.StatusCode, res.Header, string(text)
	return a, res.Cookies(), nil
}

// dress gives a request the headers that a browser gives it.
func (b *browser) dress(req *http.Request, r request, u *url.URL) {
	self := originOf(u.String())
	site := "none"
	switch {
	case r.From == self:
		site = "same-origin"
	case r.From != "" && siteOf(r.From) == siteOf(self):
		site = "same-site"
	case r.From != "":
		site = "cross-site"
	}
	req.Header.Set("User-Agent", "Attacks/1")
	req.Header.Set("Accept", "text/html,application/xhtml+xml")
	req.Header.Set("Sec-Fetch-Site", site)
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	if b.client != "" {
		req.Header.Set("X-Forwarded-For", b.client)
	}
	if r.Type != "" {
		req.Header.Set("Content-Type", r.Type)
	}
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !safe && r.From != "" {
		req.Header.Set("Origin", r.From)
	}
	for _, c := range b.cookies[u.Host] {
		cross := site == "cross-site" && (!safe && c.SameSite != http.SameSiteNoneMode || c.SameSite == http.SameSiteStrictMode)
		if !cross && (c.Expires.IsZero() || b.w.Clock.Now().Before(c.Expires)) {
			req.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	for name, values := range r.Header {
		req.Header.Del(name)
		for _, v := range values {
			req.Header.Add(name, v)
		}
	}
}

func (b *browser) keep(host string, cookies []*http.Cookie) {
	if b.cookies[host] == nil {
		b.cookies[host] = map[string]*http.Cookie{}
	}
	for _, c := range cookies {
		if strings.HasPrefix(c.Name, "__Host-") && (!c.Secure || c.Path != "/" || c.Domain != "") {
			b.t.Errorf("a browser would not take the cookie %s", c)
		}
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.cookies[host], c.Name)
			continue
		}
		if c.MaxAge > 0 {
			c.Expires = b.w.Clock.Now().Add(time.Duration(c.MaxAge) * time.Second)
		}
		b.cookies[host][c.Name] = c
	}
}

// cookie is the value a browser has under a name at a portal, or "".
func (b *browser) cookie(portal, name string) string {
	if c := b.cookies[hostOf(portal)][name]; c != nil && (c.Expires.IsZero() || b.w.Clock.Now().Before(c.Expires)) {
		return c.Value
	}
	return ""
}

// plant puts a cookie into the browser, as an attacker on a sibling host or a
// copied profile would.
func (b *browser) plant(portal, name, value string) {
	host := hostOf(portal)
	if b.cookies[host] == nil {
		b.cookies[host] = map[string]*http.Cookie{}
	}
	b.cookies[host][name] = &http.Cookie{Name: name, Value: value, SameSite: http.SameSiteNoneMode}
}

// signedIn is whom the portal takes the browser for, or "" for a stranger.
func (b *browser) signedIn(portal string) string {
	b.t.Helper()
	a := b.get(portal + "/")
	if a.Status != http.StatusOK {
		return ""
	}
	if a.page().Has("script") || strings.Contains(a.Body, "<script") {
		b.t.Errorf("the home page has a script: %s", a.Body)
	}
	return a.page().Text("#address")
}

// session is the session cookie that the answer sets, or nil.
func (a *answer) session() *http.Cookie {
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		if c.Name == web.SessionCookie && c.Value != "" && c.MaxAge >= 0 {
			return c
		}
	}
	return nil
}

func (a *answer) page() pagetest.Page { return pagetest.Parse(a.t, strings.NewReader(a.Body)) }

// text is what a person reads.
func (a *answer) text() string { return a.page().Text("body") }

// reference is what the person may read out to an operator.
func (a *answer) reference() string { return a.Header.Get("X-Request-Id") }

// leads insists on a redirect and returns where to.
func (a *answer) leads() *url.URL {
	a.t.Helper()
	to, err := a.URL.Parse(a.Header.Get("Location"))
	if a.Status != http.StatusSeeOther || err != nil || a.Header.Get("Location") == "" {
		a.t.Fatalf("%s %s: got %d to %q, want a redirect: %s", a.Request.Method, a.URL, a.Status, a.Header.Get("Location"), a.text())
	}
	return to
}

func originOf(to string) string {
	u, err := url.Parse(to)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// siteOf is the registrable domain, which for our names is the last two labels.
func siteOf(origin string) string {
	labels := strings.Split(originOf(origin), ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}

func or(s, usual string) string {
	if s == "" {
		return usual
	}
	return s
}

func contains(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}
