package page_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/pagetest"
)

type greeting struct {
	page.Form
	Name  string
	Email page.Field
}

var site = fstest.MapFS{
	"pages/_shared.html": {Data: []byte(`{{define "bow"}}<p class="bow">{{.}}</p>{{end}}`)},
	"pages/hello.html": {Data: []byte(`{{define "title"}}Hello{{end}}
{{define "main"}}<h1>Hello</h1>{{template "problems" .}}{{template "bow" .Name}}<form>{{template "field" .Email}}</form>{{end}}`)},
	"pages/broken.html": {Data: []byte(`{{define "title"}}Broken{{end}}{{define "main"}}<h1>{{.Name}}</h1>{{.Email.Missing}}{{end}}`)},
}

func newSet(t *testing.T, o page.Options) *page.Set {
	t.Helper()
	set, err := page.New(site, o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestRender(t *testing.T) {
	set := newSet(t, page.Options{FrontDoor: "https://signin.example"})
	email := page.Field{Name: "email", Label: "E-mail address", Type: "email", Value: `"><script>`, Hint: "Yours.", Autocomplete: "username"}
	email = email.With("Enter an address.")
	data := greeting{Name: "<b>Ada</b>", Email: email}
	data.Form = page.Check(&data.Email)

	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(page.WithFrame(r.Context(), page.Frame{Site: "Acme", Jurisdiction: "EU"}))
	w := httptest.NewRecorder()
	if err := set.Render(w, r, http.StatusBadRequest, "hello", data); err != nil {
		t.Fatal(err)
	}
	p := pagetest.Parse(t, w.Body)
	pagetest.Accessible(t, p)
	for selector, want := range map[string]string{
		"title":               "Error: Hello – Acme",
		".bow":                "<b>Ada</b>",
		".chip":               "Data kept in EU",
		".summary a":          "Enter an address.",
		"#email-error":        "Error: Enter an address.",
		"footer a":            "Find another organisation",
		"label[for=email]":    "E-mail address",
		".summary h2":         "There is a problem",
		"header .brand span":  "Acme",
		".summary li a[href]": "Enter an address.",
	} {
		if got := p.Text(selector); got != want {
			t.Errorf("%s: got %q, want %q", selector, got, want)
		}
	}
	for name, want := range map[string]string{
		"value": `"><script>`, "aria-invalid": "true", "aria-describedby": "email-hint email-error",
		"autocomplete": "username", "autocapitalize": "off",
	} {
		if got := p.Attr("#email", name); got != want {
			t.Errorf("#email %s: got %q, want %q", name, got, want)
		}
	}
	if !p.Has("#email[autofocus]") {
		t.Error("the field with the problem does not have the focus")
	}
}

// Whoever is signed in finds the same links at the top of pages and of error
// pages, keeps the rest of the frame, and is not told to begin again.
func TestLinks(t *testing.T) {
	set := newSet(t, page.Options{})
	r := httptest.NewRequest("GET", "/admin", nil)
	ctx := page.WithFrame(r.Context(), page.Frame{Site: "Acme", Jurisdiction: "EU"})
	r = r.WithContext(page.WithLinks(ctx, []page.Link{{Name: "<Yours>", Path: "/account"}, {Name: "Out", Path: "/logout", Post: true}}))
	w := httptest.NewRecorder()
	set.Error(w, r, &discovery.Error{Kind: discovery.Forbidden, Say: "Not for you."})
	p := pagetest.Parse(t, w.Body)
	pagetest.Accessible(t, p)
	for selector, want := range map[string]string{
		"header a[href=/account]":                  "<Yours>",
		"header form[action=/logout] button":       "Out",
		"header .chip":                             "Data kept in EU",
		"header .brand span":                       "Acme",
		"main .card h1":                            "This was not accepted",
		"header form[action=/logout][method=post]": "Out",
	} {
		if got := p.Text(selector); got != want {
			t.Errorf("%s: got %q, want %q", selector, got, want)
		}
	}
	if said := p.Text("main"); !strings.Contains(said, "ask an administrator") || strings.Contains(said, "Start again") {
		t.Errorf("somebody signed in is told %q", said)
	}
}

// An address may break behind its "@" and is escaped like any text.
func TestAddress(t *testing.T) {
	set, err := page.New(fstest.MapFS{"pages/one.html": {Data: []byte(`{{define "title"}}One{{end}}{{define "main"}}{{address .}}{{end}}`)}}, page.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"ada@acme.example": "ada@<wbr>acme.example",
		`<i>"@x@y.example`: "&lt;i&gt;&#34;@<wbr>x@y.example",
		"Ada Lovelace":     "Ada Lovelace",
	} {
		w := httptest.NewRecorder()
		if err := set.Render(w, httptest.NewRequest("GET", "/", nil), http.StatusOK, "one", address); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(w.Body.String(), "\n"+want+"\n") {
			t.Errorf("%s is not shown as %s", address, want)
		}
	}
}

func TestRenderHead(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("HEAD", "/", nil)
	if err := newSet(t, page.Options{}).Render(w, r, http.StatusOK, "hello", greeting{}); err != nil {
		t.Fatal(err)
	}
	if w.Body.Len() != 0 || w.Header().Get("Content-Length") == "0" {
		t.Errorf("body of %d bytes, Content-Length %s", w.Body.Len(), w.Header().Get("Content-Length"))
	}
}

func TestRenderFailsBeforeTheFirstByte(t *testing.T) {
	set := newSet(t, page.Options{})
	h := set.Handle(func(w http.ResponseWriter, r *http.Request) error {
		return set.Render(w, r, http.StatusOK, "broken", greeting{Name: "half a page"})
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "half a page") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no title":    `{{define "main"}}{{end}}`,
		"no main":     `{{define "title"}}{{end}}`,
		"syntax":      `{{define "title"}}{{end}}{{define "main"}}{{if}}{{end}}`,
		"no function": `{{define "title"}}{{end}}{{define "main"}}{{shout .}}{{end}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := page.New(fstest.MapFS{"pages/p.html": {Data: []byte(text)}}, page.Options{}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestErrorPages(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		status int
		says   string
		retry  string
	}{
		{"unforeseen", errors.New("dial tcp 10.0.0.1:5432: refused"), 500, "It is not your fault. It has been noted.", ""},
		{"forbidden", &discovery.Error{Kind: discovery.Forbidden, Code: "assertion_replayed"}, 403, "You have not been signed in, and nothing was changed.", ""},
		{"wrapped", fmt.Errorf("sign in: %w", &discovery.Error{Kind: discovery.Conflict, Say: "Somebody was faster."}), 409, "Somebody was faster.", ""},
		{"invalid", &discovery.Error{Kind: discovery.Invalid, Field: "email"}, 400, "Something in the request is not as it should be.", ""},
		{"throttled", &discovery.Error{Kind: discovery.TooMany, Retry: 1500 * time.Millisecond}, 429, "There were too many tries in a short time.", "2"},
		{"down", &discovery.Error{Kind: discovery.Unavailable}, 503, "Something this page needs does not answer just now. It is not your fault, and nothing is lost.", "5"},
		{"body", fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 1}), 413, "The request is larger than anything this page needs.", ""},
		{"misdirected", &discovery.Error{Kind: discovery.Misdirected}, 421, "This address does not belong to any portal on this server.", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := newSet(t, page.Options{})
			r := httptest.NewRequest("GET", "/login?ticket=abc", nil)
			r = r.WithContext(page.WithReference(r.Context(), "ABCD-2345"))
			w := httptest.NewRecorder()
			w.Header().Set("Cache-Control", "public")
			set.Error(w, r, tc.err)
			if w.Code != tc.status || w.Header().Get("Retry-After") != tc.retry || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("got %d, headers %v", w.Code, w.Header())
			}
			body := w.Body.String()
			p := pagetest.Parse(t, strings.NewReader(body))
			pagetest.Accessible(t, p)
			if got := p.Text(".reference code"); got != "ABCD-2345" {
				t.Errorf("reference %q", got)
			}
			if !strings.HasPrefix(p.Text("title"), "Error: ") || p.Text("main p") != tc.says {
				t.Errorf("title %q, says %q", p.Text("title"), p.Text("main p"))
			}
			for _, leak := range []string{"10.0.0.1", "assertion_replayed", "ticket"} {
				if strings.Contains(body, leak) {
					t.Errorf("page shows %q", leak)
				}
			}
		})
	}
}

func TestProblemDocument(t *testing.T) {
	set := newSet(t, page.Options{})
	for name, r := range map[string]*http.Request{
		"by path": httptest.NewRequest("POST", "/v1/discover", nil),
		"by accept": func() *http.Request {
			r := httptest.NewRequest("GET", "/x", nil)
			r.Header.Set("Accept", "application/json")
			return r
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r = r.WithContext(page.WithReference(r.Context(), "ABCD-2345"))
			set.Error(w, r, &discovery.Error{Kind: discovery.Invalid, Field: "email", Say: "Enter an address."})
			if w.Code != 400 || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Fatalf("got %d %s", w.Code, w.Header())
			}
			var doc struct {
				Type, Title, Detail, Instance, Reference string
				Status                                   int
				Errors                                   []struct{ Field, Detail string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
				t.Fatal(err)
			}
			if doc.Status != 400 || doc.Type == "" || doc.Title == "" || doc.Reference != "ABCD-2345" ||
				len(doc.Errors) != 1 || doc.Errors[0].Field != "email" || doc.Detail != "Enter an address." {
				t.Errorf("got %+v", doc)
			}
		})
	}
}

func TestErrorLogHoldsNothingPersonal(t *testing.T) {
	var log bytes.Buffer
	set := newSet(t, page.Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	token := "eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9"
	r := httptest.NewRequest("GET", "/login?email=ada@acme.example", nil)
	r = r.WithContext(page.WithReference(r.Context(), "ABCD-2345"))
	err := &discovery.Error{Kind: discovery.Forbidden, Code: "replayed", Err: fmt.Errorf("parse %q for ada@acme.example", token)}
	set.Error(httptest.NewRecorder(), r, fmt.Errorf("callback: %w", err))
	line := log.String()
	for _, want := range []string{`"reference":"ABCD-2345"`, `"code":"replayed"`, `"kind":"forbidden"`, "callback: "} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	for _, leak := range []string{"ada", "acme.example", token} {
		if strings.Contains(line, leak) {
			t.Errorf("%s in %s", leak, line)
		}
	}
}

func TestAssets(t *testing.T) {
	set := newSet(t, page.Options{})
	w := httptest.NewRecorder()
	if err := set.Render(w, httptest.NewRequest("GET", "/", nil), 200, "hello", greeting{}); err != nil {
		t.Fatal(err)
	}
	p := pagetest.Parse(t, w.Body)
	for selector, mime := range map[string]string{"link[rel=stylesheet]": "text/css; charset=utf-8", "link[rel=icon]": "image/svg+xml"} {
		w := httptest.NewRecorder()
		set.Assets().ServeHTTP(w, httptest.NewRequest("GET", p.Attr(selector, "href"), nil))
		if w.Code != 200 || w.Header().Get("Content-Type") != mime || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: got %d %v", selector, w.Code, w.Header())
		}
	}
	for path, status := range map[string]int{"/assets/style.css": 404, "/assets/../page.go": 404, "/assets/": 404} {
		w := httptest.NewRecorder()
		set.Assets().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != status || strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: got %d %v", path, w.Code, w.Header())
		}
	}
}

func TestFormAction(t *testing.T) {
	for _, tc := range []struct{ host, before, want string }{
		{"acme.eu.example.com", "", "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self' https:"},
		{"acme.eu.localhost:8080", "default-src 'none'; form-action 'self'", "default-src 'none'; form-action 'self' https: http://localhost:* http://*.localhost:*"},
		{"localhost.example.com", "form-action 'self'", "form-action 'self' https:"},
	} {
		w := httptest.NewRecorder()
		if tc.before != "" {
			w.Header().Set("Content-Security-Policy", tc.before)
		}
		page.AddressFormAction(w, tc.host)
		if got := w.Header().Get("Content-Security-Policy"); got != tc.want {
			t.Errorf("%s: got %s", tc.host, got)
		}
	}
}

func TestTemplatesFitTheirStructs(t *testing.T) {
	good, err := page.New(fstest.MapFS{"pages/_shared.html": site["pages/_shared.html"], "pages/hello.html": site["pages/hello.html"]}, page.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pagetest.Templates(t, good, map[string]any{"hello": greeting{}})
}
