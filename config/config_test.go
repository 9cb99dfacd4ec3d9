package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// canary is in every secret of the tests and must show up nowhere.
const canary = "hunter2hunter2"

// furnish fills dir with the files that configurations name.
func furnish(t testing.TB, dir string) {
	t.Helper()
	key := func(kind Kind, b byte) string {
		return "# a remark\n" + EncodeKey(kind, bytes.Repeat([]byte{b}, 32)) + "\n"
	}
	for name, text := range map[string]string{
		"keys/front-door.key":   key(FrontDoorKey, 1),
		"keys/cookie.key":       key(CookieKey, 2),
		"keys/blind-id.key":     key(BlindKey, 3),
		"keys/blind-id-2.key":   key(BlindKey, 4),
		"keys/ticket.key":       key(TicketKey, 5),
		"keys/publishing.key":   key(PublishingKey, 6),
		"keys/data.key":         key(DataKey, 7),
		"keys/data-2.key":       key(DataKey, 8),
		"keys/damaged.key":      string(CookieKey) + ":****",
		"keys/short.key":        EncodeKey(CookieKey, []byte("short")),
		"keys/two.key":          key(CookieKey, 2) + key(CookieKey, 3),
		"keys/open.key":         key(CookieKey, 2),
		"keys/empty.key":        "\n",
		"keys/database":         "postgres://domicile:" + canary + "@db.internal/directory\n",
		"keys/database-replica": "postgres://domicile:" + canary + "@one.internal:5432,two.internal:5433/directory?sslmode=verify-full\n",
		"keys/database-far":     "postgres://domicile:" + canary + "@one.internal,db.example.com:5432/directory\n",
		"keys/replica-host":     "postgres://domicile:" + canary + "@db.internal:5432\n",
		"keys/mysql":            "mysql://domicile:" + canary + "@db.internal/directory\n",
		"keys/smtp":             "smtp://domicile:" + canary + "@mail.internal:587\n",
		"keys/redis-password":   canary + "\n",
		"keys/consul-token":     canary + "\n",
		"keys/sms-token":        canary + "\n",
		"catalogue":             "# no region yet\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	if err := os.Chmod(filepath.Join(dir, "keys/open.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"snapshot": 0o700, "open": 0o777} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	certificate(t, filepath.Join(dir, "tls/login"), now.AddDate(1, 0, 0))
	certificate(t, filepath.Join(dir, "tls/redis-ca"), now.AddDate(1, 0, 0))
	certificate(t, filepath.Join(dir, "tls/portals"), now.AddDate(1, 0, 0))
	certificate(t, filepath.Join(dir, "tls/ending"), now.AddDate(0, 0, 3))
	certificate(t, filepath.Join(dir, "tls/expired"), time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC))
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func certificate(t testing.TB, base string, ends time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "login.example.com"},
		NotBefore:    ends.AddDate(-2, 0, 0),
		NotAfter:     ends,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, base+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, base+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// place copies a file of the repository to dir, so that its relative paths lead
// to what furnish made.
func place(t testing.TB, dir, source string) string {
	t.Helper()
	data, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, filepath.Base(source))
	write(t, path, string(data))
	return path
}

func TestExampleDiscovery(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir)
	c, err := LoadDiscovery(place(t, dir, "../docs/examples/discovery.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %v", c.Warnings)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for what, pair := range map[string][2]any{
		"listen":      {c.Listen, ":8443"},
		"public_url":  {c.PublicURL.String(), "https://login.example.com"},
		"tls":         {*c.TLS, TLS{in("tls/login.pem"), in("tls/login.key")}},
		"internal":    {c.Internal.Listen, ":8444"},
		"metrics":     {c.Metrics.Listen, "127.0.0.1:9090"},
		"database":    {c.Database.Reveal(), "postgres://domicile:" + canary + "@db.internal/directory"},
		"read_url":    {c.Replica.Reveal(), "postgres://domicile:" + canary + "@one.internal:5432,two.internal:5433/directory?sslmode=verify-full"},
		"connections": {c.Connections, 16},
		"catalogue":   {c.Catalogue.File, in("catalogue")},
		"snapshot":    {c.Snapshot, in("snapshot")},
		"root_keys":   {len(c.Catalogue.RootKeys), 1},
		"reload":      {c.Catalogue.Reload, 5 * time.Second},
		"blind":       {c.BlindIDKeys[0].Version, byte(1)},
		"blind key":   {c.BlindIDKeys[0].Key.Bytes(), bytes.Repeat([]byte{3}, 32)},
		"ticket key":  {[]byte(c.TicketKey.Ed25519().Seed()), bytes.Repeat([]byte{1}, 32)},
		"cookie key":  {c.CookieSecrets(), [][]byte{bytes.Repeat([]byte{2}, 32)}},
		"redis":       {c.Redis.Addresses, []string{"redis.internal:6380"}},
		"password":    {c.Redis.Password.Reveal(), canary},
		"redis ca":    {c.Redis.CAFile, in("tls/redis-ca.pem")},
		"consul":      {c.Consul.Address.String(), "http://127.0.0.1:8500"},
		"token":       {c.Consul.Token.Reveal(), canary},
		"proxies":     {c.TrustedProxies[0].String(), "10.0.0.0/8"},
		"rate_limits": {c.RateLimits, RateLimits{Rate{60, time.Minute}, Rate{5000, time.Second}}},
		"log":         {c.Log, Log{slog.LevelInfo, "json"}},
		"product":     {c.Product.Name, "Example Secure Mail"},
	} {
		if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

func TestExamplePortal(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir)
	t.Setenv("DOMICILE_DATABASE", "postgres://domicile:"+canary+"@db.internal/eu")
	c, err := LoadPortal(place(t, dir, "../docs/examples/portal.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %v", c.Warnings)
	}
	for what, pair := range map[string][2]any{
		"database":     {c.Database.Reveal(), "postgres://domicile:" + canary + "@db.internal/eu"},
		"region":       {c.Region, Region{Name: "eu-central", Jurisdiction: "EU", Title: "Frankfurt"}},
		"tickets":      {c.Keys.Tickets[0].Reveal(), EncodeKey(TicketKey, bytes.Repeat([]byte{5}, 32))},
		"publishing":   {[]byte(c.Keys.Publishing.Ed25519().Seed()), bytes.Repeat([]byte{6}, 32)},
		"data":         {c.Keys.DataKeys(), [][]byte{bytes.Repeat([]byte{7}, 32)}},
		"internal_url": {c.FrontDoor.InternalURL.String(), "https://login.internal.example.com:8444"},
		"ticket_keys":  {len(c.FrontDoor.TicketKeys), 1},
		"consul":       {c.Consul.Address.String(), "http://127.0.0.1:8500"},
		"advertise":    {c.Consul.Advertise, "10.0.1.7:8443"},
		"smtp":         {c.Mail.SMTP.Reveal(), "smtp://domicile:" + canary + "@mail.internal:587"},
		"from":         {c.Mail.From, "Example Secure Mail <no-reply@example.com>"},
		"sms url":      {c.SMS.URL.String(), "https://sms.example.com/v1/messages"},
		"sms token":    {c.SMS.Token.Reveal(), canary},
		"sms success":  {c.SMS.Success, []int{200, 201, 202}},
		"sessions":     {c.Sessions, Sessions{time.Hour, 12 * time.Hour, 30 * 24 * time.Hour}},
		"rate_limits":  {c.RateLimits, RateLimits{Rate{600, time.Minute}, Rate{500, time.Second}}},
		"fetch":        {c.Fetch.DangerouslyAllowLoopback, false},
	} {
		if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	if _, err := LoadDiscovery(filepath.Join(dir, "portal.yaml")); err == nil || !strings.Contains(err.Error(), "role portal; want discovery") {
		t.Errorf("a portal's file for a front door: %v", err)
	}
}

// One file per mistake, beginning with "# want:" and the text of the mistake,
// whose line and column are those in the file.
func TestBad(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir)
	t.Setenv("DOMICILE_EMPTY", "")
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files of mistakes, %v", len(files), err)
	}
	for _, source := range files {
		t.Run(filepath.Base(source), func(t *testing.T) {
			path := place(t, dir, source)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(data), "\n")
			want, ok := strings.CutPrefix(first, "# want: ")
			if !ok {
				t.Fatal("it does not begin with # want:")
			}
			_, err = Load(path)
			var got Mistakes
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want mistakes", err)
			}
			text := strings.ReplaceAll(got.Error(), dir+"/", "")
			text = strings.ReplaceAll(text, filepath.Base(source)+":", "")
			if text != want {
				t.Errorf("\n got %s\nwant %s", text, want)
			}
			if strings.Contains(text, canary) {
				t.Error("a secret is repeated")
			}
		})
	}
}

// A data key is replaced by putting the new one in front.
func TestDataKeysInTheirOrder(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir)
	t.Setenv("DOMICILE_DATABASE", "postgres://domicile:"+canary+"@db.internal/eu")
	path := place(t, dir, "../docs/examples/portal.yaml")
	example, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Replace(string(example), "    - keys/data.key\n", "    - keys/data-2.key\n    - keys/data.key\n", 1))
	c, err := LoadPortal(path)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{bytes.Repeat([]byte{8}, 32), bytes.Repeat([]byte{7}, 32)}
	if diff := cmp.Diff(want, c.Keys.DataKeys()); diff != "" {
		t.Error(diff)
	}
}

func TestEveryMistakeAtOnce(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir)
	path := filepath.Join(dir, "many.yaml")
	write(t, path, `role: discovery
listen: 8443
public_url: http://login.example.com
internal: {listen: "127.0.0.1:8444", colour: blue}
catalogue:
  file: nowhere
  root_keys: []
  reload: soon
blind_id_keys:
  - version: 0
    key_file: keys/ticket.key
ticket_key_file: keys/open.key
nonsense: 1
`)
	_, err := Load(path)
	var got []string
	var mistakes Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatal(err)
	}
	for _, m := range mistakes {
		got = append(got, fmt.Sprintf("%d %s", m.Line, m.Path))
	}
	want := []string{
		"1 database_file", "1 cookie_key_files",
		"2 listen", "3 public_url", "4 internal.colour", "7 catalogue.root_keys",
		"8 catalogue.reload", "10 blind_id_keys[0].version", "11 blind_id_keys[0].key_file",
		"12 ticket_key_file", "13 nonsense",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff, "\n", err)
	}
}

// minimal is the least that a front door needs, and nothing to be warned of.
const minimal = `role: discovery
snapshot: snapshot
listen: "localhost:8080"
public_url: http://localhost:8080
internal: {listen: "127.0.0.1:8081"}
database: sqlite:directory.db
catalogue:
  file: catalogue
  root_keys: [domicile-root-public:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE]
blind_id_keys: [{version: 1, key_file: keys/blind-id.key}]
ticket_key_file: keys/front-door.key
cookie_key_files: [keys/cookie.key]
`

func TestGoodZeroValues(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir)
	path := filepath.Join(dir, "minimal.yaml")
	write(t, path, minimal)
	c, err := LoadDiscovery(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.TLS != nil || c.Redis != nil || !c.Replica.IsZero() || c.Connections != 16 || c.Metrics.Listen != "" || len(c.Warnings) > 0 {
		t.Errorf("got %+v", c)
	}
	if c.Database.Reveal() != "sqlite:"+filepath.Join(dir, "directory.db") {
		t.Errorf("the database's path is not as seen from the file: %s", c.Database.Reveal())
	}
	if c.RateLimits.PerClient.Events == 0 || c.Catalogue.Reload == 0 || c.Log.Format != "json" || c.Product.Name != "Domicile" {
		t.Errorf("a default is missing: %+v", c)
	}
}

func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir)
	for name, tt := range map[string]struct{ old, new, want string }{
		"no proxy":       {"public_url: http://localhost:8080", "public_url: https://login.example.com", "every client would look like the proxy"},
		"open intake":    {`"127.0.0.1:8081"`, `":8081"`, "claims arrive here without TLS"},
		"redis in clear": {"role: discovery", "role: discovery\nredis: {addresses: [\"redis.internal:6379\"]}", "without TLS"},
		"redis for all":  {"role: discovery", "role: discovery\nredis: {addresses: [\"redis.example.com:6379\"], tls: true}", "whoever reaches it"},
		"both":           {"role: discovery", "role: discovery\nredis: {addresses: [\"10.0.0.7:6379\"]}", "without TLS, and whoever reaches it"},
		"no snapshot":    {"snapshot: snapshot\n", "", "while its database is away"},
		"open snapshot":  {"snapshot: snapshot", "snapshot: open", "others may change"},
		"no catalogue":   {"file: catalogue", "file: nowhere", "there is no file"},
		"open consul":    {"role: discovery", "role: discovery\nconsul: {address: \"http://127.0.0.1:8500\", dangerously_allow_open_consul: true}", "never in production"},
		"far database":   {"database: sqlite:directory.db", "database_file: keys/database-far", "db.example.com is not on a private network"},
		"far replica":    {"role: discovery", "role: discovery\nread_url_file: keys/database-far", "db.example.com is not on a private network"},
		"certificate":    {"role: discovery", "role: discovery\ntls: {cert_file: tls/ending.pem, key_file: tls/ending.key}", "expires on"},
	} {
		path := filepath.Join(dir, "warned.yaml")
		write(t, path, strings.Replace(minimal, tt.old, tt.new, 1))
		c, err := LoadDiscovery(path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Say, tt.want) {
			t.Errorf("%s: warnings %v, want one with %q", name, c.Warnings, tt.want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "nowhere.yaml"), dir} {
		if _, err := Load(path); err == nil {
			t.Errorf("loaded %s", path)
		}
	}
}

func TestNetworks(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir)
	path := filepath.Join(dir, "networks.yaml")
	write(t, path, minimal+"trusted_proxies: [192.0.2.7, \"2001:db8::/32\", \"::ffff:192.0.2.8\"]\n")
	c, err := LoadDiscovery(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range c.TrustedProxies {
		got = append(got, p.String())
	}
	if diff := cmp.Diff([]string{"192.0.2.7/32", "2001:db8::/32", "192.0.2.8/32"}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzLoad(f *testing.F) {
	dir := f.TempDir()
	furnish(f, dir)
	f.Add([]byte(minimal))
	for _, pattern := range []string{"testdata/bad/*.yaml", "../docs/examples/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newReader("fuzz.yaml")
		r.dir = dir
		c, err := r.load(data, time.Now())
		if err == nil && (c == nil || len(r.mistakes) > 0) {
			t.Errorf("neither a configuration nor a mistake: %v", r.mistakes)
		}
		for _, m := range r.mistakes {
			if m.Line < 1 || m.Column < 1 || m.Say == "" {
				t.Errorf("a mistake without a place or words: %+v", m)
			}
			if strings.Contains(m.Say, canary) {
				t.Errorf("a secret is repeated: %s", m)
			}
		}
	})
}
