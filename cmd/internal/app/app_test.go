package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/portal"
	portalstore "github.com/domicile-sso/domicile/portal/store"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// A world is a front door and one region of it, with all their keys.
type world struct {
	t    *testing.T
	dir  string
	root ed25519.PrivateKey
	eu   PortalOptions
	at   DiscoveryOptions
}

func newKey(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	rootPublic, root := newKey(t)
	frontPublic, front := newKey(t)
	_, publishing := newKey(t)
	opens, err := ticket.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	blind := discovery.BlindKeys{discovery.NewBlindKey(1, bytes.Repeat([]byte{1}, 32))}
	w.root = root
	w.at = DiscoveryOptions{
		Common: Common{Listen: "127.0.0.1:0", Private: "127.0.0.1:0", Database: "sqlite:" + filepath.Join(w.dir, "directory.db"), Migrate: true},
		URL:    "http://localhost:1", Internal: "127.0.0.1:0",
		Tickets: front, Secrets: [][]byte{bytes.Repeat([]byte{2}, 32)}, BlindKeys: blind,
		Roots: []ed25519.PublicKey{rootPublic}, Catalogue: filepath.Join(w.dir, "catalogue"), Snapshot: w.dir,
		Reread: 10 * time.Millisecond,
	}
	w.eu = PortalOptions{
		Common: Common{Listen: "127.0.0.1:0", Private: "127.0.0.1:0", Database: "sqlite:" + filepath.Join(w.dir, "eu.db"), Migrate: true},
		Region: "eu-central", Jurisdiction: "EU", VaultKeys: [][]byte{portal.NewVaultKey()}, TicketKeys: []ticket.Key{opens},
		FrontDoor: w.at.URL, FrontDoorKeys: []ed25519.PublicKey{frontPublic}, Publishing: publishing, BlindKeys: blind,
		Outbound: fetch.New(fetch.Options{}),
	}
	w.sign(1, "*.eu.localhost")
	return w
}

// sign puts the region's record into the catalogue.
func (w *world) sign(version int64, host string) {
	w.t.Helper()
	signed := w.record(w.root, func(r *regions.Record) { r.Version, r.Hosts = version, []string{host} })
	if err := regions.WriteFile(w.at.Catalogue, []string{signed}); err != nil {
		w.t.Fatal(err)
	}
}

// record is the region's, changed, and signed by root.
func (w *world) record(root ed25519.PrivateKey, change func(*regions.Record)) string {
	w.t.Helper()
	public := w.eu.Publishing.Public().(ed25519.PublicKey)
	now := time.Now().Truncate(time.Second)
	r := regions.Record{
		Region: "eu-central", Jurisdiction: "EU", Name: "Frankfurt", Version: 1, Issued: now, Expires: now.Add(time.Hour),
		Hosts: []string{"*.eu.localhost"}, TicketKeys: []regions.TicketKey{w.eu.TicketKeys[0].Public()},
		PublishingKeys: []regions.PublishingKey{{ID: regions.KeyID(public), Public: public}},
	}
	change(&r)
	signed, err := regions.Sign(r, root)
	if err != nil {
		w.t.Fatal(err)
	}
	return signed
}

func (w *world) front() *Discovery {
	w.t.Helper()
	d, err := NewDiscovery(w.t.Context(), w.at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { stopped(w.t, d) })
	d.Start()
	return d
}

func (w *world) region(claims string) *Portal {
	w.t.Helper()
	o := w.eu
	o.ClaimsURL = "http://" + claims
	p, err := NewPortal(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { stopped(w.t, p) })
	p.Start()
	return p
}

func stopped(t *testing.T, r interface{ Stop(context.Context) error }) {
	t.Helper()
	if err := r.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// where asks the front door, until the answer is want.
func (w *world) where(d *Discovery, address, want string) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		got := w.ask(d, address)
		if got == want {
			return
		}
		select {
		case <-deadline:
			w.t.Fatalf("%s leads to %q, want %q", address, got, want)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (w *world) ask(d *Discovery, address string) string {
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+d.servers[0].Addr().String()+"/v1/discover", strings.NewReader(`{"email":"`+address+`"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Host = "localhost:1"
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct{ Portals []struct{ ID string } }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusOK {
		return res.Status
	}
	var ids []string
	for _, p := range answer.Portals {
		ids = append(ids, p.ID)
	}
	return strings.Join(ids, " ")
}

func open(t *testing.T, p *Portal) {
	t.Helper()
	ctx := t.Context()
	if _, err := p.Store().CreatePortal(ctx, portal.Portal{ID: "acme", Name: "Acme", URL: "http://acme.eu.localhost", Disclosure: discovery.Listed}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Store().PutDomain(ctx, portal.Domain{Name: "acme.example", Portal: "acme", Password: true, Proof: "operator", Proven: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, url, host string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// The front door forgets everything, and hears of it again by itself; it goes on
// without its region, and the region without it.
func TestApart(t *testing.T) {
	w := newWorld(t)
	d := w.front()
	claims := d.Claims()
	p := w.region(claims)
	open(t, p)
	w.where(d, "ada@acme.example", "acme")

	stopped(t, d)
	if code, _ := get(t, "http://"+p.servers[0].Addr().String()+"/login", "acme.eu.localhost"); code != http.StatusOK {
		t.Errorf("without the front door, direct sign-in answers %d", code)
	}
	w.at.Database = "sqlite:" + filepath.Join(w.dir, "empty.db")
	w.at.Internal = claims
	d = w.front()
	w.where(d, "ada@acme.example", "acme")

	stopped(t, p)
	w.where(d, "ada@acme.example", "acme")
}

// CON: what is in the catalogue's file is worth what its signatures are.
func TestCatalogue(t *testing.T) {
	w := newWorld(t)
	d := w.front()
	p := w.region(d.Claims())
	open(t, p)
	w.where(d, "ada@acme.example", "acme")

	// A broken file changes nothing, and neither does losing it over a restart.
	if err := os.WriteFile(w.at.Catalogue, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Reload()
	w.where(d, "ada@acme.example", "acme")
	stopped(t, d)
	if err := os.Remove(w.at.Catalogue); err != nil {
		t.Fatal(err)
	}
	d = w.front()
	w.where(d, "ada@acme.example", "acme")

	// A newer record that does not cover the portal's host takes it away, and a
	// still newer one brings it back.
	w.sign(2, "*.elsewhere.localhost")
	w.where(d, "ada@acme.example", "503 Service Unavailable")
	w.sign(3, "*.eu.localhost")
	w.where(d, "ada@acme.example", "acme")
}

func TestPrivate(t *testing.T) {
	w := newWorld(t)
	d := w.front()
	p := w.region(d.Claims())
	for name, r := range map[string]*process{"discovery": d.process, "portal": p.process} {
		private := "http://" + r.servers[len(r.servers)-1].Addr().String()
		code, metrics := get(t, private+"/metrics", "")
		if code != http.StatusOK || !strings.Contains(metrics, "domicile_http_request") || !strings.Contains(metrics, "go_goroutines") {
			t.Errorf("%s: metrics %d", name, code)
		}
		if code, why := get(t, private+"/readyz", ""); code != http.StatusOK {
			t.Errorf("%s: not ready: %s", name, why)
		}
		if code, _ := get(t, "http://"+r.servers[0].Addr().String()+"/readyz", "10.0.0.1"); code != http.StatusOK {
			t.Errorf("%s: public probe %d", name, code)
		}
		if code, _ := get(t, "http://"+r.servers[0].Addr().String()+"/", "elsewhere.test"); code != http.StatusMisdirectedRequest {
			t.Errorf("%s: another host is answered %d", name, code)
		}
	}
}

// A server starts on a database of its own version or not at all, and whatever
// stops it half-way leaves nothing open.
func TestHalfBuilt(t *testing.T) {
	var behind *sqldb.VersionError
	for name, change := range map[string]func(*world){
		"behind":          func(w *world) { w.at.Migrate, w.eu.Migrate = false, false },
		"no database":     func(w *world) { w.at.Database, w.eu.Database = "sqlite:/nowhere/at/all", "sqlite:/nowhere/at/all" },
		"address":         func(w *world) { w.at.Listen, w.eu.Listen = "192.0.2.1:1", "192.0.2.1:1" },
		"private address": func(w *world) { w.at.Private, w.eu.Private = "192.0.2.1:1", "192.0.2.1:1" },
		"keys":            func(w *world) { w.at.Secrets, w.eu.VaultKeys = nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w)
			if d, err := NewDiscovery(t.Context(), w.at); err == nil {
				stopped(t, d)
				t.Error("the front door was made")
			} else if name == "behind" && !errors.As(err, &behind) {
				t.Errorf("front door: %v", err)
			}
			if p, err := NewPortal(t.Context(), w.eu); err == nil {
				stopped(t, p)
				t.Error("the region was made")
			} else if name == "behind" && !errors.As(err, &behind) {
				t.Errorf("region: %v", err)
			}
		})
	}
	t.Run("never started", func(t *testing.T) {
		w := newWorld(t)
		d, err := NewDiscovery(t.Context(), w.at)
		if err != nil {
			t.Fatal(err)
		}
		stopped(t, d)
		stopped(t, d)
		var none *process
		stopped(t, none)
	})
	t.Run("no catalogue", func(t *testing.T) {
		w := newWorld(t)
		if err := os.Remove(w.at.Catalogue); err != nil {
			t.Fatal(err)
		}
		if d, err := NewDiscovery(t.Context(), w.at); err == nil {
			stopped(t, d)
			t.Error("a front door that knows no region was made")
		}
	})
}

func TestPostgresAndRedis(t *testing.T) {
	w := newWorld(t)
	w.at.Database, w.eu.Database = servertest.Postgres(t), servertest.Postgres(t)
	w.at.Log = slog.New(slog.DiscardHandler)
	w.at.Redis = testRedis(t, &config.Redis{Addresses: []string{servertest.Redis(t)}})
	d := w.front()
	p := w.region(d.Claims())
	open(t, p)
	w.where(d, "ada@acme.example", "acme")
	a, err := discovery.ParseAddress("gitta@partner.example")
	if err != nil {
		t.Fatal(err)
	}
	w.where(d, a.Clear(), "")
	if _, err := p.Store().DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "acme", Primary: a}, ""); err != nil {
		t.Fatal(err)
	}
	w.where(d, a.Clear(), "acme")
	if _, err := p.Store().Disable(t.Context(), "acme", portal.Visitor{}, a); err != nil {
		t.Fatal(err)
	}
	w.where(d, a.Clear(), "")
}

// What an operator calls the whole is what people read.
func TestProduct(t *testing.T) {
	w := newWorld(t)
	w.at.Product, w.eu.Product = "Example Mail", "Example Mail"
	d := w.front()
	p := w.region(d.Claims())
	open(t, p)
	for addr, host := range map[string]string{d.Addr("public"): "localhost:1", p.Addr("public"): "acme.eu.localhost"} {
		code, text := get(t, "http://"+addr+"/", host)
		if code != http.StatusOK || !strings.Contains(text, "Example Mail") || strings.Contains(text, "Domicile") {
			t.Errorf("%s: %d\n%s", host, code, text)
		}
	}
}

// REG-07: a process of another jurisdiction does not start on a region's
// database, whatever keys it has.
func TestREG07ForeignDatabase(t *testing.T) {
	w := newWorld(t)
	w.region("127.0.0.1:1")
	us := w.eu
	us.Region, us.RegionName, us.Jurisdiction, us.Registry = "us-east", "Virginia", "US", nil
	for _, stands := range []string{"", "us-west", "eu-central"} { // the last as if the law did not matter
		us.StandsInFor = stands
		if p, err := NewPortal(t.Context(), us); !errors.Is(err, portalstore.ErrElsewhere) {
			t.Errorf("standing in for %q: %v", stands, err)
			stopped(t, p)
		}
	}
	us.Jurisdiction = "EU" // and within one law a stand-in does
	p, err := NewPortal(t.Context(), us)
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, p)
}
