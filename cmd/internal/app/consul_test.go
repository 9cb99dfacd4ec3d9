package app

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/consul"
)

// withConsul is a world whose front door has no catalogue but Consul, with the
// tokens that the documentation gives each role.
func withConsul(t *testing.T) (*world, *servertest.ConsulServer) {
	t.Helper()
	w, s := newWorld(t), servertest.Consul(t)
	w.at.Catalogue = ""
	w.at.Snapshot = t.TempDir()
	w.at.Consul = &consul.Options{Address: "http://" + s.Addr, Token: s.Token(t, `
key_prefix "domicile/regions/" { policy = "read" }
service_prefix "domicile-portal-" { policy = "read" }
node_prefix "" { policy = "read" }`)}
	w.eu.Consul = &consul.Options{Address: "http://" + s.Addr, Token: s.Token(t, `service "domicile-portal-eu-central" { policy = "write" }`)}
	w.eu.Advertise = "127.0.0.1:8443"
	return w, s
}

// vandal is somebody who may do everything to Consul.
func vandal(t *testing.T, s *servertest.ConsulServer) *api.Client {
	t.Helper()
	c, err := api.NewClient(&api.Config{Address: s.Addr, Token: s.Management})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t *testing.T, c *api.Client, key, value string) {
	t.Helper()
	if _, err := c.KV().Put(&api.KVPair{Key: "domicile/regions/" + key, Value: []byte(value)}, nil); err != nil {
		t.Fatal(err)
	}
}

// a lead is what the front door says of one portal.
type lead struct{ ID, URL, Status string }

func (w *world) leads(d *Discovery, address string) (lead, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+d.Addr("public")+"/v1/discover", strings.NewReader(`{"email":"`+address+`"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Host = "localhost:1"
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct{ Portals []lead }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || len(answer.Portals) != 1 {
		return lead{}, res.Status
	}
	return answer.Portals[0], res.Status
}

// still insists that people are led where they always were.
func (w *world) still(d *Discovery, what string) {
	w.t.Helper()
	want := lead{ID: "acme", URL: "http://acme.eu.localhost"}
	if got, status := w.leads(d, "ada@acme.example"); got != want {
		w.t.Errorf("%s: %+v, %s", what, got, status)
	}
}

func (w *world) until(what string, so func() bool) {
	w.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("it never came to this: %s", what)
		}
	}
}

// metric is the sum of a metric over its labels.
func metric(t *testing.T, r *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// Consul is all there is to know regions from. A region that says it is not
// ready is known to be so at the front door, and its people are told.
func TestConsul(t *testing.T) {
	w, s := withConsul(t)
	d := w.front()
	if err := d.leads()[1].ask(t.Context()); err == nil {
		t.Error("a front door that knows no region says it is ready")
	}
	signer, err := consul.New(consul.Options{Address: "http://" + s.Addr, Token: s.Token(t, `key_prefix "domicile/regions/" { policy = "write" }`), Roots: w.at.Roots, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Publish(t.Context(), w.record(w.root, func(*regions.Record) {})); err != nil {
		t.Fatal(err)
	}
	w.until("a region is known", func() bool { _, ok := d.catalogue.Region("eu-central"); return ok })
	w.eu.Drain = time.Minute // until this test has seen enough
	p := w.region(d.Claims())
	open(t, p)
	w.where(d, "ada@acme.example", "acme")
	w.until("the region is up", func() bool { return d.consul.Health("eu-central") == regions.Up })
	w.still(d, "up")

	ctx, enough := context.WithCancel(t.Context())
	stopping := make(chan error)
	go func() { stopping <- p.Stop(ctx) }()
	w.until("the region is down", func() bool { l, _ := w.leads(d, "ada@acme.example"); return l.Status == "down" })
	enough()
	<-stopping
	w.until("the process has left", func() bool {
		there, _, err := vandal(t, s).Health().Service("domicile-portal-eu-central", "", false, nil)
		return err == nil && len(there) == 0
	})
	w.eu.Drain = 0
	w.region(d.Claims())
	w.until("the region is back", func() bool { l, _ := w.leads(d, "ada@acme.example"); return l.Status == "" && l.ID == "acme" })
}

// CON-01, CON-02, CON-04: whoever may write to Consul sends nobody anywhere, and
// an alarm rises.
func TestConsulTampering(t *testing.T) {
	w, s := withConsul(t)
	evil := func(r *regions.Record) { r.Hosts = []string{"*.evil.localhost"} }
	old := w.record(w.root, func(*regions.Record) {})
	good := w.record(w.root, func(r *regions.Record) { r.Version = 2 })
	c := vandal(t, s)
	put(t, c, "eu-central", good)
	d := w.front()
	p := w.region(d.Claims())
	open(t, p)
	w.where(d, "ada@acme.example", "acme")

	_, attacker := newKey(t)
	_, strange := newKey(t)
	parts := strings.Split(good, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	edit := func(from, to string) string {
		text := strings.ReplaceAll(string(payload), from, to)
		if text == string(payload) {
			t.Fatalf("%q is not in the record", from)
		}
		return parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + parts[2]
	}
	key := func(r *regions.Record) {
		k := strange.Public().(ed25519.PublicKey)
		r.PublishingKeys = []regions.PublishingKey{{ID: regions.KeyID(k), Public: k}}
	}
	for _, attack := range []struct{ name, value string }{
		{"CON-01 the hosts are edited", edit("eu.localhost", "evil.localhos")},
		{"CON-01 the version is edited", edit(`"version":2`, `"version":9`)},
		{"CON-01 the hosts, signed by somebody else", w.record(attacker, func(r *regions.Record) { r.Version = 9; evil(r) })},
		{"CON-01 the keys, signed by somebody else", w.record(attacker, func(r *regions.Record) { r.Version = 9; key(r) })},
		{"CON-01 the version in use with other hosts", w.record(w.root, func(r *regions.Record) { r.Version = 2; evil(r) })},
		{"CON-01 another jurisdiction", w.record(w.root, func(r *regions.Record) { r.Version = 3; r.Jurisdiction = "US" })},
		{"CON-02 rolled back", old},
		{"CON-02 expired", w.record(w.root, func(r *regions.Record) {
			evil(r)
			r.Version, r.Issued, r.Expires = 3, r.Issued.AddDate(0, -2, 0), r.Issued.AddDate(0, -1, 0)
		})},
		{"CON-01 noise", "nonsense"},
		{"CON-01 nothing", ""},
		{"CON-01 far too much", strings.Repeat("x", 500<<10)},
	} {
		before := metric(t, d.Registry, "domicile_catalogue_refusals_total")
		put(t, c, "eu-central", attack.value)
		w.until(attack.name+" is noticed", func() bool { return metric(t, d.Registry, "domicile_catalogue_refusals_total") > before })
		w.still(d, attack.name)
	}
	if _, err := c.KV().DeleteTree("domicile/regions/", nil); err != nil {
		t.Fatal(err)
	}
	d.Reload()
	w.still(d, "CON-01 everything is deleted")

	// A record under another region's name is worth its signature, too.
	before := metric(t, d.Registry, "domicile_catalogue_refusals_total")
	put(t, c, "us-east", old)
	w.until("the old record elsewhere is noticed", func() bool { return metric(t, d.Registry, "domicile_catalogue_refusals_total") > before })
	w.still(d, "CON-02 rolled back under another name")

	for _, in := range []struct{ name, jurisdiction string }{{"CON-04", "EU"}, {"REG-07", "US"}} {
		err := c.Agent().ServiceRegister(&api.AgentServiceRegistration{
			ID: in.name, Name: "domicile-portal-eu-central", Address: "evil.localhost", Port: 666,
			Tags:  []string{"jurisdiction=" + in.jurisdiction},
			Check: &api.AgentServiceCheck{TTL: "1h", Status: api.HealthPassing},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.until(in.name+" is registered", func() bool {
			there, err := d.consul.Processes(t.Context(), "eu-central")
			return err == nil && slices.ContainsFunc(there, func(p consul.Process) bool { return p.ID == in.name })
		})
		w.still(d, in.name)
	}
	w.until("the process of another jurisdiction is left out", func() bool { return metric(t, d.Registry, "domicile_consul_unmatched_processes") == 1 })
	w.still(d, "REG-07")
}

// CON-05: without Consul everything goes on, also over a restart, and catches up
// by itself.
func TestConsulIsAway(t *testing.T) {
	w, s := withConsul(t)
	put(t, vandal(t, s), "eu-central", w.record(w.root, func(*regions.Record) {}))
	d := w.front()
	p := w.region(d.Claims())
	open(t, p)
	w.where(d, "ada@acme.example", "acme")
	w.until("the region is up", func() bool { return d.consul.Health("eu-central") == regions.Up })

	s.Pause()
	w.still(d, "Consul hangs")
	s.Resume()
	s.Kill()
	w.until("it is noticed", func() bool { return len(d.degraded()) > 0 })
	w.still(d, "Consul is gone")
	if h := d.consul.Health("eu-central"); h != regions.Up {
		t.Errorf("without Consul the region is taken to be %v", h)
	}
	stopped(t, d)
	stopped(t, p)
	w.at.Internal = d.Claims()
	w.region(d.Claims())
	d = w.front()
	w.still(d, "both started again without Consul")

	s.Start()
	put(t, vandal(t, s), "eu-central", w.record(w.root, func(r *regions.Record) { r.Version = 2 }))
	w.until("the next version", func() bool { r, _ := d.catalogue.Region("eu-central"); return r.Version == 2 })
	w.until("the region is up again", func() bool { return d.consul.Health("eu-central") == regions.Up })
	w.until("all is well", func() bool { return len(d.degraded()) == 0 })
	w.still(d, "Consul is back")
}

// CON-03: no role starts on a Consul that lets it, or anybody, do what nobody
// needs to.
func TestOpenConsul(t *testing.T) {
	w, s := withConsul(t)
	open := servertest.OpenConsul(t)
	for name, o := range map[string]consul.Options{
		"a token that writes": {Address: "http://" + s.Addr, Token: s.Management},
		"no access control":   {Address: "http://" + open.Addr},
	} {
		w.at.Consul, w.eu.Consul = &o, &o
		if d, err := NewDiscovery(t.Context(), w.at); !errors.Is(err, consul.ErrOpen) || !strings.Contains(err.Error(), "dangerously_allow_open_consul") {
			t.Errorf("%s: the front door: %v", name, err)
			stopped(t, d)
		}
		if p, err := NewPortal(t.Context(), w.eu); !errors.Is(err, consul.ErrOpen) {
			t.Errorf("%s: the region: %v", name, err)
			stopped(t, p)
		}
		o.DangerouslyAllowOpen = true
		if d, err := NewDiscovery(t.Context(), w.at); err != nil {
			t.Errorf("%s, allowed: the front door: %v", name, err)
		} else {
			stopped(t, d)
		}
		if p, err := NewPortal(t.Context(), w.eu); err != nil {
			t.Errorf("%s, allowed: the region: %v", name, err)
		} else {
			stopped(t, p)
		}
	}
}

// A file and Consul, both with records: versions decide. That one is behind the
// other is no alarm; that one goes back behind itself is.
func TestTwoCarriers(t *testing.T) {
	w, s := withConsul(t)
	w.at.Catalogue = filepath.Join(w.dir, "catalogue")
	c := vandal(t, s)
	two := w.record(w.root, func(r *regions.Record) { r.Version = 2 })
	put(t, c, "eu-central", two)
	d := w.front()
	refusals := func() float64 { return metric(t, d.Registry, "domicile_catalogue_refusals_total") }
	if r, _ := d.catalogue.Region("eu-central"); r.Version != 2 || refusals() != 0 {
		t.Errorf("version %d, %v refusals", r.Version, refusals())
	}
	w.sign(3, "*.eu.localhost")
	w.until("the file's version", func() bool { r, _ := d.catalogue.Region("eu-central"); return r.Version == 3 })
	d.Reload()
	if refusals() != 0 {
		t.Error("it is an alarm that Consul is behind the file")
	}
	put(t, c, "eu-central", w.record(w.root, func(r *regions.Record) { r.Version = 1 }))
	w.until("an alarm that Consul goes back", func() bool { return refusals() > 0 })
	if r, _ := d.catalogue.Region("eu-central"); r.Version != 3 {
		t.Errorf("version %d", r.Version)
	}
}

// CON-03: who needs no token may do nothing, or no role starts.
func TestAnonymousConsul(t *testing.T) {
	w, s := withConsul(t)
	c := vandal(t, s)
	policy, _, err := c.ACL().PolicyCreate(&api.ACLPolicy{Name: "anybody", Rules: `key_prefix "domicile/" { policy = "read" }`}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const anonymous = "00000000-0000-0000-0000-000000000002"
	if _, _, err := c.ACL().TokenUpdate(&api.ACLToken{AccessorID: anonymous, Policies: []*api.ACLLink{{ID: policy.ID}}}, nil); err != nil {
		t.Fatal(err)
	}
	if d, err := NewDiscovery(t.Context(), w.at); !errors.Is(err, consul.ErrOpen) {
		t.Errorf("the front door: %v", err)
		stopped(t, d)
	}
	if p, err := NewPortal(t.Context(), w.eu); !errors.Is(err, consul.ErrOpen) {
		t.Errorf("the region: %v", err)
		stopped(t, p)
	}
}

// CON-03: whatever becomes of Consul, its tokens stand in no log, no metric and
// no reason for not being ready.
func TestConsulTokensAreNotTold(t *testing.T) {
	w, s := withConsul(t)
	tokens := []string{w.at.Consul.Token, w.eu.Consul.Token, s.Management}
	log := new(planttest.Log)
	w.at.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.eu.Log = w.at.Log
	put(t, vandal(t, s), "eu-central", w.record(w.root, func(*regions.Record) {}))
	d := w.front()
	p := w.region(d.Claims())
	w.until("the region is up", func() bool { return d.consul.Health("eu-central") == regions.Up })
	put(t, vandal(t, s), "eu-central", "nonsense")
	s.Kill()
	w.until("it is noticed", func() bool { return len(d.degraded()) > 0 })
	told := []string{log.String()}
	for _, role := range []*process{d.process, p.process} {
		_, why := reasons(t, role)
		_, metrics := get(t, "http://"+role.Addr("private")+"/metrics", "")
		told = append(told, why, metrics)
	}
	s.Start()
	w.until("all is well", func() bool { return len(d.degraded()) == 0 })
	stopped(t, p)
	stopped(t, d)
	// A token that Consul takes no more, and one of another server.
	const revoked = "11111111-2222-3333-4444-555555555555"
	w.at.Consul.Token, w.eu.Consul.Token = revoked, revoked
	stopped(t, w.front())
	stopped(t, w.region(d.Claims()))
	for _, text := range append(told, log.String()) {
		for _, token := range append(tokens, revoked) {
			if strings.Contains(text, token) {
				t.Errorf("a token is told: %s", text)
			}
		}
	}
	if !strings.Contains(log.String(), "Consul") {
		t.Error("nothing was said of Consul")
	}
}
