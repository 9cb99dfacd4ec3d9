package faults

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/federation/idptest"
)

// A plant is a fleet as operators run it, on servers that may die.
type plant struct {
	t   testing.TB
	dir string

	consul           *servertest.ConsulServer
	redis            *servertest.RedisServer
	primary, replica *servertest.PostgresServer
	mail             *planttest.Sink

	fronts   [2]*node
	front    *balancer // of what people type
	intake   *balancer // of the regions' claims
	url      string    // what people type
	regions  []*region
	central  *region // two processes; west stands in for it
	west     *region
	east     *region // another jurisdiction, nobody stands in
	standby  *node   // a process of west that serves central's portals
	standbys *balancer

	saml   *idptest.SAMLIdP
	openID *idptest.OIDCProvider
	*load
}

// A node is one process of ours.
type node struct {
	*planttest.Server
	plant  *plant
	name   string
	role   string // discovery or portal
	config string
	public string // addresses
	claims string
	probe  string
}

// A region is processes on one database behind one balancer.
type region struct {
	name, jurisdiction, zone string
	port                     int
	database                 string
	nodes                    []*node
	front                    *balancer
	gate                     *planttest.Gate // on the way to the global side
	intake                   string          // the URL of that way
}

func (p *plant) path(elements ...string) string {
	return filepath.Join(append([]string{p.dir}, elements...)...)
}

func (p *plant) write(name, format string, args ...any) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.path(name), fmt.Appendf(nil, format, args...), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// build makes servers, keys, records, files and databases, starts everything and
// waits until people are found.
func build(t testing.TB, size size) *plant {
	t.Helper()
	planttest.Binary(t)
	p := &plant{t: t, dir: t.TempDir(), mail: planttest.NewSink(t), load: &load{http: newClient(), strangers: 500}}
	ports := planttest.Free(t, 6)
	p.url = fmt.Sprintf("http://localhost:%d", ports[0])
	p.load.front = p.url
	p.fresh()
	p.central = &region{name: "eu-central", jurisdiction: "EU", zone: "eu", port: ports[2]}
	p.west = &region{name: "eu-west", jurisdiction: "EU", zone: "west", port: ports[3]}
	p.east = &region{name: "us-east", jurisdiction: "US", zone: "us", port: ports[4]}
	p.regions = []*region{p.central, p.west, p.east}
	p.servers()
	p.keys(ports[5])

	for i := range p.fronts {
		p.fronts[i] = p.newFront(i + 1)
	}
	p.front = balance(t, ports[0], lookups, p.fronts[0].public, p.fronts[1].public)
	p.intake = balance(t, ports[1], readOnly, p.fronts[0].claims, p.fronts[1].claims)
	for _, r := range p.regions {
		r.gate, r.intake = planttest.Before(t, p.intake.url)
		n := 1
		if r == p.central {
			n = 2
		}
		var addrs []string
		for i := range n {
			r.nodes = append(r.nodes, p.newPortal(r, fmt.Sprintf("%s-%d", r.name, i+1), r))
			addrs = append(addrs, r.nodes[i].public)
		}
		r.front = balance(t, r.port, readOnly, addrs...)
	}
	p.standIn(ports[5])
	p.migrate()
	p.populate(size)
	p.start()
	return p
}

// servers starts what our processes stand on.
func (p *plant) servers() {
	p.t.Helper()
	p.primary, p.replica = servertest.PostgresPair(p.t)
	p.redis = servertest.ControlledRedis(p.t)
	p.consul = servertest.Consul(p.t)
	p.write("directory", "%s", p.primary.URL)
	p.write("directory-replica", "%s", p.replica.URL)
	for _, r := range p.regions {
		r.database = servertest.Postgres(p.t)
		p.write(r.name+".database", "%s", r.database)
	}
}

// keys makes the keys of all parties, and publishes in Consul what the root key
// signed.
// The standby's site is another one of eu-west's hosts.
func (p *plant) keys(standby int) {
	t := p.t
	t.Helper()
	p.tokens()
	planttest.Run(t, "region", "keygen", "root", "--out", p.path("root"))
	planttest.Run(t, "region", "keygen", "front-door", "--out", p.path("door"))
	planttest.Run(t, "region", "keygen", "blind-id", "--out", p.path("blind"))
	for _, r := range p.regions {
		args := []string{"region", "keygen", "region", r.name, "--jurisdiction", r.jurisdiction, "--name", "City of " + r.name,
			"--host", fmt.Sprintf("*.%s.localhost:%d", r.zone, r.port), "--out", p.path(r.name)}
		switch r {
		case p.central:
			args = append(args, "--standby", p.west.name)
		case p.west:
			args = append(args, "--host", fmt.Sprintf("*.standby.localhost:%d", standby))
		}
		planttest.Run(t, args...)
		planttest.Run(t, "region", "sign", p.path(r.name, r.name+".yaml"), "--root", p.path("root", "root.key"), "--out", p.path("catalogue"),
			"--publish", "--consul", "http://"+p.consul.Addr, "--token-file", p.path("consul-signer"))
	}
}

// tokens makes a token of Consul for each role, which may do what that needs.
func (p *plant) tokens() {
	p.t.Helper()
	p.write("consul-signer", "%s", p.consul.Token(p.t, `key_prefix "domicile/regions/" { policy = "write" }`))
	p.write("consul-front", "%s", p.consul.Token(p.t, `key_prefix "domicile/regions/" { policy = "read" }
		service_prefix "domicile-portal-" { policy = "read" }
		node_prefix "" { policy = "read" }`))
	for _, r := range p.regions {
		p.write("consul-"+r.name, "%s", p.consul.Token(p.t, fmt.Sprintf(`service "domicile-portal-%s" { policy = "write" }`, r.name)))
	}
}

func (p *plant) newFront(i int) *node {
	ports := planttest.Free(p.t, 3)
	n := &node{plant: p, name: fmt.Sprintf("front-%d", i), role: "discovery",
		public: planttest.Loopback(ports[0]), claims: planttest.Loopback(ports[1]), probe: planttest.Loopback(ports[2])}
	n.config = p.path(n.name + ".yaml")
	p.write(n.name+"/empty", "")
	p.write(n.name+".yaml", `role: discovery
listen: "%s"
public_url: %s
internal: {listen: "%s"}
metrics: {listen: "%s"}
database_file: directory
read_url_file: directory-replica
snapshot: %s
catalogue: {root_keys: ["%s"]}
consul: {address: "http://%s", token_file: consul-front}
blind_id_keys: [{version: 1, key_file: blind/blind-id.key}]
ticket_key_file: door/front-door.key
cookie_key_files: [door/cookie.key]
redis: {addresses: ["%s"]}
trusted_proxies: [127.0.0.1/32]
rate_limits: {per_client: 1000000/m, global: 100000/s}
log: {level: warn, format: text}
`, n.public, p.url, n.claims, n.probe, n.name, planttest.PublicKey(p.t, p.path("root", "root.pub")), p.consul.Addr, p.redis.Addr)
	return n
}

// newPortal is a process of a region on the database of home, which is another
// one where it stands in for that.
func (p *plant) newPortal(r *region, name string, home *region) *node {
	ports := planttest.Free(p.t, 2)
	n := &node{plant: p, name: name, role: "portal", public: planttest.Loopback(ports[0]), probe: planttest.Loopback(ports[1])}
	n.config = p.path(name + ".yaml")
	standsIn := ""
	if home != r {
		standsIn = ", stands_in_for: " + home.name
	}
	p.write("smtp", "%s", p.mail.URL)
	p.write(name+".yaml", `role: portal
listen: "%[1]s"
metrics: {listen: "%[2]s"}
database_file: %[3]s.database
region: {name: %[4]s, jurisdiction: %[5]s%[10]s}
keys:
  ticket_key_files: [%[4]s/ticket.key]
  publishing_key_file: %[4]s/publishing.key
  data_key_files: [%[3]s/data.key]
blind_id_keys: [{version: 1, key_file: blind/blind-id.key}]
front_door:
  public_url: %[6]s
  internal_url: %[7]s
  ticket_keys: ["%[8]s"]
mail: {smtp_url_file: smtp, from: Domicile <no-reply@domicile.example>}
fetch: {dangerously_allow_loopback: true}
trusted_proxies: [127.0.0.1/32]
rate_limits: {per_client: 1000000/m, global: 100000/s}
consul: {address: "http://%[9]s", token_file: consul-%[4]s, advertise: "%[1]s"}
log: {level: warn, format: text}
`, n.public, n.probe, home.name, r.name, r.jurisdiction, p.url, r.intake,
		planttest.PublicKey(p.t, p.path("door", "front-door.pub")), p.consul.Addr, standsIn)
	return n
}

// standIn makes the process of eu-west that serves eu-central's portals while
// that is down.
func (p *plant) standIn(port int) {
	p.standby = p.newPortal(p.west, "eu-west-for-eu-central", p.central)
	p.standbys = balance(p.t, port, readOnly, p.standby.public)
}

// standbySite is where a portal of eu-central is served meanwhile.
func (p *plant) standbySite(portal string) string {
	return fmt.Sprintf("http://%s.standby.localhost:%s", portal, p.standbys.port())
}

// migrate brings every database to the binary's version, once.
func (p *plant) migrate() {
	p.t.Helper()
	for _, n := range p.nodes() {
		planttest.Run(p.t, "check", n.config)
	}
	planttest.Run(p.t, "migrate", "up", p.fronts[0].config)
	for _, r := range p.regions {
		planttest.Run(p.t, "migrate", "up", r.nodes[0].config)
	}
}

// nodes are all our processes.
func (p *plant) nodes() []*node {
	all := slices.Clone(p.fronts[:])
	for _, r := range p.regions {
		all = append(all, r.nodes...)
	}
	return append(all, p.standby)
}

// start starts a process and returns when it is ready.
func (n *node) start() {
	n.plant.t.Helper()
	n.run()
	n.ready()
}

func (n *node) run() {
	n.plant.t.Helper()
	n.Server = planttest.Serve(n.plant.t, n.name, "", "serve", n.role, "--config", n.config)
}

func (n *node) ready() {
	n.plant.t.Helper()
	planttest.Until(n.plant.t, n.name+" being ready", func() bool {
		res, err := http.Get("http://" + n.probe + "/readyz")
		if err != nil {
			select {
			case <-n.Ended:
				n.plant.t.Fatalf("%s ended:\n%s", n.name, n.Tail())
			default:
			}
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// start starts everything and waits until everybody is found.
func (p *plant) start() {
	p.t.Helper()
	for _, n := range p.nodes() {
		n.run()
	}
	for _, n := range p.nodes() {
		n.ready()
	}
	for _, who := range p.known {
		p.knows(who)
	}
	p.passwords()
}

// knows waits until both front doors lead somebody where they belong.
func (p *plant) knows(who person) {
	p.t.Helper()
	for _, front := range p.fronts {
		planttest.Until(p.t, front.name+" knowing somebody in "+who.portal, func() bool {
			found, err := p.discover(p.t.Context(), "http://"+front.public, who.address)
			return err == nil && who.differs(found) == ""
		})
	}
}

// do runs an operator's command on a region.
func (p *plant) do(r *region, args ...string) {
	p.t.Helper()
	planttest.Run(p.t, append(args, "--config", r.nodes[0].config)...)
}

const theirs = "their-own-Password-1" // at the identity providers

// populate founds portals and fills them.
func (p *plant) populate(size size) {
	t := p.t
	t.Helper()
	people := func(domain string, n int) (users []idptest.User) {
		for i := range n {
			users = append(users, idptest.User{Address: fmt.Sprintf("person%d@%s", i, domain), Password: theirs, GivenName: "Given", FamilyName: "Family"})
		}
		return users
	}
	var err error
	p.saml, err = idptest.NewSAML(idptest.SAMLOptions{Name: "Theirs", Users: append(people("acme.example", size.people), people("umbrella.example", size.people)...)})
	if err != nil {
		t.Fatal(err)
	}
	idp := httptest.NewServer(p.saml)
	t.Cleanup(idp.Close)
	p.saml.SetURL(idp.URL)
	p.openID = idptest.NewOIDC(idptest.OIDCOptions{Name: "Theirs", Users: people("globex.example", size.people)})
	provider := httptest.NewServer(p.openID)
	t.Cleanup(provider.Close)
	p.openID.SetIssuer(provider.URL)
	p.load.idp, p.load.issuer = idp.URL, provider.URL

	var all sync.WaitGroup
	all.Go(func() {
		p.portal(p.central, "acme")
		p.portal(p.central, "initech")
		p.samlDomain(p.central, "acme", "acme.example")
		p.do(p.central, "domain", "route", "initech.example", "--portal", "initech")
	})
	all.Go(func() {
		p.portal(p.west, "umbrella")
		p.samlDomain(p.west, "umbrella", "umbrella.example")
	})
	all.Go(func() {
		p.portal(p.east, "globex")
		const secret = "what-the-provider-gave-us"
		p.openID.AddClient(idptest.OIDCClient{ID: "domicile", Secret: secret, RedirectURIs: []string{p.site(p.east, "globex") + "/oidc/globex-oidc/callback"}})
		p.write("client-secret", "%s\n", secret)
		p.do(p.east, "connection", "add", "oidc", "globex-oidc", "--portal", "globex", "--issuer", provider.URL,
			"--client-id", "domicile", "--client-secret-file", p.path("client-secret"))
		p.do(p.east, "domain", "route", "globex.example", "--portal", "globex", "--connection", "globex-oidc", "--jit")
	})
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for i := range size.people {
		for _, who := range []person{p.who(p.central, "acme", "person%d@acme.example", i), p.who(p.east, "globex", "person%d@globex.example", i), p.who(p.west, "umbrella", "person%d@umbrella.example", i)} {
			who.password = theirs
			p.people = append(p.people, who)
		}
	}
	p.known = append(p.known, p.people...)
	for i := range size.guests {
		for _, at := range []struct {
			r      *region
			portal string
		}{{p.central, "acme"}, {p.west, "umbrella"}, {p.east, "globex"}} {
			p.known = append(p.known, p.invite(at.r, at.portal, fmt.Sprintf("guest%d", i)))
		}
	}
}

// passwords lets people in who sign in with a password of the portal, for the
// first time. They are few: proving a password is as much work as it is meant
// to be.
func (p *plant) passwords() {
	p.t.Helper()
	for i := range 4 {
		who := p.who(p.central, "initech", "person%d@initech.example", i)
		who.password = fmt.Sprintf("a-password-of-their-own-%d", i)
		p.do(p.central, "account", "invite", who.address, "--portal", "initech")
		temporary := planttest.TemporaryPassword(p.mail.Letter(p.t, who.address, "Your temporary password"))
		v := &visitor{load: p.load, who: who, cookies: planttest.Cookies{}}
		ctx := p.t.Context()
		err := errors.Join(v.open(ctx, p.url+"/"), v.submit(ctx, "email", who.address), v.submit(ctx, "password", temporary),
			v.submit(ctx, "temporary", temporary, "new", who.password, "confirm", who.password))
		if err == nil {
			err = v.home()
		}
		if err != nil {
			p.t.Fatalf("a first sign-in with a password: %v", err)
		}
		p.people = slices.Insert(p.people, (i+1)*len(p.people)/5, who)
		p.known = append(p.known, who)
	}
}

func (p *plant) site(r *region, portal string) string {
	return fmt.Sprintf("http://%s.%s.localhost:%d", portal, r.zone, r.port)
}

func (p *plant) portal(r *region, id string) {
	args := []string{"portal", "create", id, "--url", p.site(r, id), "--name", strings.ToUpper(id[:1]) + id[1:]}
	if r == p.central {
		args = append(args, "--standby", p.west.name+"="+p.standbySite(id))
	}
	p.do(r, args...)
}

func (p *plant) samlDomain(r *region, portal, domain string) {
	p.do(r, "connection", "add", "saml", portal+"-saml", "--portal", portal, "--metadata", p.saml.EntityID())
	p.do(r, "domain", "route", domain, "--portal", portal, "--connection", portal+"-saml", "--jit")
}

func (p *plant) who(r *region, portal, address string, i int) person {
	who := person{address: fmt.Sprintf(address, i), region: r.name, jurisdiction: r.jurisdiction, portal: portal, site: p.site(r, portal)}
	if r == p.central {
		who.standby = p.standbySite(portal)
	}
	return who
}

// invite gives somebody whose domain nobody has routed an account: only a blind
// ID leads to them.
func (p *plant) invite(r *region, portal, name string) person {
	p.t.Helper()
	who := p.who(r, portal, name+"."+portal+"@elsewhere%d.example", 0)
	p.do(r, "account", "invite", who.address, "--portal", portal)
	return who
}
