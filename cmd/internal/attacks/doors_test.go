package attacks

import (
	"strings"
	"testing"

	front "github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/portal/web"
)

// fields says what every form and every query takes; a "!" marks what must not
// be empty, a "*" what nobody types and no page need name. A route that is not
// here fails the test, so that a new one is swept from its first day.
var fields = map[string]string{
	"front GET /":                       "",
	"front POST /":                      "email!",
	"front POST /v1/discover":           "",
	"front POST /choose":                "choice!*",
	"front POST /choose/anyway":         "choice!*",
	"front GET /remember":               "proof!*",
	"front POST /remember":              "proof!*",
	"front POST /forget":                "",
	"front GET /.well-known/webfinger":  "resource!",
	"front POST /language":              "language!* then*",
	"POST /language":                    "language! then",
	"GET /":                             "",
	"GET /account":                      "",
	"GET /account/password":             "",
	"POST /account/password":            "old! new! confirm! username",
	"GET /account/sessions":             "",
	"POST /account/sessions/end":        "session!",
	"POST /account/sessions/end-others": "",
	"POST /account/sessions/end-all":    "",
	"POST /account/apps/activate":       "app! device!",
	"POST /account/apps/remove":         "activation!",
	"POST /account/apps/restore":        "activation!",
	"GET /account/profile":              "",
	"POST /account/profile":             "version! given_name! family_name! zone culture language cell sms_country return_protection",
	"GET /account/activity":             "before",
	"GET /account/licence":              "",
	"POST /account/licence":             "mark!*",
	"GET /account/confirm":              "then",
	"POST /account/confirm":             "way password! username then",
	"GET /account/security":             "",
	"POST /account/security/remove":     "factor! sure",
	"POST /account/security/distrust":   "",
	"GET /account/security/totp":        "",
	"POST /account/security/totp":       "step! name code",
	"GET /account/security/sms":         "",
	"POST /account/security/sms":        "step! name code cell",
	"GET /account/security/codes":       "",
	"POST /account/security/codes":      "",
	"GET /account/security/passkeys":    "new",
	"POST /account/security/passkeys":   "name! answer",
	"GET /account/addresses":            "",
	"POST /account/addresses":           "email!",
	"POST /account/addresses/resend":    "address!",
	"POST /account/addresses/promote":   "address!",
	"POST /account/addresses/remove":    "address!",
	"GET /account/addresses/confirm":    "token!*",
	"POST /account/addresses/confirm":   "token!*",
	"GET /account/addresses/merge":      "token attempt",
	"POST /account/addresses/merge":     "token!* attempt* mark*",

	"GET /admin":                                  "",
	"GET /admin/users":                            "q status role plan domain invitation after before",
	"GET /admin/users/export.csv":                 "q status role plan domain invitation",
	"GET /admin/users/invite":                     "many",
	"POST /admin/users/invite":                    "email! many given_name family_name role plan language",
	"GET /admin/users/import":                     "",
	"POST /admin/users/import":                    "",
	"GET /admin/users/import/{import}":            "still",
	"POST /admin/users/import/{import}":           "action! invite",
	"GET /admin/users/import/{import}/report.csv": "",
	"GET /admin/users/{account}":                  "",
	"POST /admin/users/{account}/invitation":      "action!",
	"POST /admin/users/{account}/status":          "status!",
	"GET /admin/users/{account}/profile":          "",
	"POST /admin/users/{account}/profile":         "version! given_name! family_name! zone culture language cell sms_country return_protection",
	"POST /admin/users/{account}/role":            "role! was!",
	"POST /admin/users/{account}/sessions":        "",
	"GET /admin/users/{account}/addresses":        "",
	"POST /admin/users/{account}/addresses":       "do email! address",
	"GET /admin/users/{account}/security":         "",
	"POST /admin/users/{account}/security":        "do! factor",
	"GET /admin/users/{account}/licence":          "plan renew",
	"POST /admin/users/{account}/licence":         "plan! renew mark",
	"GET /admin/licences":                         "plan after",
	"POST /admin/licences":                        "plan! may",
	"GET /admin/domains":                          "",
	"POST /admin/domains":                         "domain!",
	"POST /admin/domains/remove":                  "domain! sure",
	"GET /admin/notifications":                    "",
	"POST /admin/notifications":                   "version! sender zone language contact",
	"GET /admin/mails":                            "",
	"GET /admin/mails/{kind}/{language}":          "",
	"POST /admin/mails/{kind}/{language}":         "version! action! subject opening",
	"GET /admin/policy":                           "",
	"POST /admin/policy":                          "version! second_factor! keep_signed trust_days password_min session_idle session_absolute kept_idle kept_absolute",
	"GET /admin/audit":                            "person account group code reference from until newer older",
	"GET /admin/audit/export.csv":                 "person account group code reference from until",
	"GET /admin/connections":                      "",
	"GET /admin/connections/{domain}/move":        "to beside jit class page",
	"POST /admin/connections/{domain}/move":       "to! beside jit version! sure",
	"POST /admin/connections/undo":                "move!",
	"GET /admin/recoveries":                       "",
	"POST /admin/recoveries":                      "recovery! decision!",

	"GET /remember":                   "",
	"GET /login":                      "ticket!* attempt!* edit",
	"POST /login":                     "email! attempt then",
	"GET /login/method":               "attempt!*",
	"GET /login/password":             "attempt!*",
	"POST /login/password":            "attempt! password! username then keep",
	"GET /login/{connection}":         "attempt!*",
	"GET /logout":                     "",
	"POST /logout":                    "",
	"GET /login/recovery":             "attempt!*",
	"POST /login/recovery":            "attempt!",
	"GET /login/passkey":              "attempt!*",
	"POST /login/passkey":             "attempt! answer then keep",
	"GET /login/factor":               "attempt!* way",
	"POST /login/factor":              "attempt! code! way trust username then",
	"POST /login/factor/sms":          "attempt! factor then",
	"GET /login/enrol":                "attempt!* way",
	"POST /login/enrol":               "attempt! way step name code cell then",
	"GET /recovery":                   "token!*",
	"POST /recovery":                  "token!*",
	"GET /recovery/cancel":            "token!*",
	"POST /recovery/cancel":           "token!*",
	"GET /password/forgot":            "attempt",
	"POST /password/forgot":           "email!",
	"GET /password/reset":             "token!*",
	"POST /password/reset":            "token! new! confirm!",
	"GET /password/change":            "attempt!*",
	"POST /password/change":           "attempt! temporary! new! confirm! username then",
	"GET /invitation":                 "token!*",
	"POST /invitation":                "token! temporary! new! confirm! username keep",
	"POST /saml/{connection}/acs":     "SAMLResponse!* RelayState*",
	"POST /saml/{connection}/confirm": "SAMLResponse!* RelayState*",
	"GET /saml/{connection}/metadata": "",
	"GET /oidc/{connection}/callback": "state!* code!* iss* error*",
}

// A door is one route to be swept.
type door struct {
	name, method, url string
	fields            []field
	json              bool // answers programs
}

type field struct {
	name             string
	required, hidden bool
}

// doors are those of all sites; where a path names somebody, it is the account.
func doors(t testing.TB, account string) []door {
	t.Helper()
	var all []door
	add := func(base, prefix string, routes []string) {
		for _, line := range routes {
			method, path := pathOf(strings.ReplaceAll(line, "/oidc/{connection}", "/oidc/acme-oidc"), account)
			d := door{name: prefix + line, method: method, url: base + path, json: strings.HasPrefix(path, "/v1/")}
			list, known := fields[d.name]
			if !known {
				t.Errorf("%s: list its fields", d.name)
			}
			for _, name := range strings.Fields(list) {
				d.fields = append(d.fields, field{strings.TrimRight(name, "!*"), strings.Contains(name, "!"), strings.Contains(name, "*")})
			}
			all = append(all, d)
		}
	}
	add(frontDoor, "front ", front.Routes())
	add(acme, "", web.Routes())
	return all
}
