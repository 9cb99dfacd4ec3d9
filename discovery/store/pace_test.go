package store

import (
	"testing"
	"time"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/regions"
)

// DIS-02: an answer that names nobody to strangers and had to be fetched takes whole
// milliseconds, whether somebody is there or not; one that this process remembers
// takes no more than it takes. cmd/bench -only timing compares them.
func TestDIS02Pace(t *testing.T) {
	tags, err := NewTagKey([][]byte{make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	cache, err := NewCache(CacheOptions{Secrets: [][]byte{make([]byte, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	s := New(sqltest.SQLite(t, Migrations), Options{Snapshot: new(discovery.Snapshot), Tags: tags, Cache: cache})
	id := func(n byte) discovery.BlindID { return discovery.BlindID{1, n} }
	ways := []discovery.SignIn{discovery.Password}
	record := regions.Record{Region: "eu", Jurisdiction: "EU", Hosts: []string{"*.eu.example.com"}}
	if _, err := s.Apply(t.Context(), record, discovery.Batch{Region: "eu", Claims: []discovery.Claim{
		{Seq: 1, Portal: &discovery.Portal{ID: "open", Name: "Open", URL: "https://open.eu.example.com", Disclosure: discovery.Listed}},
		{Seq: 2, Portal: &discovery.Portal{ID: "secret", Name: "Secret", URL: "https://secret.eu.example.com", Disclosure: discovery.Proven}},
		{Seq: 3, Entry: &discovery.Entry{Blind: id(1), Portal: "secret", SignIn: ways}},
		{Seq: 4, Entry: &discovery.Entry{Blind: id(2), Portal: "open", SignIn: ways}},
	}}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		id    discovery.BlindID
		named bool
	}{"hidden": {id(1), false}, "nobody": {id(3), false}, "listed": {id(2), true}} {
		var first, second pace
		began := time.Now()
		entries, err := s.fetch(t.Context(), []discovery.BlindID{tt.id}, &first)
		if err != nil || !first.begun || s.named(entries) != tt.named {
			t.Errorf("%s: %v, %v, fetched %v", name, entries, err, first.begun)
		}
		if first.even(); time.Since(began) < time.Millisecond {
			t.Errorf("%s: it took %v", name, time.Since(began))
		}
		if _, err := s.fetch(t.Context(), []discovery.BlindID{tt.id}, &second); err != nil || second.begun {
			t.Errorf("%s, again: %v, fetched %v", name, err, second.begun)
		}
	}
	cache.epoch.Add(1) // nothing is remembered
	for _, n := range []byte{1, 3} {
		began := time.Now()
		if _, err := s.Entries(t.Context(), []discovery.BlindID{id(n)}); err != nil || time.Since(began) < time.Millisecond {
			t.Errorf("%d: it took %v, %v", n, time.Since(began), err)
		}
	}
}
