package web

import (
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/portal"
)

func TestBadForms(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	const form = "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		name, kind, body string
		status           int
		says             string
	}{
		{"twice", form, "email=a%40b.example&email=c%40d.example", 400, "“email”"},
		{"array", form, "email%5B%5D=a%40b.example", 400, ""},
		{"unknown", form, "email=a%40b.example&role=admin", 400, "“role”"},
		{"NUL", form, "email=a%00%40b.example", 400, "“email”"},
		{"not UTF-8", form, "email=%ff%fe", 400, "“email”"},
		{"bad escape", form, "email=%zz", 400, "“email”"},
		{"name not UTF-8", form, "%ff=1", 400, ""},
		{"long", form, "email=" + strings.Repeat("a", 5000), 400, "“email”"},
		{"huge", form, "email=" + strings.Repeat("a", 1<<20), 413, "form"},
		{"many", form, strings.Repeat("a=1&", 1000), 400, ""},
		{"JSON", "application/json", `{"email":"a@b.example"}`, 415, ""},
		{"multipart", "multipart/form-data; boundary=x", "--x--", 415, ""},
		{"no type", "", "email=a", 415, ""},
		{"text", "text/plain", "email=a", 415, ""},
		{"charset", form + "; charset=utf-16", "email=a", 415, ""},
		{"empty", form, "", 400, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(tc.body))
			if tc.kind != "" {
				r.Header.Set("Content-Type", tc.kind)
			}
			a := b.do(r)
			if a.StatusCode != tc.status || !strings.Contains(a.page.Text("main"), tc.says) {
				t.Errorf("got %d %q", a.StatusCode, a.page.Text("main"))
			}
		})
	}
}

// Every form of the site refuses a field sent twice and a field it does not have.
func TestEveryFormIsStrict(t *testing.T) {
	w := newWorld(t)
	in := w.browser(initech)
	in.signIn("ian@initech.example", goodPassword)
	ian := w.owner("initech", "ian@initech.example")
	paths := strings.NewReplacer(account, ian.ID, domainName, "initech.example", imported, strings.Repeat("0", 32),
		letterKind, string(portal.InvitationLetter), letterLanguage, "en")
	for _, rt := range w.site.routes() {
		if rt.method != http.MethodPost || strings.HasPrefix(rt.path, "/saml/") {
			continue
		}
		path := paths.Replace(rt.path)
		upload := slices.Contains(Uploads(), path)
		for _, names := range [][]string{{"nobody"}, {"nobody", "nobody"}, {"\x00"}} {
			kind, body := "application/x-www-form-urlencoded", strings.NewReader(formOf(names))
			if upload {
				kind, body = multipartOf(t, names)
			}
			r := httptest.NewRequest(http.MethodPost, path, body)
			r.Header.Set("Content-Type", kind)
			if a := in.do(r); a.StatusCode != 400 {
				t.Errorf("POST %s %q: got %d", path, names, a.StatusCode)
			}
		}
	}
	if !in.signedIn() {
		t.Error("a refused form signed out")
	}
}

// A form with a file is as strict about the fields it has.
func TestUploadsAreStrict(t *testing.T) {
	w := newWorld(t)
	in := w.browser(initech)
	in.signIn("ian@initech.example", goodPassword)
	w.owner("initech", "ian@initech.example")
	for _, path := range Uploads() {
		for _, names := range [][]string{{"list", "list"}, {"file", "list", "file"}, {"list", "role", "nobody"}} {
			kind, body := multipartOf(t, names)
			r := httptest.NewRequest(http.MethodPost, path, body)
			r.Header.Set("Content-Type", kind)
			if a := in.do(r); a.StatusCode != 400 {
				t.Errorf("POST %s %q: got %d", path, names, a.StatusCode)
			}
		}
	}
}

// formOf is a form in which every field of the names is "1".
func formOf(names []string) string {
	pairs := make([]string, len(names))
	for i, name := range names {
		pairs[i] = url.QueryEscape(name) + "=1"
	}
	return strings.Join(pairs, "&")
}

func multipartOf(t *testing.T, names []string) (kind string, body *strings.Reader) {
	t.Helper()
	var b strings.Builder
	m := multipart.NewWriter(&b)
	for _, name := range names {
		if err := m.WriteField(name, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m.FormDataContentType(), strings.NewReader(b.String())
}

func TestBadQueries(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	for path, status := range map[string]int{
		"/login?ticket=a&ticket=b":                   400,
		"/login?attempt=%zz":                         400,
		"/login?attempt=" + strings.Repeat("a", 500): 400,
		"/login?attempt=%00":                         400,
		"/password/reset?token=a&token=b":            400,
		"/invitation?token=%ff":                      400,
		"/login?utm_source=mail":                     200,
		"/password/reset?token=":                     403,
		"/oidc/x/callback?state=a":                   404,
	} {
		if a := b.get(path); a.StatusCode != status {
			t.Errorf("%s: got %d, want %d", path, a.StatusCode, status)
		}
	}
}
