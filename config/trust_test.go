package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shown is a part of an example that is commented out, as an operator would
// bring it in.
func shown(t *testing.T, example string, keys ...string) string {
	t.Helper()
	var out []string
	in := ""
	for line := range strings.Lines(example) {
		bare := strings.TrimLeft(line, " ")
		key, found := strings.CutPrefix(bare, "# ")
		name, _, _ := strings.Cut(strings.TrimLeft(key, " "), ":")
		for _, k := range keys {
			if found && name == k {
				in = k
			}
		}
		if !found {
			in = ""
		}
		if in != "" {
			line = strings.Replace(line, "# ", "", 1)
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

func TestTrust(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir)
	t.Setenv("DOMICILE_DATABASE", "sqlite:"+filepath.Join(dir, "eu.db"))
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"tls/regions-ca.pem", "tls/front-door-ca.pem", "tls/region.pem", "tls/region.key"} {
		from := "tls/login" + filepath.Ext(name)
		data, err := os.ReadFile(in(from))
		if err != nil {
			t.Fatal(err)
		}
		write(t, in(name), string(data))
	}
	example := func(name string, keys ...string) string {
		data, err := os.ReadFile("../docs/examples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		path := in("with-" + name)
		write(t, path, shown(t, string(data), keys...))
		return path
	}
	d, err := LoadDiscovery(example("discovery.yaml", "client_ca_file", "tracing"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := LoadPortal(example("portal.yaml", "tls", "tracing"))
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]any{
		"client_ca_file": {d.Internal.ClientCAFile, in("tls/regions-ca.pem")},
		"front_door.tls": {p.FrontDoor.TLS, &CallerTLS{in("tls/front-door-ca.pem"), in("tls/region.pem"), in("tls/region.key")}},
		"endpoint":       {d.Tracing.Endpoint.String() + " " + p.Tracing.Endpoint.String(), "https://collector.internal:4318 https://collector.internal:4318"},
		"sample":         {d.Tracing.Sample + p.Tracing.Sample, 0.02},
		"warnings":       {len(d.Warnings) + len(p.Warnings), 0},
	} {
		if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
}

func TestCollectors(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir)
	for endpoint, want := range map[string]string{ // "": refused, otherwise what is warned of
		"https://collector.example.com": "nothing", "http://127.0.0.1:4318": "nothing", "http://localhost:4318": "nothing", "http://[::1]:4318": "nothing",
		"http://10.0.0.7:4318": "in clear", "http://collector:4318": "in clear", "http://otel.internal:4318": "in clear", "http://[fd00::1]:4318": "in clear",
		"http://192.0.2.1:4318": "", "http://collector.example.com": "", "grpc://collector:4317": "", "https://user:pass@collector.example.com": "",
		"https://collector.example.com/v1/traces": "", "https://": "",
	} {
		path := filepath.Join(dir, "traced.yaml")
		write(t, path, minimal+"tracing: {endpoint: \""+endpoint+"\", sample: 1}\n")
		c, err := LoadDiscovery(path)
		switch {
		case want == "" && err == nil:
			t.Errorf("%s is taken", endpoint)
		case want != "" && err != nil:
			t.Errorf("%s: %v", endpoint, err)
		case want == "nothing" && len(c.Warnings) > 0, want == "in clear" && (len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Say, want)):
			t.Errorf("%s: warnings %v", endpoint, c.Warnings)
		}
	}
}
