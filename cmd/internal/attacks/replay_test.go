package attacks

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/portal"
)

// A tap listens on a region's way to the front door and keeps every batch.
type tap struct {
	mu      sync.Mutex
	batches []string
}

func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_ = r.Body.Close()
	p.mu.Lock()
	p.batches = append(p.batches, string(body))
	p.mu.Unlock()
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	return http.DefaultTransport.RoundTrip(again)
}

func (p *tap) taken() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.batches)
}

// deliver posts a captured batch to a front door's internal listener.
func deliver(ctx context.Context, claims, batch string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+claims+"/claims", strings.NewReader(batch))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/jose")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// known is everything that the directory at a database says, and how far it has
// got.
func known(t testing.TB, url string) (rows []string) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, query := range []string{
		`SELECT hex(tag), id, region, url FROM portals ORDER BY 2`, `SELECT hex(tag), domain, portal, seq FROM routes ORDER BY 2, 3`,
		`SELECT hex(tag), hex(blind), portal, seq FROM entries ORDER BY 2, 3`, `SELECT '', region, last, '' FROM progress ORDER BY 2`,
	} {
		found, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for found.Next() {
			var a, b, c, d any
			if err := found.Scan(&a, &b, &c, &d); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, fmt.Sprint(a, " ", b, " ", c, " ", d))
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
		_ = found.Close()
	}
	return rows
}

// TestReplayedClaims takes what a region really sent and sends it again: at
// once, in any order, all at the same time, later, and to another front door.
func TestReplayedClaims(t *testing.T) {
	w := newWorld(t)
	us, wire := w.Regions[america], new(tap)
	us.options.ClaimsClient = &http.Client{Transport: wire, Timeout: 10 * time.Second}
	us.Restart(t)
	gone := addressOf("gone@partner.example")
	if _, err := w.store(gamma).DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "gamma", Primary: gone}, ""); err != nil {
		t.Fatal(err)
	}
	w.published(t)
	front := w.browser(t)
	w.settled(t, func() bool { return slices.Equal(front.ask(email(gone.Clear())).told(), []string{"gamma"}) })
	if _, err := w.store(gamma).Disable(t.Context(), "gamma", portal.Visitor{}, gone); err != nil {
		t.Fatal(err)
	}
	w.published(t)
	w.settled(t, func() bool { return len(front.ask(email(gone.Clear())).told()) == 0 })
	batches := wire.taken()
	if len(batches) < 3 {
		t.Fatalf("only %d batches", len(batches))
	}
	directory := w.common("discovery").Database
	before := known(t, directory)
	unchanged := func(what string) {
		t.Helper()
		if diff := cmp.Diff(before, known(t, directory)); diff != "" {
			t.Errorf("%s changed the directory:\n%s", what, diff)
		}
		if told := front.ask(email(gone.Clear())).told(); len(told) != 0 {
			t.Errorf("after %s, somebody who is gone is found in %v", what, told)
		}
	}
	send := func(claims string, batches []string, want int) {
		t.Helper()
		for i, b := range batches {
			if code, text, err := deliver(t.Context(), claims, b); err != nil || code != want {
				t.Errorf("batch %d: %d %s, want %d: %v", i, code, text, want, err)
			}
		}
	}
	send(w.Front.Claims(), batches, http.StatusOK)
	unchanged("sending again")
	backwards := slices.Clone(batches)
	slices.Reverse(backwards)
	send(w.Front.Claims(), backwards, http.StatusOK)
	unchanged("sending backwards")
	var all sync.WaitGroup
	for _, b := range slices.Repeat(batches, 5) {
		all.Go(func() { _, _, _ = deliver(t.Context(), w.Front.Claims(), b) })
	}
	all.Wait()
	unchanged("sending at the same time")

	// Another front door that believes the same regions has been told nothing.
	o := w.common("staging")
	o.Registry = nil
	staging, err := app.NewDiscovery(t.Context(), app.DiscoveryOptions{
		Common: o, URL: "https://staging.domicile.example", Internal: "127.0.0.1:0", Tickets: w.tickets, Secrets: [][]byte{random()}, BlindKeys: w.blind,
		Roots: []ed25519.PublicKey{w.root.Public().(ed25519.PublicKey)}, Catalogue: w.dir + "/regions.jws",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = staging.Stop(context.Background()) }()
	staging.Start()
	send(staging.Claims(), batches, http.StatusForbidden)
	if rows := known(t, o.Database); len(rows) != 0 {
		t.Errorf("another front door believes what was not meant for it: %q", rows)
	}

	w.Clock.Pass(6 * time.Minute)
	send(w.Front.Claims(), batches, http.StatusForbidden)
	unchanged("sending later")
}
