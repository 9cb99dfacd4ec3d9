package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
)

// tagKeys is the key of a list of secrets, the newest first.
func tagKeys(t *testing.T, list ...byte) store.TagKey {
	t.Helper()
	var secrets [][]byte
	for _, n := range list {
		secrets = append(secrets, bytes.Repeat([]byte{n}, 32))
	}
	key, err := store.NewTagKey(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// under is the same directory at a front door with other secrets.
func (f *fixture) under(db *sql.DB, registry *prometheus.Registry, list ...byte) *store.Store {
	f.t.Helper()
	s := store.New(db, store.Options{Snapshot: f.snapshot, Tags: tagKeys(f.t, list...), Metrics: registry})
	if err := s.Refresh(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return s
}

func census(t *testing.T, s *store.Store) []store.Tally {
	t.Helper()
	all, err := s.Census(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func toRetag(t *testing.T, registry *prometheus.Registry) float64 {
	t.Helper()
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == "domicile_directory_rows_to_retag" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("there is no such metric")
	return 0
}

// retag lets the job run until it says that nothing is left.
func retag(t *testing.T, s *store.Store, registry *prometheus.Registry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	done := make(chan struct{})
	go func() { s.Retag(ctx); close(done) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for toRetag(t, registry) != 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("there are rows under the older key still")
		}
	}
	cancel()
	<-done
}

func TestRetag(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		f.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"), portal(2, "eu-central", "beta", "https://beta.eu.example.com"),
			route(3, "acme.example", "acme"), entryOf(t, 4, "max@consult.example", "acme"), entryOf(t, 5, "uma@consult.example", "beta"))
		var many []discovery.Claim
		many = append(many, portal(1, "us-east", "gamma", "https://gamma.us.example.com"))
		for i := range int64(450) { // more than are written at once
			many = append(many, entryOf(t, i+2, fmt.Sprintf("p%d@many.example", i), "gamma"))
		}
		f.apply(us, many...)
		f.apply(eu, discovery.Claim{Seq: 6, Gone: true, Portal: &discovery.Portal{ID: "beta"}}) // its row stays, and its tag

		registry := prometheus.NewRegistry()
		both := f.under(db, registry, 2, 1)
		if !math.IsNaN(toRetag(t, registry)) {
			t.Error("it says that nothing is left before it has looked")
		}
		f.Store = both
		if got := f.asked("max@consult.example"); got != "eu-central https://acme.eu.example.com" {
			t.Errorf("under both keys led to %q", got)
		}
		want := []store.Tally{
			{Region: "eu-central", Last: 6, Whole: true, Portals: 1, Routes: 1, Entries: map[byte]int64{1: 2}, Older: 5},
			{Region: "us-east", Last: 451, Whole: true, Portals: 1, Entries: map[byte]int64{1: 450}, Older: 451},
		}
		ignore := cmpopts.IgnoreFields(store.Tally{}, "Applied")
		if diff := cmp.Diff(want, census(t, both), ignore); diff != "" {
			t.Fatalf("before (-want +got):\n%s", diff)
		}
		retag(t, both, registry)
		want[0].Older, want[1].Older = 0, 0
		after := f.under(db, prometheus.NewRegistry(), 2)
		if diff := cmp.Diff(want, census(t, after), ignore); diff != "" {
			t.Errorf("without the old key (-want +got):\n%s", diff)
		}
		f.Store = after
		for who, want := range map[string]string{
			"max@consult.example": "eu-central https://acme.eu.example.com",
			"p449@many.example":   "us-east https://gamma.us.example.com",
			"uma@consult.example": "",
			"eve@nowhere.example": "",
		} {
			if got := f.asked(who); got != want {
				t.Errorf("%s is led to %q, want %q", who, got, want)
			}
		}
	})
}

// What no claim has written does not become believed by being tagged anew.
func TestRetagBlessesNothing(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		f.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"), entryOf(t, 2, "max@consult.example", "acme"), entryOf(t, 3, "uma@consult.example", "acme"))
		registry := prometheus.NewRegistry()
		both := f.under(db, registry, 2, 1)
		if _, err := db.ExecContext(t.Context(), `UPDATE entries SET sign_in = 'oidc' WHERE seq = 2`); err != nil {
			t.Fatal(err)
		}
		retag(t, both, registry)
		all := census(t, both)
		if all[0].Forged != 1 || all[0].Older != 0 {
			t.Errorf("%d rows are nobody's, %d to be tagged anew", all[0].Forged, all[0].Older)
		}
		f.Store = both
		if got := f.asked("max@consult.example"); got != "not known now" {
			t.Errorf("a changed row leads to %q", got)
		}
	})
}

// With one key there is nothing to do, and it says so at once.
func TestRetagOfOneKey(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := newFixture(t, sqltest.SQLite(t, store.Migrations)).under(sqltest.SQLite(t, store.Migrations), registry, 1)
	s.Retag(t.Context())
	if n := toRetag(t, registry); n != 0 {
		t.Errorf("%v rows are left", n)
	}
}
