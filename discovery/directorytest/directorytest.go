// Package directorytest is the contract that every discovery.Directory passes.
package directorytest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/regions"
)

// A Subject is a directory under test, empty at first.
type Subject struct {
	Directory discovery.Directory

	// Apply is how claims reach it.
	Apply func(context.Context, regions.Record, discovery.Batch) (discovery.Receipt, error)

	// Break makes whatever the directory stands on fail from now on.
	Break func()
}

// Test runs the contract, with a new subject for each part of it.
func Test(t *testing.T, open func(t *testing.T) Subject) {
	parts := []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"an unclaimed address is no entry and no error", unclaimed},
		{"a claimed address is found under each key version", found},
		{"the answer changes with the claim at once", changes},
		{"claims may be sent again, late or out of order", again},
		{"an entry may come before its portal", early},
		{"a region speaks for its own portals only", foreign},
		{"a failure is an error and never an empty answer", failure},
		{"many may ask at once", many},
	}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.run(t, open(t)) })
	}
}

// Keys are two live key versions.
var keys = discovery.BlindKeys{
	discovery.NewBlindKey(2, []byte("22222222222222222222222222222222")),
	discovery.NewBlindKey(1, []byte("11111111111111111111111111111111")),
}

var (
	eu = regions.Record{Region: "eu-central", Jurisdiction: "EU", Version: 1, Hosts: []string{"*.eu.example.com"}}
	us = regions.Record{Region: "us-east", Jurisdiction: "US", Version: 1, Hosts: []string{"*.us.example.com"}}
)

func address(t *testing.T, text string) discovery.Address {
	t.Helper()
	a, err := discovery.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (s Subject) must(t *testing.T, by regions.Record, after int64, claims ...discovery.Claim) discovery.Receipt {
	t.Helper()
	r, err := s.Apply(t.Context(), by, discovery.Batch{Region: by.Region, After: after, Claims: claims})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// leads checks which portals a leads to.
func (s Subject) leads(t *testing.T, a discovery.Address, portals ...string) []discovery.Entry {
	t.Helper()
	entries, err := s.Directory.Entries(t.Context(), keys.IDs(a))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Portal)
	}
	slices.Sort(got)
	if diff := cmp.Diff(portals, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the address leads elsewhere (-want +got):\n%s", diff)
	}
	return entries
}

func portal(seq int64, by regions.Record, id string) discovery.Claim {
	return discovery.Claim{Seq: seq, Portal: &discovery.Portal{
		ID: id, Name: id, URL: fmt.Sprintf("https://%s%s", id, by.Hosts[0][1:]), Disclosure: discovery.Listed, Region: by.Region,
	}}
}

func entry(seq int64, id discovery.BlindID, portal string, ways ...discovery.SignIn) discovery.Claim {
	return discovery.Claim{Seq: seq, Entry: &discovery.Entry{Blind: id, Portal: portal, SignIn: ways}}
}

func gone(c discovery.Claim) discovery.Claim {
	c.Gone = true
	return c
}

func unclaimed(t *testing.T, s Subject) {
	a := address(t, "nobody@acme.example")
	for range 2 {
		s.leads(t, a)
	}
}

func found(t *testing.T, s Subject) {
	old, current := address(t, "old@acme.example"), address(t, "new@acme.example")
	s.must(t, eu, 0, portal(1, eu, "acme"), portal(2, eu, "globex"),
		entry(3, keys[1].ID(old), "acme", discovery.Password),
		entry(4, keys.Current(current), "acme", discovery.SAML, discovery.Password),
		entry(5, keys[1].ID(current), "globex", discovery.OIDC))
	for range 2 {
		s.leads(t, old, "acme")
		got := s.leads(t, current, "acme", "globex")
		want := []discovery.Entry{
			{Blind: keys.Current(current), Portal: "acme", SignIn: []discovery.SignIn{discovery.Password, discovery.SAML}},
			{Blind: keys[1].ID(current), Portal: "globex", SignIn: []discovery.SignIn{discovery.OIDC}},
		}
		byPortal := cmpopts.SortSlices(func(a, b discovery.Entry) bool { return a.Portal < b.Portal })
		byName := cmpopts.SortSlices(func(a, b discovery.SignIn) bool { return a < b })
		if diff := cmp.Diff(want, got, byPortal, byName); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	}
}

func changes(t *testing.T, s Subject) {
	a := address(t, "ada@acme.example")
	s.must(t, eu, 0, portal(1, eu, "acme"))
	s.leads(t, a)
	s.must(t, eu, 1, entry(2, keys.Current(a), "acme", discovery.Password))
	s.leads(t, a, "acme")
	s.must(t, eu, 2, gone(entry(3, keys.Current(a), "acme")))
	s.leads(t, a)
	s.must(t, eu, 3, entry(4, keys.Current(a), "acme", discovery.SAML))
	if got := s.leads(t, a, "acme"); len(got) == 1 && !slices.Equal(got[0].SignIn, []discovery.SignIn{discovery.SAML}) {
		t.Errorf("signs in by %v, want saml", got[0].SignIn)
	}
}

func again(t *testing.T, s Subject) {
	a, b := address(t, "ada@acme.example"), address(t, "bob@acme.example")
	first := []discovery.Claim{portal(1, eu, "acme"), entry(2, keys.Current(a), "acme", discovery.Password)}
	second := []discovery.Claim{gone(entry(3, keys.Current(a), "acme")), entry(4, keys.Current(b), "acme", discovery.Password)}
	s.must(t, eu, 0, first...)
	s.must(t, eu, 2, second...)
	for _, step := range []struct {
		after  int64
		claims []discovery.Claim
	}{{0, first}, {2, second}, {0, slices.Concat(first, second)}, {9, []discovery.Claim{gone(entry(10, keys.Current(b), "acme"))}}} {
		if r := s.must(t, eu, step.after, step.claims...); r.Last != 4 {
			t.Errorf("sent again after %d: the receipt says %d, want 4", step.after, r.Last)
		}
		s.leads(t, a)
		s.leads(t, b, "acme")
	}
}

func early(t *testing.T, s Subject) {
	a := address(t, "ada@acme.example")
	s.must(t, eu, 0, entry(1, keys.Current(a), "acme", discovery.Password))
	s.leads(t, a)
	s.must(t, eu, 1, portal(2, eu, "acme"))
	s.leads(t, a, "acme")
}

func foreign(t *testing.T, s Subject) {
	a, b := address(t, "ada@acme.example"), address(t, "bob@acme.example")
	s.must(t, us, 0, entry(1, keys.Current(b), "acme", discovery.Password)) // ahead of its owner
	s.must(t, eu, 0, portal(1, eu, "acme"), entry(2, keys.Current(a), "acme", discovery.Password))
	r := s.must(t, us, 1,
		portal(2, us, "acme"), // the first claim stays
		gone(portal(3, us, "acme")),
		entry(4, keys.Current(b), "acme", discovery.Password),
		gone(entry(5, keys.Current(a), "acme")),
		discovery.Claim{Seq: 6, Sweep: 6})
	if r.Last != 6 {
		t.Errorf("what is refused holds up the stream at %d, want 6", r.Last)
	}
	s.leads(t, a, "acme")
	s.leads(t, b)
}

func failure(t *testing.T, s Subject) {
	s.must(t, eu, 0, portal(1, eu, "acme"))
	s.Break()
	for range 2 {
		if entries, err := s.Directory.Entries(t.Context(), keys.IDs(address(t, "ada@acme.example"))); err == nil {
			t.Errorf("a broken directory answers %v and no error", entries)
		}
	}
	if _, err := s.Apply(t.Context(), eu, discovery.Batch{Region: eu.Region, After: 1}); err == nil {
		t.Error("a broken directory gives a receipt")
	}
}

func many(t *testing.T, s Subject) {
	const people = 10
	claims := []discovery.Claim{portal(1, eu, "acme")}
	var ids [people][]discovery.BlindID
	for i := range people {
		a := address(t, fmt.Sprintf("person%d@acme.example", i))
		ids[i] = keys.IDs(a)
		claims = append(claims, entry(int64(i)+2, keys.Current(a), "acme", discovery.Password))
	}
	s.must(t, eu, 0, claims...)
	var asking sync.WaitGroup
	for n := range 4 * people {
		asking.Go(func() {
			entries, err := s.Directory.Entries(t.Context(), ids[n%people])
			if err != nil || len(entries) != 1 {
				t.Errorf("asked with others: %v, %v", entries, err)
			}
		})
	}
	asking.Wait()
}
