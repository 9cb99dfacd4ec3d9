package web_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/client"
)

func TestIntakeRefuses(t *testing.T) {
	d := newDoor(t)
	good, err := discovery.SignBatch(discovery.Batch{Region: "eu", FrontDoor: frontDoor, Claims: []discovery.Claim{}, Issued: d.now.Unix()}, d.regions["eu"].publishing, "")
	check(t, err)
	unknown, err := discovery.SignBatch(discovery.Batch{Region: "ca", FrontDoor: frontDoor, Issued: d.now.Unix()}, d.regions["eu"].publishing, "")
	check(t, err)
	stale, err := discovery.SignBatch(discovery.Batch{Region: "eu", FrontDoor: frontDoor, Issued: d.now.Add(-6 * time.Minute).Unix()}, d.regions["eu"].publishing, "")
	check(t, err)
	another, err := discovery.SignBatch(discovery.Batch{Region: "eu", FrontDoor: "https://staging.example.com", Issued: d.now.Unix()}, d.regions["eu"].publishing, "")
	check(t, err)
	nobody, err := discovery.SignBatch(discovery.Batch{Region: "eu", Issued: d.now.Unix()}, d.regions["eu"].publishing, "")
	check(t, err)
	for _, c := range []struct {
		name, method, path, kind, body string
		status                         int
	}{
		{"good", "POST", "/claims", "application/jose", good, 200},
		{"again", "POST", "/claims", "application/jose", good, 200},
		{"unknown region", "POST", "/claims", "application/jose", unknown, 403},
		{"for another front door", "POST", "/claims", "application/jose", another, 403},
		{"for none", "POST", "/claims", "application/jose", nobody, 403},
		{"stale", "POST", "/claims", "application/jose", stale, 403},
		{"bent", "POST", "/claims", "application/jose", bent(good), 403},
		{"empty", "POST", "/claims", "application/jose", "", 403},
		{"wrong type", "POST", "/claims", "application/json", good, 415},
		{"huge", "POST", "/claims", "application/jose", strings.Repeat("a", discovery.MaxBatch+1), 413},
		{"GET", "GET", "/claims", "", "", 405},
		{"elsewhere", "POST", "/", "application/jose", good, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, d.intake.URL+c.path, strings.NewReader(c.body))
			check(t, err)
			if c.kind != "" {
				r.Header.Set("Content-Type", c.kind)
			}
			res, err := http.DefaultClient.Do(r)
			check(t, err)
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			check(t, err)
			want := "application/problem+json"
			if c.status == 200 {
				want = "application/json"
			}
			if res.StatusCode != c.status || res.Header.Get("Content-Type") != want {
				t.Errorf("%d %s, want %d: %s", res.StatusCode, res.Header.Get("Content-Type"), c.status, text)
			}
		})
	}
}

func TestPublish(t *testing.T) {
	d := newDoor(t)
	d.populate()
	eu := d.regions["eu"]
	// The directory is ahead of us: it says where it is.
	r, err := eu.client.Publish(t.Context(), discovery.Batch{After: 0, Claims: []discovery.Claim{{Seq: 1, Sweep: 1}}})
	if err != nil || r.Last != eu.last {
		t.Errorf("%v, %v; want %d", r, err, eu.last)
	}
	// And behind us: nothing is applied.
	r, err = eu.client.Publish(t.Context(), discovery.Batch{After: 99, Claims: []discovery.Claim{{Seq: 100, Sweep: 100}}})
	if err != nil || r.Last != eu.last {
		t.Errorf("%v, %v; want %d", r, err, eu.last)
	}
	d.status(d.do(ask("ada@acme.example")), http.StatusSeeOther)

	var refusal *client.Refusal
	liar := eu.client
	liar.Region = "us"
	if _, err := liar.Publish(t.Context(), discovery.Batch{}); !errors.As(err, &refusal) || refusal.Status != http.StatusForbidden {
		t.Errorf("speaking for another region: %v", err)
	}
	check(t, d.db.Close())
	if _, err := eu.client.Publish(t.Context(), discovery.Batch{}); err == nil || errors.As(err, &refusal) && refusal.Status >= 500 {
		t.Errorf("an outage reads as %v", err)
	}
	d.intake.Close()
	if _, err := eu.client.Publish(t.Context(), discovery.Batch{}); err == nil {
		t.Error("nobody is there, and there is a receipt")
	}
}
