package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// An office is a region's database as an operator's command opens it, beside the
// server that runs on it: a hundred commands in one.
type office struct {
	t     *testing.T
	db    *sql.DB
	store *store.Store
	keys  discovery.BlindKeys
}

func openOffice(t *testing.T, r *region) *office {
	t.Helper()
	c, err := config.LoadPortal(r.config)
	if err != nil {
		t.Fatal(err)
	}
	vault, err := portal.NewVault(c.Keys.DataKeys()...)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.Open(t.Context(), c.Database.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	o := &office{t: t, db: db, store: store.New(db, vault, time.Now)}
	for _, k := range c.BlindIDKeys {
		o.keys = append(o.keys, discovery.NewBlindKey(k.Version, k.Key.Bytes()))
	}
	return o
}

// add makes an account as an invitation does, but writes no letter and hashes no
// password, which would take longer than all the rest.
func (o *office) add(portalID, address string) {
	o.t.Helper()
	created, err := o.store.DangerouslyCreateAccount(o.t.Context(), portal.Account{Portal: portalID, Primary: o.parse(address)}, "")
	if err != nil || !created {
		o.t.Fatalf("no account was made (%v)", err)
	}
}

// turn disables an account, or enables it again.
func (o *office) turn(off bool, portalID, address string) {
	o.t.Helper()
	do := o.store.Enable
	if off {
		do = o.store.Disable
	}
	if changed, err := do(o.t.Context(), portalID, portal.Visitor{}, o.parse(address)); err != nil || !changed {
		o.t.Fatalf("nothing changed (%v)", err)
	}
}

func (o *office) parse(address string) discovery.Address {
	o.t.Helper()
	a, err := discovery.ParseAddress(address)
	if err != nil {
		o.t.Fatal(err)
	}
	return a
}

func (o *office) blind(address string) string { return o.keys.Current(o.parse(address)).String() }

// number is the one number that a query yields.
func number(t *testing.T, db *sql.DB, query string) (n int64) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// An entry is a row of the directory.
type entry struct {
	blind string
	seq   int64
}

// entries are the rows of a portal in the directory, in the order in which they
// were claimed.
func entries(t *testing.T, db *sql.DB, portalID string) []entry {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT blind, seq FROM entries WHERE portal = $1 ORDER BY seq`, portalID)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []entry
	for rows.Next() {
		var id []byte
		var e entry
		if err := rows.Scan(&id, &e.seq); err != nil {
			t.Fatal(err)
		}
		var blind discovery.BlindID
		if copy(blind[:], id) != len(id) {
			t.Fatalf("a blind ID of %d bytes", len(id))
		}
		e.blind = blind.String()
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// applied waits until the front door has got as far as the region.
func (f *fleet) applied(t *testing.T, o *office, directory *sql.DB, r *region) {
	t.Helper()
	planttest.Until(t, "all claims of "+r.name, func() bool {
		if number(t, o.db, `SELECT COUNT(*) FROM outbox`) > 0 {
			return false
		}
		var last int64
		err := directory.QueryRowContext(t.Context(), `SELECT last FROM progress WHERE region = $1`, r.name).Scan(&last)
		return err == nil && last == number(t, o.db, `SELECT acked FROM outbox_counter WHERE id = 1`) &&
			last == number(t, o.db, `SELECT last FROM outbox_counter WHERE id = 1`)-portal.SeqStep+1
	})
}

func (f *fleet) directory(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), "sqlite:"+f.path("front", "directory.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// counted is the value of a metric of the front door.
func (f *fleet) counted(t *testing.T, metric string) int {
	t.Helper()
	_, text := fetch(t, "http://"+f.probe+"/metrics")
	for line := range strings.Lines(text) {
		if after, ok := strings.CutPrefix(line, metric+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(after), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	return 0
}

// published: a region changes a hundred accounts while the front door is
// away. Afterwards the directory holds exactly what is true, each thing once and
// in the order in which it became so; emptied, it fills again by itself.
func (f *fleet) published(t *testing.T) {
	o := openOffice(t, f.us)
	person := func(i int) string { return fmt.Sprintf("guest%03d@elsewhere.example", i) }
	const before, after = 50, 120
	for i := range before {
		o.add("globex", person(i))
	}
	directory := f.directory(t)
	f.applied(t, o, directory, f.us)
	f.knows(person(before-1), "globex")

	f.front.Kill()
	directory.Close()
	for i := before; i < after; i++ {
		o.add("globex", person(i))
	}
	for i := range 30 {
		o.turn(true, "globex", person(i))
	}
	for i := range 10 {
		o.turn(false, "globex", person(i))
	}
	// What the region says is true: 10…29 are disabled, everybody else is there,
	// and 0…9 changed last.
	var want []string
	for i := 30; i < after; i++ {
		want = append(want, o.blind(person(i)))
	}
	for i := range 10 {
		want = append(want, o.blind(person(i)))
	}

	began := time.Now()
	f.startFront()
	directory = f.directory(t)
	f.applied(t, o, directory, f.us)
	t.Logf("a hundred changes were in the directory %v after it came back", time.Since(began).Round(time.Millisecond))
	if diff := cmp.Diff(want, order(t, entries(t, directory, "globex"))); diff != "" {
		t.Errorf("the directory, in order (-want +got):\n%s", diff)
	}
	if n := number(t, directory, `SELECT COUNT(*) FROM entries`); n != int64(len(want))+1 {
		t.Errorf("%d entries in all, want these %d and the one at Initech", n, len(want))
	}
	// 70 came, 10…29 left, 0…9 left and came back: claimed once, as they are now.
	if n := f.counted(t, `domicile_directory_claims_total{result="applied"}`); n != 70+20+10 {
		t.Errorf("%d claims were applied, want one for each thing that changed, %d", n, 100)
	}
	for _, result := range []string{"refused", "skipped"} {
		if n := f.counted(t, `domicile_directory_claims_total{result="`+result+`"}`); n != 0 {
			t.Errorf("%d claims were %s", n, result)
		}
	}
	f.everybody(t, person, after)

	f.front.Stop()
	directory.Close()
	files, err := filepath.Glob(f.path("front", "directory.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, name := range files {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	planttest.Run(t, "migrate", "up", f.path("front.yaml"))
	began = time.Now()
	f.startFront()
	directory = f.directory(t)
	eu := openOffice(t, f.eu)
	f.applied(t, o, directory, f.us)
	f.applied(t, eu, directory, f.eu)
	t.Logf("an empty directory was full again after %v, with nobody asking", time.Since(began).Round(time.Millisecond))
	got := order(t, entries(t, directory, "globex"))
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the directory, rebuilt (-want +got):\n%s", diff)
	}
	for address, portal := range map[string]string{ada: "acme", uma: "umbrella", gus: "globex", ian: "initech"} {
		f.knows(address, portal)
	}
	f.everybody(t, person, after)
}

// order is the blind IDs alone; each must be there once, each with a sequence of
// its own.
func order(t *testing.T, all []entry) (ids []string) {
	t.Helper()
	seqs := map[int64]bool{}
	for _, e := range all {
		if slices.Contains(ids, e.blind) || seqs[e.seq] {
			t.Errorf("entry %s (%d) is there twice", e.blind, e.seq)
		}
		seqs[e.seq] = true
		ids = append(ids, e.blind)
	}
	return ids
}

// everybody asks the front door for each.
func (f *fleet) everybody(t *testing.T, person func(int) string, n int) {
	t.Helper()
	for i := range n {
		ids, err := f.discover(person(i))
		if disabled := 10 <= i && i < 30; err != nil || disabled && len(ids) > 0 || !disabled && !slices.Equal(ids, []string{"globex"}) {
			t.Errorf("%s: found at %v (%v), disabled: %v", person(i), ids, err, disabled)
		}
	}
}

// soon measures how long it takes until the front door knows. The figures are for
// reading; what fails is only what never happens.
func (f *fleet) soon(t *testing.T) {
	const samples = 3
	for r, id := range map[*region]string{f.eu: "acme", f.us: "globex"} {
		o := openOffice(t, r)
		var came, went []time.Duration
		for i := range samples {
			address := fmt.Sprintf("soon%d@%s.example", i, r.zone)
			if ids, err := f.discover(address); err != nil || len(ids) > 0 {
				t.Fatalf("%v (%v)", ids, err) // and now the cache has heard that there is nobody
			}
			o.add(id, address)
			came = append(came, f.waits(t, address, 1))
			o.turn(true, id, address)
			went = append(went, f.waits(t, address, 0))
		}
		t.Logf("%s: from another process's commit to found: %v; from disabled to no longer found: %v", r.name, came, went)
	}
	began := time.Now()
	f.us.do("account", "invite", "command@elsewhere.example", "--portal", "initech")
	took := time.Since(began)
	t.Logf("a command took %v, and the person was found %v after it", took.Round(time.Millisecond), f.waits(t, "command@elsewhere.example", 1))
}

// waits is how long it takes until so many portals are found.
func (f *fleet) waits(t *testing.T, address string, portals int) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		ids, err := f.discover(address)
		if err == nil && len(ids) == portals {
			return time.Since(began).Round(time.Millisecond)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d portals: still %v (%v) after %v", portals, ids, err, patience)
		}
	}
}
