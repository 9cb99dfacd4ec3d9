package e2e

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/servertest"
)

// A production is a fleet on everything there is in production: the directory on
// a PostgreSQL primary with a replica, answers in Redis, records and health in
// Consul, a stand-in, a snapshot folder, a collector of traces.
type production struct {
	*fleet
	west             *region // stands in for eu
	standby          string  // Acme's site there
	primary, replica *servertest.PostgresServer
	redis            *servertest.RedisServer
	heard            *recording // every command that Redis was sent
	traces           *recording // everything that was sent to the collector
	logs             map[string][]byte
}

// A recording is written to by others.
type recording struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *recording) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *recording) all() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.text.Bytes())
}

// ServeHTTP is a collector of traces.
func (r *recording) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err == nil && q.Header.Get("Content-Encoding") == "gzip" {
		var plain *gzip.Reader
		if plain, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(plain)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = q.Header.Write(r)
	_, _ = r.Write(append([]byte(q.URL.String()), body...))
}

// produce turns a fleet that has not sailed yet into a production.
func (f *fleet) produce() *production {
	t := f.t
	t.Helper()
	p := &production{fleet: f, heard: new(recording), traces: new(recording), logs: map[string][]byte{}}
	var servers sync.WaitGroup
	servers.Go(func() { p.primary, p.replica = servertest.PostgresPair(t) })
	p.west = f.pair()
	servers.Wait()
	if p.replica == nil {
		t.FailNow()
	}
	p.standby = fmt.Sprintf("http://acme.eu-west.localhost:%d", p.west.port)
	f.eu.do("portal", "create", "acme", "--url", f.acme, "--standby", "eu-west="+p.standby)

	f.write("redis-password", "%s-redis-password-8\n", mark)
	p.redis = servertest.RedisWith(t, servertest.RedisOptions{Config: []string{
		"user default off", "user root on nopass ~* &* +@all",
		"user domicile on >" + mark + "-redis-password-8 ~domicile:* ~rate:domicile:* &domicile:* +@all",
	}})
	p.listen()

	f.write("directory", "%s", p.primary.URL)
	f.write("directory-replica", "%s", p.replica.URL)
	f.rewrite("front.yaml", "database: sqlite:front/directory.db", "database_file: directory\nread_url_file: directory-replica")
	f.append("front.yaml", "redis: {addresses: [%q], username: domicile, password_file: redis-password}\n", p.redis.Addr)
	collector := httptest.NewServer(p.traces)
	t.Cleanup(collector.Close)
	for _, file := range []string{"front.yaml", "eu-central.yaml", "us-east.yaml", "eu-west.yaml"} {
		f.append(file, "tracing: {endpoint: %q, sample: 1}\n", collector.URL)
	}
	f.rewrite("eu-west.yaml", "{level: info, format: text}", "{level: debug, format: json}")

	// Consul alone carries the records.
	f.rewrite("front.yaml", "catalogue: {file: catalogue, reload: 1s, root_keys", "catalogue: {root_keys")
	f.write("signer.token", "%s\n", f.consul.Token(t, `key_prefix "domicile/regions/" { policy = "write" }`))
	for _, r := range []*region{p.west, f.eu, f.us} {
		planttest.Run(t, "region", "sign", f.path(r.name, r.name+".yaml"), "--root", f.path("root", "root.key"), "--out", f.path("catalogue"),
			"--publish", "--consul", "http://"+f.consul.Addr, "--token-file", f.path("signer.token"))
	}
	planttest.Run(t, "check", f.path("front.yaml"))
	planttest.Run(t, "migrate", "up", f.path("front.yaml"))
	return p
}

// listen records what Redis is sent from now on: keys, values and messages.
func (p *production) listen() {
	p.t.Helper()
	c, err := net.Dial("tcp", p.redis.Addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, "AUTH root any\r\nMONITOR\r\n"); err != nil {
		p.t.Fatal(err)
	}
	go func() { _, _ = io.Copy(p.heard, c) }()
	planttest.Until(p.t, "Redis telling what it is sent", func() bool { return strings.Count(string(p.heard.all()), "+OK") == 2 })
}

// ended keeps what a region that is gone has printed.
func (p *production) ended(r *region) {
	p.logs["log of "+r.name] = append(p.logs["log of "+r.name], r.Printed()...)
}

// failOver loses Acme's region, then what stands in for it, and then both are
// back, while somebody of Acme comes again and again.
func (p *production) failOver(c *crowd) {
	p.t.Helper()
	fay := marked("consult.example")
	temporary := c.invited(p.eu, "acme", fay)
	p.becomes(fay, "")
	p.eu.Kill()
	p.ended(p.eu)
	p.becomes(fay, "standby")
	v := c.someone().open(p.url+"/").enter(fay).at(p.standby, "/login/password").sees(http.StatusOK, "stand-in")
	v.submit("Sign in", "password", markWrong).sees(http.StatusForbidden)
	v.firstTime(temporary, markOwn).home(p.standby, fay, "EU")
	c.someone().open(p.standby + "/login?ticket=nonsense").sees(http.StatusForbidden)

	p.west.Kill()
	p.ended(p.west)
	p.becomes(fay, "down")
	c.someone().open(p.url+"/").enter(fay).sees(http.StatusServiceUnavailable, "is not answering right now")
	p.startRegion(p.eu)
	p.becomes(fay, "")
	c.someone().open(p.url+"/").enter(fay).submit("Sign in", "password", markOwn).home(p.acme, fay, "EU")
}

// TestNothingLeaksInProduction is TestNothingLeaks on all that a fleet stands on:
// whatever lies outside a region, or leaves one, is searched for marked people
// and for everything they were given (N01). Blind IDs are in the directory and in
// Redis, and nowhere else.
func TestNothingLeaksInProduction(t *testing.T) {
	p := ship(t, markedPeople()...).produce()
	p.sail()
	p.startRegion(p.west)
	c := &crowd{f: p.fleet}
	c.doEverything(t)
	p.failOver(c)

	kept, blind := map[string][]byte{}, p.directory()
	for name, s := range map[string]*servertest.PostgresServer{"the directory": p.primary, "its replica": p.replica} {
		kept[name] = rows(t, s.URL)
	}
	kept["Redis"], kept["what Redis was sent"] = p.inRedis(), p.heard.all()
	planttest.Run(t, "backup", "--config", p.path("front.yaml"), "--out", p.path("directory.backup"), "--dangerously-unencrypted")
	kept["a backup of the directory"] = unzipped(t, p.path("directory.backup"))
	for name, text := range kept { // the search finds what is there
		if !holdsAny(text, blind) {
			t.Errorf("%s has none of the blind IDs", name)
		}
	}

	elsewhere := map[string][]byte{"Consul": p.inConsul(), "metrics of the front door": get(t, "http://"+p.probe+"/metrics")}
	for _, r := range []*region{p.eu, p.us} {
		elsewhere["metrics of "+r.name] = get(t, "http://"+planttest.Loopback(r.probe)+"/metrics")
	}
	for _, s := range []*planttest.Server{p.front, p.eu.Server, p.us.Server} {
		for _, file := range []string{"environ", "cmdline"} {
			if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.Cmd.Process.Pid, file)); err == nil { // where there is one
				elsewhere[file+" of "+s.Name] = text
			}
		}
	}
	for _, r := range []*region{p.eu, p.us} {
		r.Stop()
		p.ended(r)
	}
	p.front.Stop()
	p.logs["log of the front door"] = []byte(p.front.Printed())
	maps.Copy(elsewhere, p.logs)
	elsewhere["traces"] = p.traces.all()
	for _, name := range []string{"POST /v1/discover", "POST /claims", "ticket.seal", "ticket.open", "federation.verify"} {
		if !bytes.Contains(elsewhere["traces"], []byte(name)) {
			t.Errorf("the collector has no span %q", name)
		}
	}
	for _, name := range []string{"regions", "directory"} {
		text, err := os.ReadFile(p.path("front", "kept", name))
		if err != nil || len(text) == 0 {
			t.Errorf("the snapshot folder has no %s: %v", name, err)
		}
		elsewhere["snapshot of "+name] = text
	}

	marks := append(c.held(), mark, clientSecret)
	for _, name := range []string{"front.token", "eu-central.token", "eu-west.token", "signer.token", "front/cookie.key", "blind/blind-id.key", "us-east/data.key"} {
		marks = append(marks, planttest.PublicKey(t, p.path(name)))
	}
	search(t, kept, marks)
	search(t, elsewhere, append(blind, append(marks, "<Assertion", "<saml", "PHNhbWw")...))
	seen := map[string][]byte{}
	c.seen(t, seen)
	search(t, seen, append(blind, append(c.secrets, mark)...))
}

// directory reads the blind IDs of everybody who is to be found.
func (p *production) directory() (blind []string) {
	p.t.Helper()
	db := open(p.t, p.primary.URL)
	defer db.Close()
	found, err := db.Query(`SELECT blind FROM entries`)
	if err != nil {
		p.t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var id []byte
		if err := found.Scan(&id); err != nil {
			p.t.Fatal(err)
		}
		blind = append(blind, string(id))
	}
	if err := found.Err(); err != nil || len(blind) < 3 {
		p.t.Fatalf("%d blind IDs, %v", len(blind), err)
	}
	return blind
}

func open(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// rows is every row of every table as PostgreSQL writes it.
func rows(t testing.TB, url string) []byte {
	t.Helper()
	db := open(t, url)
	defer db.Close()
	list := func(query string) (all []string) {
		found, err := db.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		defer found.Close()
		for found.Next() {
			var s string
			if err := found.Scan(&s); err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
		return all
	}
	var text strings.Builder
	tables := list(`SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`)
	if len(tables) < 4 {
		t.Fatalf("only the tables %q", tables)
	}
	for _, table := range tables {
		for _, row := range list(`SELECT CAST(x AS TEXT) FROM ` + table + ` x`) {
			text.WriteString(table + " " + row + "\n")
		}
	}
	return []byte(text.String())
}

// inRedis is every key with its value.
func (p *production) inRedis() []byte {
	p.t.Helper()
	root := redis.NewClient(&redis.Options{Addr: p.redis.Addr, Username: "root", Password: "any"})
	defer root.Close()
	keys, err := root.Keys(p.t.Context(), "*").Result()
	if err != nil || len(keys) == 0 {
		p.t.Fatalf("%d keys in Redis, %v", len(keys), err)
	}
	var text strings.Builder
	for _, key := range keys {
		value, err := root.Get(p.t.Context(), key).Result()
		if err != nil && err != redis.Nil {
			p.t.Fatal(err)
		}
		fmt.Fprintln(&text, key, value)
	}
	return []byte(text.String())
}

// inConsul is what Consul keeps: pairs, services with their checks, nodes.
func (p *production) inConsul() []byte {
	p.t.Helper()
	var text bytes.Buffer
	for _, path := range []string{
		"kv/?recurse", "catalog/services", "catalog/nodes", "agent/services", "agent/checks", "health/state/any",
		"health/service/domicile-portal-eu-central", "health/service/domicile-portal-eu-west", "session/list",
	} {
		r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.consul.Addr+"/v1/"+path, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		r.Header.Set("X-Consul-Token", p.consul.Management)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			p.t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			p.t.Fatalf("%s: %s, %v: %s", path, res.Status, err, body)
		}
		text.Write(body)
	}
	if !bytes.Contains(text.Bytes(), []byte("jurisdiction=EU")) {
		p.t.Error("Consul knows no process")
	}
	return text.Bytes()
}

func unzipped(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// holdsAny reports whether a text has one of the IDs in any form.
func holdsAny(text []byte, ids []string) bool {
	text = bytes.ToLower(text)
	return slices.ContainsFunc(ids, func(id string) bool {
		return slices.ContainsFunc(append(forms(id), base64.StdEncoding.EncodeToString([]byte(id))), func(form string) bool {
			return bytes.Contains(text, []byte(strings.ToLower(form)))
		})
	})
}
