package attacks

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// TestReferences: whatever is refused has a reference for the person to tell,
// the same in header and body, and by it the operator finds why.
func TestReferences(t *testing.T) {
	w := newWorld(t)
	w.published(t)
	b := w.named(t, "198.51.100.77")
	w.at("nobody.domicile.example", w.Front.Addr("public"))
	w.at("nobody.eu.domicile.example", w.home(acme).Addr("public"))
	program := http.Header{"Accept": {"application/json"}}
	large := url.Values{"email": {strings.Repeat("a", 70<<10)}}
	for name, r := range map[string]request{
		"421 front door":          {URL: "https://nobody.domicile.example/"},
		"421 front door, program": {URL: "https://nobody.domicile.example/", Header: program},
		"421 portal":              {URL: "https://nobody.eu.domicile.example/login"},
		"421 portal, program":     {URL: "https://nobody.eu.domicile.example/login", Header: program},
		"413 front door":          {Method: "POST", URL: frontDoor + "/", Form: large, From: frontDoor},
		"413 front door, program": {Method: "POST", URL: frontDoor + "/v1/discover", Body: strings.Repeat(" ", 70<<10), Type: "application/json"},
		"413 portal":              {Method: "POST", URL: acme + "/login", Form: large, From: acme},
		"413 portal, program":     {Method: "POST", URL: acme + "/login", Form: large, From: acme, Header: program},
	} {
		t.Run(name, func(t *testing.T) { w.referred(t, name, func() *answer { return b.send(r) }) })
	}
	for _, r := range []request{
		{Method: "POST", URL: frontDoor + "/", Form: url.Values{"email": {"x@nowhere.example"}}, From: frontDoor},
		{Method: "POST", URL: frontDoor + "/v1/discover", Body: email("x@nowhere.example"), Type: "application/json"},
	} {
		t.Run("429 "+r.URL, func(t *testing.T) {
			for range 200 {
				if b.send(r).Status == http.StatusTooManyRequests {
					break
				}
			}
			w.referred(t, "429 front door", func() *answer { return b.send(r) })
		})
	}
	t.Run("429 portal", func(t *testing.T) {
		handle := b.arrive(b.post(acme+"/login", url.Values{"email": {pat}})).page().Attr("input[name=attempt]", "value")
		guess := func() *answer {
			return b.post(acme+"/login/password", url.Values{"attempt": {handle}, "password": {"not the password"}})
		}
		for range 20 {
			if guess().Status == http.StatusTooManyRequests {
				break
			}
		}
		w.referred(t, "429 portal", guess)
	})
	// Last: nothing mends it.
	for _, at := range []struct{ url, table string }{{frontDoor + "/", "entries"}, {acme + "/login", "attempts"}} {
		db := w.FrontDB
		if strings.HasPrefix(at.url, acme) {
			db = w.home(acme).DB
		}
		if _, err := db.ExecContext(t.Context(), `ALTER TABLE `+at.table+` RENAME TO lost`); err != nil {
			t.Fatal(err)
		}
		for _, h := range []http.Header{nil, program} {
			b := w.named(t, "198.51.100.78")
			t.Run("503 "+at.url, func(t *testing.T) {
				w.referred(t, "503", func() *answer {
					return b.send(request{Method: "POST", URL: at.url, Form: url.Values{"email": {"y@partner.example"}}, From: originOf(at.url), Header: h})
				})
			})
		}
	}
}

// referred holds an answer to its status, which name begins with, and to its
// reference.
func (w *world) referred(t *testing.T, name string, do func() *answer) {
	t.Helper()
	mark := w.Log.Len()
	a := do()
	if want := name[:3]; strconv.Itoa(a.Status) != want {
		t.Fatalf("%d, want %s: %s", a.Status, want, a.Body)
	}
	ref := a.reference()
	if ref == "" || !strings.Contains(a.Body, ref) {
		t.Errorf("the reference %q is not in what is read: %s", ref, a.Body)
	}
	if (a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable) && a.Header.Get("Retry-After") == "" {
		t.Error("it does not say when to come back")
	}
	var why, access bool
	w.settled(t, func() bool { // the access line comes after the answer
		for line := range strings.Lines(w.Log.Since(mark)) {
			var l struct{ Msg, Reference, Code string }
			if json.Unmarshal([]byte(line), &l) != nil || l.Reference != ref {
				continue
			}
			why = why || l.Msg == "request failed" && l.Code != ""
			access = access || l.Msg == "request"
		}
		return access
	})
	if !why {
		t.Errorf("the log does not say why %s was refused:\n%s", ref, w.Log.Since(mark))
	}
}
