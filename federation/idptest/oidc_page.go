package idptest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
)

// An oidcPage is everything the provider shows: the login form, or a sentence.
type oidcPage struct {
	Title   string
	Form    bool
	Hint    string // the address filled in
	Problem string
	Style   template.CSS

	leadsTo string // where the form's answer redirects to in the end
}

const pageStyle = `
:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif }
main { max-width: 24rem; margin: 4rem auto; padding: 0 1rem }
label, input { display: block; width: 100%; box-sizing: border-box }
input { font: inherit; padding: .5rem; margin-bottom: 1rem }
button { font: inherit; padding: .5rem 1rem; min-height: 2.75rem }
`

// The form goes back to the address it came from, query and all, and works
// without scripts.
var oidcTemplate = template.Must(template.New("oidc").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>{{.Style}}</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{with .Problem}}<p role="alert">{{.}}</p>
{{end}}{{if .Form}}<form method="post">
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" value="{{.Hint}}" required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">Sign in</button>
<button type="submit" name="cancel" value="1" formnovalidate>Cancel</button>
</form>
{{end}}</main>
</body>
</html>
`))

func (p *OIDCProvider) page(w http.ResponseWriter, status int, page oidcPage) {
	page.Style = pageStyle
	var b bytes.Buffer
	if err := oidcTemplate.Execute(&b, page); err != nil {
		http.Error(w, "page", http.StatusInternalServerError)
		return
	}
	// Browsers apply form-action to the redirect that answers the form as well.
	action := "'self'"
	if u, err := url.Parse(page.leadsTo); err == nil && u.Host != "" {
		action += " " + u.Scheme + "://" + u.Host
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+styleHash()+"'; base-uri 'none'; frame-ancestors 'none'; form-action "+action)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// styleHash lets the page's own style sheet, and no other, through its policy.
func styleHash() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return base64.StdEncoding.EncodeToString(sum[:])
}
