package consul

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// The policies that the documentation gives each role.
const (
	frontDoorPolicy = `
key_prefix "domicile/regions/" { policy = "read" }
service_prefix "domicile-portal-" { policy = "read" }
node_prefix "" { policy = "read" }`
	portalPolicy = `service "domicile-portal-eu-central" { policy = "write" }`
	signerPolicy = `key_prefix "domicile/regions/" { policy = "write" }`
)

// long is how long something may take that will happen.
const long = 30 * time.Second

var root = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))

// A world is a Consul, an operator who signs, and a catalogue that believes.
type world struct {
	*servertest.ConsulServer
	t         *testing.T
	catalogue *regions.Catalogue
	key       ticket.Key
}

func newWorld(t *testing.T) *world {
	t.Helper()
	catalogue := regions.NewCatalogue([]ed25519.PublicKey{root.Public().(ed25519.PublicKey)}, time.Now)
	return &world{servertest.Consul(t), t, catalogue, newKey(t)}
}

func (w *world) sign(region string, change func(*regions.Record)) string {
	w.t.Helper()
	public := root.Public().(ed25519.PublicKey)
	now := time.Now().Truncate(time.Second)
	r := regions.Record{
		Region: region, Jurisdiction: "EU", Name: "Somewhere", Version: 1, Issued: now, Expires: now.Add(time.Hour),
		Hosts: []string{"*." + region + ".example.com"}, TicketKeys: []regions.TicketKey{w.key.Public()},
		PublishingKeys: []regions.PublishingKey{{ID: regions.KeyID(public), Public: public}},
	}
	if change != nil {
		change(&r)
	}
	signed, err := regions.Sign(r, root)
	if err != nil {
		w.t.Fatal(err)
	}
	return signed
}

func (w *world) client(token string, change func(*Options)) *Client {
	w.t.Helper()
	o := Options{Address: "http://" + w.Addr, Token: token, Regions: w.catalogue,
		Roots: []ed25519.PublicKey{root.Public().(ed25519.PublicKey)}, Now: time.Now}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// running runs something in the background until the test ends or the function
// that it returns is called.
func (w *world) running(run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	stop = func() { cancel(); <-done }
	w.t.Cleanup(stop)
	return stop
}

// until waits for something to be so.
func (w *world) until(what string, so func() bool) {
	w.t.Helper()
	deadline := time.After(long)
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

// Every role can do its work, and nothing else, with the policy that is
// documented for it.
func TestPolicies(t *testing.T) {
	w := newWorld(t)
	front, portal, signer := w.Token(t, frontDoorPolicy), w.Token(t, portalPolicy), w.Token(t, signerPolicy)
	ctx := t.Context()
	eu := w.sign("eu-central", nil)

	changed, err := w.client(signer, nil).Publish(ctx, eu)
	if err != nil || !changed {
		t.Fatalf("the signer: %v, %v", changed, err)
	}
	for name, token := range map[string]string{"the front door": front, "a portal": portal, "nobody": ""} {
		if _, err := w.client(token, nil).Publish(ctx, w.sign("eu-central", func(r *regions.Record) { r.Version = 2 })); !denied(err) {
			t.Errorf("%s publishes a record: %v", name, err)
		}
	}
	got, err := w.client(front, nil).Records(ctx)
	if diff := cmp.Diff([]string{eu}, got); diff != "" || err != nil {
		t.Errorf("the front door reads %s, %v", diff, err)
	}
	if got, err := w.client(portal, nil).Records(ctx); err == nil {
		t.Errorf("a portal reads %v", got)
	}

	agent := func(token string) *api.Agent { return w.client(token, nil).api.Agent() }
	register := func(token, region string) error {
		r := registration{c: w.client(token, nil), in: Instance{ID: token[:4], Region: region, Address: "127.0.0.1", Port: 1}, ready: func(context.Context) error { return nil }}
		return r.report(ctx)
	}
	if err := register(portal, "eu-central"); err != nil {
		t.Errorf("a portal registers itself: %v", err)
	}
	for name, err := range map[string]error{
		"a portal registers another region's process": register(portal, "us-east"),
		"the front door registers a process":          register(front, "eu-central"),
		"the signer registers a process":              register(signer, "eu-central"),
		"the front door takes a process out":          agent(front).ServiceDeregister("domicile-portal-eu-central:" + portal[:4]),
	} {
		if !denied(err) {
			t.Errorf("%s: %v", name, err)
		}
	}

	for name, c := range map[string]*Client{"the front door": w.client(front, nil), "a portal": w.client(portal, nil)} {
		if err := c.SelfTest(ctx); err != nil {
			t.Errorf("%s finds Consul wanting: %v", name, err)
		}
	}
}

// CON-03: what must not be so is found out at the start, and nothing is written
// on the way.
func TestSelfTest(t *testing.T) {
	w := newWorld(t)
	if _, err := w.client(w.Management, nil).Publish(t.Context(), w.sign("eu-central", nil)); err != nil {
		t.Fatal(err)
	}
	before, _ := w.client(w.Management, nil).Records(t.Context())
	for name, rules := range map[string]string{
		"all keys":      `key_prefix "" { policy = "write" }`,
		"our keys":      `key_prefix "domicile/regions/" { policy = "write" }`,
		"processes":     `service_prefix "domicile-portal-" { policy = "write" }`,
		"all services":  `service_prefix "" { policy = "write" }`,
		"machines":      `node_prefix "" { policy = "write" }`,
		"rights":        `acl = "write"`,
		"Consul itself": `operator = "write"`,
		"one of us":     `key_prefix "domicile/regions/" { policy = "read" } key "domicile/regions/eu-central" { policy = "write" }`,
	} {
		token := w.Token(t, rules)
		if err := w.client(token, nil).SelfTest(t.Context()); !errors.Is(err, ErrOpen) {
			t.Errorf("%s may be written: %v", name, err)
		}
		if err := w.client(token, func(o *Options) { o.DangerouslyAllowOpen = true }).SelfTest(t.Context()); err != nil {
			t.Errorf("%s may be written, and that is allowed: %v", name, err)
		}
	}
	// One process may report its own region, and no other.
	if err := w.client(w.Token(t, `service "domicile-portal-eu-central" { policy = "write" }`), nil).SelfTest(t.Context()); err != nil {
		t.Errorf("a region's own service: %v", err)
	}
	w.stranger(`service_prefix "" { policy = "write" }`)
	if err := w.client(w.Token(t, frontDoorPolicy), nil).SelfTest(t.Context()); !errors.Is(err, ErrOpen) || !strings.Contains(err.Error(), "anybody without a token has [service:write of domicile-portal-self-test]") {
		t.Errorf("anybody may report processes: %v", err)
	}
	w.stranger(`service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`) // as DNS wants it
	if err := w.client(w.Token(t, frontDoorPolicy), nil).SelfTest(t.Context()); err != nil {
		t.Errorf("anybody may ask Consul's DNS: %v", err)
	}
	if err := w.client("11111111-2222-3333-4444-555555555555", nil).SelfTest(t.Context()); err == nil || errors.Is(err, ErrOpen) || strings.Contains(err.Error(), "1111") {
		t.Errorf("a token that Consul does not know: %v", err)
	}
	after, err := w.client(w.Management, nil).Records(t.Context())
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Errorf("the test changed something: %s, %v", diff, err)
	}
	open := &world{ConsulServer: servertest.OpenConsul(t), t: t}
	if err := open.client("", nil).SelfTest(t.Context()); !errors.Is(err, ErrOpen) || !strings.Contains(err.Error(), "default_policy") {
		t.Errorf("Consul as it is out of the box: %v", err)
	}
	open.Kill()
	if err := open.client("", nil).SelfTest(t.Context()); err == nil || errors.Is(err, ErrOpen) {
		t.Errorf("no Consul: %v", err)
	}
}

// stranger gives whoever has no token some rights, in place of what they had.
func (w *world) stranger(rules string) {
	w.t.Helper()
	c, err := api.NewClient(&api.Config{Address: w.Addr, Token: w.Management})
	if err != nil {
		w.t.Fatal(err)
	}
	policy, _, err := c.ACL().PolicyCreate(&api.ACLPolicy{Name: fmt.Sprintf("anybody-%x", sha256.Sum256([]byte(rules))), Rules: rules}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	const anonymous = "00000000-0000-0000-0000-000000000002"
	if _, _, err := c.ACL().TokenUpdate(&api.ACLToken{AccessorID: anonymous, Policies: []*api.ACLLink{{ID: policy.ID}}}, nil); err != nil {
		w.t.Fatal(err)
	}
}

// heard collects what a watch says.
type heard struct {
	records chan []string
	errs    chan error
}

func (w *world) watch(c *Client) heard {
	h := heard{make(chan []string, 100), make(chan error, 100)}
	w.running(func(ctx context.Context) {
		c.Watch(ctx, func(records []string, err error) {
			if err != nil {
				h.errs <- err
				return
			}
			h.records <- records
		})
	})
	return h
}

func next[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(long):
		t.Fatal("nothing was heard")
	}
	return v
}

// A watch says what is there, what changes, that it cannot read, and that it can
// again; Consul may be killed, restarted or hang meanwhile.
func TestWatch(t *testing.T) {
	w := newWorld(t)
	metrics := prometheus.NewRegistry()
	signer := w.client(w.Token(t, signerPolicy), nil)
	h := w.watch(w.client(w.Token(t, frontDoorPolicy), func(o *Options) { o.Metrics = metrics }))
	expect := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(append([]string{}, want...), next(t, h.records)); diff != "" {
			t.Error(diff)
		}
	}
	put := func(record string) {
		t.Helper()
		if _, err := signer.Publish(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	expect()
	one, us := w.sign("eu-central", nil), w.sign("us-east", nil)
	put(one)
	expect(one)
	put(us)
	expect(one, us)

	w.Kill()
	if err := next(t, h.errs); strings.Contains(err.Error(), w.Management) {
		t.Errorf("the error %v has a token", err)
	}
	w.Start()
	expect(one, us)
	two := w.sign("eu-central", func(r *regions.Record) { r.Version = 2 })
	put(two)
	expect(two, us)

	if _, err := signer.api.KV().DeleteTree("domicile/regions/", nil); err != nil {
		t.Fatal(err)
	}
	expect()
	if len(h.records) != 0 || len(h.errs) != 0 {
		t.Errorf("more was said than happened: %d and %d", len(h.records), len(h.errs))
	}
	failures, err := testutil.GatherAndCount(metrics, "domicile_consul_failures_total", "domicile_consul_answered_timestamp_seconds")
	if err != nil || failures != 2 {
		t.Errorf("%d metrics of a watch that failed and succeeded, %v", failures, err)
	}
}

// A token that is not known, or reads nothing, is an error and never an empty
// catalogue.
func TestWatchWithoutRights(t *testing.T) {
	w := newWorld(t)
	for name, token := range map[string]string{
		"none": "", "unknown": "11111111-2222-3333-4444-555555555555", "no rights": w.Token(t, `node_prefix "" { policy = "read" }`),
		"some rights": w.Token(t, `key "domicile/regions/us-east" { policy = "read" }`),
	} {
		if _, err := w.client(w.Management, nil).Publish(t.Context(), w.sign("eu-central", nil)); err != nil {
			t.Fatal(err)
		}
		h := w.watch(w.client(token, nil))
		select {
		case err := <-h.errs:
			if token != "" && strings.Contains(err.Error(), token) {
				t.Errorf("%s: the error has the token", name)
			}
		case records := <-h.records:
			t.Errorf("%s: it reads %q", name, records)
		case <-time.After(long):
			t.Errorf("%s: nothing is said", name)
		}
	}
}

// No version is lowered, not by mistake and not by two who publish at once.
func TestPut(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.Token(t, signerPolicy), nil)
	at := func(version int64, change func(*regions.Record)) string {
		return w.sign("eu-central", func(r *regions.Record) {
			r.Version = version
			if change != nil {
				change(r)
			}
		})
	}
	two := at(2, nil)
	for _, step := range []struct {
		name, record string
		changed      bool
		code         regions.Code
	}{
		{"new", two, true, ""},
		{"the same", two, false, ""},
		{"lower", at(1, nil), false, regions.RolledBack},
		{"other content", at(2, func(r *regions.Record) { r.Name = "Elsewhere" }), false, regions.Equivocation},
		{"other jurisdiction", at(3, func(r *regions.Record) { r.Jurisdiction = "US" }), false, regions.Jurisdiction},
		{"not signed", "a.b.c", false, regions.Malformed},
		{"higher", at(4, nil), true, ""},
	} {
		changed, err := c.Publish(t.Context(), step.record)
		var refusal *regions.Refusal
		errors.As(err, &refusal)
		if changed != step.changed || (refusal == nil) != (step.code == "") || refusal != nil && refusal.Code != step.code {
			t.Errorf("%s: %v, %v", step.name, changed, err)
		}
	}
	// What nobody signed is in nobody's way.
	if _, err := c.api.KV().Put(&api.KVPair{Key: "domicile/regions/eu-central", Value: []byte("vandals")}, nil); err != nil {
		t.Fatal(err)
	}
	if changed, err := c.Publish(t.Context(), two); err != nil || !changed {
		t.Errorf("over vandalism: %v, %v", changed, err)
	}

	errs := make(chan error)
	for v := range int64(10) {
		go func() {
			_, err := c.Publish(t.Context(), at(10+v, nil))
			errs <- err
		}()
	}
	highest := false
	for range 10 {
		if err := <-errs; err == nil {
			highest = true
		}
	}
	records, err := c.Records(t.Context())
	if !highest || err != nil {
		t.Fatalf("nobody could publish: %v", err)
	}
	if r, err := regions.Inspect(records[0], c.o.Roots); err != nil || r.Version < 10 {
		t.Errorf("version %d, %v", r.Version, err)
	}
}

// A Consul that is none: whatever it answers is bounded, never contains the
// token, and never sends it elsewhere.
func TestHostileConsul(t *testing.T) {
	const token = "the-token-of-this-client"
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	for name, answer := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"echo":  func(w http.ResponseWriter, r *http.Request) { http.Error(w, r.Header.Get("X-Consul-Token"), 500) },
		"noise": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"endless": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "[")
			for r.Context().Err() == nil {
				if _, err := fmt.Fprint(w, strings.Repeat(`{"Key":"x"},`, 1000)); err != nil {
					return
				}
			}
		},
		"too many": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "["+strings.Repeat(`{"Key":"x"},`, maxRecords)+`{"Key":"x"}]`)
		},
		"endless error": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			for r.Context().Err() == nil {
				if _, err := fmt.Fprint(w, strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(answer)
			defer s.Close()
			var log bytes.Buffer
			c, err := New(Options{Address: s.URL, Token: token, Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Records(t.Context())
			if err == nil || strings.Contains(err.Error(), token) || len(err.Error()) > 5<<10 {
				t.Errorf("%.200v", err)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{
		{Address: "127.0.0.1:8500", Now: time.Now}, {Address: "ftp://x", Now: time.Now}, {Address: "", Now: time.Now},
		{Address: "http://127.0.0.1:8500"}, {Address: "http://127.0.0.1:8500", Now: time.Now, Prefix: `x" or true`},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// Over TLS only the authorities that are named are believed.
func TestAuthorities(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[]") }))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	defer s.Close()
	named := x509.NewCertPool()
	named.AddCert(s.Certificate())
	for name, c := range map[string]struct {
		ca   *x509.CertPool
		good bool
	}{"named": {named, true}, "another": {x509.NewCertPool(), false}, "the system's": {nil, false}} {
		client, err := New(Options{Address: s.URL, CA: c.ca, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Records(t.Context()); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
