package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
)

func snapshotFile(t *testing.T, path string, secrets ...byte) *store.SnapshotFile {
	t.Helper()
	var all discovery.Secrets
	for _, n := range secrets {
		all = append(all, bytes.Repeat([]byte{n}, 32))
	}
	f, err := store.NewSnapshotFile(path, all)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// withFile is a fixture that keeps its snapshot, and whose database passes check.
func withFile(t *testing.T, db *sql.DB, file *store.SnapshotFile, check func(context.Context) error) (*fixture, *prometheus.Registry) {
	f := &fixture{t: t, snapshot: new(discovery.Snapshot), log: new(bytes.Buffer)}
	registry := prometheus.NewRegistry()
	f.Store = store.New(db, store.Options{Snapshot: f.snapshot, Tags: tagKey(1), Metrics: registry, Log: slog.New(slog.NewTextHandler(f.log, nil)), File: file, Check: check})
	return f, registry
}

// keep writes what is due, as Keep does at its end.
func (f *fixture) keep() {
	ended, cancel := context.WithCancel(f.t.Context())
	cancel()
	f.Keep(ended, time.Hour)
}

var errAway = errors.New("connection refused")

func away(context.Context) error { return errAway }

// TestStartWithoutTheDatabase: what one front door has kept leads on in the next,
// nobody is said not to be there, and the database takes over when it answers.
func TestStartWithoutTheDatabase(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		path := filepath.Join(t.TempDir(), "directory")
		first, _ := withFile(t, db, snapshotFile(t, path, 1), nil)
		guest := discovery.BlindID{1, 2, 3}
		if err := first.LoadFile(); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("before anything was kept: %v", err)
		}
		first.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"), route(2, "acme.example", "acme"),
			portal(3, "eu-central", "closed", "https://closed.eu.example.com"), gone(portal(4, "eu-central", "closed", "")),
			discovery.Claim{Seq: 5, Entry: &discovery.Entry{Blind: guest, Portal: "acme", SignIn: []discovery.SignIn{discovery.Password}}})
		first.keep()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := base64.RawURLEncoding.DecodeString(strings.Split(string(text), ".")[1])
		if err != nil || !bytes.Contains(body, []byte("acme.example")) || bytes.Contains(body, []byte(guest.String())) || bytes.Contains(body, []byte("blind")) {
			t.Errorf("law 1: domains and portals are kept, and nothing of people: %s, %v", body, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}

		check := away
		f, registry := withFile(t, db, snapshotFile(t, path, 9, 1), func(ctx context.Context) error { return check(ctx) }) // the secret has been rotated
		if err := f.Refresh(t.Context()); !errors.Is(err, errAway) {
			t.Fatalf("the database is away: %v", err)
		}
		if err := f.LoadFile(); err != nil {
			t.Fatal(err)
		}
		if p, ok := f.snapshot.Portal("acme"); !ok || p.URL != "https://acme.eu.example.com" || len(f.snapshot.Routes("acme.example")) != 1 {
			t.Errorf("what was kept does not lead on: %+v %v", p, ok)
		}
		if _, ok := f.snapshot.Portal("closed"); ok {
			t.Error("a portal that is gone is back")
		}
		if st := f.State(); st.Source != store.FromDisk || st.Checked || st.Away.IsZero() || !f.snapshot.Doubtful() {
			t.Errorf("state %+v", st)
		}
		f.nothingUsed(registry, guest)

		check = func(context.Context) error { return nil }
		if err := f.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := f.State(); st.Source != store.FromDatabase || !st.Checked || !st.Away.IsZero() || st.Err != nil || f.snapshot.Doubtful() {
			t.Errorf("state %+v", st)
		}
		select {
		case <-f.Met():
		default:
			t.Error("nobody is told that the database is there")
		}
		if found, err := f.Entries(t.Context(), []discovery.BlindID{guest}); err != nil || len(found) != 1 {
			t.Errorf("the guest is found as %v, %v", found, err)
		}
	})
}

// nothingUsed: a database that has not passed the check is used for nothing.
func (f *fixture) nothingUsed(registry *prometheus.Registry, guest discovery.BlindID) {
	f.t.Helper()
	ctx := f.t.Context()
	if found, err := f.Entries(ctx, []discovery.BlindID{guest}); err == nil {
		f.t.Errorf("law 5: the guest reads as %v", found)
	}
	if _, err := f.Apply(ctx, eu, discovery.Batch{Region: eu.Region, Claims: []discovery.Claim{route(6, "more.example", "acme")}}); err == nil {
		f.t.Error("claims are taken in")
	}
	if _, err := f.LoadRecords(ctx); err == nil {
		f.t.Error("records are read")
	}
	if err := f.SaveRecords(ctx, nil); err == nil {
		f.t.Error("records are written")
	}
	families, err := registry.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "domicile_directory_source" {
			continue
		}
		for _, m := range family.GetMetric() {
			if source := m.GetLabel()[0].GetValue(); (m.GetGauge().GetValue() == 1) != (source == "disk") {
				f.t.Errorf("source %s: %v", source, m.GetGauge().GetValue())
			}
		}
	}
}

// TestSnapshotIsTheDatabases: what was read from the file is not written back, and
// gives way to a database that has counted as far by other ways.
func TestSnapshotIsTheDatabases(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory")
	first, _ := withFile(t, sqltest.SQLite(t, store.Migrations), snapshotFile(t, path, 1), nil)
	first.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"))
	first.keep()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	rebuilt := sqltest.SQLite(t, store.Migrations)
	other, _ := withFile(t, rebuilt, nil, nil)
	other.apply(eu, portal(1, "eu-central", "globex", "https://globex.eu.example.com"))

	f, _ := withFile(t, rebuilt, snapshotFile(t, path, 1), nil)
	if err := f.LoadFile(); err != nil {
		t.Fatal(err)
	}
	f.keep()
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Error("what was read was written again, as if it were known to be true")
	}
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := f.snapshot.Portal("acme"); ok {
		t.Error("the kept directory outlives the database's word")
	}
	if _, ok := f.snapshot.Portal("globex"); !ok {
		t.Error("the database is not read")
	}
	f.keep()
	if kept, err := snapshotFile(t, path, 1).Read(); err != nil || len(kept.Portals) != 1 || kept.Portals[0].ID != "globex" {
		t.Errorf("kept: %+v, %v", kept, err)
	}
	if err := f.LoadFile(); err != nil || f.State().Source != store.FromDatabase {
		t.Error("the file is read over the database")
	}
}

// TestSnapshotAttacks: a file that is not this front door's own, whole and in this
// form is not believed at all.
func TestSnapshotAttacks(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "directory")
	asOf := time.UnixMicro(1_800_000_000_000_000)
	want := store.Saved{Change: 7, AsOf: asOf, Contents: discovery.Contents{
		Portals: []discovery.PortalState{{Portal: discovery.Portal{ID: "acme", Name: "Acme", URL: "https://acme.eu.example.com", Disclosure: discovery.Listed,
			Region: "eu-central", Standbys: []discovery.Standby{{Region: "eu-west", URL: "https://acme.eu-west.example.com"}}}},
			{Portal: discovery.Portal{ID: "old"}, Gone: true}},
		Routes:     []discovery.Route{{Domain: "acme.example", Portal: "acme", Connection: "idp", SignIn: []discovery.SignIn{discovery.SAML}}},
		Incomplete: []string{"us-east"},
	}}
	file := snapshotFile(t, path, 1)
	if err := file.Write(want); err != nil {
		t.Fatal(err)
	}
	got, err := file.Read()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v\n%s", err, diff)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(good), ".")
	encode := base64.RawURLEncoding.EncodeToString
	attacks := map[string]struct {
		text string
		want error
	}{
		"empty":            {"", store.ErrSnapshotForm},
		"truncated":        {string(good[:len(good)/2]), store.ErrSnapshotForm},
		"cut tag":          {string(good[:len(good)-4]), store.ErrSnapshotForeign},
		"another body":     {parts[0] + "." + encode([]byte(`{"change":1,"as_of":1,"portals":[],"routes":[]}`)) + "." + parts[2], store.ErrSnapshotForeign},
		"unsigned":         {encode([]byte(`{"alg":"none","typ":"domicile-directory-1"}`)) + "." + parts[1] + ".", store.ErrSnapshotForm},
		"another's secret": {signed(t, snapshotKey(t, 2), "domicile-directory-1", `{"portals":[],"routes":[]}`), store.ErrSnapshotForeign},
		"an older form":    {signed(t, snapshotKey(t, 1), "domicile-directory-0", `{"portals":[],"routes":[]}`), store.ErrSnapshotForm},
		"a newer form":     {signed(t, snapshotKey(t, 1), "domicile-directory-1", `{"portals":[],"routes":[],"entries":[]}`), store.ErrSnapshotForm},
		"no JSON":          {signed(t, snapshotKey(t, 1), "domicile-directory-1", `acme`), store.ErrSnapshotForm},
		"JWS as JSON":      {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, store.ErrSnapshotForm},
	}
	for i := 0; i < len(good); i += 37 {
		bent := bytes.Clone(good)
		if bent[i]++; bent[i] != '.' && good[i] != '.' {
			attacks["bent at "+string(good[:i])] = struct {
				text string
				want error
			}{string(bent), nil}
		}
	}
	for name, a := range attacks {
		if err := os.WriteFile(path, []byte(a.text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, registry := withFile(t, sqltest.SQLite(t, store.Migrations), file, away)
		if err := f.LoadFile(); err == nil || a.want != nil && !errors.Is(err, a.want) {
			t.Errorf("%s: %v, want %v", name, err, a.want)
		}
		if f.snapshot.Ready() || f.State().Source != store.FromNowhere {
			t.Errorf("%s: it is believed", name)
		}
		if !strings.Contains(f.log.String(), "is not believed") {
			t.Errorf("%s: nobody hears of it", name)
		}
		if n := counted(t, registry, "domicile_directory_snapshot_refused_total"); n != 1 {
			t.Errorf("%s: counted %v times", name, n)
		}
	}
}

func snapshotKey(t *testing.T, n byte) []byte {
	t.Helper()
	keys, err := discovery.Secrets{bytes.Repeat([]byte{n}, 32)}.Keys("domicile directory snapshot")
	if err != nil {
		t.Fatal(err)
	}
	return keys[0][:]
}

func signed(t *testing.T, key []byte, typ jose.ContentType, body string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key}, (&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func counted(t *testing.T, registry *prometheus.Registry, name string) (n float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// TestSnapshotPlaces: nothing but a file is read, nothing is written through a
// link, and an older file of our own is believed for as long as nobody knows
// better.
func TestSnapshotPlaces(t *testing.T) {
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, "directory"), filepath.Join(dir, "elsewhere")
	file := snapshotFile(t, path, 1)
	kept := func(id string) store.Saved {
		return store.Saved{Contents: discovery.Contents{Portals: []discovery.PortalState{{Portal: discovery.Portal{ID: id}}}}}
	}
	if err := snapshotFile(t, elsewhere, 1).Write(kept("linked")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Read(); !errors.Is(err, store.ErrSnapshotForm) {
		t.Errorf("a link is followed: %v", err)
	}
	if err := file.Write(kept("new")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("written as %v, %v", info.Mode(), err)
	}
	if k, err := snapshotFile(t, elsewhere, 1).Read(); err != nil || k.Portals[0].ID != "linked" {
		t.Errorf("it was written through the link: %+v, %v", k, err)
	}

	older, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Write(kept("newer")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, older, 0o600); err != nil {
		t.Fatal(err)
	}
	if k, err := file.Read(); err != nil || k.Portals[0].ID != "new" {
		t.Errorf("set back: %+v, %v", k, err)
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Read(); !errors.Is(err, store.ErrSnapshotForm) {
		t.Errorf("a pipe is read: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	f, registry := withFile(t, sqltest.SQLite(t, store.Migrations), snapshotFile(t, filepath.Join(dir, "nowhere", "directory"), 1), nil)
	f.apply(eu, portal(1, "eu-central", "acme", "https://acme.eu.example.com"))
	f.keep()
	if !strings.Contains(f.log.String(), "could not be kept") || counted(t, registry, "domicile_directory_snapshot_writes_total") != 1 {
		t.Errorf("nobody hears of a disk that takes nothing: %s", f.log)
	}
}
