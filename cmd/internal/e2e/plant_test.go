package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/servertest"
)

// A plant is the product as operators run it: a front door and two regions,
// each a process with a configuration file and a database of its own, made by
// the commands of the binary alone.
type plant struct {
	t      testing.TB
	dir    string
	url    string // of the front door
	claims string // its internal listener
	probe  string // its private one
	front  *planttest.Server
	eu, us *region
	smtp   *planttest.Sink
	consul *servertest.ConsulServer // of whoever has one
}

// A region is one process with portals.
type region struct {
	*planttest.Server
	plant                    *plant
	name, jurisdiction, zone string
	port, probe              int
	config                   string // path of the file
}

// build makes keys, records, files and databases, and starts nothing yet.
func build(t testing.TB) *plant {
	t.Helper()
	p := &plant{t: t, dir: t.TempDir(), smtp: planttest.NewSink(t)}
	ports := planttest.Free(t, 7)
	p.url, p.claims, p.probe = fmt.Sprintf("http://localhost:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1]), planttest.Loopback(ports[2])
	p.eu = &region{plant: p, name: "eu-central", jurisdiction: "EU", zone: "eu", port: ports[3], probe: ports[4]}
	p.us = &region{plant: p, name: "us-east", jurisdiction: "US", zone: "us", port: ports[5], probe: ports[6]}

	planttest.Run(t, "region", "keygen", "root", "--out", p.path("root"))
	planttest.Run(t, "region", "keygen", "front-door", "--out", p.path("front"))
	planttest.Run(t, "region", "keygen", "blind-id", "--out", p.path("blind"))
	for _, r := range []*region{p.eu, p.us} {
		planttest.Run(t, "region", "keygen", "region", r.name, "--jurisdiction", r.jurisdiction, "--name", "City of "+r.jurisdiction,
			"--host", fmt.Sprintf("*.%s.localhost:%d", r.zone, r.port), "--out", p.path(r.name))
		planttest.Run(t, "region", "sign", p.path(r.name, r.name+".yaml"), "--root", p.path("root", "root.key"), "--out", p.path("catalogue"))
	}
	if err := os.Mkdir(p.path("front", "kept"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.write("front.yaml", `role: discovery
listen: "%[1]s"
public_url: %[2]s
internal: {listen: "%[3]s"}
metrics: {listen: "%[4]s"}
database: sqlite:front/directory.db
snapshot: front/kept
catalogue: {file: catalogue, reload: 1s, root_keys: ["%[5]s"]}
blind_id_keys: [{version: 1, key_file: blind/blind-id.key}]
ticket_key_file: front/front-door.key
cookie_key_files: [front/cookie.key]
rate_limits: {per_client: 6000/m}
log: {level: info, format: text}
`, planttest.Loopback(ports[0]), p.url, strings.TrimPrefix(p.claims, "http://"), p.probe, planttest.PublicKey(p.t, p.path("root", "root.pub")))
	p.region(p.eu, "database: sqlite:eu-central/region.db")
	p.write("us-east/database", "%s", servertest.Postgres(t))
	p.region(p.us, "database_file: us-east/database")
	for _, file := range []string{"front.yaml", "eu-central.yaml", "us-east.yaml"} {
		planttest.Run(t, "check", p.path(file))
		planttest.Run(t, "migrate", "up", p.path(file))
	}
	return p
}

// region writes a region's configuration.
func (p *plant) region(r *region, database string) {
	r.config = p.path(r.name + ".yaml")
	p.write(r.name+"/smtp", "%s", p.smtp.URL)
	p.write(r.name+".yaml", `role: portal
listen: "%[1]s"
metrics: {listen: "%[2]s"}
%[3]s
region: {name: %[4]s, jurisdiction: %[5]s}
keys:
  ticket_key_files: [%[4]s/ticket.key]
  publishing_key_file: %[4]s/publishing.key
  data_key_files: [%[4]s/data.key]
blind_id_keys: [{version: 1, key_file: blind/blind-id.key}]
front_door:
  public_url: %[6]s
  internal_url: %[7]s
  ticket_keys: ["%[8]s"]
mail: {smtp_url_file: %[4]s/smtp, from: Domicile <no-reply@domicile.example>}
fetch: {dangerously_allow_loopback: true}
log: {level: info, format: text}
`, planttest.Loopback(r.port), planttest.Loopback(r.probe), database, r.name, r.jurisdiction, p.url, p.claims, planttest.PublicKey(p.t, p.path("front", "front-door.pub")))
}

func (p *plant) path(elements ...string) string {
	return filepath.Join(append([]string{p.dir}, elements...)...)
}

func (p *plant) write(name, format string, args ...any) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), fmt.Appendf(nil, format, args...), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *plant) startFront() {
	p.t.Helper()
	p.front = planttest.Serve(p.t, "the front door", "msg=ready", "serve", "discovery", "--config", p.path("front.yaml"))
}

func (r *region) start() {
	r.plant.t.Helper()
	r.Server = planttest.Serve(r.plant.t, r.name, "msg=ready", "serve", "portal", "--config", r.config)
}

// start starts everything.
func (p *plant) start() {
	p.t.Helper()
	p.startFront()
	p.eu.start()
	p.us.start()
}

// do runs an operator's command on the region.
func (r *region) do(args ...string) string {
	r.plant.t.Helper()
	return planttest.Run(r.plant.t, append(args, "--config", r.config)...)
}

// portal is the site of a portal, and creates it.
func (r *region) portal(id, name string) string {
	r.plant.t.Helper()
	site := fmt.Sprintf("http://%s.%s.localhost:%d", id, r.zone, r.port)
	r.do("portal", "create", id, "--url", site, "--name", name)
	return site
}

// knows waits until the front door leads an address to a portal.
func (p *plant) knows(address, portal string) {
	p.t.Helper()
	planttest.Until(p.t, "the front door knowing "+address, func() bool {
		found, err := p.discover(address)
		return err == nil && len(found) == 1 && found[0] == portal
	})
}

// discover asks as a program does.
func (p *plant) discover(address string) ([]string, error) {
	body, err := json.Marshal(map[string]string{"email": address})
	if err != nil {
		return nil, err
	}
	res, err := client(p.t).Post(p.url+"/v1/discover", "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer struct {
		Portals []struct{ ID string }
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	var ids []string
	for _, portal := range answer.Portals {
		ids = append(ids, portal.ID)
	}
	return ids, nil
}

// client is a browser without pictures, to which every name is this machine, as
// names under localhost are to a real one.
func client(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: planttest.Dial}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: patience}
}

// get reads a document.
func get(t testing.TB, url string) []byte {
	t.Helper()
	res, err := client(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v\n%s", url, res.Status, err, text)
	}
	return text
}

// atPHP signs in at SimpleSAMLphp.
func atPHP(b *tab, idp *servertest.SAMLIdP, p servertest.Person) {
	b.t.Helper()
	u, err := url.Parse(idp.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	b.at("http://"+u.Host, "/module.php/core/loginuserpass.php")
	b.fill("username", p.Email)
	b.fill("password", p.Password)
	b.press("Login")
	if !b.scripts {
		b.press("Submit")
	}
}

// atNode signs in at oidc-provider.
func atNode(b *tab, issuer string, p servertest.Person) {
	b.t.Helper()
	b.at(issuer, "/interaction/")
	if got := b.value("login"); got != p.Email {
		b.t.Errorf("the provider was told %q, want the address that was typed, %q", got, p.Email)
	}
	b.fill("password", p.Password)
	b.press("Sign in")
}
