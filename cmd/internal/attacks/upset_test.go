package attacks

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/portal/web"
)

// LOG-01: whatever somebody types, a line of the log is a line, and plain.
func lineBreakers(t *testing.T, w *world) {
	mark := w.Log.Len()
	evil := "x\r\n{\"level\":\"ERROR\",\"forged\":true}\x1b[31m\u2028\"}"
	b := w.browser(t)
	b.post(frontDoor+"/", url.Values{"email": {evil}})
	b.ask(email(evil))
	b.post(acme+"/login", url.Values{"email": {evil}, evil: {evil}})
	b.crossPost(acme+"/saml/acme-saml/acs", url.Values{"SAMLResponse": {evil}, "RelayState": {evil}})
	b.send(request{URL: acme + "/login", Header: http.Header{"User-Agent": {"x\t{\"forged\":1}"}, "Referer": {evil[:1] + "%0d%0aforged"}}})
	trip := b.depart(acme, "acme-oidc")
	b.crossGet(acme + "/oidc/acme-oidc/callback?state=" + trip.State + "&error=access_denied&error_description=" + url.QueryEscape(evil))
	b.get(acme + "/" + url.PathEscape(evil))
	for _, line := range strings.Split(strings.TrimSuffix(w.Log.Since(mark), "\n"), "\n") {
		if !strings.HasPrefix(line, `{"time":`) || !strings.HasSuffix(line, "}") || strings.ContainsAny(line, "\r\x1b\u2028") || strings.Contains(line, "forged") {
			t.Errorf("line %q", line)
		}
	}
}

// LOG-03: a row that is changed, taken out, exchanged or cut off shows.
func changedAudit(t *testing.T, w *world) {
	s, db := w.store(beta), w.home(beta).DB
	for i := range 4 {
		w.browser(t).get(beta + fmt.Sprint("/login?ticket=", i))
	}
	if _, err := s.CheckAudit(t.Context(), "beta"); err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string][2]string{
		"edited":    {`UPDATE audit SET code = 'x' || code WHERE portal = 'beta' AND seq = 2`, `UPDATE audit SET code = substr(code, 2) WHERE portal = 'beta' AND seq = 2`},
		"reordered": {`UPDATE audit SET seq = CASE seq WHEN 1 THEN 100002 ELSE 100001 END WHERE portal = 'beta' AND seq IN (1, 2)`, `UPDATE audit SET seq = CASE seq WHEN 100002 THEN 1 ELSE 2 END WHERE portal = 'beta' AND seq > 100000`},
		"removed":   {`UPDATE audit SET portal = 'gone' WHERE portal = 'beta' AND seq = 2`, `UPDATE audit SET portal = 'beta' WHERE portal = 'gone'`},
		"cut off":   {`UPDATE audit SET portal = 'gone' WHERE portal = 'beta' AND seq = (SELECT MAX(seq) FROM audit WHERE portal = 'beta')`, `UPDATE audit SET portal = 'beta' WHERE portal = 'gone'`},
	} {
		for i, text := range q {
			if _, err := db.ExecContext(t.Context(), text); err != nil {
				t.Fatal(name, err)
			}
			if _, err := s.CheckAudit(t.Context(), "beta"); (err == nil) != (i == 1) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// LOG-04: what cannot be written down does not happen.
func noAudit(t *testing.T, w *world) {
	db := w.home(acme).DB
	b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
	signed := w.browser(t)
	w.member(t, signed, "")
	trip := b.departWith(acme, "acme-saml", who.Address, "/")
	response := trip.assertion(who)
	before := w.rows(t, db)
	either := func(sqlite, postgres string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), sqlite); err == nil {
			return
		}
		if _, err := db.ExecContext(t.Context(), postgres); err != nil {
			t.Fatal(err)
		}
	}
	either(`CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END`, `ALTER TABLE audit ADD CONSTRAINT no_audit CHECK (seq < 0) NOT VALID`)
	for name, a := range map[string]*answer{
		"SAML":     trip.deliver(response),
		"password": w.named(t, "192.0.2.140").signInPassword(acme, pat, password),
		"sign out": signed.post(acme+"/logout", url.Values{}),
		"end all":  signed.post(acme+"/account/sessions/end-all", url.Values{}),
		"ticket":   b.get(acme + "/login?ticket=x"),
	} {
		if a.Status != http.StatusServiceUnavailable || a.session() != nil || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d", name, a.Status)
		}
		secured(t, a)
		dull(t, a)
	}
	w.unchanged(t, db, before, "attempts")
	either(`DROP TRIGGER no_audit`, `ALTER TABLE audit DROP CONSTRAINT no_audit`)
	if signed.signedIn(acme) == "" {
		t.Error("signed out all the same")
	}
	if a := trip.deliver(response); a.session() == nil {
		t.Errorf("the assertion was used up: %d", a.Status)
	}
}

// LOG-05, HDR-01: while the store is broken, every route answers that it is, on
// the product's page, with all headers, and says nothing of why.
func brokenStore(t *testing.T, w *world) {
	b := w.browser(t)
	w.member(t, b, "")
	db := w.home(acme).DB
	tables := []string{"accounts", "attempts", "connections", "sessions", "domains", "tokens", "letters"}
	for _, name := range tables {
		if _, err := db.ExecContext(t.Context(), "ALTER TABLE "+name+" RENAME TO broken_"+name); err != nil {
			t.Fatal(err)
		}
	}
	var unavailable int
	for _, line := range web.Routes() {
		method, path, _ := strings.Cut(line, " ")
		r := request{Method: method, URL: acme + strings.ReplaceAll(path, "{connection}", "acme-saml")}
		if method == http.MethodPost {
			r.Form, r.From = url.Values{}, acme
			switch path {
			case "/login", "/password/forgot":
				r.Form.Set("email", pat)
			}
		}
		a := b.send(r)
		secured(t, a)
		if a.Status == http.StatusInternalServerError || a.session() != nil {
			t.Errorf("%s: got %d", line, a.Status)
		}
		if a.Status == http.StatusServiceUnavailable {
			unavailable++
			dull(t, a)
			if a.Header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", line)
			}
		}
	}
	for _, name := range tables {
		if _, err := db.ExecContext(t.Context(), "ALTER TABLE broken_"+name+" RENAME TO "+name); err != nil {
			t.Fatal(err)
		}
	}
	if unavailable < 15 {
		t.Errorf("only %d routes noticed", unavailable)
	}
	if b.signedIn(acme) == "" {
		t.Error("the outage signed somebody out")
	}
}

// HDR-07, HDR-08: requests that two programs could read in two ways, and ones
// that are too much.
func oddRequests(t *testing.T, w *world) {
	addr := w.home(acme).Addr("public")
	head := "POST /login HTTP/1.1\r\nHost: acme.eu.domicile.example\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	smuggled := "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: acme.eu.domicile.example\r\n\r\n"
	for name, text := range map[string]string{
		"length and chunks":  head + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%s", len(smuggled), smuggled),
		"two lengths":        head + "Content-Length: 3\r\nContent-Length: 30\r\n\r\nx=y",
		"odd chunking":       head + "Transfer-Encoding: xchunked\r\n\r\n" + smuggled,
		"chunking hidden":    head + "Transfer-Encoding : chunked\r\n\r\n" + smuggled,
		"two codings":        head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + smuggled,
		"negative length":    head + "Content-Length: -1\r\n\r\nx=y",
		"length with a sign": head + "Content-Length: +3\r\n\r\nx=y",
		"folded header":      head + "X-Y: a\r\n b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"two types":          head + "Content-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nx=y",
	} {
		if got := exchangeRaw(t, addr, text); strings.Count(got, "HTTP/1.1 ") != 1 || !strings.HasPrefix(got, "HTTP/1.1 4") && !strings.HasPrefix(got, "HTTP/1.1 501") {
			t.Errorf("%s: %.300q", name, got)
		}
	}
	b := w.browser(t)
	var many strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&many, "k%d=&", i)
	}
	form := "application/x-www-form-urlencoded"
	for name, r := range map[string]request{
		"10 MB":             {Body: "email=" + strings.Repeat("x", 10<<20), Type: form},
		"100,000 fields":    {Body: many.String(), Type: form},
		"1,000 fields":      {Body: strings.Repeat("a=&", 1000), Type: form},
		"multipart":         {Body: "--x\r\nContent-Disposition: form-data; name=email\r\n\r\na@b.test\r\n--x--", Type: "multipart/form-data; boundary=x"},
		"packed":            {Body: "x", Type: form, Header: http.Header{"Content-Encoding": {"gzip"}}},
		"a header of 40 kB": {Body: "email=x", Type: form, Header: http.Header{"X-Long": {strings.Repeat("x", 40<<10)}}},
	} {
		for _, at := range []string{frontDoor + "/", acme + "/login", acme + "/saml/acme-saml/acs", acme + "/logout"} {
			r.Method, r.URL, r.From = http.MethodPost, at, originOf(at)
			a, _, err := b.exchange(r)
			if err != nil {
				continue // the server hung up rather than read on
			}
			if a.Status/100 != 4 {
				t.Errorf("%s to %s: got %d", name, at, a.Status)
			}
		}
	}
}
