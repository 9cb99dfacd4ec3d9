package web_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDiscover(t *testing.T) {
	d := newDoor(t)
	d.populate()
	type portal struct {
		ID, Name, Jurisdiction, Region, URL string
		SignIn                              []string `json:"sign_in"`
		Continue                            string
	}
	lookup := func(address string) []portal {
		t.Helper()
		res := d.status(d.do(discover(`{"email":"`+address+`"}`)), http.StatusOK)
		if kind := res.Header.Get("Content-Type"); kind != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("answers as %s, %s", kind, res.Header.Get("Cache-Control"))
		}
		d.quiet(res, "canary")
		var got struct{ Portals []portal }
		dec := json.NewDecoder(res.Body)
		dec.DisallowUnknownFields()
		check(t, dec.Decode(&got))
		return got.Portals
	}
	got := lookup("Canary@ACME.example")
	if len(got) != 1 {
		t.Fatalf("%d portals", len(got))
	}
	if opened := d.open("eu", "acme", got[0].Continue); opened.Address != "canary@acme.example" {
		t.Errorf("the ticket is for %s", opened.Address)
	}
	got[0].Continue = ""
	want := []portal{{"acme", "Acme Corporation", "EU", "eu", "https://acme.eu.example.com", []string{"saml"}, ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("portals (-want +got):\n%s", diff)
	}
	if got := lookup("max@consult.example"); len(got) != 2 || got[0].ID != "acme" || got[1].ID != "globex" {
		t.Errorf("several: %v", got)
	} else {
		d.open("us", "globex", got[1].Continue)
	}
	res := d.do(discover(`{"email":"nobody@consult.example"}`))
	if got := body(t, res); got != `{"portals":[]}`+"\n" {
		t.Errorf("nothing to name: %s", got)
	}
}

// TestStale: a directory that cannot be read any more is told from one without
// the person, and the lookups are counted and logged, once.
func TestStale(t *testing.T) {
	d := newDoor(t)
	d.populate()
	d.status(d.do(ask("nobody@nowhere.example")), http.StatusOK)
	check(t, d.db.Close())
	for range 2 {
		d.now = d.now.Add(6 * time.Second)
		if d.store.Refresh(t.Context()) == nil {
			t.Fatal("a closed database can be read")
		}
		res := d.status(d.do(ask("nobody@nowhere.example")), http.StatusServiceUnavailable)
		if res.Header.Get("Retry-After") == "" {
			t.Error("it is not said when to try again")
		}
		d.status(d.do(get("/.well-known/webfinger?resource=acct:nobody@nowhere.example")), http.StatusServiceUnavailable)
		d.status(d.do(get("/.well-known/webfinger?resource=acct:ada@acme.example")), http.StatusOK)
	}
	if n := strings.Count(d.log.String(), "lookups are answered from"); n != 1 {
		t.Errorf("logged %d times: %s", n, d.log)
	}
	want := map[string]float64{"page": 2, "webfinger": 4}
	families, err := d.registry.Gather()
	check(t, err)
	for _, f := range families {
		if f.GetName() != "domicile_discovery_stale_lookups_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if door := m.GetLabel()[0].GetValue(); m.GetCounter().GetValue() != want[door] {
				t.Errorf("%s: counted %v, want %v", door, m.GetCounter().GetValue(), want[door])
			}
			delete(want, m.GetLabel()[0].GetValue())
		}
	}
	if len(want) > 0 {
		t.Errorf("not counted: %v", want)
	}
}

func TestDiscoverRefuses(t *testing.T) {
	d := newDoor(t)
	d.populate()
	for _, c := range []struct {
		name, kind, body string
		status           int
		field            string
	}{
		{"no body", "application/json", ``, 400, "email"},
		{"no object", "application/json", `["a@acme.example"]`, 400, "email"},
		{"a string", "application/json", `"a@acme.example"`, 400, "email"},
		{"empty object", "application/json", `{}`, 400, "email"},
		{"null", "application/json", `{"email":null}`, 400, "email"},
		{"number", "application/json", `{"email":1}`, 400, "email"},
		{"list", "application/json", `{"email":["a@acme.example"]}`, 400, "email"},
		{"deep", "application/json", `{"email":` + strings.Repeat("[", 3000), 400, "email"},
		{"DIS-35 twice", "application/json", `{"email":"a@acme.example","email":"b@acme.example"}`, 400, "email"},
		{"DIS-35 other case", "application/json", `{"EMAIL":"a@acme.example"}`, 400, "EMAIL"},
		{"DIS-35 both cases", "application/json", `{"email":"a@acme.example","EMAIL":"b@acme.example"}`, 400, "EMAIL"},
		{"DIS-35 escaped name", "application/json", `{"\u0065mail":"a@acme.example","email":"b@acme.example"}`, 400, "email"},
		{"DIS-35 trailing", "application/json", `{"email":"a@acme.example"} {}`, 400, "email"},
		{"DIS-35 trailing text", "application/json", `{"email":"a@acme.example"}x`, 400, "email"},
		{"cut short", "application/json", `{"email":"a@acme.example"`, 400, "email"},
		{"unknown member", "application/json", `{"email":"a@acme.example","portal":"acme"}`, 400, "portal"},
		{"member that is an attack", "application/json", `{"<script>\n":"x"}`, 400, "email"},
		{"empty address", "application/json", `{"email":""}`, 400, "email"},
		{"DIS-17 line feed", "application/json", `{"email":"canary\nx@acme.example"}`, 400, "email"},
		{"lone surrogate", "application/json", `{"email":"\ud800@acme.example"}`, 400, "email"},
		{"broken UTF-8", "application/json", "{\"email\":\"\xff@acme.example\"}", 400, "email"},
		{"DIS-35 form", "application/x-www-form-urlencoded", `email=a%40acme.example`, 415, "email"},
		{"DIS-35 text", "text/plain", `{"email":"a@acme.example"}`, 415, "email"},
		{"no type", "", `{"email":"a@acme.example"}`, 415, "email"},
		{"almost", "application/json-seq", `{"email":"a@acme.example"}`, 415, "email"},
		{"charset", "application/json; charset=utf-16", `{"email":"a@acme.example"}`, 415, "email"},
		{"huge", "application/json", `{"email":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "email"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, frontDoor+"/v1/discover", strings.NewReader(c.body))
			if c.kind != "" {
				r.Header.Set("Content-Type", c.kind)
			}
			res := d.status(d.do(r), c.status)
			d.quiet(res, "canary")
			var problem struct {
				Status int
				Errors []struct{ Field, Detail string }
			}
			if kind := res.Header.Get("Content-Type"); kind != "application/problem+json" {
				t.Errorf("answers with %s", kind)
			}
			check(t, json.NewDecoder(res.Body).Decode(&problem))
			if problem.Status != c.status || len(problem.Errors) != 1 || problem.Errors[0].Field != c.field || problem.Errors[0].Detail == "" {
				t.Errorf("problem document: %+v, want field %s", problem, c.field)
			}
		})
	}
	ok := discover(`{ "email" : "a@acme.example" } ` + "\n")
	ok.Header.Set("Content-Type", "application/json; charset=UTF-8")
	d.status(d.do(ok), http.StatusOK)
}

func TestWebFinger(t *testing.T) {
	d := newDoor(t)
	d.populate()
	finger := func(query string) *http.Response { return d.do(get("/.well-known/webfinger?" + query)) }
	for _, resource := range []string{"acct:canary@acme.example", "mailto:Canary@ACME.example", "ACCT:max@acme.example"} {
		res := d.status(finger("resource="+url.QueryEscape(resource)), http.StatusOK)
		if res.Header.Get("Content-Type") != "application/jrd+json" || res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("RFC 7033: headers are %v", res.Header)
		}
		d.quiet(res, "canary")
		text := body(t, res)
		const want = `{"subject":"dns:acme.example","links":[{"rel":"urn:domicile:rel:portal","href":"https://acme.eu.example.com/login",` +
			`"titles":{"und":"Acme Corporation"},"properties":{"urn:domicile:jurisdiction":"EU","urn:domicile:portal":"acme","urn:domicile:region":"eu"}}]}` + "\n"
		if diff := cmp.Diff(want, text); diff != "" {
			t.Errorf("%s (-want +got):\n%s", resource, diff)
		}
	}
	for query, status := range map[string]int{
		"": 400, "resource=": 400, "resource=acme.example": 400, "resource=https://acme.example": 400, "resource=acct:acme.example": 400,
		"resource=acct:a@acme.example&resource=acct:b@acme.example": 400, "resource=acct:%22a%22@acme.example": 400, "resource=%zz": 400,
		"resource=acct:max@consult.example":                                           404, // an account, but no domain
		"resource=acct:a@unknown.example":                                             404,
		"resource=acct:a@acme.example&rel=http://openid.net/specs/connect/1.0/issuer": 200,
	} {
		d.status(finger(query), status)
	}
	if text := body(t, finger("resource=acct:a@acme.example&rel=other")); !strings.Contains(text, `"links":[]`) {
		t.Errorf("rel is ignored: %s", text)
	}
}

func BenchmarkDiscover(b *testing.B) {
	d := newDoor(b)
	d.populate()
	for _, c := range []struct{ name, address string }{{"domain", "ada@acme.example"}, {"person", "max@consult.example"}, {"unknown", "nobody@consult.example"}} {
		question := []byte(`{"email":"` + c.address + `"}`)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, frontDoor+"/v1/discover", bytes.NewReader(question))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				d.site.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
