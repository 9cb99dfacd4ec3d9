package attacks

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	netmail "net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/portal/mail"
	"github.com/domicile-sso/domicile/portal/store"
	"github.com/domicile-sso/domicile/portal/web"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// Where everything is. Names are fixed; ports are not part of them.
const (
	frontDoor = "https://domicile.example"
	acme      = "https://acme.eu.domicile.example"  // SAML, OpenID Connect, password, and a domain with both
	beta      = "https://beta.eu.domicile.example"  // the neighbour in the same region
	gamma     = "https://gamma.us.domicile.example" // another region, another jurisdiction

	europe  = "eu-central"
	america = "us-east"
)

// A world is the product with everything around it. Fields are set once; what
// changes has its own lock.
type world struct {
	Front   *app.Discovery
	Regions map[string]*region
	IdPs    *idps
	Clock   *clock
	Log     *planttest.Log
	Mailbox *mail.Mailbox

	FrontDB *sql.DB // the directory, for looking
	Metrics *prometheus.Registry

	dir       string
	tracing   app.Tracing           // zero: off
	databases map[string]string     // by role; a role without one has a file
	redis     redis.UniversalClient // of the front door; nil: none
	root      ed25519.PrivateKey
	tickets   ed25519.PrivateKey // signs tickets
	secret    []byte
	blinding  []byte // the one key of blind
	blind     discovery.BlindKeys
	transport *http.Transport
	mu        sync.Mutex
	listeners map[string]string // host → address
	looking   map[*sql.DB][]look
	territory []territory
	outbound  *http.Client
	health    reports
}

// A region is one deployment. Start and Stop it as an operator would: what it
// knows lies in its database.
type region struct {
	*app.Portal
	Name    string
	DB      *sql.DB // the same database, for looking
	Metrics *prometheus.Registry
	Ticket  ticket.Key
	Record  regions.Record

	w       *world
	options app.PortalOptions
}

type territory struct{ region, jurisdiction, name, zone string }

// The commons is a world that tests share. Each test brings fresh browsers and
// people; whoever breaks something for good (stops a region, changes what others
// rely on) starts a world of its own.
var commons struct {
	sync.Once
	*world
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if commons.world != nil {
		if err := commons.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the commons:", err)
			code = 1
		}
		_ = os.RemoveAll(commons.dir)
	}
	os.Exit(code)
}

// shared is the commons, started by whoever comes first.
func shared(t *testing.T) *world {
	t.Helper()
	commons.Do(func() {
		dir, err := os.MkdirTemp("", "domicile-attacks-")
		if err == nil {
			commons.world, err = start(dir)
		}
		commons.err = err
	})
	if commons.err != nil {
		t.Fatal(commons.err)
	}
	return commons.world
}

// newWorld is a world of the test's own, gone when it ends.
func newWorld(t *testing.T) *world {
	t.Helper()
	w, err := start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// start makes a world in dir, changed as a test wants it, and opens its doors.
func start(dir string, changes ...func(*world)) (*world, error) {
	ctx := context.Background()
	w := &world{
		Regions: map[string]*region{}, Clock: newClock(), Log: new(planttest.Log), Mailbox: new(mail.Mailbox),
		Metrics: prometheus.NewRegistry(), dir: dir, listeners: map[string]string{}, looking: map[*sql.DB][]look{}, secret: random(), transport: new(http.Transport),
		blinding:  random(),
		root:      ed25519.NewKeyFromSeed(random()),
		tickets:   ed25519.NewKeyFromSeed(random()),
		territory: []territory{{europe, "EU", "Frankfurt", "eu"}, {america, "US", "Virginia", "us"}},
	}
	w.blind = discovery.BlindKeys{discovery.NewBlindKey(1, w.blinding)}
	for _, change := range changes {
		change(w)
	}
	w.transport.DialContext = w.dial
	w.transport.MaxIdleConnsPerHost = 64
	w.IdPs = startIdPs(w.Clock.Now)
	w.outbound = fetch.New(fetch.Options{DangerouslyAllowLoopback: true, Log: w.logger("outbound")})
	err := w.open(ctx)
	if err == nil {
		err = w.populate(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, w.stop())
	}
	w.Front.Start()
	for _, r := range w.Regions {
		r.Start()
	}
	return w, nil
}

// open wires the roles, each on its own database.
func (w *world) open(ctx context.Context) (err error) {
	var signed []string
	for _, t := range w.territory {
		r := &region{Name: t.region, Metrics: prometheus.NewRegistry(), w: w}
		if r.Ticket, err = ticket.GenerateKey(); err != nil {
			return err
		}
		publishing := ed25519.NewKeyFromSeed(random())
		public := publishing.Public().(ed25519.PublicKey)
		now := w.Clock.Now()
		r.Record = regions.Record{
			Region: t.region, Jurisdiction: t.jurisdiction, Name: t.name, Version: 1, Issued: now, Expires: now.AddDate(1, 0, 0),
			Hosts:          []string{"*." + t.zone + ".domicile.example"},
			TicketKeys:     []regions.TicketKey{r.Ticket.Public()},
			PublishingKeys: []regions.PublishingKey{{ID: regions.KeyID(public), Public: public}},
		}
		record, err := regions.Sign(r.Record, w.root)
		if err != nil {
			return err
		}
		signed = append(signed, record)
		r.options = app.PortalOptions{
			Common: w.common(t.region), Region: t.region, RegionName: t.name, Jurisdiction: t.jurisdiction, HTTPS: true,
			VaultKeys: [][]byte{random()}, TicketKeys: []ticket.Key{r.Ticket}, Publishing: publishing,
			FrontDoor: frontDoor, FrontDoorKeys: []ed25519.PublicKey{w.tickets.Public().(ed25519.PublicKey)},
			BlindKeys: w.blind, Mail: w.Mailbox,
			MailFrom: netmail.Address{Name: "Domicile", Address: "no-reply@" + t.zone + ".domicile.example"},
			Outbound: w.outbound,
			Limits:   web.Limits{DangerouslyUnlimited: true}, // attacks come by the hundred, in one moment
		}
		w.Regions[t.region] = r
	}
	catalogue := filepath.Join(w.dir, "regions.jws")
	if err := regions.WriteFile(catalogue, signed); err != nil {
		return err
	}
	common := w.common("discovery")
	common.Registry = w.Metrics
	w.Front, err = app.NewDiscovery(ctx, app.DiscoveryOptions{
		Common: common, URL: frontDoor, Internal: "127.0.0.1:0", Tickets: w.tickets, Secrets: [][]byte{w.secret}, BlindKeys: w.blind,
		Roots: []ed25519.PublicKey{w.root.Public().(ed25519.PublicKey)}, Catalogue: catalogue,
		Snapshot: w.dir, Health: w.health.of, Redis: w.redis,
	})
	if err != nil {
		return fmt.Errorf("front door: %w", err)
	}
	w.at(hostOf(frontDoor), w.Front.Addr("public"))
	if w.FrontDB, err = sqldb.Open(ctx, common.Database); err != nil {
		return err
	}
	var g errgroup.Group
	for _, r := range w.Regions {
		g.Go(func() (err error) {
			r.options.ClaimsURL = "http://" + w.Front.Claims()
			if err := r.open(ctx); err != nil {
				return err
			}
			r.DB, err = sqldb.Open(ctx, r.options.Database)
			return err
		})
	}
	return g.Wait()
}

func (w *world) common(name string) app.Common {
	return app.Common{
		Listen: "127.0.0.1:0", Private: "127.0.0.1:0", Migrate: true,
		Database: or(w.databases[name], "sqlite:"+filepath.Join(w.dir, name+".db")), Log: w.logger(name), Now: w.Clock.Now, Tracing: w.tracing,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
}

// open wires the region and leads its hosts to it.
func (r *region) open(ctx context.Context) (err error) {
	r.Metrics = prometheus.NewRegistry()
	r.options.Registry = r.Metrics
	if r.Portal, err = app.NewPortal(ctx, r.options); err != nil {
		return fmt.Errorf("region %s: %w", r.Name, err)
	}
	for _, p := range places {
		if p.region == r.Name {
			r.w.at(hostOf(p.url), r.Addr("public"))
		}
	}
	return nil
}

// Restart ends the region's process and starts a new one on the same database.
func (r *region) Restart(t testing.TB) {
	t.Helper()
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Start()
}

// Node is one more process of the region, on the same database: what a load
// balancer would choose from. A browser goes there with browser.via.
func (r *region) Node(t testing.TB) *app.Portal {
	t.Helper()
	o := r.options
	o.Registry = prometheus.NewRegistry()
	node, err := app.NewPortal(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	node.Start()
	t.Cleanup(func() {
		if err := node.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return node
}

// home is the region that a portal lives in, by its URL.
func (w *world) home(portal string) *region {
	portal = or(standbys[portal], portal)
	for _, p := range places {
		if p.url == portal {
			return w.Regions[p.region]
		}
	}
	panic("no portal at " + portal)
}

// store is the region's store, for what an operator does by command.
func (w *world) store(portal string) *store.Store { return w.home(portal).Store() }

func (w *world) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	w.transport.CloseIdleConnections()
	var errs []error
	for _, r := range w.Regions {
		if r.Portal != nil {
			errs = append(errs, r.Stop(ctx))
		}
		if r.DB != nil {
			errs = append(errs, r.DB.Close())
		}
	}
	if w.Front != nil {
		errs = append(errs, w.Front.Stop(ctx))
	}
	if w.FrontDB != nil {
		errs = append(errs, w.FrontDB.Close())
	}
	w.IdPs.server.Close()
	return errors.Join(errs...)
}

// published waits until the front door has taken every claim of every region.
func (w *world) published(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for name, r := range w.Regions {
		for waiting := 1; ; {
			if err := r.DB.QueryRowContext(ctx, `SELECT COUNT(*) FROM outbox`).Scan(&waiting); err != nil {
				t.Fatalf("region %s: %v", name, err)
			}
			if waiting == 0 {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("region %s: %d claims wait for the front door", name, waiting)
			}
		}
	}
}

func (w *world) logger(role string) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w.Log, &slog.HandlerOptions{Level: slog.LevelDebug})).With("role", role)
}

func random() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return b
}
