package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func TestStandbys(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		acme, err := x.PortalByID(x.ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		x.drain()
		west := []discovery.Standby{{Region: "eu-west", URL: "https://acme.eu-west.example.com"}, {Region: "eu-north", URL: "https://acme.eu-north.example.com:8443"}}
		put := func(p portal.Portal, standbys ...discovery.Standby) (bool, error) {
			p.Standbys = standbys
			return x.CreatePortal(x.ctx, p)
		}
		if changed, err := put(acme, west...); err != nil || !changed {
			t.Fatal(changed, err)
		}
		if changed, err := put(acme, west...); err != nil || changed {
			t.Errorf("the same again: %t, %v", changed, err)
		}
		claims, _ := x.pending(blindKeys(1), 10)
		if len(claims) != 1 || claims[0].Portal == nil || cmp.Diff(west, claims[0].Portal.Standbys) != "" {
			t.Errorf("claimed %+v", claims)
		}

		// Hosts: the region's own processes and those that stand in share none.
		stand := x.another()
		stand.StandIn = "eu-west"
		p, err := stand.PortalByHost(x.ctx, "ACME.eu-west.example.com")
		if err != nil || p.ID != "acme" || p.URL != acme.URL || p.At("eu-west") != west[0].URL || p.At("eu-south") != "" || p.At("") != acme.URL {
			t.Errorf("%+v, %v", p, err)
		}
		for _, c := range []struct {
			standIn, host string
			found         bool
		}{
			{"", portal.HostOf(acme.URL), true}, {"", "acme.eu-west.example.com", false}, {"", "acme.eu-north.example.com:8443", false},
			{"eu-west", portal.HostOf(acme.URL), false}, {"eu-west", "acme.eu-north.example.com:8443", false},
			{"eu-north", "acme.eu-north.example.com:8443", true}, {"eu-north", "acme.eu-north.example.com", false},
			{"eu-central", portal.HostOf(acme.URL), false},
		} {
			s := x.another()
			s.StandIn = c.standIn
			if _, err := s.PortalByHost(x.ctx, c.host); (err == nil) != c.found {
				t.Errorf("%q asks for %s: %v", c.standIn, c.host, err)
			}
		}

		other := portal.Portal{ID: "third", Name: "Third", URL: west[0].URL, Disclosure: discovery.Listed}
		if _, err := x.CreatePortal(x.ctx, other); code(err) != "portal_host_taken" {
			t.Errorf("a portal at another's standby: %v", err)
		}
		other.URL = "https://third.eu.example.com"
		for _, taken := range []string{west[0].URL, acme.URL} {
			if _, err := put(other, discovery.Standby{Region: "eu-west", URL: taken}); code(err) != "portal_host_taken" {
				t.Errorf("a standby at %s: %v", taken, err)
			}
		}
		if _, err := x.PortalByID(x.ctx, "third"); code(err) != "portal_unknown" {
			t.Errorf("half a portal: %v", err)
		}
		for _, bad := range [][]discovery.Standby{
			{{Region: "EU West", URL: west[0].URL}}, {{Region: "eu-west", URL: west[0].URL + "/"}}, {{Region: "eu-west", URL: "http://acme.eu-west.example.com"}},
			{{Region: "eu-west", URL: acme.URL}}, {west[0], {Region: "eu-west", URL: "https://two.example.com"}}, {west[0], {Region: "eu-north", URL: west[0].URL}},
			{{Region: "eu-west"}}, {{URL: west[0].URL}},
		} {
			if _, err := put(acme, bad...); code(err) != "portal_standby" {
				t.Errorf("%v: %v", bad, err)
			}
		}

		if changed, err := put(acme); err != nil || !changed {
			t.Error(changed, err)
		}
		if _, err := stand.PortalByHost(x.ctx, "acme.eu-west.example.com"); code(err) != "host_unknown" {
			t.Errorf("a standby that was taken off: %v", err)
		}
		if _, err := put(other, west[0]); err != nil {
			t.Errorf("a host that is free again: %v", err)
		}
	})
}

// Every row of processes that stand in says so, and is part of the chain.
func TestStandInIsAudited(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		stand := x.another()
		stand.StandIn = "eu-west"
		for _, e := range []func() error{
			func() error { return x.Audit(x.ctx, portal.Event{Portal: "acme", Action: "one"}) },
			func() error { return stand.Audit(x.ctx, portal.Event{Portal: "acme", Action: "two"}) },
			func() error { return x.Audit(x.ctx, portal.Event{Portal: "acme", Action: "three"}) },
		} {
			if err := e(); err != nil {
				t.Fatal(err)
			}
		}
		links, err := x.Events(x.ctx, "acme", portal.EventFilter{})
		if err != nil {
			t.Fatal(err)
		}
		via := map[string]string{}
		for _, l := range links {
			via[l.Action] = l.Via
		}
		if via["one"] != "" || via["two"] != "eu-west" || via["three"] != "" {
			t.Errorf("served by %v", via)
		}
		if _, err := x.CheckAudit(x.ctx, "acme"); err != nil {
			t.Error(err)
		}
		if _, err := x.db.Exec(`UPDATE audit SET via = '' WHERE via <> ''`); err != nil {
			t.Fatal(err)
		}
		if _, err := x.CheckAudit(x.ctx, "acme"); err == nil {
			t.Error("the chain does not cover who served")
		}
	})
}
