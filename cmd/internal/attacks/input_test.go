package attacks

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	front "github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/portal/web"
)

// TestBadInput sends to every route of the front door and of a portal what it
// should not be sent, to fields, as bodies, by method and by path.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	s := &sweep{w: w}
	s.member = w.browser(t)
	w.member(t, s.member, "")
	if _, err := w.home(acme).DB.Exec(`UPDATE accounts SET role = 'owner' WHERE id IN (SELECT account FROM sessions)`); err != nil {
		t.Fatal(err) // whom no page refuses
	}
	s.token, s.temporary = w.invite(t, acme, "sweep@guest.example")
	w.guest(t, acme, "swept@guest.example", "")
	swept, ok, err := w.store(acme).AccountByAddress(t.Context(), idOf(acme), addressOf("swept@guest.example"))
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	for _, d := range doors(t, swept.ID) {
		t.Run(d.name, func(t *testing.T) {
			w.Clock.Pass(30 * time.Second)
			// The member has just proved who they are, so that nothing but the form is wrong.
			if _, err := w.home(acme).DB.Exec(`UPDATE sessions SET proved = $1`, w.Clock.Now().UnixMicro()); err != nil {
				t.Fatal(err)
			}
			mark := w.Log.Len()
			s.t = t
			s.bodies(d)
			s.methods(d)
			for _, f := range d.fields {
				s.field(d, f)
			}
			s.queries(d)
			if strings.Contains(w.Log.Since(mark), `"route":"other"`) {
				t.Error("the access log does not know this route by name")
			}
		})
	}
	s.t = t
	t.Run("HDR-01 ADM-11 every status", func(t *testing.T) { s.t = t; s.statuses() })
	t.Run("claims", func(t *testing.T) { s.t = t; s.claims() })
	t.Run("ADM-12 SQL", func(t *testing.T) { s.t = t; s.sql() })
	if s.named < 100 {
		t.Errorf("only %d answers had to name a field", s.named)
	}
	if got := w.count(t, acme, "sessions"); got != 1 {
		t.Errorf("%d sessions after the sweep, want the member's", got)
	}
}

type sweep struct {
	w                *world
	t                *testing.T
	member           *browser
	token, temporary string
	named            int // answers that had to name a field
}

// browser is one that the route takes seriously: signed in, or with an attempt
// of its own, whose handle it returns.
func (s *sweep) browser(d door) (b *browser, attempt string) {
	if strings.HasPrefix(d.url, acme+"/account") || strings.HasPrefix(d.url, acme+"/admin") || d.name == "GET /" || d.name == "GET /remember" {
		s.member.t = s.t
		return s.member, ""
	}
	b = s.w.named(s.t, "192.0.2.99")
	if slices.ContainsFunc(d.fields, func(f field) bool { return f.name == "attempt" }) {
		form := b.arrive(b.post(acme+"/login", url.Values{"email": {pat}}))
		attempt = form.page().Attr("input[name=attempt]", "value")
	}
	return b, attempt
}

// proper is what each field may hold.
func (s *sweep) proper(name, attempt string) string {
	switch name {
	case "email":
		return pat
	case "attempt":
		return attempt
	case "token":
		return s.token
	case "temporary":
		return s.temporary
	case "resource":
		return "acct:" + pat
	case "keep":
		return "yes"
	case "edit":
		return "1"
	case "then":
		return "/account"
	case "new", "confirm":
		return betterPassword
	}
	return "anything-at-all"
}

// send sends one variant as a browser would and as a program would, and holds
// both answers to what every refusal owes. It returns the field the program was
// told.
func (s *sweep) send(b *browser, what string, r request) (page *answer, named string) {
	s.t.Helper()
	r.From = originOf(r.URL)
	page = b.send(r)
	s.owes(what, page)
	h := http.Header{"Accept": {"application/json"}}
	for name, v := range r.Header {
		h[name] = v
	}
	r.Header = h
	program := b.send(r)
	s.owes(what, program)
	if program.Status >= 400 && program.Header.Get("Content-Type") == "application/problem+json" {
		_, named = program.problem()
	}
	if page.Status != program.Status && page.Status != http.StatusTooManyRequests && program.Status != http.StatusTooManyRequests {
		s.t.Errorf("%s: a browser gets %d, a program %d", what, page.Status, program.Status)
	}
	return page, named
}

// owes checks the headers of any answer, and the page or document of a refusal.
func (s *sweep) owes(what string, a *answer) {
	s.t.Helper()
	if strings.HasPrefix(a.URL.Path, "/.well-known/webfinger") {
		a.Header.Del("Access-Control-Allow-Origin") // RFC 7033: for everybody
	}
	secured(s.t, a)
	if a.Status >= 500 && (a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "") {
		s.t.Errorf("%s: got %d", what, a.Status)
	}
	if a.Status == http.StatusTooManyRequests && a.Header.Get("Retry-After") == "" {
		s.t.Errorf("%s: 429 without Retry-After", what)
	}
	if a.session() != nil {
		s.t.Errorf("%s: a session", what)
	}
	if a.Status < 400 || a.Request.Method == http.MethodHead {
		return
	}
	if a.Header.Get("Content-Type") == "application/problem+json" {
		a.problem()
		return
	}
	p := a.page()
	if !p.Has("main h1") || !p.Has("link[rel=stylesheet]") || !strings.Contains(a.Body, a.reference()) && !p.Has(".summary") {
		s.t.Errorf("%s: %d is not the product's page: %.200s", what, a.Status, a.Body)
	}
	if program := a.Request.Header.Get("Accept"); program == "application/json" && !p.Has(".summary") {
		s.t.Errorf("%s: a program gets a page", what)
	}
}

// bad are the ways in which one field can be wrong. Names says whether the answer
// has to say which field it was.
var bad = []struct {
	name  string
	pairs func(name, proper string) string
	names bool
}{
	{"empty", func(name, _ string) string { return name + "=" }, false},
	{"missing", func(string, string) string { return "" }, false},
	{"twice", func(name, v string) string { return name + "=" + v + "&" + name + "=" + v }, true},
	{"twice, one empty", func(name, v string) string { return name + "=&" + name + "=" + v }, true},
	{"long", func(name, _ string) string { return name + "=" + strings.Repeat("x", tooLong(name)) }, true},
	{"badly escaped", func(name, v string) string { return name + "=" + v + "%zz" }, true},
	{"not UTF-8", func(name, v string) string { return name + "=" + v + "%ff%fe" }, true},
	{"NUL", func(name, v string) string { return name + "=" + v + "%00" }, true},
	{"an array", func(name, v string) string { return name + "%5B%5D=" + v }, false},
	{"a member", func(name, v string) string { return name + "%5Bx%5D=" + v }, false},
}

// tooLong is more than a field may hold, and no more than its form.
func tooLong(name string) int {
	if name == "opening" || name == "answer" { // which are of many words, or of bytes
		return 13_000
	}
	return 7000
}

func (s *sweep) field(d door, f field) {
	s.t.Helper()
	for _, way := range bad {
		if !f.required && (way.name == "empty" || way.name == "missing") {
			continue
		}
		s.w.Clock.Pass(500 * time.Millisecond)
		b, attempt := s.browser(d)
		var pairs []string
		if p := way.pairs(f.name, url.QueryEscape(s.proper(f.name, attempt))); p != "" {
			pairs = append(pairs, p)
		}
		// Of a query only the field itself: its others would decide first.
		for _, other := range d.fields {
			if other.name != f.name && d.method == http.MethodPost {
				pairs = append(pairs, other.name+"="+url.QueryEscape(s.proper(other.name, attempt)))
			}
		}
		r := request{Method: d.method, URL: d.url, Body: strings.Join(pairs, "&"), Type: "application/x-www-form-urlencoded"}
		if d.method == http.MethodGet {
			r = request{Method: d.method, URL: d.url + "?" + r.Body}
		}
		what := fmt.Sprintf("%s: %s %s", d.name, f.name, way.name)
		a, named := s.send(b, what, r)
		lenient := d.method == http.MethodGet && (way.name == "empty" || way.name == "missing" || strings.HasPrefix(way.name, "a")) || // as if nobody had asked
			strings.HasPrefix(way.name, "a") && (!f.required || strings.HasPrefix(d.name, "front") && a.Status == 400)
		if a.Status < 400 && !lenient && !(f.name == "state" || f.name == "code") {
			s.t.Errorf("%s: got %d", what, a.Status)
		}
		inQuery := d.method == http.MethodGet && (way.name == "badly escaped" || way.name == "not UTF-8" || way.name == "NUL")
		if !way.names || f.hidden || inQuery || a.Status != http.StatusBadRequest {
			continue
		}
		s.named++
		if !namesField(a, f.name) && !d.json && d.method == http.MethodPost || named != f.name {
			s.t.Errorf("%s: the page names %v, the document %q: %s", what, namesField(a, f.name), named, a.text())
		}
	}
}

// bodies are wrong as a whole.
func (s *sweep) bodies(d door) {
	s.t.Helper()
	if d.method != http.MethodPost {
		return
	}
	good := "application/x-www-form-urlencoded"
	if d.json {
		good = "application/json"
	}
	form := "email=a%40b.test"
	for _, c := range []struct {
		name, kind, body string
		header           http.Header
	}{
		{"no type", "", form, nil},
		{"text", "text/plain", form, nil},
		{"the other type", map[bool]string{true: "application/x-www-form-urlencoded", false: "application/json"}[d.json], `{"email":"a@b.test"}`, nil},
		{"multipart", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\na@b.test\r\n--x--\r\n", nil},
		{"another charset", good + "; charset=utf-16", form, nil},
		{"a broken type", good + ";;;=", form, nil},
		{"XML", "application/xml", "<email>a@b.test</email>", nil},
		{"packed", good, form, http.Header{"Content-Encoding": {"gzip"}}},
		{"70 kB", good, "email=" + strings.Repeat("x", 70<<10), nil},
		{"600 kB", good, "email=" + strings.Repeat("x", 600<<10), nil},
		{"a name that is no text", good, "%ff=1&%00=2&%zz=3", nil},
		{"200 fields", good, strings.Repeat("x=1&", 200), nil},
		{"noise", good, "\x00\x01\xff\xfe&&&===%%%", nil},
	} {
		b, _ := s.browser(d)
		a, _ := s.send(b, d.name+": "+c.name, request{Method: d.method, URL: d.url, Body: c.body, Type: c.kind, Header: c.header})
		if a.Status < 400 && !(d.name == "front POST /forget") {
			s.t.Errorf("%s: %s: got %d", d.name, c.name, a.Status)
		}
	}
}

// methods that a path does not have.
func (s *sweep) methods(d door) {
	s.t.Helper()
	all := append(front.Routes(), web.Routes()...)
	has := func(method string) bool {
		prefix := ""
		if strings.HasPrefix(d.url, frontDoor) {
			prefix = "front "
		}
		path := strings.TrimPrefix(strings.TrimPrefix(d.name, prefix), d.method+" ")
		_, there := fields[prefix+method+" "+path]
		return there && slices.Contains(all, method+" "+path)
	}
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "X"} {
		if has(method) {
			continue
		}
		b, _ := s.browser(d)
		r := request{Method: method, URL: d.url}
		if method == http.MethodPost {
			r.Body, r.Type = "x=y", "application/x-www-form-urlencoded"
		}
		a, _ := s.send(b, method+" "+d.url, r)
		if a.Status != http.StatusMethodNotAllowed || a.Header.Get("Allow") == "" && method != "TRACE" {
			s.t.Errorf("%s %s: got %d, Allow %q", method, d.url, a.Status, a.Header.Get("Allow"))
		}
	}
	if d.method == http.MethodGet {
		b, _ := s.browser(d)
		get, head := b.send(request{URL: d.url}), b.send(request{Method: http.MethodHead, URL: d.url})
		s.owes("HEAD "+d.url, head)
		if head.Body != "" || head.Status >= 500 || get.Status >= 400 && head.Status != get.Status && !strings.HasPrefix(d.name, "GET /oidc/") { // a code is nobody's to spend by HEAD
			s.t.Errorf("HEAD %s: %d with %d bytes; GET %d", d.url, head.Status, len(head.Body), get.Status)
		}
	}
}

// queries that no link of ours has.
func (s *sweep) queries(d door) {
	s.t.Helper()
	for _, query := range []string{"%zz", "x=%ff", "x=%00", "%00=x", "a=1;b=2", strings.Repeat("x", 9000), strings.Repeat("x=1&", 10) + "y=%c0%af"} {
		b, _ := s.browser(d)
		r := request{Method: d.method, URL: d.url + "?" + query}
		if d.method == http.MethodPost {
			r.Type = "application/x-www-form-urlencoded"
		}
		if a, _ := s.send(b, d.name+"?"+query[:min(20, len(query))], r); a.Status < 400 {
			s.t.Errorf("%s?%.20s: got %d", d.name, query, a.Status)
		}
	}
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, "k%d=v&", i)
	}
	b, _ := s.browser(d)
	if a, _ := s.send(b, d.name+"?100 fields", request{Method: d.method, URL: d.url + "?" + many.String(), Type: "application/x-www-form-urlencoded"}); a.Status < 400 {
		s.t.Errorf("%s?100 fields: got %d", d.name, a.Status)
	}
}

// HDR-01, ADM-11: one answer of each status, at both sites.
func (s *sweep) statuses() {
	b := s.w.named(s.t, "203.0.113.77")
	seen := map[int]bool{}
	see := func(want int, a *answer) {
		s.t.Helper()
		s.owes(fmt.Sprint(a.Request.Method, " ", a.Request.URL), a)
		if a.Status != want {
			s.t.Errorf("%s %s: got %d, want %d", a.Request.Method, a.Request.URL, a.Status, want)
		}
		seen[a.Status] = true
	}
	for _, base := range []string{frontDoor, acme} {
		at := map[string]string{frontDoor: "/", acme: "/login"}[base]
		page := b.get(base + at)
		see(200, page)
		see(200, b.get(base+"/healthz"))
		see(200, b.get(base+"/readyz"))
		for _, link := range []string{"stylesheet", "icon"} {
			asset := page.page().Attr("link[rel="+link+"]", "href")
			a := b.get(base + asset)
			see(200, a)
			if c := a.Header.Get("Cache-Control"); !strings.Contains(c, "immutable") {
				s.t.Errorf("%s: Cache-Control: %s", asset, c)
			}
			see(200, b.send(request{URL: base + asset, Header: http.Header{"Range": {"bytes=999999-"}}}))
			see(405, b.send(request{Method: http.MethodPost, URL: base + asset, From: base}))
		}
		see(303, b.post(base+at, url.Values{"email": {"ada@acme.example"}}))
		see(400, b.get(base+at+"?%zz"))
		see(400, b.send(request{URL: base + "/", Header: http.Header{"Origin": {"a", "b"}}}))
		see(403, b.crossPost(base+at, url.Values{"email": {pat}}))
		for _, path := range []string{"/nowhere", "//", "/login/x/y", "/assets/none.css", "/assets/", "/assets/../assets/x", "/" + strings.Repeat("x", 900), "/.well-known/nothing", "/v1/nowhere", "/%2e%2e/x", "/administration", "/debug/pprof/", "/metrics"} {
			see(404, b.get(base+path))
		}
		see(400, b.get(base+"/"+strings.Repeat("x", 1100)))
		see(405, b.send(request{Method: http.MethodDelete, URL: base + at, From: base}))
		see(405, b.send(request{Method: http.MethodPost, URL: base + "/healthz", From: base}))
		see(413, b.send(request{Method: http.MethodPost, URL: base + at, Body: strings.Repeat("x", 1<<20), Type: "application/x-www-form-urlencoded", From: base}))
		see(415, b.send(request{Method: http.MethodPost, URL: base + at, Body: "x", Type: "text/plain", From: base}))
		s.w.at("elsewhere.example", map[string]string{frontDoor: s.w.Front.Addr("public"), acme: s.w.home(acme).Addr("public")}[base])
		see(421, b.get("https://elsewhere.example/login"))
	}
	for range 130 {
		if a := b.post(frontDoor+"/", url.Values{"email": {"nobody@nowhere.example"}}); a.Status == http.StatusTooManyRequests {
			see(429, a)
		}
	}
	if !seen[429] {
		s.t.Error("nobody had to wait")
	}
}

// claims is the regions' listener.
func (s *sweep) claims() {
	s.w.at("claims.example", s.w.Front.Claims())
	b := s.w.browser(s.t)
	at := "https://claims.example/claims"
	for _, body := range []string{"", "x", "a.b.c", strings.Repeat("A", 2<<20), "\x00\xff", `{"region":"eu-central"}`, "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFZERTQSJ9.e30.AAAA"} {
		for _, kind := range []string{"application/jose", "application/json", "text/plain", "", "application/jose; charset=utf-8", "application/x-www-form-urlencoded"} {
			a := b.send(request{Method: http.MethodPost, URL: at, Body: body, Type: kind, Header: http.Header{"Accept": {"application/json"}}})
			s.owes("claims as "+kind, a)
			if a.Status < 400 || kind != "application/jose" && a.Status != http.StatusUnsupportedMediaType && a.Status != http.StatusRequestEntityTooLarge {
				s.t.Errorf("%.20q as %q: got %d", body, kind, a.Status)
			}
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "TRACE", "X"} {
		a := b.send(request{Method: method, URL: at})
		s.owes(method+" claims", a)
		a.want(http.StatusMethodNotAllowed)
	}
	for _, path := range []string{"/", "/claims/", "//claims", "/claim", "/%63laims"} {
		a := b.send(request{Method: http.MethodPost, URL: "https://claims.example" + path, Body: "x", Type: "application/jose"})
		s.owes(path, a)
		a.want(http.StatusNotFound)
	}
}

// ADM-12: what would be SQL somewhere is text here, wherever text is taken.
func (s *sweep) sql() {
	before := s.w.rows(s.t, s.w.home(acme).DB)
	for _, text := range []string{"' OR '1'='1", "x'; DROP TABLE accounts; --", `" OR ""="`, "$1", "$$x$$", "%", "_", `\`, "1) UNION SELECT hash FROM credentials --", "'||(SELECT 1)||'"} {
		s.w.Clock.Pass(time.Minute)
		b := s.w.named(s.t, "192.0.2.98")
		local := strings.NewReplacer(" ", "", "(", "", ")", "", ";", "", `"`, "", `\`, "", ",", "").Replace(text)
		for _, who := range []string{text, local + "@acme-cloud.example", text + "@acme-cloud.example"} {
			for _, at := range []string{frontDoor + "/", acme + "/login", acme + "/password/forgot"} {
				a := b.post(at, url.Values{"email": {who}})
				s.owes(at, a)
			}
			s.owes("JSON", b.ask(email(who)))
		}
		for _, at := range []string{"/login?attempt=", "/password/reset?token=", "/invitation?token=", "/login?ticket=", "/oidc/acme-oidc/callback?state="} {
			if a := b.get(acme + at + url.QueryEscape(text)); a.Status != http.StatusForbidden {
				s.owes(at, a)
				s.t.Errorf("%s%q: got %d", at, text, a.Status)
			}
		}
		s.owes("path", b.get(acme+"/login/"+url.PathEscape(text)))
		b.plant(acme, web.SessionCookie, url.QueryEscape(text))
		if b.signedIn(acme) != "" {
			s.t.Errorf("%q is a session", text)
		}
	}
	s.w.unchanged(s.t, s.w.home(acme).DB, before, "attempts", "federations") // those begin and run out
}
