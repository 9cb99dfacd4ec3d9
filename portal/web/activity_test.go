package web

import (
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/portal"
)

// S30: one's own events, page by page, and nobody else's.
func TestActivity(t *testing.T) {
	w := newWorld(t)
	if _, err := w.store.DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "initech", Primary: address(t, "dan@initech.example"), GivenName: "Dan"}, goodPassword); err != nil {
		t.Fatal(err)
	}
	dan, own := w.known("initech", "dan@initech.example"), w.known("initech", ian)
	p := own.Profile()
	p.FamilyName = "Malcolm"
	w.owner("initech", "dan@initech.example")
	by := portal.Visitor{Actor: dan.ID, Reference: "ABCD-EFGH"}
	if _, _, err := w.store.SaveProfile(t.Context(), "initech", by, own.ID, p); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		w.browser(initech).signIn("dan@initech.example", "wrong")
		w.browser(initech).signIn(ian, goodPassword)
	}
	b := w.browser(initech)
	b.signIn(ian, goodPassword)
	var rows int
	var all strings.Builder
	for path := "/account/activity"; path != ""; {
		a := b.get(path)
		a.want(t, 200, "Activity")
		rows += len(a.page.All("#events tbody tr"))
		all.WriteString(a.body)
		path = a.page.Attr(".pager a[rel=next]", "href")
	}
	links, err := w.store.Events(t.Context(), "initech", portal.EventFilter{Account: own.ID})
	if err != nil || rows != len(links) || rows < 33 {
		t.Errorf("%d rows are shown of %d, %v", rows, len(links), err)
	}
	for _, mine := range []string{"Sign-in succeeded", "Profile changed", "An administrator", "ABCD-EFGH", "192.0.2.0/24"} {
		if !strings.Contains(all.String(), mine) {
			t.Errorf("%q is not told", mine)
		}
	}
	for _, others := range []string{dan.ID, own.ID, "dan@initech.example", "session.start", "Password refused"} {
		if strings.Contains(all.String(), others) {
			t.Errorf("%q is told", others)
		}
	}
	for _, before := range []string{"0", "-1", "x", "9223372036854775808"} {
		if got := b.get("/account/activity?before=" + before); got.StatusCode != 400 {
			t.Errorf("before=%s: got %d", before, got.StatusCode)
		}
	}
	if got := b.get("/account/activity?before=1"); got.page.Has("#events") {
		t.Error("something came before everything")
	}
	if got := b.get("/account/activity?account=" + dan.ID); strings.Contains(got.body, "Password refused") {
		t.Error("somebody else's events are shown")
	}
}
