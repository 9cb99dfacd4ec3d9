package attacks

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// refusedTicket is what every ticket that does not count ends in. The audit row
// has the code, or any where it is empty: which of several locks held first is
// the ticket's business.
func (w *world) refusedTicket(t testing.TB, at, sealed, code string) {
	t.Helper()
	b := w.browser(t)
	a := w.refused(t, at, refusal{Status: http.StatusForbidden, Code: code, Action: "ticket.refused"}, func() *answer {
		return b.get(at + "/login?ticket=" + url.QueryEscape(sealed))
	})
	if code == "" && !slices.ContainsFunc(w.events(t, at, a), func(l portal.Link) bool { return l.Action == "ticket.refused" && l.Code != "" }) {
		t.Error("no audit row")
	}
	if !a.page().Has("form[action=/login] input[name=email]") || a.page().Attr("input[name=email]", "value") != "" {
		t.Errorf("not the ordinary sign-in page: %s", a.text())
	}
}

// DIS-21: whichever part of a ticket is touched, the answer is one and the same.
func spoiltTickets(t *testing.T, w *world) {
	good := w.seal(t, acme, pat)
	var bad []string
	for i := 0; i < len(good); i += max(1, len(good)/40) {
		other := byte('A')
		if good[i] == other {
			other = 'B'
		}
		bad = append(bad, good[:i]+string(other)+good[i+1:])
	}
	elsewhere := w.seal(t, gamma, pam)
	bad = append(bad, good[:len(good)-1], good[:len(good)/2], good[:4], good+"A", good+"AAAA", good+"=", " "+good, good[:40]+elsewhere[40:], elsewhere[:40]+good[40:], "A", "", strings.Repeat("A", 4000))
	seen := map[string]bool{}
	for _, sealed := range bad {
		b := w.browser(t)
		a := b.get(acme + "/login?ticket=" + url.QueryEscape(sealed))
		if a.Status != http.StatusForbidden {
			t.Errorf("%.20s…: got %d", sealed, a.Status)
		}
		seen[strings.ReplaceAll(a.Body, a.reference(), "reference")] = true
	}
	if len(seen) != 1 {
		t.Errorf("%d different answers to a spoilt ticket", len(seen))
	}
	w.refusedTicket(t, acme, bad[0], "")
	b := w.browser(t)
	if to := b.get(acme + "/login?ticket=" + good).leads(); !strings.HasPrefix(to.RequestURI(), "/login?attempt=") {
		t.Errorf("the good one leads to %s", to)
	}
}

// DIS-22: of fifty visits with one ticket, at two processes of the region, one
// counts, and none a second time.
func ticketRace(t *testing.T, w *world) {
	sealed := w.seal(t, acme, pat)
	here, there := w.browser(t), w.browser(t).via(w.Regions[europe].Node(t))
	both := make(chan []*answer, 2)
	for _, b := range []*browser{here, there} {
		go func() {
			both <- b.burst(25, func(int) request { return request{URL: acme + "/login?ticket=" + sealed} })
		}()
	}
	var in int
	for _, a := range append(<-both, <-both...) {
		switch a.Status {
		case http.StatusSeeOther:
			in++
		case http.StatusForbidden:
		default:
			t.Errorf("one of fifty got %d", a.Status)
		}
	}
	if in != 1 {
		t.Errorf("the ticket counted %d times", in)
	}
	w.refusedTicket(t, acme, sealed, "ticket_spent")
}

// DIS-23: a ticket is for one portal of one region.
func foreignTickets(t *testing.T, w *world) {
	w.refusedTicket(t, beta, w.seal(t, acme, pat), "forged")
	w.refusedTicket(t, gamma, w.seal(t, acme, pat), "")
	record := w.Regions[europe].Record
	record.Region = america // sealed with Europe's key as if for America
	forged, err := ticket.Seal(record, w.tickets, ticket.Ticket{Portal: "acme", Address: pat, Issued: w.Clock.Now(), Expires: w.Clock.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	w.refusedTicket(t, acme, forged, "forged")
}

// DIS-24.
func staleTickets(t *testing.T, w *world) {
	sealed := w.seal(t, acme, pat)
	w.Clock.Pass(61 * time.Second)
	w.refusedTicket(t, acme, sealed, "expired")
	w.refusedTicket(t, acme, w.seal(t, acme, pat, func(x *ticket.Ticket) { x.Issued, x.Expires = x.Issued.Add(time.Hour), x.Expires.Add(time.Hour) }), "not_yet")
}

// DIS-25, REG-05: whoever holds a ticket, and even whoever can make them, holds
// nothing. It fills in an address in the browser that brings it; the attempt it
// began is of no use in another; and the password is asked for all the same.
func ticketIsHint(t *testing.T, w *world) {
	attacker, victim := w.browser(t), w.browser(t)
	w.member(t, victim, "")
	before := victim.signedIn(acme)
	a := victim.get(acme + "/login?ticket=" + w.seal(t, acme, "mallory@evil.example"))
	if a.session() != nil || victim.signedIn(acme) != before {
		t.Error("a ticket changed who is signed in")
	}
	to := attacker.get(acme + "/login?ticket=" + w.seal(t, acme, pat)).leads()
	form := attacker.arrive(attacker.get(to.String()))
	if form.Status != http.StatusOK || !form.page().Has("input[type=password]") || attacker.signedIn(acme) != "" {
		t.Errorf("a ticket led to %d: %s", form.Status, form.text())
	}
	handle := form.page().Attr("input[name=attempt]", "value")
	stranger := w.browser(t)
	stranger.get(acme + "/login/acme-saml") // has a browser cookie of its own
	for _, at := range []string{"/login?attempt=", "/login/password?attempt=", "/login/method?attempt=", "/password/change?attempt=", "/login/acme-saml?attempt="} {
		if a := stranger.get(acme + at + handle); a.Status != http.StatusForbidden || strings.Contains(a.Body, pat) {
			t.Errorf("%s: another browser's attempt: %d", at, a.Status)
		}
	}
	if a := stranger.post(acme+"/login/password", url.Values{"attempt": {handle}, "password": {password}}); a.Status != http.StatusForbidden || a.session() != nil {
		t.Errorf("the right password in another browser's attempt: %d", a.Status)
	}
}

// DIS-26: looking ahead uses nothing up.
func nobodyLooks(t *testing.T, w *world) {
	b, at := w.browser(t), acme+"/login?ticket="+w.seal(t, acme, pat)
	for _, r := range []request{
		{Method: http.MethodHead, URL: at},
		{URL: at, Header: http.Header{"Sec-Purpose": {"prefetch"}}},
		{URL: at, Header: http.Header{"Sec-Purpose": {"prefetch;prerender"}}},
		{URL: at, Header: http.Header{"Purpose": {"prefetch"}}},
		{URL: at, Header: http.Header{"X-Moz": {"prefetch"}}},
	} {
		before := w.count(t, acme, "tickets")
		if a := b.send(r); a.Status == http.StatusSeeOther || w.count(t, acme, "tickets") != before || len(b.cookies[hostOf(acme)]) > 0 {
			t.Errorf("%s %v: %d used it up", r.Method, r.Header, a.Status)
		}
	}
	if a := b.get(at); a.Status != http.StatusSeeOther {
		t.Errorf("afterwards: %d", a.Status)
	}
}
