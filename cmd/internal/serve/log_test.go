package serve

import "testing"

func TestRouteList(t *testing.T) {
	l := newRouteList([]string{"GET /", "GET /account/profile", "POST /saml/{connection}/acs", "GET /admin/users/{account}", "GET /admin/users/export.csv"})
	for path, want := range map[string]string{
		"/":                         "/",
		"/healthz":                  "/healthz",
		"/account/profile":          "/account/profile",
		"/account/profile/":         "other",
		"/saml/acme/acs":            "/saml/*/acs",
		"/saml//acs":                "other",
		"/saml/a/b/acs":             "other",
		"/saml/a%2fb/acs":           "/saml/*/acs",
		"/admin/users/ada@x.y":      "/admin/users/*",
		"/admin/users/export.csv":   "/admin/users/export.csv",
		"/assets/style-1.css":       "/assets/*",
		"/ada@acme.example":         "other",
		"/account/profile/../../xy": "other",
	} {
		if got := l.of(request("GET", path, "")); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
