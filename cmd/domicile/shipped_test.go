package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/domicile-sso/domicile/config/servertest"
)

// TestShipped builds the binary with the very command of the image, and runs it with
// every configuration that stands in docs, on PostgreSQL, Redis with the users of the
// operating guide over TLS, and Consul with a token for each role. Only addresses,
// ports and public keys are those of the test.
func TestShipped(t *testing.T) {
	s := newShipment(t)
	read := func(name string) string {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, set := range map[string][]string{
		"examples":   {read("examples/discovery.yaml"), read("examples/portal.yaml")},
		"systemd":    {read("deploy/systemd/discovery.yaml"), read("deploy/systemd/portal.yaml")},
		"compose":    {read("deploy/compose/front-door/discovery.yaml"), read("deploy/compose/eu-central/portal.yaml"), read("deploy/compose/us-east/portal.yaml")},
		"kubernetes": {configured(t, read("deploy/kubernetes/front-door.yaml")), configured(t, read("deploy/kubernetes/region.yaml"))},
	} {
		t.Run(name, func(t *testing.T) { s.run(t, name, set) })
	}
}

// configured is the file in the ConfigMap of a manifest.
func configured(t *testing.T, manifest string) string {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(manifest))
	for {
		var doc struct {
			Kind string
			Data map[string]string
		}
		if err := d.Decode(&doc); err != nil {
			t.Fatalf("no ConfigMap: %v", err)
		}
		for _, text := range doc.Data {
			return text
		}
	}
}

// A shipment is the binary and what it stands on.
type shipment struct {
	binary  string
	ca      string            // file of the authority that all believe
	lent    map[string]string // contents of the files that configurations name
	tokens  map[string]string
	public  map[string]string // public keys that stand in configurations, by what they begin with
	redis   string
	consul  string
	private string // Consul as reached by TLS
	client  *http.Client
}

func newShipment(t *testing.T) *shipment {
	t.Helper()
	s := &shipment{binary: imageBinary(t), lent: map[string]string{}, public: map[string]string{}}
	dir := t.TempDir()
	cert, key := pair(t)
	s.ca = filepath.Join(dir, "ca.pem")
	keyFile := filepath.Join(dir, "ca.key")
	for file, text := range map[string]string{s.ca: cert, keyFile: key} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"login.pem", "portals.pem", "tls.crt", "private-ca.pem", "ca.pem", "redis-ca.pem"} {
		s.lent[name] = cert
	}
	for _, name := range []string{"login.key", "portals.key", "tls.key"} {
		s.lent[name] = key
	}
	s.redis = servertest.RedisWith(t, servertest.RedisOptions{CertFile: s.ca, KeyFile: keyFile, Config: guideUsers(t)}).Addr
	s.lent["redis-password"], s.lent["smtp"], s.lent["sms-token"] = "secret", "smtp://127.0.0.1:2525", "token"

	consul := servertest.Consul(t)
	s.consul = "http://" + consul.Addr
	to, err := url.Parse(s.consul)
	if err != nil {
		t.Fatal(err)
	}
	pairOf, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	front := httputil.NewSingleHostReverseProxy(to)
	front.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // whoever waits for a change may hang up
	proxy := httptest.NewUnstartedServer(front)
	proxy.TLS = &tls.Config{Certificates: []tls.Certificate{pairOf}}
	proxy.StartTLS()
	t.Cleanup(proxy.Close)
	s.private = proxy.URL
	s.tokens = map[string]string{
		"discovery":  consul.Token(t, `key_prefix "domicile/regions/" { policy = "read" } service_prefix "domicile-portal-" { policy = "read" } node_prefix "" { policy = "read" }`),
		"eu-central": consul.Token(t, `service "domicile-portal-eu-central" { policy = "write" }`),
		"us-east":    consul.Token(t, `service "domicile-portal-us-east" { policy = "write" }`),
	}
	s.keys(t, dir, consul.Token(t, `key_prefix "domicile/regions/" { policy = "write" }`))
	s.client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// imageBinary is what the image's Dockerfile builds.
func imageBinary(t *testing.T) string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^RUN CGO_ENABLED=0 (go build .* -o )/out(\S+) (\./cmd/domicile)$`).FindStringSubmatch(readDeploy(t, "Dockerfile"))
	if line == nil {
		t.Fatal("the Dockerfile builds nothing that is known here")
	}
	to := filepath.Join(t.TempDir(), path.Base(line[2]))
	cmd := exec.Command("sh", "-c", line[1]+to+" "+line[3])
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line[0], err, out)
	}
	file, err := elf.Open(to)
	if err != nil {
		return to // not a system that the image is for
	}
	defer func() { _ = file.Close() }()
	if libraries, err := file.ImportedLibraries(); err == nil && len(libraries) > 0 {
		t.Errorf("on an empty image there is no %q", libraries)
	}
	return to
}

// guideUsers are the rules for Redis of the operating guide.
func guideUsers(t *testing.T) []string {
	t.Helper()
	guide, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^user (domicile|default) .*$`).FindAllString(string(guide), -1)
	for i := range found {
		found[i] = strings.ReplaceAll(found[i], ">PASSWORD", ">secret")
	}
	return found
}

// keys makes everybody's, by the commands of the operating guide, and publishes the
// regions.
func (s *shipment) keys(t *testing.T, dir, signer string) {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	content := func(name string) string {
		text, err := os.ReadFile(in(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	s.do(t, "region", "keygen", "root", "--out", in("root"))
	s.do(t, "region", "keygen", "front-door", "--out", in("front"))
	s.do(t, "region", "keygen", "blind-id", "--out", in("blind"))
	if err := os.WriteFile(in("signer"), []byte(signer), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, r := range [][]string{{"eu-central", "EU", "Frankfurt", "*.eu.example.com"}, {"us-east", "US", "Virginia", "*.us.example.com"}} {
		s.do(t, "region", "keygen", "region", r[0], "--jurisdiction", r[1], "--name", r[2], "--host", r[3], "--out", in(r[0]))
		s.do(t, "region", "sign", in(r[0]+"/"+r[0]+".yaml"), "--root", in("root/root.key"), "--out", in("catalogue"),
			"--publish", "--consul", s.consul, "--token-file", in("signer"))
		for _, name := range []string{"ticket.key", "publishing.key", "data.key"} {
			s.lent[r[0]+"/"+name] = content(r[0] + "/" + name)
		}
	}
	for _, name := range []string{"front/front-door.key", "front/cookie.key", "blind/blind-id.key", "catalogue"} {
		s.lent[path.Base(name)] = content(name)
	}
	s.public["domicile-root-public:"] = lastLine(content("root/root.pub"))
	s.public["domicile-front-door-public:"] = lastLine(content("front/front-door.pub"))
}

func (s *shipment) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+s.ca, "SSL_CERT_DIR=/nowhere")
	return cmd
}

func (s *shipment) do(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := s.command(ctx, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("domicile %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// A party is one configuration at work.
type party struct {
	role, file      string
	public, private string // ports
	log             *bytes.Buffer
	cmd             *exec.Cmd
}

var (
	publicKey = regexp.MustCompile(`domicile-[a-z-]+-public:[A-Za-z0-9_-]+`)
	regionIn  = regexp.MustCompile(`region: ?(?:\{|\n *)name: ([a-z-]+)`)
	absolute  = regexp.MustCompile(`([ \[])/(etc|var)/`)
)

// run is a day of one set: every file is good, every database is brought in step,
// every server gets ready without a word of warning, and somebody who is routed in
// the region is found at the front door.
func (s *shipment) run(t *testing.T, name string, set []string) {
	claims := freePort(t)
	var parties []*party
	for i, text := range set {
		parties = append(parties, s.settle(t, fmt.Sprintf("%d", i), text, claims))
	}
	for _, p := range parties {
		if out := s.do(t, "check", p.file); !strings.HasSuffix(out, ": good (role "+p.role+")\n") || strings.Count(out, "\n") != 1 {
			t.Errorf("domicile check: %s", out)
		}
		s.do(t, "migrate", "up", p.file)
		p.cmd = s.command(context.WithoutCancel(t.Context()), "serve", p.role, "--config", p.file)
		p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.stop(t, p) })
	}
	for _, p := range parties {
		soon(t, p.file+" is not ready", func() bool {
			return s.command(t.Context(), "probe", "http://127.0.0.1:"+p.private+"/readyz").Run() == nil
		})
	}
	id, domain := "acme-"+name, name+".example"
	s.do(t, "portal", "create", id, "--config", parties[1].file, "--url", "https://"+id+".eu.example.com")
	s.do(t, "domain", "route", domain, "--config", parties[1].file, "--portal", id)
	soon(t, "nobody is found", func() bool {
		answer := s.ask(t, http.MethodPost, "login.example.com", parties[0].public, "/v1/discover", `{"email":"ada@`+domain+`"}`)
		return strings.Contains(answer, `"continue":"https://`+id+`.eu.example.com/login?ticket=`)
	})
	if page := s.ask(t, http.MethodGet, id+".eu.example.com", parties[1].public, "/login", ""); !strings.Contains(page, `name="email"`) {
		t.Errorf("the portal shows %s", page)
	}
	if status := s.do(t, "directory", "status", "--config", parties[0].file); strings.Count(status, " good\n") != len(parties)-1 {
		t.Errorf("domicile directory status:\n%s", status)
	}
}

// settle writes a configuration and the files that it names, under a folder in place
// of the root, with addresses of this machine.
func (s *shipment) settle(t *testing.T, name, text, claims string) *party {
	t.Helper()
	p := &party{role: "discovery", public: freePort(t), private: freePort(t), log: new(bytes.Buffer)}
	owner := p.role
	if m := regionIn.FindStringSubmatch(text); m != nil {
		p.role, owner = "portal", m[1]
	}
	root := t.TempDir()
	for _, change := range [][2]string{
		{`listen: ":8443"`, `listen: "127.0.0.1:` + p.public + `"`}, {`listen: ":8444"`, `listen: "127.0.0.1:` + claims + `"`},
		{`listen: ":9090"`, `listen: "127.0.0.1:` + p.private + `"`}, {`listen: "127.0.0.1:9090"`, `listen: "127.0.0.1:` + p.private + `"`},
		{`listen: "127.0.0.1:9091"`, `listen: "127.0.0.1:` + p.private + `"`},
		{`https://login.internal.example.com:8444`, `https://127.0.0.1:` + claims},
		{`http://127.0.0.1:8500`, s.consul}, {`https://consul:8501`, s.private}, {`https://consul-server-0.consul-server.consul.svc:8501`, s.private},
		{`"redis.internal:6380"`, `"` + s.redis + `"`}, {`"redis:6380"`, `"` + s.redis + `"`}, {`"redis.domicile-front-door.svc:6380"`, `"` + s.redis + `"`},
	} {
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	text = publicKey.ReplaceAllStringFunc(text, func(old string) string { return s.public[old[:strings.Index(old, ":")+1]] })
	text = absolute.ReplaceAllString(text, "${1}"+root+"/$2/")
	database := servertest.Postgres(t)
	t.Setenv("DOMICILE_DATABASE", database)
	write := func(at, content string) {
		t.Helper()
		if !filepath.IsAbs(at) {
			at = filepath.Join(root, at)
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		values, _, _ := strings.Cut(line, "# ")
		if _, value, keyed := strings.Cut(values, ":"); keyed {
			values = value
		}
		for _, at := range aPath.FindAllString(values, -1) {
			switch base := path.Base(at); base {
			case "database", "database-replica":
				write(at, database)
			case "consul-token":
				write(at, s.tokens[owner])
			default:
				content, ok := s.lent[base]
				if own, mine := s.lent[owner+"/"+base]; mine {
					content, ok = own, true
				}
				if ok {
					write(at, content)
				}
			}
		}
	}
	for _, dir := range []string{"snapshot", "var/lib/domicile"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p.file = filepath.Join(root, p.role+".yaml")
	write(p.file, text)
	return p
}

func (s *shipment) ask(t *testing.T, method, host, port, at, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://127.0.0.1:"+port+at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	res, err := s.client.Do(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// stop ends a server as a supervisor does, and reads what it had to say.
func (s *shipment) stop(t *testing.T, p *party) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	watchdog := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer watchdog.Stop()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%s ended: %v", p.role, err)
	}
	for line := range strings.Lines(p.log.String()) {
		var said struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &said); err != nil || said.Level != "INFO" {
			t.Errorf("%s logs %s", p.role, line)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}

// soon waits until something is so.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline:
			t.Fatal(what)
		case <-tick.C:
		}
	}
}
