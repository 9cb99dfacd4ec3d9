package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery/store"
	"github.com/domicile-sso/domicile/regions"
)

// page asks as a person does.
func (w *world) page(d *Discovery, address string) (int, string) {
	w.t.Helper()
	form := url.Values{"email": {address}}.Encode()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+d.Addr("public")+"/", strings.NewReader(form))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Host = "localhost:1"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// reasons is what the private probe says.
func reasons(t *testing.T, p *process) (int, string) {
	t.Helper()
	return get(t, "http://"+p.Addr("private")+"/readyz", "")
}

// known starts a front door and a region, waits until Acme is known, and stops
// the front door again.
func (w *world) known() *Portal {
	w.t.Helper()
	d := w.front()
	w.at.Internal = d.Claims()
	p := w.region(d.Claims())
	open(w.t, p)
	w.where(d, "ada@acme.example", "acme")
	stopped(w.t, d)
	return p
}

// TestStartWithoutTheDatabase: refused or jammed, and whether or not the carriers
// of regions and the cache are there, a front door starts from what it kept, says
// so, and needs no other start when the database is back.
func TestStartWithoutTheDatabase(t *testing.T) {
	for name, leave := range map[string]func(*planttest.Gate){"refuses": (*planttest.Gate).Shut, "jammed": (*planttest.Gate).Stick} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			gate, through := planttest.Before(t, servertest.Postgres(t))
			w.at.Database = through
			w.known()

			leave(gate)
			w.at.Migrate = false
			if err := os.Remove(w.at.Catalogue); err != nil {
				t.Fatal(err)
			}
			w.at.Redis = redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
			d := w.front()
			if code, body := w.page(d, "ada@acme.example"); code != http.StatusOK || !strings.Contains(body, "Acme") {
				t.Errorf("somebody of the domain is told %d\n%s", code, body)
			}
			if code, body := w.page(d, "gitta@partner.example"); code != http.StatusServiceUnavailable || !strings.Contains(body, "try again") {
				t.Errorf("somebody else is told %d\n%s", code, body)
			}
			// Redis and the catalogue are noticed when they are first looked for.
			planttest.Until(t, "the operator hearing what is away", func() bool {
				code, say := reasons(t, d.process)
				return code == http.StatusOK && strings.HasPrefix(say, "ok\n") && strings.Contains(say, "degraded: redis: away since") &&
					strings.Contains(say, "degraded: catalogue: away since") && strings.Contains(say, "degraded: database: away since") && strings.Contains(say, "from the snapshot on disk")
			})
			if code, body := get(t, "http://"+d.Addr("public")+"/readyz", ""); code != http.StatusOK || body != "ok\n" {
				t.Errorf("a load balancer is told %d %q", code, body)
			}
			_, metrics := get(t, "http://"+d.Addr("private")+"/metrics", "")
			for _, want := range []string{`domicile_directory_source{source="disk"} 1`, `domicile_directory_source{source="database"} 0`,
				`domicile_dependency_up{dependency="database"} 0`, `domicile_discovery_stale_lookups_total{door="page"} 2`} {
				if !strings.Contains(metrics, want) {
					t.Errorf("no metric says %s", want)
				}
			}

			if name == "jammed" {
				gate.Free()
			} else {
				gate.Open(t)
			}
			w.where(d, "ada@acme.example", "acme") // a program hears only what is wholly known
			w.where(d, "gitta@partner.example", "")
			if _, say := reasons(t, d.process); strings.Contains(say, "database") {
				t.Errorf("the database is back: %s", say)
			}
		})
	}
}

// TestStartRefused: what waiting does not change ends a start, whatever is kept,
// and so does a database that is away when nothing is.
func TestStartRefused(t *testing.T) {
	w := newWorld(t)
	w.at.Database = servertest.Postgres(t)
	w.known()
	w.at.Migrate = false

	u, err := url.Parse(w.at.Database)
	if err != nil {
		t.Fatal(err)
	}
	missing := *u
	missing.Path = "/no_such_database"
	empty := servertest.Postgres(t)
	const nobody = "postgres://u:hidden@127.0.0.1:1/x"
	for name, c := range map[string]struct {
		database, folder string
		say              string
	}{
		"no such database":  {missing.String(), w.at.Snapshot, "no_such_database"},
		"behind":            {empty, w.at.Snapshot, "run domicile migrate up"},
		"no snapshot":       {nobody, "", "no snapshot is configured"},
		"nothing kept yet":  {nobody, t.TempDir(), "no snapshot to start from yet"},
		"somebody else's":   {nobody, w.foreign(), "not written under a secret of this front door"},
		"not a database":    {"mysql://x", w.at.Snapshot, "a database URL starts with"},
		"SQLite, no folder": {"sqlite:" + filepath.Join(t.TempDir(), "nowhere", "x.db"), "", "no snapshot is configured"},
	} {
		t.Run(name, func(t *testing.T) {
			o := w.at
			o.Database, o.Snapshot = c.database, c.folder
			d, err := NewDiscovery(t.Context(), o)
			if err == nil {
				stopped(t, d)
				t.Fatal("it starts")
			}
			if !strings.Contains(err.Error(), c.say) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("it says: %v", err)
			}
		})
	}
	t.Run("told to stop meanwhile", func(t *testing.T) {
		o := w.at
		o.Database = nobody
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if d, err := NewDiscovery(ctx, o); !errors.Is(err, context.Canceled) {
			stopped(t, d)
			t.Errorf("it goes on: %v", err)
		}
	})
}

// foreign is a snapshot folder of another front door, with our regions in it.
func (w *world) foreign() string {
	w.t.Helper()
	dir := w.t.TempDir()
	theirs, err := store.NewSnapshotFile(filepath.Join(dir, keptDirectory), [][]byte{[]byte(strings.Repeat("x", 32))})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := theirs.Write(store.Saved{}); err != nil {
		w.t.Fatal(err)
	}
	records, err := regions.ReadFile(w.at.Catalogue)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := regions.WriteFile(filepath.Join(dir, keptRegions), records); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// TestAnotherSchema: a database that comes back as another one is not used, and
// the front door goes on as it started until it is the right one.
func TestAnotherSchema(t *testing.T) {
	w := newWorld(t)
	gate, through := planttest.Before(t, servertest.Postgres(t))
	w.at.Database = through
	w.known()
	gate.Shut()
	w.at.Migrate = false
	u, err := url.Parse(through)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := url.Parse(servertest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = empty.Path // behind the same gate
	w.at.Database = u.String()
	d := w.front()
	gate.Open(t)
	planttest.Until(t, "the operator hearing of the schema", func() bool {
		code, say := reasons(t, d.process)
		return code == http.StatusOK && strings.Contains(say, "run domicile migrate up")
	})
	if code, body := w.page(d, "ada@acme.example"); code != http.StatusOK || !strings.Contains(body, "Acme") {
		t.Errorf("somebody of the domain is told %d\n%s", code, body)
	}
	if got := w.ask(d, "gitta@partner.example"); got != "503 Service Unavailable" {
		t.Errorf("law 5: somebody else is told %s", got)
	}
	db, err := sqldb.Open(t.Context(), w.at.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := sqldb.Migrate(t.Context(), db, store.Migrations); err != nil {
		t.Fatal(err)
	}
	// It is empty: the region hears that, and publishes everything again.
	w.where(d, "ada@acme.example", "acme")
}

// TestRegionAlone: a region starts and is ready with the front door away, or
// there and silent (law 7).
func TestRegionAlone(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for name, claims := range map[string]string{"away": "127.0.0.1:1", "silent": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.region(claims)
			open(t, p)
			if code, say := reasons(t, p.process); code != http.StatusOK || say != "ok\n" {
				t.Errorf("not ready: %d %s", code, say)
			}
			if code, _ := get(t, "http://"+p.Addr("public")+"/login", "acme.eu.localhost"); code != http.StatusOK {
				t.Errorf("direct sign-in answers %d", code)
			}
		})
	}
}

// TestRegionReady: a region is ready as long as its database can be read and
// changed; however many ask at once, it is asked once.
func TestRegionReady(t *testing.T) {
	w := newWorld(t)
	gate, through := planttest.Before(t, servertest.Postgres(t))
	w.eu.Database = through
	p := w.region("127.0.0.1:1")
	if code, say := reasons(t, p.process); code != http.StatusOK {
		t.Fatalf("%d %s", code, say)
	}
	gate.Stick()
	const many = 40
	answers := make(chan string, many)
	for range many {
		go func() {
			r, err := http.Get("http://" + p.Addr("private") + "/readyz")
			if err != nil {
				answers <- err.Error()
				return
			}
			defer func() { _ = r.Body.Close() }()
			body, _ := io.ReadAll(r.Body)
			answers <- fmt.Sprint(r.StatusCode, " ", string(body))
		}()
	}
	for range many {
		if say := <-answers; !strings.HasPrefix(say, "503 database: ") {
			t.Errorf("jammed: %s", say)
		}
	}
	gate.Free()
	planttest.Until(t, "the region being ready", func() bool {
		code, _ := reasons(t, p.process)
		return code == http.StatusOK
	})

	db, err := sqldb.Open(t.Context(), through)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	name, err := url.Parse(through)
	if err != nil {
		t.Fatal(err)
	}
	database := strings.Trim(name.Path, "/")
	if _, err := db.ExecContext(t.Context(), `ALTER DATABASE "`+database+`" SET default_transaction_read_only = on`); err != nil {
		t.Fatal(err)
	}
	gate.Shut() // the next connections are those to the demoted server
	gate.Open(t)
	planttest.Until(t, "a read-only database being noticed", func() bool {
		code, say := reasons(t, p.process)
		return code == http.StatusServiceUnavailable && strings.Contains(say, "takes no changes")
	})
}

// A question is asked once for all who want to know at the same time, and given up
// in time for the reason to be heard.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		p := &probe{ask: func(ctx context.Context) error {
			asked++
			<-ctx.Done()
			return context.Cause(ctx)
		}}
		began := time.Now()
		answers := make(chan error, 5)
		for range cap(answers) {
			go func() { answers <- p.ready(t.Context()) }()
		}
		synctest.Wait()
		hurried, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.ready(hurried); !errors.Is(err, context.Canceled) {
			t.Errorf("who hangs up waits: %v", err)
		}
		for range cap(answers) {
			if err := <-answers; !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		if took := time.Since(began); asked != 1 || took >= 2*time.Second {
			t.Errorf("asked %d times in %v", asked, took)
		}
	})
}

// TestDamagedFile: a SQLite file that is none any more is a database that is away.
func TestDamagedFile(t *testing.T) {
	w := newWorld(t)
	w.known()
	w.at.Migrate = false
	path := strings.TrimPrefix(w.at.Database, "sqlite:")
	for _, beside := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	d := w.front()
	if code, body := w.page(d, "ada@acme.example"); code != http.StatusOK || !strings.Contains(body, "Acme") {
		t.Errorf("somebody of the domain is told %d\n%s", code, body)
	}
	if got := w.ask(d, "gitta@partner.example"); got != "503 Service Unavailable" {
		t.Errorf("law 5: somebody else is told %s", got)
	}
}

// CON-01: what lies in the snapshot folder is believed as little as what anybody
// carries: bent, cut, or signed by somebody else, it leads nobody anywhere.
func TestCON01TamperedSnapshot(t *testing.T) {
	w := newWorld(t)
	gate, through := planttest.Before(t, servertest.Postgres(t))
	w.at.Database = through
	w.known()
	gate.Shut()
	w.at.Migrate = false
	_, attacker := newKey(t)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(w.at.Snapshot, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	regionsKept, directoryKept := read(keptRegions), read(keptDirectory)
	parts := strings.Split(directoryKept, ".")
	plain, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !strings.Contains(string(plain), "//acme.eu.") {
		t.Fatalf("what is kept: %s, %v", plain, err)
	}
	edited := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(plain), "//acme.eu.", "//evil.eu.", 1)))
	for name, attack := range map[string]struct{ regions, directory string }{
		"nothing was done":         {regionsKept, directoryKept},
		"the signature is bent":    {regionsKept, parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))},
		"the directory is cut":     {regionsKept, directoryKept[:len(directoryKept)/2]},
		"a portal's URL is edited": {regionsKept, parts[0] + "." + edited + "." + parts[2]},
		"a strange root": {w.record(attacker, func(r *regions.Record) {
			r.Version, r.Hosts = 9, []string{"*.evil.localhost"}
		}), directoryKept},
		"other hosts": {w.record(w.root, func(r *regions.Record) { r.Version, r.Hosts = 9, []string{"*.elsewhere.localhost"} }), directoryKept},
		"no regions":  {"", directoryKept},
	} {
		t.Run(name, func(t *testing.T) {
			o := w.at
			o.Snapshot, o.Catalogue = t.TempDir(), filepath.Join(t.TempDir(), "none")
			for file, text := range map[string]string{keptRegions: attack.regions, keptDirectory: attack.directory} {
				if err := os.WriteFile(filepath.Join(o.Snapshot, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			untouched := attack.directory == directoryKept && attack.regions == regionsKept
			d, err := NewDiscovery(t.Context(), o)
			if err != nil && !untouched {
				t.Log(err)
				return // an operator is told
			}
			if err != nil {
				t.Fatal(err)
			}
			d.Start()
			defer stopped(t, d)
			if untouched {
				if code, body := w.page(d, "ada@acme.example"); code != http.StatusOK || !strings.Contains(body, "Acme") {
					t.Errorf("%d\n%s", code, body)
				}
				return
			}
			code, body := w.page(d, "ada@acme.example")
			if code < 500 || strings.Contains(body, "evil") || strings.Contains(body, "elsewhere") {
				t.Errorf("somebody is told %d\n%s", code, body)
			}
			if got := w.ask(d, "ada@acme.example"); got != "503 Service Unavailable" {
				t.Errorf("a program is told %s", got)
			}
		})
	}
}
