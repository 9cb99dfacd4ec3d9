package app

import (
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/portal/mail"
	"github.com/domicile-sso/domicile/portal/sms"
	"github.com/domicile-sso/domicile/regions/consul"
)

// A family is what a registry has under one name.
type family struct {
	help      string
	labels    []string
	histogram bool
}

var (
	described = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "(.*)", unit: ".*", constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)
	constant  = regexp.MustCompile(`([a-z_]+)="`)
	word      = regexp.MustCompile(`[a-z_]+`)
)

// families are the metrics of both roles with everything on that has any.
func families(t *testing.T) map[string]family {
	t.Helper()
	w := newWorld(t)
	w.at.Tracing = Tracing{Endpoint: "http://127.0.0.1:1", Sample: 1}
	w.eu.Tracing = w.at.Tracing
	var err error
	if w.at.Redis, err = redisClient(&config.Redis{Addresses: []string{"127.0.0.1:1"}}); err != nil {
		t.Fatal(err)
	}
	w.at.Replica = "postgres://127.0.0.1:1/directory"
	w.at.Snapshot = t.TempDir()
	w.at.Consul = &consul.Options{Address: "http://127.0.0.1:1"}
	w.eu.Consul, w.eu.Advertise = w.at.Consul, "127.0.0.1:8443"
	w.at.Certificate = certificateIn(t, t.TempDir())
	d, err := NewDiscovery(t.Context(), w.at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, d) })
	o := w.eu
	o.ClaimsURL = "http://" + d.Claims()
	o.Mail, o.Texts = new(mail.Mailbox), sms.Log{Log: slog.New(slog.DiscardHandler)}
	p, err := NewPortal(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, p) })
	all := map[string]family{"up": {labels: []string{"job", "instance"}}}
	for _, r := range []*prometheus.Registry{d.Registry, p.Registry} {
		descs := make(chan *prometheus.Desc)
		go func() { r.Describe(descs); close(descs) }()
		for desc := range descs {
			m := described.FindStringSubmatch(strings.ReplaceAll(desc.String(), "\n", " "))
			if m == nil {
				t.Fatalf("cannot be read: %s", desc)
			}
			f := all[m[1]]
			f.labels = append(f.labels, "job", "instance")
			for _, c := range constant.FindAllStringSubmatch(m[3], -1) {
				f.labels = append(f.labels, c[1])
			}
			f.labels = append(f.labels, word.FindAllString(m[4], -1)...)
			f.help = m[2]
			f.histogram = f.histogram || strings.HasSuffix(m[1], "_duration_seconds") && strings.HasPrefix(m[1], "domicile_http_")
			all[m[1]] = f
		}
	}
	return all
}

func certificateIn(t *testing.T, dir string) *serve.Certificate {
	t.Helper()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	issue(t, cert, key, 1)
	c, err := serve.LoadCertificate(serve.Files{Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	quoted   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	variable = regexp.MustCompile(`\$[a-z_]+|\[[0-9]+[smhd]\]`)
	grouping = regexp.MustCompile(`\b(?:by|on|without|ignoring) ?\(([^)]*)\)`)
	named    = regexp.MustCompile(`\b([a-z][a-z0-9_]*)(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+) ?(?:=~|!~|!=|=)`)
	function = []string{"rate", "increase", "sum", "min", "max", "count", "time", "histogram_quantile", "and", "or", "unless"}
)

// wrong is what an expression says that the metrics do not know. It is no parser:
// it sees to names, labels, functions and brackets.
func wrong(expr string, known map[string]family) (faults []string) {
	bare := variable.ReplaceAllString(quoted.ReplaceAllString(expr, `""`), "")
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(bare, pair[:1]) != strings.Count(bare, pair[1:]) {
			faults = append(faults, "unbalanced "+pair)
		}
	}
	usable := map[string]bool{"le": true}
	var groups []string
	bare = grouping.ReplaceAllStringFunc(bare, func(s string) string {
		groups = append(groups, word.FindAllString(s[strings.Index(s, "("):], -1)...)
		return ""
	})
	found := false
	for _, m := range named.FindAllStringSubmatch(bare, -1) {
		if slices.Contains(function, m[1]) {
			continue
		}
		f, ok := known[m[1]]
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if base, cut := strings.CutSuffix(m[1], suffix); cut && !ok {
				f, ok = known[base]
				ok = ok && f.histogram
			}
		}
		found = true
		if !ok {
			faults = append(faults, "no metric or function "+m[1])
			continue
		}
		for _, l := range f.labels {
			usable[l] = true
		}
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(f.labels, l[1]) {
				faults = append(faults, m[1]+" has no label "+l[1])
			}
		}
	}
	for _, g := range groups {
		if !usable[g] {
			faults = append(faults, "no label "+g)
		}
	}
	if !found {
		faults = append(faults, "no metric at all")
	}
	return faults
}

func TestWrong(t *testing.T) {
	known := map[string]family{"domicile_x_total": {labels: []string{"job", "code"}}, "domicile_y_duration_seconds": {labels: []string{"route"}, histogram: true}}
	for expr, want := range map[string]string{
		`sum by (code) (rate(domicile_x_total{code=~"5.."}[5m])) > 0`:                           "",
		`histogram_quantile(0.9, sum by (le) (rate(domicile_y_duration_seconds_bucket[$__r])))`: "",
		`rate(domicile_z_total[5m])`:         "no metric or function domicile_z_total",
		`rate(domicile_x_total_bucket[5m])`:  "no metric or function domicile_x_total_bucket",
		`avg(domicile_x_total)`:              "no metric or function avg",
		`domicile_x_total{colour="blue"}`:    "domicile_x_total has no label colour",
		`sum by (colour) (domicile_x_total)`: "no label colour",
		`sum(domicile_x_total`:               "unbalanced ()",
		`time() > 0`:                         "no metric at all",
	} {
		if got := strings.Join(wrong(expr, known), ", "); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

// Every metric that the dashboard and the alarms name is one of ours, with the
// labels they use.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../../docs/deploy/grafana/domicile.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title  string
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	known, ids, shown := families(t), map[int]bool{}, ""
	for _, p := range board.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q cannot be shown", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			shown += target.Expr + "\n"
			for _, fault := range wrong(target.Expr, known) {
				t.Errorf("panel %q: %s: %s", p.Title, target.Expr, fault)
			}
		}
	}
	// And what we measure is looked at somewhere.
	alarms, err := os.ReadFile("../../../docs/deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if strings.HasPrefix(name, "domicile_") && !regexp.MustCompile(`\b`+name+`(\b|_bucket|_count)`).MatchString(shown+string(alarms)) && !slices.Contains(unshown, name) {
			t.Errorf("%s is neither on the dashboard nor in an alarm", name)
		}
	}
}

// unshown are metrics for whoever looks closer.
var unshown = []string{
	"domicile_directory_last_claim_timestamp_seconds", "domicile_directory_snapshot_writes_total", "domicile_directory_source",
	"domicile_publish_batches_total", "domicile_region_record_version",
}

// labels are what our metrics may be told apart by. Each has few values, whoever
// asks for what: none is of a person, a client, a portal or a path as typed.
var labels = []string{
	"class", "code", "days", "dependency", "door", "go", "job", "instance", "jurisdiction", "listener", "method", "operation", "outcome",
	"reason", "region", "result", "route", "site", "source", "table", "told", "version", "watch",
}

func TestMetricsAreOfOneKind(t *testing.T) {
	name := regexp.MustCompile(`^domicile(_[a-z]+)+$`)
	ours := 0
	for n, f := range families(t) {
		if !strings.HasPrefix(n, "domicile_") {
			continue
		}
		ours++
		if !name.MatchString(n) || !strings.HasSuffix(f.help, ".") {
			t.Errorf("%s: %q", n, f.help)
		}
		for _, l := range f.labels {
			if !slices.Contains(labels, l) {
				t.Errorf("%s is told apart by %q: is that few, and nobody?", n, l)
			}
		}
	}
	if ours < 40 {
		t.Errorf("only %d metrics", ours)
	}
}

// Every alarm says how bad it is and what to do.
func TestAlarms(t *testing.T) {
	text, err := os.ReadFile("../../../docs/deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	anchors := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(guide), -1) {
		anchors[strings.ReplaceAll(strings.ToLower(h[1]), " ", "-")] = true
	}
	known, seen := families(t), map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			_, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "docs/operating.md#")
			switch {
			case r.Alert == "" || seen[r.Alert]:
				t.Errorf("%s: an alarm %q has no name of its own", g.Name, r.Alert)
			case !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]):
				t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
			case r.Annotations["summary"] == "" || r.For == "":
				t.Errorf("%s says nothing, or does not say after how long", r.Alert)
			case !anchors[anchor] || anchor != strings.ToLower(r.Alert):
				t.Errorf("%s: the guide has no section %q", r.Alert, anchor)
			}
			seen[r.Alert] = true
			for _, fault := range wrong(r.Expr, known) {
				t.Errorf("%s: %s: %s", r.Alert, r.Expr, fault)
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d alarms", len(seen))
	}
	for a := range anchors {
		if name, ok := strings.CutPrefix(a, "domicile"); ok && name != "" && !strings.Contains(a, "-") && !slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(s string) bool { return strings.ToLower(s) == a }) {
			t.Errorf("the guide tells of an alarm %s that there is not", a)
		}
	}
}
