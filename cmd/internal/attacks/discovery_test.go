package attacks

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/portal"
)

// TestDiscovery attacks the front door, and the portals by what it hands out.
func TestDiscovery(t *testing.T) {
	w := newWorld(t)
	w.published(t)
	w.hide(t, "https://hidden.eu.domicile.example", "hidden.example", "hid@consult.example")
	for _, row := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"DIS-01 known or not", knownOrNot},
		{"DIS-03 limits ask nobody", limitsAskNobody},
		{"DIS-05 domains beside a route", besideRoute},
		{"DIS-09 to DIS-19 addresses", oddAddresses},
		{"DIS-14 variants are other people", variants},
		{"DIS-20 where to return", whereToReturn},
		{"DIS-21 spoilt tickets", spoiltTickets},
		{"DIS-22 one ticket, many visits", ticketRace},
		{"DIS-23 ticket of another place", foreignTickets},
		{"DIS-24 ticket of another time", staleTickets},
		{"DIS-25 REG-05 a ticket is a hint", ticketIsHint},
		{"DIS-26 nobody looks", nobodyLooks},
		{"DIS-27 REG-04 clean addresses", cleanAddresses},
		{"DIS-28 hosts", hosts},
		{"DIS-32 asked too early", askedTooEarly},
		{"DIS-33 HDR-09 who asks", whoAsks},
		{"DIS-35 odd JSON", oddJSON},
		{"REG-06 nobody to enumerate for", noEnumeration},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Clock.Pass(2 * time.Minute) // whoever was told to wait has waited
			row.test(t, w)
		})
	}
}

// likeness is what an observer has of an answer: everything but its reference
// and its time. Addresses of one length are written alike.
func likeness(a *answer, address string) string {
	h := a.Header.Clone()
	h.Del("X-Request-Id")
	h.Del("Date")
	return strings.ReplaceAll(fmt.Sprint(a.Status, h, a.Body), address, "somebody")
}

// DIS-01: at a portal that names itself to nobody, somebody with an account, by
// entry or by domain, looks like somebody without. So does a federated and a
// local account at a portal's own sign-in page, where the domain alone decides.
func knownOrNot(t *testing.T, w *world) {
	page := func(who string) string {
		return likeness(w.browser(t).post(frontDoor+"/", url.Values{"email": {who}}).want(http.StatusOK), who)
	}
	program := func(who string) string { return likeness(w.browser(t).ask(email(who)).want(http.StatusOK), who) }
	finger := func(who string) string {
		return strings.ReplaceAll(fmt.Sprint(w.browser(t).get(frontDoor + "/.well-known/webfinger?resource=acct:" + who).want(http.StatusNotFound).Header["Content-Length"]), who, "")
	}
	for name, door := range map[string]func(string) string{"page": page, "program": program, "webfinger": finger} {
		nobody := door("nob@nowhere.example")
		for _, known := range []string{"hid@consult.example", "any@hidden.example"} {
			if diff := cmp.Diff(door("nob"+known[3:]), door(known)); diff != "" {
				t.Errorf("%s: %s (-unknown +known):\n%s", name, known, diff)
			}
		}
		if diff := cmp.Diff(nobody, door("hid@consult.example")); diff != "" {
			t.Errorf("%s: (-nobody +known):\n%s", name, diff)
		}
	}
	steps := func(who string) string {
		b := w.browser(t)
		a := b.post(acme+"/login", url.Values{"email": {who}})
		shape := func(a *answer) string {
			for _, c := range (&http.Response{Header: a.Header}).Cookies() {
				a.Header.Set("Set-Cookie", c.Name)
			}
			to, _, _ := strings.Cut(a.Header.Get("Location"), "=")
			a.Header.Set("Location", to)
			if handle := a.page().Attr("input[name=attempt]", "value"); handle != "" {
				a.Body = strings.ReplaceAll(a.Body, handle, "handle")
			}
			return likeness(a, who)
		}
		form := b.follow(a)
		return shape(a) + shape(form)
	}
	if diff := cmp.Diff(steps("pot@acme-cloud.example"), steps(pat)); diff != "" {
		t.Errorf("the portal (-unknown +known):\n%s", diff)
	}
}

// DIS-03: whoever asks too often waits, whomever for.
func limitsAskNobody(t *testing.T, w *world) {
	waits := map[string][]string{}
	for i, who := range []string{"hid@consult.example", "nob@consult.example", "any@acme.example"} {
		b := w.named(t, fmt.Sprintf("198.51.100.%d", i+1))
		for range 121 {
			a := b.ask(email(who))
			if a.Status == http.StatusOK && len(waits[who]) > 0 && waits[who][len(waits[who])-1] != "" {
				t.Errorf("%s: let in again without waiting", who)
			}
			waits[who] = append(waits[who], a.Header.Get("Retry-After"))
		}
	}
	want := append(make([]string, 120), "1")
	for who, got := range waits {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", who, diff)
		}
	}
}

// DIS-05: a route covers its own name and no parent, sibling or child.
func besideRoute(t *testing.T, w *world) {
	for _, who := range []string{"a@example", "a@sub.acme.example", "a@xacme.example", "a@acme.example.evil.example", "a@co.uk", "a@gmail.com", "a@beta.acme.example"} {
		a := w.browser(t).ask(email(who))
		if a.Status == http.StatusOK && len(a.told()) > 0 {
			t.Errorf("%s leads to %v", who, a.told())
		}
	}
	if got := w.browser(t).ask(email("a@ACME.example")).told(); !slices.Equal(got, []string{"acme"}) {
		t.Errorf("a@ACME.example leads to %v", got)
	}
}

// What no door takes for an address.
var noAddresses = map[string][]string{
	"DIS-10": {"a@xn--a.example", "a@xn--example-.test", "a@xn--abc.test"},
	"DIS-11": {"a@exa\u00admple.com\u200d.test.", "a@b.com\u3002", "a@ex\u200dample.com"},
	"DIS-12": {"\u212aate@acme.example", "mi\u017fs@acme.example", "m\u0131ke@acme.example", "\u0130an@acme.example", "stra\u00dfe@acme.example", "\ufb00@acme.example"},
	"DIS-15": {`"a@evil.test"@b.test`, `"a b"@b.test`, "a@evil.test>\x00", "a@evil.test@acme.example"},
	"DIS-16": {"Ann <a@b.test>", "a@b.test (Ann)", "a@b.test, c@d.test", "group: a@b.test;", "a%b@c", "a!b@c", "=?utf-8?q?a=40b.test?="},
	"DIS-17": {"a@b.test\r\nBcc: c@d.test", "a\n@b.test", "a\x00@b.test", "a\u2028@b.test", "a%0d%0a@b"},
	"DIS-18": {strings.Repeat("l", 65) + "@b.test", "a@" + strings.Repeat("d.", 127) + "test", "a@" + strings.Repeat("x", 250) + ".test",
		strings.Repeat("a", 400) + "@b.test", "a@" + strings.Repeat("a.", 500) + "test"},
	"DIS-19": {"user@[127.0.0.1]", "user@localhost", "user@single", "user@b.test.", "user@a_b.test", "user@127.0.0.1", "user@\u2460\u2461\u2466.0.0.1"},
	"empty":  {"", " ", "@", "a@", "@b.test", "a b@c.test", "a@b..test", ".a@b.test", "a.@b.test", "a..b@b.test"},
}

// DIS-09 to DIS-19: every door that takes an address refuses what is none and
// says which field it is, and does nothing on its account.
func oddAddresses(t *testing.T, w *world) {
	for row, list := range noAddresses {
		t.Run(row, func(t *testing.T) {
			for _, bad := range list {
				w.Clock.Pass(time.Minute)
				b := w.browser(t)
				before := w.count(t, acme, "attempts") + w.count(t, acme, "letters")
				program := b.ask(email(bad)).want(http.StatusBadRequest)
				if _, field := program.problem(); field != "email" {
					t.Errorf("%q: the document names %q", bad, field)
				}
				a := b.get(frontDoor + "/.well-known/webfinger?resource=" + url.QueryEscape("acct:"+bad))
				if a.Status != http.StatusBadRequest {
					t.Errorf("webfinger: %q: %d", bad, a.Status)
				}
				for _, form := range []string{frontDoor + "/", acme + "/login", acme + "/password/forgot"} {
					a := b.post(form, url.Values{"email": {bad}})
					secured(t, a)
					if a.Status != http.StatusBadRequest || !namesField(a, "email") {
						t.Errorf("%s: %q: %d: %s", form, bad, a.Status, a.text())
					}
					if strings.ContainsAny(strings.Join(a.Header["Location"], ""), "\r\n") || a.Header.Get("Bcc") != "" {
						t.Errorf("%s: %q: a header was smuggled in", form, bad)
					}
				}
				if after := w.count(t, acme, "attempts") + w.count(t, acme, "letters"); after != before {
					t.Errorf("%q: something was begun", bad)
				}
			}
		})
	}
	t.Run("DIS-09", func(t *testing.T) {
		// Look-alikes are domains of their own, which nobody routes.
		for _, who := range []string{"a@\u0430cme.example", "a@xn--cme-5cd.example", "a@acm\u0435.example"} {
			a := w.browser(t).ask(email(who))
			if a.Status == http.StatusOK && len(a.told()) > 0 {
				t.Errorf("%s leads to %v", who, a.told())
			}
		}
	})
	t.Run("DIS-11 one mapping", func(t *testing.T) {
		// What maps to a name is that name everywhere: at the front door, in the
		// portal's rule, and in what the portal shows.
		const who = "a@acme\uff0eexample"
		if a := w.browser(t).ask(email(who)); a.Status == http.StatusOK && !slices.Equal(a.told(), []string{"acme"}) {
			t.Errorf("%s leads to %v", who, a.told())
		} else if to := w.browser(t).post(acme+"/login", url.Values{"email": {who}}); (a.Status == http.StatusOK) != (to.Status == http.StatusSeeOther) {
			t.Errorf("%s: the front door answers %d, the portal %d", who, a.Status, to.Status)
		}
	})
}

// namesField reports whether a page says which field is wrong: beside it, in the
// summary above, or by its name.
func namesField(a *answer, field string) bool {
	p := a.page()
	return p.Has(".summary a[href=#"+field+"]") || strings.Contains(a.text(), "“"+field+"”")
}

// DIS-14: tags, dots and (but for A to Z) case make another person, who is not
// let in with the first one's password, and gets none of their mail.
func variants(t *testing.T, w *world) {
	for _, who := range []string{"pat+tag@acme-cloud.example", "p.at@acme-cloud.example", "pat@sub.acme-cloud.example"} {
		if a := w.named(t, "192.0.2.14").signInPassword(acme, who, password); a.Status != http.StatusForbidden || a.session() != nil {
			t.Errorf("%s: %d", who, a.Status)
		}
		w.browser(t).post(acme+"/password/forgot", url.Values{"email": {who}}).want(http.StatusOK)
		if letters := w.mailed(t, acme, who); len(letters) != 0 {
			t.Errorf("%s: got mail", who)
		}
	}
	if letters := w.mailed(t, acme, pat); len(letters) != 0 {
		t.Errorf("%s got somebody else's mail", pat)
	}
	b := w.named(t, "192.0.2.15")
	if a := b.signInPassword(acme, "PAT@Acme-Cloud.Example", password); a.session() == nil || b.signedIn(acme) != pat {
		t.Errorf("the same address in capitals: %d", a.Status)
	}
}

// DIS-20: a sign-in ends on a page of the portal, whatever a form, a query or an
// identity provider's state says.
func whereToReturn(t *testing.T, w *world) {
	evil := []string{"//evil.example", `/\evil.example`, `\\evil.example`, "https:evil.example", "/%09/evil.example", "javascript:alert(1)",
		"user@evil.example", "///evil.example", "https://evil.example/", "/account/../../evil", "/logout", "/assets/x", "/account\r\nX: y", "/account?\x00"}
	for _, to := range evil {
		b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
		a := b.post(acme+"/login", url.Values{"email": {who.Address}, "then": {to}})
		if a.Status == http.StatusBadRequest && namesField(a, "then") {
			continue
		}
		trip := b.departing(acme, "acme-saml", b.follow(a))
		if a := trip.deliver(trip.assertion(who)); a.Header.Get("Location") != "/" {
			t.Errorf("then=%q leads to %q", to, a.Header.Get("Location"))
		}
		for _, at := range []string{frontDoor + "/?return_to=", acme + "/login?return_to=", acme + "/login?then=", acme + "/logout?post_logout_redirect_uri="} {
			a := w.browser(t).get(at + url.QueryEscape(to))
			if a.Status/100 == 3 || strings.Contains(a.Body, "evil") {
				t.Errorf("%s%q: %d with it in", at, to, a.Status)
			}
		}
	}
	b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
	trip := b.departWith(acme, "acme-saml", who.Address, "/account")
	a := b.crossPost(trip.acs(), url.Values{"SAMLResponse": {trip.assertion(who)}, "RelayState": {"https://evil.example/"}})
	if a.Status != http.StatusForbidden || a.session() != nil {
		t.Errorf("RelayState with an address: %d", a.Status)
	}
}

// DIS-27, REG-04: from the front door to being signed in, no URL, no header and no
// hidden field holds the address; pages send no referrer and load nothing of
// anybody else's.
func cleanAddresses(t *testing.T, w *world) {
	b := w.browser(t)
	a := b.post(frontDoor+"/", url.Values{"email": {pat}})
	for a.Status == http.StatusSeeOther {
		clean(t, a, pat)
		a = b.follow(a)
	}
	clean(t, a, pat)
	a = b.post(acme+"/login/password", url.Values{"attempt": {a.page().Attr("input[name=attempt]", "value")}, "password": {password}})
	clean(t, a, pat)
	clean(t, b.follow(a), pat)
}

func clean(t testing.TB, a *answer, address string) {
	t.Helper()
	secured(t, a)
	local, _, _ := strings.Cut(address, "@")
	for _, form := range []string{address, url.QueryEscape(address), local + "%40", local + "@"} {
		if strings.Contains(a.URL.String()+fmt.Sprint(a.Header), form) {
			t.Errorf("%s: the address is in the URL or the headers: %v", a.URL.Path, a.Header)
		}
	}
	for _, in := range a.page().All("input[type=hidden]") {
		for _, attr := range in.Attr {
			if strings.Contains(attr.Val, local+"@") {
				t.Errorf("%s: the address is in a hidden field", a.URL.Path)
			}
		}
	}
	for _, from := range []string{"link[href]", "img[src]", "form[action]"} {
		for _, n := range a.page().All(from) {
			for _, attr := range n.Attr {
				if (attr.Key == "href" || attr.Key == "src" || attr.Key == "action") && !strings.HasPrefix(attr.Val, "/") {
					t.Errorf("%s: %s of somebody else's: %s", a.URL.Path, from, attr.Val)
				}
			}
		}
	}
}

// DIS-28: who names another host is answered 421, and what proxies add changes
// no word of an answer.
func hosts(t *testing.T, w *world) {
	b := w.browser(t)
	added := http.Header{"X-Forwarded-Host": {"evil.example"}, "X-Original-Url": {"/evil"}, "X-Rewrite-Url": {"/evil"}, "Forwarded": {"host=evil.example"},
		"X-Forwarded-Proto": {"http"}, "X-Forwarded-Prefix": {"/evil"}, "X-Http-Method-Override": {"POST"}}
	for _, at := range []string{frontDoor + "/", acme + "/login", acme + "/nowhere", acme + "/login/", acme + "/", acme + "/saml/acme-saml/metadata"} {
		a := b.send(request{URL: at, Header: added})
		if strings.Contains(a.Body+fmt.Sprint(a.Header), "evil") {
			t.Errorf("%s repeats a header", at)
		}
	}
	for name, addr := range map[string]string{"front door": w.Front.Addr("public"), "portal": w.home(acme).Addr("public")} {
		for line, want := range map[string]int{
			"GET / HTTP/1.1\r\nHost: evil.example\r\n":                                       421,
			"GET /login HTTP/1.1\r\nHost: acme.eu.domicile.example.\r\n":                     421,
			"GET / HTTP/1.1\r\nHost: acme.eu.domicile.example:8443\r\n":                      421,
			"GET https://evil.example/login HTTP/1.1\r\nHost: domicile.example\r\n":          421,
			"GET //evil.example/%2e%2e HTTP/1.1\r\nHost: domicile.example\r\n":               404,
			"GET http://domicile.example//evil HTTP/1.1\r\nHost: domicile.example\r\n":       404,
			"GET / HTTP/1.1\r\nHost: domicile.example\r\nHost: acme.eu.domicile.example\r\n": 400,
		} {
			if name == "portal" && want == 404 {
				want = 421 // the front door's name is none of a region's
			}
			raw := exchangeRaw(t, addr, line+"Connection: close\r\n\r\n")
			if !strings.HasPrefix(raw, fmt.Sprintf("HTTP/1.1 %d ", want)) || strings.Contains(raw, "evil") {
				t.Errorf("%s: %q: %.200s", name, line, raw)
			}
		}
	}
}

// exchangeRaw sends bytes and reads what comes until the server closes.
func exchangeRaw(t testing.TB, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(bufio.NewReader(c)) // cut off is as good as closed
	return string(got)
}

// DIS-32: asking for somebody before they are there hides them from nobody.
func askedTooEarly(t *testing.T, w *world) {
	const who, domain = "early@later.example", "later.example"
	if got := w.browser(t).ask(email(who)).told(); len(got) != 0 {
		t.Fatalf("%s leads to %v", who, got)
	}
	w.guest(t, acme, who, "")
	w.published(t)
	if got := w.browser(t).ask(email(who)).told(); !slices.Equal(got, []string{"acme"}) {
		t.Errorf("with an account: %v", got)
	}
	if err := w.route(t.Context(), domain, "gamma", "", true); err != nil {
		t.Fatal(err)
	}
	w.published(t)
	if got := w.browser(t).ask(email(who)).told(); !slices.Equal(got, []string{"acme", "gamma"}) {
		t.Errorf("with a route: %v", got)
	}
	if _, err := w.store(acme).Disable(t.Context(), "acme", portal.Visitor{}, addressOf(who)); err != nil {
		t.Fatal(err)
	}
	w.published(t)
	if got := w.browser(t).ask(email(who)).told(); !slices.Equal(got, []string{"gamma"}) {
		t.Errorf("disabled: %v", got)
	}
}

// DIS-33, HDR-09: limits go by whom our own proxy saw, the whole /64 at once,
// whatever else is in the list, and whatever the address asked for looks like.
func whoAsks(t *testing.T, w *world) {
	for name, client := range map[string]func(i int) string{
		"one IPv4":             func(int) string { return "203.0.113.9" },
		"invented hops before": func(i int) string { return fmt.Sprintf("198.18.%d.%d, 203.0.113.10", i/200, i%200) },
		"one IPv6 /64":         func(i int) string { return fmt.Sprintf("2001:db8:1:2::%x", i+1) },
		"mapped IPv4":          func(i int) string { return []string{"203.0.113.11", "::ffff:203.0.113.11"}[i%2] },
	} {
		var limited int
		for i := range 130 {
			who := []string{"a@acme.example", "A@acme.example", "a+%d@acme.example", "a@x%d.example"}[i%4]
			a := w.named(t, client(i)).ask(email(strings.ReplaceAll(who, "%d", fmt.Sprint(i))))
			if a.Status == http.StatusTooManyRequests {
				limited++
				if a.Header.Get("Retry-After") == "" {
					t.Errorf("%s: no Retry-After", name)
				}
			}
		}
		if limited != 10 {
			t.Errorf("%s: %d of 130 had to wait, want 10", name, limited)
		}
	}
	// Other headers make nobody somebody else.
	var limited int
	for i := range 130 {
		b := w.named(t, "203.0.113.12")
		a := b.send(request{Method: http.MethodPost, URL: frontDoor + "/v1/discover", Body: email("a@acme.example"), Type: "application/json",
			Header: http.Header{"X-Real-Ip": {fmt.Sprint("192.0.2.", i)}, "Forwarded": {fmt.Sprint("for=192.0.2.", i)}, "True-Client-Ip": {fmt.Sprint("192.0.2.", i)}}})
		if a.Status == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited != 10 {
		t.Errorf("other headers: %d of 130 had to wait, want 10", limited)
	}
}

// DIS-35.
func oddJSON(t *testing.T, w *world) {
	for _, body := range []string{
		`{"email":"a@b.test","EMAIL":"c@d.test"}`, `{"email":"a@b.test","email":"c@d.test"}`, `{"Email":"a@b.test"}`, `{"email":"a@b.test"} {}`,
		`{"email":"a@b.test"}x`, `["a@b.test"]`, `"a@b.test"`, `{"email":["a@b.test"]}`, `{"email":{"x":1}}`, `{"email":null}`, `{"email":1}`, `{}`, ``, `null`,
		"{\"email\":\"\xff@b.test\"}", "\ufeff" + `{"email":"a@b.test"}`, `{"email":"a@b.test","x":` + strings.Repeat("[", 2000) + `}`, `{"email":"a@b.test\u0000"}`,
	} {
		w.Clock.Pass(time.Minute)
		a := w.browser(t).ask(body).want(http.StatusBadRequest)
		if _, field := a.problem(); field == "" {
			t.Errorf("%.60q: no field is named: %s", body, a.Body)
		}
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "text/json", "application/json; charset=utf-16", "application/json, text/plain", "multipart/form-data; boundary=x"} {
		a := w.browser(t).send(request{Method: http.MethodPost, URL: frontDoor + "/v1/discover", Body: email(pat), Type: kind})
		if a.Status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: got %d", kind, a.Status)
		}
	}
}

// REG-06: the regions' own door takes claims and answers no questions.
func noEnumeration(t *testing.T, w *world) {
	base := "http://" + w.Front.Claims()
	for _, path := range []string{"/", "/v1/discover", "/.well-known/webfinger?resource=acct:" + pat, "/entries", "/choose"} {
		res, err := http.Post(base+path, "application/json", strings.NewReader(email(pat)))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}
