package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// found measures the time from an account's change in a region to the answer of
// every front door. Both have been asked for the person just before, and remember
// that there was nobody.
func (b *bench) found(ctx context.Context, t testing.TB) (err error) {
	addr, directory := servertest.Redis(t), servertest.Postgres(t)
	var fronts []*front
	defer func() {
		for _, f := range fronts {
			err = errors.Join(err, f.Stop(ctx))
		}
	}()
	for range 2 {
		f, err := b.front(ctx, directory, func(o *app.DiscoveryOptions) { o.Redis = redis.NewClient(&redis.Options{Addr: addr}) })
		if err != nil {
			return err
		}
		fronts = append(fronts, f)
	}
	p := fronts[0].parties
	region, err := app.NewPortal(ctx, app.PortalOptions{
		Common: app.Common{Database: servertest.Postgres(t), Migrate: true, Log: slog.New(slog.DiscardHandler)},
		Region: p.record.Region, RegionName: p.record.Name, Jurisdiction: p.record.Jurisdiction,
		VaultKeys: [][]byte{make([]byte, 32)}, TicketKeys: []ticket.Key{p.opens}, Publishing: p.publishing,
		FrontDoor: "http://localhost", FrontDoorKeys: []ed25519.PublicKey{p.tickets.Public().(ed25519.PublicKey)},
		ClaimsURL: "http://" + fronts[0].Claims(), BlindKeys: p.blind, Outbound: fetch.New(fetch.Options{}),
	})
	if err != nil {
		return err
	}
	region.Start()
	defer func() { err = errors.Join(err, region.Stop(ctx)) }()
	acme := portal.Portal{ID: "acme", Name: "Acme", URL: "https://acme.eu.example.com", Disclosure: discovery.Listed, KeepSigned: true}
	if _, err := region.Store().CreatePortal(ctx, acme); err != nil {
		return err
	}
	took := make([]time.Duration, 20*b.rounds)
	for i := range took {
		a, err := discovery.ParseAddress(fmt.Sprintf("guest%d@consult.example", i))
		if err != nil {
			return err
		}
		for _, f := range fronts {
			if there, err := asks(ctx, f, a); err != nil || there {
				return fmt.Errorf("somebody not invited yet: found %t: %w", there, err)
			}
		}
		if _, err := region.Store().Invite(ctx, portal.Visitor{}, portal.Invitation{Portal: acme.ID, Address: a}); err != nil {
			return err
		}
		if took[i], err = foundAt(ctx, fronts, a); err != nil {
			return err
		}
	}
	slices.Sort(took)
	fmt.Printf("\nFrom an invitation in a region to being found at both of two front doors: p50 %s, p99 %s, longest of %d %s\n",
		took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond), len(took), took[len(took)-1].Round(time.Millisecond))
	return nil
}

// foundAt asks all front doors until each has found the person.
func foundAt(ctx context.Context, fronts []*front, a discovery.Address) (time.Duration, error) {
	began := time.Now()
	for _, f := range fronts {
		for {
			there, err := asks(ctx, f, a)
			if err != nil {
				return 0, err
			}
			if there {
				break
			}
			if time.Since(began) > time.Minute {
				return 0, errors.New("an invited person is not found in a minute")
			}
			time.Sleep(time.Millisecond)
		}
	}
	return time.Since(began), nil
}

func asks(ctx context.Context, f *front, a discovery.Address) (found bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.Addr("public")+"/v1/discover", strings.NewReader(body(a.Clear())))
	if err != nil {
		return false, err
	}
	req.Host = "localhost"
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s %.200q", res.Status, text)
	}
	return bytes.Contains(text, []byte(`"continue"`)), err
}
