package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
	for _, rt := range w.site.routes() {
		if rt.method != http.MethodPost || strings.HasPrefix(rt.path, "/saml/") {
			continue
		}
		rt.path = strings.ReplaceAll(rt.path, account, ian.ID)
		for _, body := range []string{"nobody=1", "nobody=1&nobody=2", "%00=1"} {
			r := httptest.NewRequest(http.MethodPost, rt.path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if a := in.do(r); a.StatusCode != 400 {
				t.Errorf("POST %s %s: got %d", rt.path, body, a.StatusCode)
			}
		}
	}
	if !in.signedIn() {
		t.Error("a refused form signed out")
	}
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
