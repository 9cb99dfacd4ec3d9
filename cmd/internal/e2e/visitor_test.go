package e2e

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/discovery/page/pagetest"
)

// A visitor is a person whose browser shows no pictures and runs no scripts. It
// remembers every address it was at and every header it got, which a real browser
// does not tell.
type visitor struct {
	t       testing.TB
	http    *http.Client
	cookies planttest.Cookies

	page   pagetest.Page
	url    *url.URL // of the page
	status int
	header http.Header
	text   string // of the answer, as sent
	before func() // goes back to the page before this one

	trail   []step
	secrets []string // what only this browser may know: cookies, tickets, codes
}

// A step is one exchange with a site.
type step struct {
	url    *url.URL
	header http.Header // of the answer
}

func visit(t testing.TB) *visitor {
	t.Helper()
	c := client(t)
	c.Jar = nil
	// A server that was killed has left dead connections behind.
	c.Transport.(*http.Transport).DisableKeepAlives = true
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &visitor{t: t, http: c, cookies: planttest.Cookies{}}
}

// open follows an address that was typed, and redirects to the end.
func (v *visitor) open(to string) *visitor {
	v.t.Helper()
	v.arrive(v.request(http.MethodGet, to, nil), "")
	return v
}

// peek is open without going on: it returns the Location of the answer.
func (v *visitor) peek(r *http.Request) string {
	v.t.Helper()
	if err := v.exchange(r, ""); err != nil {
		v.t.Fatal(err)
	}
	return v.header.Get("Location")
}

func (v *visitor) request(method, to string, form url.Values) *http.Request {
	v.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(v.t.Context(), method, to, body)
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// arrive sends r, from a page of that origin, and follows redirects.
func (v *visitor) arrive(r *http.Request, from string) {
	v.t.Helper()
	page, at := v.page, v.url
	v.before = func() { v.page, v.url = page, at }
	for range 12 {
		if err := v.exchange(r, from); err != nil {
			v.t.Fatal(err)
		}
		if v.status/100 != 3 {
			return
		}
		to, err := v.url.Parse(v.header.Get("Location"))
		if err != nil {
			v.t.Fatal(err)
		}
		from = origin(v.url)
		r = v.request(http.MethodGet, to.String(), nil)
	}
	v.t.Fatalf("redirected for ever, last to %s", v.url)
}

// exchange sends one request and takes in the answer.
func (v *visitor) exchange(r *http.Request, from string) error {
	v.cookies.Dress(r, from)
	res, err := v.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	v.url, v.status, v.header, v.text = r.URL, res.StatusCode, res.Header, string(text)
	v.page = pagetest.Parse(v.t, strings.NewReader(v.text))
	v.trail = append(v.trail, step{r.URL, res.Header})
	for name, values := range r.URL.Query() {
		if slices.Contains([]string{"ticket", "attempt", "token", "code", "state", "proof"}, name) {
			v.secrets = append(v.secrets, values...)
		}
	}
	v.cookies.Keep(r.URL.Host, res.Cookies())
	for _, c := range res.Cookies() {
		if c.MaxAge >= 0 {
			v.secrets = append(v.secrets, c.Value)
		}
	}
	return nil
}

// back shows the page before once more, as it was.
func (v *visitor) back() *visitor {
	v.before()
	return v
}

func origin(u *url.URL) string { return planttest.Origin(u) }

// submit fills in the form with a button of that name and presses it. fields are
// names and values in turn.
func (v *visitor) submit(button string, fields ...string) *visitor {
	v.t.Helper()
	r := v.filled(button, fields...)
	v.arrive(r, origin(v.url))
	return v
}

// filled is the request that pressing the button makes.
func (v *visitor) filled(button string, fields ...string) *http.Request {
	v.t.Helper()
	form, pressed := v.form(button)
	values := url.Values{}
	if name := pagetest.Attr(pressed, "name"); name != "" {
		values.Set(name, pagetest.Attr(pressed, "value"))
	}
	for n := range form.Descendants() {
		name := pagetest.Attr(n, "name")
		kind := pagetest.Attr(n, "type")
		if n.Type == html.ElementNode && n.Data == "input" && name != "" && kind != "checkbox" {
			values.Set(name, pagetest.Attr(n, "value"))
		}
	}
	for i := 0; i < len(fields); i += 2 {
		if !values.Has(fields[i]) {
			v.t.Fatalf("%s: the form of %q has no field %q", v.url, button, fields[i])
		}
		values.Set(fields[i], fields[i+1])
	}
	to, err := v.url.Parse(pagetest.Attr(form, "action"))
	if err != nil {
		v.t.Fatal(err)
	}
	if values.Has("SAMLResponse") {
		v.secrets = append(v.secrets, values.Get("SAMLResponse"), values.Get("RelayState"))
	}
	return v.request(http.MethodPost, to.String(), values)
}

// form finds a button, and the form it is in.
func (v *visitor) form(words string) (form, button *html.Node) {
	v.t.Helper()
	for _, form := range v.page.All("form") {
		for n := range form.Descendants() {
			if n.Type == html.ElementNode && n.Data == "button" && strings.Contains(pagetest.Text(n), words) {
				return form, n
			}
		}
	}
	v.t.Fatalf("%s (%d): no form with a button %q:\n%s", v.url, v.status, words, v.page.Text("body"))
	return nil, nil
}

// click follows the link that reads so.
func (v *visitor) click(words string) *visitor {
	v.t.Helper()
	for _, a := range v.page.All("a") {
		if strings.Contains(pagetest.Text(a), words) {
			to, err := v.url.Parse(pagetest.Attr(a, "href"))
			if err != nil {
				v.t.Fatal(err)
			}
			v.arrive(v.request(http.MethodGet, to.String(), nil), origin(v.url))
			return v
		}
	}
	v.t.Fatalf("%s (%d): no link %q:\n%s", v.url, v.status, words, v.page.Text("body"))
	return nil
}

// at insists on where the visitor is.
func (v *visitor) at(site, path string) *visitor {
	v.t.Helper()
	if origin(v.url) != site || v.url.Path != path {
		v.t.Fatalf("at %s%s (%d), want %s%s:\n%s", origin(v.url), v.url.Path, v.status, site, path, v.page.Text("main"))
	}
	return v
}

// sees insists on a status and words of the page.
func (v *visitor) sees(status int, words ...string) *visitor {
	v.t.Helper()
	if v.status != status {
		v.t.Errorf("%s: %d, want %d:\n%s", v.url.Path, v.status, status, v.page.Text("main"))
	}
	for _, w := range words {
		if !strings.Contains(v.page.Text("body"), w) {
			v.t.Errorf("%s (%d) does not say %q:\n%s", v.url.Path, v.status, w, v.page.Text("body"))
		}
	}
	return v
}

// home insists on being signed in.
func (v *visitor) home(site, address, jurisdiction string) *visitor {
	v.t.Helper()
	v.at(site, "/").sees(http.StatusOK)
	if got := v.page.Text("#address"); got != address {
		v.t.Errorf("signed in as %q, want %q", got, address)
	}
	if got, _, _ := strings.Cut(v.page.Text("#jurisdiction"), " "); got != jurisdiction {
		v.t.Errorf("data kept in %q, want %q", got, jurisdiction)
	}
	return v
}
