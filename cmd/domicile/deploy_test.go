package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/config"
)

const deploy = "../../docs/deploy/"

func readDeploy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(deploy + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pair is a certificate and its key, in the forms that TLS files have.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"login.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

var aPath = regexp.MustCompile(`[\w./-]+`)

// load loads a configuration as it would be found where it is deployed: the
// files it names are made, under a folder in place of the root.
func load(t *testing.T, name, text string) any {
	t.Helper()
	cert, key := pair(t)
	secret := func(kind config.Kind) string { return config.EncodeKey(kind, bytes.Repeat([]byte{5}, 32)) }
	contents := map[string]string{
		"blind-id.key": secret(config.BlindKey), "front-door.key": secret(config.FrontDoorKey), "cookie.key": secret(config.CookieKey),
		"ticket.key": secret(config.TicketKey), "publishing.key": secret(config.PublishingKey), "data.key": secret(config.DataKey),
		"database": "postgres://domicile:secret@db/domicile", "smtp": "smtp://user:secret@mail:587",
		"redis-password": "secret", "consul-token": "secret", "catalogue": "# none yet",
		"login.pem": cert, "login.key": key, "portals.pem": cert, "portals.key": key, "tls.crt": cert, "tls.key": key,
		"private-ca.pem": cert, "ca.pem": cert,
	}
	root := t.TempDir()
	text = regexp.MustCompile(`([ \[])/(etc|var)/`).ReplaceAllString(text, "${1}"+root+"/$2/")
	for _, at := range aPath.FindAllString(text, -1) {
		content, ok := contents[path.Base(at)]
		if !ok {
			continue
		}
		if !filepath.IsAbs(at) {
			at = filepath.Join(root, at)
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(at); err == nil && info.IsDir() {
			continue // a word of a comment
		}
		if err := os.WriteFile(at, []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "var/lib/domicile"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, path.Base(name))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

// listeners are the ports a configuration listens on, by what they are for.
func listeners(t *testing.T, name string, c any) map[string]string {
	t.Helper()
	ports := map[string]string{}
	add := func(what, listen string) {
		_, port, err := net.SplitHostPort(listen)
		if err != nil {
			t.Fatalf("%s: %s: %v", name, what, err)
		}
		ports[what] = port
	}
	var warnings config.Mistakes
	switch c := c.(type) {
	case *config.Discovery:
		add("public", c.Listen)
		add("claims", c.Internal.Listen)
		add("private", c.Metrics.Listen)
		warnings = c.Warnings
	case *config.Portal:
		add("public", c.Listen)
		add("private", c.Metrics.Listen)
		warnings = c.Warnings
	}
	for _, w := range warnings {
		t.Errorf("%s: %v", name, w)
	}
	return ports
}

// understood checks that the binary would take a command line.
func understood(t *testing.T, where string, args []string) {
	t.Helper()
	cmd, rest, err := rootCommand().Find(args)
	if err != nil || !cmd.Runnable() || !cmd.HasParent() {
		t.Errorf("%s: domicile %s: no such command (%v)", where, strings.Join(args, " "), err)
		return
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%s: domicile %s: %v", where, strings.Join(args, " "), err)
		return
	}
	if cmd.Args != nil {
		if err := cmd.Args(cmd, cmd.Flags().Args()); err != nil {
			t.Errorf("%s: domicile %s: %v", where, strings.Join(args, " "), err)
		}
	}
}

// probed checks that the private listener answers a path.
func probed(t *testing.T, where, at string) {
	t.Helper()
	w := httptest.NewRecorder()
	serve.Private(prometheus.NewRegistry(), nil, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, at, nil))
	if w.Code != http.StatusOK {
		t.Errorf("%s: a server answers %s with %d", where, at, w.Code)
	}
}

func TestImage(t *testing.T) {
	file := readDeploy(t, "Dockerfile")
	for _, want := range []string{"CGO_ENABLED=0", "\nFROM scratch\n", "\nUSER 65532:65532\n", "ca-certificates.crt", "\nHEALTHCHECK "} {
		if !strings.Contains(file, want) {
			t.Errorf("Dockerfile lacks %q", want)
		}
	}
	if i := strings.LastIndex(file, "\nFROM "); !strings.HasPrefix(file[i:], "\nFROM scratch\n") || !strings.Contains(file[i:], "\nUSER ") {
		t.Error("the last stage is not scratch with a user")
	}
	list := func(instruction string) []string {
		m := regexp.MustCompile(`(?m)^(?:.*\\\n *)?` + instruction + ` (\[.*\])$`).FindStringSubmatch(file)
		var args []string
		if m == nil || yaml.Unmarshal([]byte(m[1]), &args) != nil || len(args) == 0 {
			t.Fatalf("Dockerfile has no %s in exec form", instruction)
		}
		return args
	}
	entry := list("ENTRYPOINT")
	if entry[0] != "/usr/local/bin/domicile" || !strings.Contains(file, "-o /out"+entry[0]+" ") {
		t.Errorf("ENTRYPOINT %q is not what is built", entry)
	}
	health := regexp.MustCompile(`HEALTHCHECK[^\n]*\\\n *CMD (\[.*\])`).FindStringSubmatch(file)
	var check []string
	if health == nil || yaml.Unmarshal([]byte(health[1]), &check) != nil || check[0] != entry[0] {
		t.Fatalf("HEALTHCHECK %q does not run the binary", health)
	}
	understood(t, "HEALTHCHECK", check[1:])
	at, err := url.Parse(check[len(check)-1])
	if err != nil {
		t.Fatal(err)
	}
	probed(t, "HEALTHCHECK", at.Path)
	for _, name := range []string{"compose/front-door/discovery.yaml", "compose/eu-central/portal.yaml", "compose/us-east/portal.yaml"} {
		if got := listeners(t, name, load(t, name, readDeploy(t, name)))["private"]; got != at.Port() {
			t.Errorf("%s: the private port is %s and the image asks %s", name, got, at.Port())
		}
	}
	// What is not let into the build is neither built nor leaked.
	ignore, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(ignore), "\n")
	if !slices.Contains(lines, "*") {
		t.Error(".dockerignore lets everything in")
	}
	for _, need := range []string{"go.mod", "go.sum", "cmd", "config", "discovery", "federation", "portal", "regions"} {
		if !slices.Contains(lines, "!"+need) {
			t.Errorf(".dockerignore keeps %s out", need)
		}
	}
}

var substituted = regexp.MustCompile(`"|\$\([^)]*\)`) // what a shell would put there

func TestSystemd(t *testing.T) {
	for name, role := range map[string]string{"discovery": "discovery", "portal": "portal", "backup": ""} {
		unit := readDeploy(t, "systemd/domicile-"+name+".service")
		for _, want := range []string{
			"NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes", "MemoryDenyWriteExecute=yes",
			"SystemCallFilter=@system-service", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "CapabilityBoundingSet=", "LockPersonality=yes",
			"RestrictNamespaces=yes", "RestrictSUIDSGID=yes", "UMask=0077", "LimitCORE=0",
		} {
			if !strings.Contains(unit, "\n"+want+"\n") {
				t.Errorf("%s: no %s", name, want)
			}
		}
		commands := regexp.MustCompile(`(?m)^Exec(?:Start|StartPre)=(?:/bin/sh -c 'exec )?/usr/local/bin/domicile ([^'\n]*)`).FindAllStringSubmatch(unit, -1)
		if len(commands) == 0 {
			t.Errorf("%s: it starts nothing", name)
		}
		for _, c := range commands {
			understood(t, name, strings.Fields(substituted.ReplaceAllString(c[1], "now")))
		}
		if role == "" {
			continue
		}
		for _, want := range []string{"User=domicile", "Restart=on-failure", "ExecReload=/bin/kill -HUP $MAINPID",
			"ExecStart=/usr/local/bin/domicile serve " + role + " --config ${CREDENTIALS_DIRECTORY}/" + role + ".yaml"} {
			if !strings.Contains(unit, "\n"+want+"\n") {
				t.Errorf("%s: no %s", name, want)
			}
		}
		file := readDeploy(t, "systemd/"+role+".yaml")
		listeners(t, name, load(t, role+".yaml", file))
		// Each secret is handed over, and each that is handed over is used.
		var lent, used []string
		for _, m := range regexp.MustCompile(`(?m)^LoadCredential=(\S+):/etc/domicile/(\S+)$`).FindAllStringSubmatch(unit, -1) {
			if m[1] != m[2] {
				t.Errorf("%s: %s is called %s", name, m[2], m[1])
			}
			if m[1] != role+".yaml" {
				lent = append(lent, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`_files?: \[?([a-z-]+(?:\.key)?)[\],} \n]`).FindAllStringSubmatch(file, -1) {
			used = append(used, m[1])
		}
		slices.Sort(lent)
		slices.Sort(used)
		if !slices.Equal(lent, used) {
			t.Errorf("%s: credentials %q, and the configuration names %q", name, lent, used)
		}
	}
}

func TestCompose(t *testing.T) {
	type service struct {
		Image, User string
		Command     []string
		Ports       []string
		Volumes     []string
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		Networks    any
	}
	var file struct {
		Services map[string]service
		Networks map[string]struct{ Internal bool }
		Volumes  map[string]any
	}
	if err := yaml.Unmarshal([]byte(readDeploy(t, "compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	serving := map[string]int{}
	for name, s := range file.Services {
		var networks []string
		switch on := s.Networks.(type) {
		case []any:
			for _, n := range on {
				networks = append(networks, n.(string))
			}
		case map[string]any:
			for n := range on {
				networks = append(networks, n)
			}
		}
		for _, n := range networks {
			if _, ok := file.Networks[n]; !ok {
				t.Errorf("%s: there is no network %s", name, n)
			}
		}
		// A region's database is reached from its own network alone.
		if region, ok := strings.CutSuffix(name, "-db"); ok && region != "directory" && !slices.Equal(networks, []string{region}) {
			t.Errorf("%s is on %q", name, networks)
		}
		if s.Image != "domicile" {
			continue
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) {
			t.Errorf("%s is not read-only without capabilities", name)
		}
		understood(t, name, s.Command)
		from, to, _ := strings.Cut(strings.TrimSuffix(s.Volumes[0], ":ro"), ":")
		in := s.Command[len(s.Command)-1]
		if path.Dir(in) != to || !strings.HasSuffix(s.Volumes[0], ":ro") {
			t.Errorf("%s: %s is not in the folder it is given, %s", name, in, s.Volumes[0])
		}
		config := strings.TrimPrefix(from, "./") + "/" + path.Base(in)
		if s.Command[0] != "serve" {
			continue
		}
		serving[config]++
		ports := listeners(t, config, load(t, config, readDeploy(t, config)))
		if len(s.Ports) != 1 || !strings.HasSuffix(s.Ports[0], ":"+ports["public"]) {
			t.Errorf("%s shows ports %q and listens on %s", name, s.Ports, ports["public"])
		}
	}
	for config, want := range map[string]int{"compose/front-door/discovery.yaml": 2, "compose/eu-central/portal.yaml": 2, "compose/us-east/portal.yaml": 1} {
		if serving[config] != want {
			t.Errorf("%s: %d processes, want %d", config, serving[config], want)
		}
	}
	for _, n := range []string{"global", "claims", "eu", "us"} {
		if !file.Networks[n].Internal {
			t.Errorf("network %s is not internal", n)
		}
	}
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// podSpec is what we look at of a pod.
type podSpec struct {
	AutomountServiceAccountToken *bool `yaml:"automountServiceAccountToken"`
	SecurityContext              struct {
		RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
		RunAsUser      int                   `yaml:"runAsUser"`
		FSGroup        int                   `yaml:"fsGroup"`
		SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Containers []struct {
		Image           string
		Args            []string
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities             struct{ Drop []string }
		} `yaml:"securityContext"`
		Ports []struct {
			Name          string
			ContainerPort string `yaml:"containerPort"`
		}
		ReadinessProbe *probe `yaml:"readinessProbe"`
		LivenessProbe  *probe `yaml:"livenessProbe"`
		StartupProbe   *probe `yaml:"startupProbe"`
	}
	Volumes []struct {
		Name   string
		Secret *struct {
			DefaultMode int `yaml:"defaultMode"`
		}
	}
}

func TestKubernetes(t *testing.T) {
	for _, name := range []string{"front-door", "region"} {
		d := yaml.NewDecoder(strings.NewReader(readDeploy(t, "kubernetes/"+name+".yaml")))
		kinds := map[string]int{}
		var ports map[string]string
		for {
			var doc struct {
				Kind     string
				Metadata struct{ Namespace string }
				Data     map[string]string
				Spec     struct {
					Template struct{ Spec podSpec }
				}
			}
			err := d.Decode(&doc)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			kinds[doc.Kind]++
			for file, text := range doc.Data {
				ports = listeners(t, name, load(t, file, text))
			}
			if doc.Kind == "Job" || doc.Kind == "Deployment" {
				restricted(t, name+" "+doc.Kind, doc.Spec.Template.Spec, ports)
			}
		}
		for _, kind := range []string{"Namespace", "ConfigMap", "Job", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"} {
			if kinds[kind] != 1 {
				t.Errorf("%s has %d of %s, want 1", name, kinds[kind], kind)
			}
		}
		if kinds["Secret"] > 0 {
			t.Errorf("%s holds a Secret", name)
		}
	}
}

// restricted checks a pod against the standard of that name, and its container
// against the binary.
func restricted(t *testing.T, where string, p podSpec, ports map[string]string) {
	t.Helper()
	c := p.Containers[0]
	switch s := c.SecurityContext; {
	case !p.SecurityContext.RunAsNonRoot || p.SecurityContext.RunAsUser == 0 || p.SecurityContext.FSGroup == 0 || p.SecurityContext.SeccompProfile.Type != "RuntimeDefault":
		t.Errorf("%s: %+v", where, p.SecurityContext)
	case s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}):
		t.Errorf("%s: %+v", where, s)
	case p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken:
		t.Errorf("%s: it is given a token of the cluster", where)
	}
	for _, v := range p.Volumes {
		if v.Secret != nil && v.Secret.DefaultMode != 0o440 {
			t.Errorf("%s: secret %s has mode %o", where, v.Name, v.Secret.DefaultMode)
		}
	}
	understood(t, where, c.Args)
	if strings.HasSuffix(where, "Job") {
		return
	}
	named := map[string]string{}
	for _, port := range c.Ports {
		named[port.Name] = port.ContainerPort
	}
	if len(named) != len(ports) {
		t.Errorf("%s: ports %v, and the configuration has %v", where, named, ports)
	}
	for what, port := range ports {
		if named[what] != port {
			t.Errorf("%s: port %s is %q, and the configuration has %s", where, what, named[what], port)
		}
	}
	if c.ReadinessProbe == nil || c.LivenessProbe == nil || c.StartupProbe == nil {
		t.Fatalf("%s: a probe is missing", where)
	}
	for _, p := range []*probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
		if p.HTTPGet.Port != "private" {
			t.Errorf("%s: it is probed at %s", where, p.HTTPGet.Port)
		}
		probed(t, where, p.HTTPGet.Path)
	}
	if c.LivenessProbe.HTTPGet.Path != "/healthz" {
		t.Errorf("%s: it is killed for what is not its own fault", where)
	}
}
