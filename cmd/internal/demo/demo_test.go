package demo

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/domicile-sso/domicile/discovery/page/pagetest"
)

// run opens a demo on a free port until the test ends.
func run(t *testing.T, data string) *Demo {
	t.Helper()
	d, err := New(t.Context(), Options{Addr: "127.0.0.1:0", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, d) })
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func stop(t *testing.T, d *Demo) {
	t.Helper()
	if err := d.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// A walker is a browser without scripts: it keeps cookies by host, follows
// redirects and fills in forms.
type walker struct {
	t       *testing.T
	d       *Demo
	cookies map[string]map[string]*http.Cookie
	client  *http.Client

	at     *url.URL
	status int
	page   pagetest.Page
}

func walk(t *testing.T, d *Demo) *walker {
	addr := d.server.Addr().String()
	return &walker{t: t, d: d, cookies: map[string]map[string]*http.Cookie{}, client: &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (w *walker) open(to string) *walker { return w.send(http.MethodGet, to, nil, "none") }

func (w *walker) send(method, to string, form url.Values, site string) *walker {
	w.t.Helper()
	for range 12 {
		body := ""
		if form != nil {
			body = form.Encode()
		}
		r, err := http.NewRequestWithContext(w.t.Context(), method, to, strings.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", site)
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for _, c := range w.cookies[r.URL.Host] {
			if site != "cross-site" || method == http.MethodGet || c.SameSite == http.SameSiteNoneMode {
				r.AddCookie(c)
			}
		}
		res, err := w.client.Do(r)
		if err != nil {
			w.t.Fatal(err)
		}
		w.keep(r.URL.Host, res.Cookies())
		if location := res.Header.Get("Location"); res.StatusCode/100 == 3 && location != "" {
			_ = res.Body.Close()
			next, err := r.URL.Parse(location)
			if err != nil {
				w.t.Fatal(err)
			}
			if next.Host != r.URL.Host {
				site = "cross-site"
			}
			method, to, form = http.MethodGet, next.String(), nil
			continue
		}
		w.page = pagetest.Parse(w.t, res.Body)
		_ = res.Body.Close()
		w.at, w.status = r.URL, res.StatusCode
		return w
	}
	w.t.Fatal("redirected for ever")
	return nil
}

func (w *walker) keep(host string, cookies []*http.Cookie) {
	if w.cookies[host] == nil {
		w.cookies[host] = map[string]*http.Cookie{}
	}
	for _, c := range cookies {
		if c.MaxAge < 0 {
			delete(w.cookies[host], c.Name)
		} else {
			w.cookies[host][c.Name] = c
		}
	}
}

// submit sends the page's form that has all of the fields, filled in.
func (w *walker) submit(fields ...string) *walker {
	w.t.Helper()
	for _, f := range w.page.All("form") {
		values, has := url.Values{}, map[string]bool{}
		for n := range f.Descendants() {
			if n.Type != html.ElementNode || n.Data != "input" && n.Data != "button" {
				continue
			}
			name := pagetest.Attr(n, "name")
			has[name] = true
			if n.Data == "input" && pagetest.Attr(n, "type") != "checkbox" {
				values.Set(name, pagetest.Attr(n, "value"))
			}
		}
		fits := true
		for i := 0; i < len(fields); i += 2 {
			fits = fits && has[fields[i]]
			values.Set(fields[i], fields[i+1])
		}
		if !fits {
			continue
		}
		to, err := w.at.Parse(pagetest.Attr(f, "action"))
		if err != nil {
			w.t.Fatal(err)
		}
		site := "same-origin"
		if to.Host != w.at.Host {
			site = "cross-site"
		}
		return w.send(http.MethodPost, to.String(), values, site)
	}
	w.t.Fatalf("%s has no form with %v: %s", w.at, fields, w.page.Text("main"))
	return nil
}

// follow opens the first link whose text holds words.
func (w *walker) follow(words string) *walker {
	w.t.Helper()
	for _, a := range w.page.All("a") {
		if strings.Contains(pagetest.Text(a), words) {
			to, err := w.at.Parse(pagetest.Attr(a, "href"))
			if err != nil {
				w.t.Fatal(err)
			}
			return w.open(to.String())
		}
	}
	w.t.Fatalf("%s has no link %q: %s", w.at, words, w.page.Text("main"))
	return nil
}

// home insists on being signed in at a portal, as somebody.
func (w *walker) home(portal, jurisdiction, who string) {
	w.t.Helper()
	for _, p := range w.d.Portals {
		if p.ID != portal {
			continue
		}
		text := w.page.Text("body")
		if w.status != http.StatusOK || "http://"+w.at.Host != p.URL || strings.Trim(w.at.Path, "/") != "" || w.at.RawQuery != "" {
			w.t.Fatalf("at %s with %d, want the home page of %s: %s", w.at, w.status, portal, text)
		}
		for _, want := range []string{p.Name, jurisdiction, who} {
			if !strings.Contains(text, want) {
				w.t.Errorf("the home page does not say %q: %s", want, text)
			}
		}
		return
	}
	w.t.Fatalf("no portal %s", portal)
}

func TestEverybodyArrives(t *testing.T) {
	d := run(t, "")
	t.Run("ada", func(t *testing.T) {
		w := walk(t, d).open(d.URL).submit("email", "ada@acme.example")
		w.submit("password", password).submit("SAMLResponse", samlResponse(w)).home("acme", "EU", "ada@acme.example")
	})
	t.Run("gus", func(t *testing.T) {
		walk(t, d).open(d.URL).submit("email", "gus@globex.example").submit("password", password).home("globex", "US", "gus@globex.example")
	})
	t.Run("ian", func(t *testing.T) {
		walk(t, d).open(d.URL).submit("email", "ian@initech.example").submit("password", password).home("initech", "CA", "ian@initech.example")
	})
	t.Run("uma, cloud", func(t *testing.T) {
		walk(t, d).open(d.URL).submit("email", "uma@umbrella.example").follow("Cloud").submit("password", password).home("umbrella", "EU", "uma@umbrella.example")
	})
	t.Run("uma, domain", func(t *testing.T) {
		w := walk(t, d).open(d.URL).submit("email", "uma@umbrella.example").follow("Domain").submit("password", password)
		w.submit("SAMLResponse", samlResponse(w)).home("umbrella", "EU", "uma@umbrella.example")
	})
	t.Run("alan, first time", func(t *testing.T) {
		w := walk(t, d).open(d.URL).submit("email", "alan@acme.example").submit("password", password)
		w.submit("SAMLResponse", samlResponse(w)).home("acme", "EU", "alan@acme.example")
	})
	t.Run("dan, disabled", func(t *testing.T) {
		w := walk(t, d).open(d.URL).submit("email", "dan@initech.example").submit("password", password)
		if w.status != http.StatusForbidden {
			t.Errorf("%d: %s", w.status, w.page.Text("main"))
		}
	})
	t.Run("nobody", func(t *testing.T) {
		w := walk(t, d).open(d.URL).submit("email", "nobody@nowhere.example")
		if w.status != http.StatusOK || hostOf(d.URL) != w.at.Host {
			t.Errorf("%s %d", w.at, w.status)
		}
	})
	t.Run("nowhere", func(t *testing.T) {
		for _, host := range []string{"other.localhost", "nobody.eu.localhost"} {
			if w := walk(t, d).open(d.host(strings.TrimSuffix(host, ".localhost"))); w.status != http.StatusMisdirectedRequest {
				t.Errorf("%s: %d", host, w.status)
			}
		}
	})
}

// samlResponse is what the identity provider's page is about to post; the form
// holds it already.
func samlResponse(w *walker) string { return w.page.Attr("input[name=SAMLResponse]", "value") }

func TestIvyComesByMail(t *testing.T) {
	d := run(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for len(d.Mailbox.Messages()) < 2 {
		if _, err := d.Mailbox.Await(ctx, address("ivy@initech.example"), ""); err != nil {
			t.Fatal(err)
		}
	}
	w := walk(t, d).open(d.MailURL)
	if n := len(w.page.All("#messages li")); n != 2 {
		t.Errorf("%d mails on the page, want 2", n)
	}
	for _, m := range d.Mailbox.Messages() {
		for _, path := range []string{"/message/" + m.ID, "/message/" + m.ID + "/html"} {
			if w := walk(t, d).open(d.MailURL + path); w.status != http.StatusOK {
				t.Errorf("%s: %d", path, w.status)
			}
		}
	}
}

func TestRestart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "kept")
	first, err := New(t.Context(), Options{Addr: "127.0.0.1:0", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := walk(t, first).open(first.URL).submit("email", "ian@initech.example").submit("password", password)
	w.home("initech", "CA", "ian@initech.example")
	stop(t, first)

	second := run(t, data)
	if second.URL != first.URL {
		t.Fatalf("moved from %s to %s", first.URL, second.URL)
	}
	// Still signed in, and everybody is still known.
	again := walk(t, second)
	again.cookies = w.cookies
	again.open(second.Portals[2].URL).home("initech", "CA", "ian@initech.example")
	a := walk(t, second).open(second.URL).submit("email", "ada@acme.example").submit("password", password)
	a.submit("SAMLResponse", samlResponse(a)).home("acme", "EU", "ada@acme.example")

	_, port, _ := net.SplitHostPort(second.server.Addr().String())
	if _, err := New(t.Context(), Options{Addr: "127.0.0.1:1", Data: data}); err == nil || !strings.Contains(err.Error(), port) {
		t.Errorf("another port: %v", err)
	}
	if _, err := New(t.Context(), Options{Addr: second.server.Addr().String()}); err == nil {
		t.Error("a port in use was opened")
	}
}

func TestNothingIsLeft(t *testing.T) {
	d, err := New(t.Context(), Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	folder := d.folder
	stop(t, d)
	stop(t, d)
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", folder, err)
	}
}
