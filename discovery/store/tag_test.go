package store_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
	"github.com/domicile-sso/domicile/regions"
)

// known is a catalogue of all regions there are.
type known struct{}

func (known) Region(name string) (regions.Record, bool) {
	for _, r := range []regions.Record{eu, us} {
		if r.Region == name {
			return r, true
		}
	}
	return regions.Record{}, false
}

var blindKeys = discovery.BlindKeys{discovery.NewBlindKey(1, bytes.Repeat([]byte{5}, 32))}

// asked says where an address leads, or that this is not known now.
func (f *fixture) asked(text string) string {
	f.t.Helper()
	a, err := discovery.ParseAddress(text)
	if err != nil {
		f.t.Fatal(err)
	}
	found, err := (&discovery.Resolver{Snapshot: f.snapshot, Directory: f.Store, Keys: blindKeys, Regions: known{}}).Resolve(f.t.Context(), a)
	var to []string
	for _, d := range found {
		to = append(to, d.Region.Region+" "+d.Portal.URL)
	}
	if err != nil {
		to = append(to, "not known now")
	}
	return strings.Join(to, ", ")
}

func blindOf(t testing.TB, text string) discovery.BlindID {
	a, err := discovery.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return blindKeys.Current(a)
}

func entryOf(t testing.TB, seq int64, who, portal string) discovery.Claim {
	return discovery.Claim{Seq: seq, Entry: &discovery.Entry{Blind: blindOf(t, who), Portal: portal, SignIn: []discovery.SignIn{discovery.Password}}}
}

// TestLaw2RowsWithoutATag: whoever writes to the database sends nobody anywhere,
// makes nobody unknown, and what was there comes back by itself.
func TestLaw2RowsWithoutATag(t *testing.T) {
	const person, guest, stranger = "ada@acme.example", "max@consult.example", "eve@nowhere.example"
	for name, c := range map[string]struct{ table, change string }{
		"portal: another host":   {"portals", `UPDATE portals SET url = 'https://evil.eu.example.com' WHERE id = 'acme'`},
		"portal: another region": {"portals", `UPDATE portals SET region = 'us-east' WHERE id = 'acme'`},
		"portal: older":          {"portals", `UPDATE portals SET seq = 0 WHERE id = 'acme'`},
		"portal: gone":           {"portals", `UPDATE portals SET gone = TRUE WHERE id = 'acme'`},
		"portal: disclosed":      {"portals", `UPDATE portals SET disclosure = 'proven' WHERE id = 'acme'`},
		"portal: a standby":      {"portals", `UPDATE portals SET standbys = 'eu-west=https://evil.eu-west.example.com' WHERE id = 'acme'`},
		"portal: made up": {"portals", `INSERT INTO portals (id, region, name, url, disclosure, gone, seq, tag)
			SELECT 'fake', region, name, 'https://fake.eu.example.com', disclosure, gone, seq, tag FROM portals WHERE id = 'acme'`},
		"route: another portal":      {"routes", `UPDATE routes SET portal = 'other', region = 'us-east' WHERE domain = 'acme.example'`},
		"route: another domain":      {"routes", `UPDATE routes SET domain = 'nowhere.example' WHERE domain = 'acme.example'`},
		"route: another connection":  {"routes", `UPDATE routes SET connection = 'evil' WHERE domain = 'acme.example'`},
		"route: to a portal of none": {"routes", `UPDATE routes SET region = 'nowhere' WHERE domain = 'acme.example'`},
		"entry: another portal":      {"entries", `UPDATE entries SET portal = 'other', region = 'us-east' WHERE portal = 'acme'`},
		"entry: another way":         {"entries", `UPDATE entries SET sign_in = 'saml' WHERE portal = 'acme'`},
	} {
		t.Run(name, func(t *testing.T) {
			sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
				registry, log := prometheus.NewRegistry(), new(bytes.Buffer)
				f := &fixture{t: t, snapshot: new(discovery.Snapshot), log: log}
				f.Store = store.New(db, store.Options{Snapshot: f.snapshot, Tags: tagKey(1), Cache: newCache(t, nil), Metrics: registry, Log: slog.New(slog.NewTextHandler(log, nil))})
				claims := func(from int64) []discovery.Claim {
					return []discovery.Claim{portal(from, "eu-central", "acme", "https://acme.eu.example.com"), route(from+1, "acme.example", "acme"), entryOf(t, from+2, guest, "acme"),
						{Seq: from + 3, Sweep: from}}
				}
				f.apply(us, portal(1, "us-east", "other", "https://other.us.example.com"))
				f.apply(eu, claims(1)...)
				before := []string{f.asked(person), f.asked(stranger)} // nobody has asked for the guest: nothing is cached
				if _, err := db.Exec(c.change); err != nil {
					t.Fatal(err)
				}
				if _, err := db.Exec(`UPDATE changes SET n = n + 1`); err != nil {
					t.Fatal(err)
				}
				if err := f.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					for _, who := range []string{guest, person, stranger} {
						switch got := f.asked(who); {
						case got == "not known now", who != stranger && got == "eu-central https://acme.eu.example.com":
						default:
							t.Errorf("%s is led to %q", who, got)
						}
					}
				}
				if n, err := testutil.GatherAndCount(registry, "domicile_directory_rows_refused_total"); err != nil || n != 1 {
					t.Errorf("%d series of refused rows, %v", n, err)
				}
				if !strings.Contains(log.String(), "table="+c.table) || strings.Contains(log.String(), "evil") {
					t.Errorf("the log says\n%s", log)
				}
				for _, region := range []regions.Record{us, eu} {
					r, err := f.Apply(t.Context(), region, discovery.Batch{Region: region.Region, After: 1})
					if err != nil || r.Last != 0 {
						t.Fatalf("%s is not asked for everything: %d, %v", region.Region, r.Last, err)
					}
				}
				publishAgain := func(by regions.Record, claims ...discovery.Claim) {
					f.apply(by, claims...)
					last := claims[len(claims)-1].Seq
					if _, err := f.Apply(t.Context(), by, discovery.Batch{Region: by.Region, After: last}); err != nil {
						t.Fatal(err)
					}
				}
				publishAgain(us, portal(11, "us-east", "other", "https://other.us.example.com"), discovery.Claim{Seq: 12, Sweep: 11})
				publishAgain(eu, claims(11)...)
				after := []string{f.asked(person), f.asked(stranger)}
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("it does not heal (-before +after):\n%s", diff)
				}
				if got := f.asked(guest); got != "eu-central https://acme.eu.example.com" {
					t.Errorf("the guest is led to %q", got)
				}
			})
		})
	}
}

// Another key makes every row nobody's, and lookups while it is published again
// do not keep it from ever being done.
func TestAnotherTagKey(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		f.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"), entryOf(t, 2, "max@consult.example", "acme"), entryOf(t, 3, "uma@consult.example", "acme"))
		f.Store = store.New(db, store.Options{Snapshot: f.snapshot, Tags: tagKey(2)})
		if err := f.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		lost := func(who string) {
			t.Helper()
			if got := f.asked(who); got != "not known now" {
				t.Errorf("%s is led to %q", who, got)
			}
		}
		lost("max@consult.example")
		f.apply(eu, portal(11, "eu-central", "acme", "https://acme.eu.example.com"))
		lost("max@consult.example")
		lost("uma@consult.example")
		r, err := f.Apply(t.Context(), eu, discovery.Batch{Region: "eu-central", After: 11, Claims: []discovery.Claim{
			entryOf(t, 12, "max@consult.example", "acme"), entryOf(t, 13, "uma@consult.example", "acme"), {Seq: 14, Sweep: 11}}})
		if err != nil || r.Last != 14 {
			t.Fatalf("publishing again is held up: %d, %v", r.Last, err)
		}
		if r, err = f.Apply(t.Context(), eu, discovery.Batch{Region: "eu-central", After: 14}); err != nil || r.Last != 14 {
			t.Fatal(r, err)
		}
		if got := f.asked("max@consult.example"); got != "eu-central https://acme.eu.example.com" {
			t.Errorf("led to %q", got)
		}
		if got := f.asked("eve@nowhere.example"); got != "" {
			t.Errorf("a stranger is led to %q", got)
		}
	})
}

// A region may claim that somebody is in all of its portals: that hides no other
// region's.
func TestOneRegionHidesNoOther(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		f := newFixture(t, db)
		f.apply(eu, portal(1, "eu-central", "zebra", "https://zebra.eu.example.com"), entryOf(t, 2, "max@consult.example", "zebra"))
		var claims []discovery.Claim
		for i := range int64(70) {
			id := fmt.Sprintf("a%d", i)
			claims = append(claims, portal(2*i+1, "us-east", id, "https://"+id+".us.example.com"), entryOf(t, 2*i+2, "max@consult.example", id))
		}
		r, err := f.Apply(t.Context(), us, discovery.Batch{Region: "us-east", Claims: claims})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Refused) != discovery.MaxRefused || r.Refused[0] != (discovery.Refused{Seq: 34, Code: discovery.CodeManyPortals}) {
			t.Errorf("%d are refused, the first is %+v", len(r.Refused), r.Refused[0])
		}
		got := f.asked("max@consult.example")
		if n := strings.Count(got, "us-east"); n != discovery.MaxPortals || !strings.Contains(got, "zebra") {
			t.Errorf("%d portals of the one region, and all are %s", n, got)
		}
		f.apply(us, entryOf(t, 1000, "max@consult.example", "a0")) // one that is there may change
	})
}

// Law 1: what is no domain is not repeated, since it may be anything.
func TestRefusedClaimsRepeatNobody(t *testing.T) {
	f := newFixture(t, sqltest.SQLite(t, store.Migrations))
	r, err := f.Apply(t.Context(), eu, discovery.Batch{Region: "eu-central", Claims: []discovery.Claim{
		route(1, "ada@acme.example", "acme"),
		portal(2, "eu-central", "ada@acme.example", "https://acme.eu.example.com"),
		portal(3, "eu-central", "acme", "https://ada@acme.example"),
		entryOf(t, 4, "ada@acme.example", "ada@acme.example"),
		route(5, "gmail.com", "acme"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []discovery.Refused{{Seq: 1, Code: discovery.CodeNotRoutable}, {Seq: 2, Code: discovery.CodePortal}, {Seq: 3, Code: discovery.CodeHost},
		{Seq: 4, Code: discovery.CodeEntry}, {Seq: 5, Code: discovery.CodeNotRoutable}}
	if diff := cmp.Diff(want, r.Refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if text := f.log.String(); strings.Contains(text, "ada") || !strings.Contains(text, "gmail.com") {
		t.Errorf("the log says\n%s", text)
	}
}
