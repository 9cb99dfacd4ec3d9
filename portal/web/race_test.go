package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/domicile-sso/domicile/portal"
)

// at50 sends one request fifty times at once, in copies of one browser, and
// counts the answers by status.
func (b *browser) at50(method, path string, form url.Values) map[int]int {
	b.w.t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	counts := map[int]int{}
	for range 50 {
		group.Go(func() {
			r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
			if method == http.MethodPost {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			r.Host = b.host
			for _, c := range b.cookies {
				r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
			}
			rec := httptest.NewRecorder()
			b.w.site.ServeHTTP(rec, r)
			status := rec.Code
			for _, c := range rec.Result().Cookies() {
				if c.Name == SessionCookie && c.MaxAge >= 0 && status != http.StatusSeeOther {
					b.w.t.Errorf("a session with status %d", status)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			counts[status]++
		})
	}
	group.Wait()
	return counts
}

// Whatever counts once counts once, however many ask at the same moment. The
// others are refused, or told to come back; nothing breaks.
func wantOne(t *testing.T, counts map[int]int, success int) {
	t.Helper()
	if counts[success] != 1 {
		t.Errorf("answers by status: %v, want one %d", counts, success)
	}
	for status, n := range counts {
		switch status {
		case success, http.StatusForbidden, http.StatusTooManyRequests:
		default:
			t.Errorf("%d answers %d", n, status)
		}
	}
}

// DIS-22.
func TestOneTicketManyVisits(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	wantOne(t, b.at50(http.MethodGet, "/login?ticket="+w.ticket("initech", "ian@initech.example"), nil), http.StatusSeeOther)
}

// SAM-59.
func TestOneAssertionManyPosts(t *testing.T) {
	w := newFederatedWorld(t)
	b := w.browser(acme)
	b.depart("ada@acme.example", "/account")
	leg := b.leg("acme-saml")
	response := w.assertion(w.target(acme, "acme-saml", leg.RequestID), "ada@acme.example")
	wantOne(t, b.at50(http.MethodPost, "/saml/acme-saml/acs", url.Values{"SAMLResponse": {response}, "RelayState": {leg.State}}), http.StatusSeeOther)
}

func TestOneCodeManyVisits(t *testing.T) {
	w := newFederatedWorld(t)
	b := w.browser(globex)
	wantOne(t, b.at50(http.MethodGet, w.through(b.depart("gus@globex.example", "/account")), nil), http.StatusSeeOther)
}

// PWD-18.
func TestOneResetLinkManyPosts(t *testing.T) {
	w := newWorld(t)
	b, link := w.resetLink("ian@initech.example")
	_, token, _ := strings.Cut(link, "token=")
	wantOne(t, b.at50(http.MethodPost, "/password/reset", url.Values{"token": {token}, "new": {betterPassword}, "confirm": {betterPassword}}), http.StatusOK)
}

func TestOneInvitationManyPosts(t *testing.T) {
	w := newWorld(t)
	letters := w.invite(initech, "guest@consult.example")
	b := w.browser(initech)
	wantOne(t, b.at50(http.MethodPost, "/invitation", url.Values{
		"token":     {letters[portal.InvitationLetter].Token.Clear()},
		"temporary": {letters[portal.TemporaryLetter].Temporary.Clear()},
		"new":       {betterPassword}, "confirm": {betterPassword},
	}), http.StatusSeeOther)
}
