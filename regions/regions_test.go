package regions

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	start   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	root    = key(1)
	foreign = key(2)
	roots   = []ed25519.PublicKey{public(root)}

	// The same in every process: fuzzing runs in several.
	ticketKey = func() []byte {
		k, err := hpke.MLKEM768X25519().NewPrivateKey(bytes.Repeat([]byte{4}, 32))
		if err != nil {
			panic(err)
		}
		return k.PublicKey().Bytes()
	}()
)

func key(b byte) ed25519.PrivateKey                 { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }
func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func good() Record {
	pub := public(key(3))
	return Record{
		Region:         "eu-central",
		Jurisdiction:   "EU",
		Name:           "Frankfurt & Umland",
		Version:        1,
		Issued:         start,
		Expires:        start.Add(90 * 24 * time.Hour),
		Hosts:          []string{"*.eu.example.com", "login.acme.example", "*.eu.localhost:8080"},
		TicketKeys:     []TicketKey{{KeyID(ticketKey), ticketKey}},
		PublishingKeys: []PublishingKey{{KeyID(pub), pub}},
	}
}

func sign(t testing.TB, change func(*Record)) string {
	t.Helper()
	r := good()
	if change != nil {
		change(&r)
	}
	signed, err := Sign(r, root)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func codes(errs []error) []Code {
	var out []Code
	for _, err := range errs {
		var r *Refusal
		if !errors.As(err, &r) {
			out = append(out, Code("not a refusal: "+err.Error()))
			continue
		}
		out = append(out, r.Code)
	}
	return out
}

func TestSignVerify(t *testing.T) {
	signed := sign(t, nil)
	got, err := Verify(signed, []ed25519.PublicKey{public(foreign), public(root)}, start)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(good(), got); diff != "" {
		t.Error(diff)
	}
	if again := sign(t, func(r *Record) { r.TicketKeys[0].ID = "computed" }); again != signed {
		t.Error("signing the same record again gave another text")
	}
}

// forge signs any header and payload with the root key.
func forge(head, body string, k ed25519.PrivateKey) string {
	text := enc(head) + "." + enc(body)
	return text + "." + enc(string(ed25519.Sign(k, []byte(text))))
}

func enc(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestVerifyRefuses(t *testing.T) {
	signed := sign(t, nil)
	parts := strings.Split(signed, ".")
	dec := func(s string) string {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	head, body := dec(parts[0]), dec(parts[1])
	if forge(head, body, root) != signed {
		t.Fatal("the forge does not make what Sign makes")
	}
	edit := func(old, new string) string {
		t.Helper()
		if !strings.Contains(body, old) {
			t.Fatalf("no %s in the payload", old)
		}
		return forge(head, strings.Replace(body, old, new, 1), root)
	}
	withHead := func(old, new string) string {
		t.Helper()
		if !strings.Contains(head, old) {
			t.Fatalf("no %s in the header %s", old, head)
		}
		return forge(strings.Replace(head, old, new, 1), body, root)
	}
	other, err := Sign(good(), foreign)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, jws string
		want      Code
	}{
		{"empty", "", Malformed},
		{"words", "eu-central EU", Malformed},
		{"two parts", parts[0] + "." + parts[1], Malformed},
		{"four parts", signed + ".", Malformed},
		{"JSON form", `{"payload":"` + parts[1] + `"}`, Malformed},
		{"line break", parts[0] + "." + parts[1] + "\n." + parts[2], Malformed},
		{"padding", parts[0] + "." + parts[1] + "." + parts[2] + "=", Malformed},
		{"loose last bits", signed[:len(signed)-1] + string(signed[len(signed)-1]+1), Malformed},
		{"too large", strings.Repeat("A", maxRecord+1), TooLarge},
		{"unsigned: none", enc(`{"alg":"none","typ":"domicile-region+jwt"}`) + "." + parts[1] + ".", Unsigned},
		{"unsigned: no signature", parts[0] + "." + parts[1] + ".", Unsigned},
		{"HMAC with the public key", withHead("EdDSA", "HS256"), WrongAlgorithm},
		{"other type", withHead("domicile-region+jwt", "domicile-claims+jwt"), WrongType},
		{"no type", withHead(`,"typ":"domicile-region+jwt"`, ``), Malformed},
		{"embedded key", withHead(`{`, `{"jwk":{},`), Malformed},
		{"critical", withHead(`}`, `,"crit":["b64"],"b64":false}`), Malformed},
		{"duplicate in the header", withHead(`{`, `{"alg":"EdDSA",`), Malformed},
		{"foreign key", other, ForeignKey},
		{"foreign key under our ID", forge(head, body, foreign), BadSignature},
		{"payload swapped", parts[0] + "." + enc(strings.Replace(body, "example.com", "evil.com", 1)) + "." + parts[2], BadSignature},
		{"duplicate member", edit(`{"region"`, `{"region":"us-east","region"`), Malformed},
		{"unknown member", edit(`{"region"`, `{"admin":true,"region"`), Malformed},
		{"member in other case", edit(`"hosts"`, `"Hosts"`), Malformed},
		{"blank", edit(`,"hosts"`, `, "hosts"`), Malformed},
		{"second value", forge(head, body+"{}", root), Malformed},
		{"array", forge(head, "["+body+"]", root), Malformed},
		{"text for a number", edit(`"version":1`, `"version":"1"`), Malformed},
		{"float", edit(`"version":1`, `"version":1.0`), Malformed},
		{"version zero", edit(`"version":1`, `"version":0`), Invalid},
		{"a version without a next one", edit(`"version":1`, `"version":9223372036854775807`), Invalid},
		{"null hosts", edit(`["*.eu.example.com","login.acme.example","*.eu.localhost:8080"]`, `null`), Invalid},
		{"no hosts", edit(`["*.eu.example.com","login.acme.example","*.eu.localhost:8080"]`, `[]`), Invalid},
		{"URL as host", edit(`login.acme.example`, `https://login.acme.example`), Invalid},
		{"bad region", edit(`"eu-central"`, `"EU Central"`), Invalid},
		{"bad ticket key", edit(`"ticket_keys":["`, `"ticket_keys":["AAAA","`), Invalid},
		{"same ticket key twice", edit(`"ticket_keys":[`, `"ticket_keys":["`+base64.RawURLEncoding.EncodeToString(ticketKey)+`",`), Invalid},
		{"for ever", edit(fmt.Sprint(good().Expires.Unix()), "9223372036854775807"), Invalid},
		{"ends before it begins", edit(fmt.Sprint(good().Expires.Unix()), "1"), Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Verify(tt.jws, roots, start)
			var r *Refusal
			if !errors.As(err, &r) || r.Code != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}

	for i := range len(signed) {
		b := []byte(signed)
		b[i] ^= 1
		if _, err := Verify(string(b), roots, start); err == nil {
			t.Fatalf("accepted with character %d changed", i)
		}
	}
}

func TestVerifyTimes(t *testing.T) {
	signed := sign(t, nil)
	for _, tt := range []struct {
		now  time.Time
		want Code
	}{
		{start, ""},
		{start.Add(-maxSkew), ""},
		{start.Add(-maxSkew - time.Second), NotYet},
		{good().Expires.Add(-time.Second), ""},
		{good().Expires, Expired},
	} {
		_, err := Verify(signed, roots, tt.now)
		var r *Refusal
		errors.As(err, &r)
		if (r == nil) != (tt.want == "") || r != nil && r.Code != tt.want {
			t.Errorf("at %s: %v, want %q", tt.now, err, tt.want)
		}
		if r != nil && r.Region != "eu-central" {
			t.Errorf("at %s: the refusal does not say which region", tt.now)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	for name, change := range map[string]func(*Record){
		"no region":                        func(r *Record) { r.Region = "" },
		"long region":                      func(r *Record) { r.Region = strings.Repeat("a", 41) },
		"jurisdiction":                     func(r *Record) { r.Jurisdiction = "eu" },
		"name":                             func(r *Record) { r.Name = "Frank\x00furt" },
		"invisible name":                   func(r *Record) { r.Name = "Frank\u202efurt" },
		"blank name":                       func(r *Record) { r.Name = " " },
		"version":                          func(r *Record) { r.Version = 0 },
		"no time":                          func(r *Record) { r.Expires = r.Issued },
		"too long":                         func(r *Record) { r.Expires = r.Issued.Add(401 * 24 * time.Hour) },
		"wildcard alone":                   func(r *Record) { r.Hosts = []string{"*"} },
		"wildcard over a top-level domain": func(r *Record) { r.Hosts = []string{"*.com"} },
		"wildcard inside":                  func(r *Record) { r.Hosts = []string{"a.*.example.com"} },
		"upper case":                       func(r *Record) { r.Hosts = []string{"Acme.example.com"} },
		"IP address":                       func(r *Record) { r.Hosts = []string{"10.0.0.1"} },
		"trailing dot":                     func(r *Record) { r.Hosts = []string{"acme.example.com."} },
		"port zero":                        func(r *Record) { r.Hosts = []string{"acme.example.com:0"} },
		"port with sign":                   func(r *Record) { r.Hosts = []string{"acme.example.com:+1"} },
		"empty port":                       func(r *Record) { r.Hosts = []string{"acme.example.com:"} },
		"underscore":                       func(r *Record) { r.Hosts = []string{"acme_.example.com"} },
		"host twice":                       func(r *Record) { r.Hosts = []string{"a.example.com", "a.example.com"} },
		"no ticket key":                    func(r *Record) { r.TicketKeys = nil },
		"no publishing key":                func(r *Record) { r.PublishingKeys = nil },
		"short publishing key":             func(r *Record) { r.PublishingKeys = []PublishingKey{{Public: []byte{1}}} },
		"too many hosts": func(r *Record) {
			for i := range 5000 {
				r.Hosts = append(r.Hosts, fmt.Sprintf("host-%d.example.com", i))
			}
		},
	} {
		r := good()
		change(&r)
		if _, err := Sign(r, root); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if _, err := Sign(good(), nil); err == nil {
		t.Error("signed without a key")
	}
}

func TestAllows(t *testing.T) {
	r := good()
	r.Hosts = append(r.Hosts, "*.eu.example.com:8443", "always.example.com:443", "localhost:9000")
	for url, want := range map[string]bool{
		"https://acme.eu.example.com":              true,
		"https://login.acme.example":               true,
		"http://acme.eu.localhost:8080":            true,
		"https://acme.eu.localhost:8080":           true,
		"https://acme.eu.example.com:8443":         true,
		"https://always.example.com":               true,
		"http://localhost:9000":                    true,
		"http://acme.eu.example.com":               false, // not https
		"https://eu.example.com":                   false, // "*." is a label
		"https://a.b.eu.example.com":               false, // one label
		"https://acme.us.example.com":              false,
		"https://acme.eu.example.com.evil.example": false,
		"https://evil-eu.example.com":              false,
		"https://acme.eu.example.com:9":            false,
		"https://acme.eu.example.com:443":          false, // two spellings of one origin
		"https://always.example.com:443":           false,
		"https://acme.eu.example.com/":             false,
		"https://acme.eu.example.com/x":            false,
		"https://acme.eu.example.com?x":            false,
		"https://acme.eu.example.com#x":            false,
		"https://u@acme.eu.example.com":            false,
		"https://login.acme.example@evil.example":  false,
		"https://ACME.eu.example.com":              false,
		"HTTPS://acme.eu.example.com":              false,
		"https://acme.eu.example.com.":             false,
		"https://.eu.example.com":                  false,
		"https://*.eu.example.com":                 false,
		"https://a\u3002eu.example.com":            false,
		"https://acme%2eeu.example.com":            false,
		`https:\\acme.eu.example.com`:              false,
		"//acme.eu.example.com":                    false,
		"acme.eu.example.com":                      false,
		"javascript:alert(1)":                      false,
		"https://":                                 false,
		"":                                         false,
		"http://127.0.0.1:8080":                    false,
		"https://[::1]:8080":                       false,
		"https://acme.eu.example.com\n":            false,
	} {
		if err := r.Allows(url); (err == nil) != want {
			t.Errorf("Allows(%q) = %v, want allowed: %v", url, err, want)
		}
	}
}

func newCatalogue(now *time.Time) *Catalogue {
	return NewCatalogue(roots, func() time.Time { return *now })
}

// CON-01: a carrier that alters what it carries is refused, and the last good
// record stays.
func TestCON01LastGoodStays(t *testing.T) {
	now := start
	c := newCatalogue(&now)
	one := sign(t, nil)
	if errs := c.Apply([]string{one}); errs != nil {
		t.Fatal(errs)
	}
	two := func(r *Record) { r.Version, r.Hosts = 2, []string{"evil.example"} }
	r2 := good()
	two(&r2)
	byForeign, err := Sign(r2, foreign)
	if err != nil {
		t.Fatal(err)
	}
	signed2 := sign(t, two)
	parts := strings.Split(signed2, ".")
	for _, tt := range []struct {
		name, jws string
		want      Code
	}{
		{"other key", byForeign, ForeignKey},
		{"unsigned", parts[0] + "." + parts[1] + ".", Unsigned},
		{"signature of another record", parts[0] + "." + parts[1] + "." + strings.Split(one, ".")[2], BadSignature},
		{"garbage", "x", Malformed},
		{"expired", sign(t, func(r *Record) { two(r); r.Issued = start.Add(-2 * time.Hour); r.Expires = start.Add(-time.Hour) }), Expired},
		{"from the future", sign(t, func(r *Record) { two(r); r.Issued = start.Add(time.Hour) }), NotYet},
		{"same version, other content", sign(t, func(r *Record) { r.Hosts = []string{"evil.example"} }), Equivocation},
		{"other jurisdiction", sign(t, func(r *Record) { two(r); r.Jurisdiction = "US" }), Jurisdiction},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff([]Code{tt.want}, codes(c.Apply([]string{tt.jws}))); diff != "" {
				t.Error(diff)
			}
			got, ok := c.Region("eu-central")
			if diff := cmp.Diff(good(), got); !ok || diff != "" {
				t.Errorf("last good record: %v %s", ok, diff)
			}
		})
	}
	if errs := c.Apply(nil); errs != nil {
		t.Error(errs)
	}
	if _, ok := c.Region("eu-central"); !ok {
		t.Error("an empty catalogue took the region away")
	}
	if errs := c.Apply([]string{signed2}); errs != nil {
		t.Error(errs)
	}
	if got, _ := c.Region("eu-central"); got.Version != 2 {
		t.Errorf("version %d, want 2", got.Version)
	}
}

// CON-02: an older record never takes the place of a newer one, not even
// through a restart or after the newer one has expired.
func TestCON02RollBack(t *testing.T) {
	now := start
	long := sign(t, func(r *Record) { r.Expires = start.Add(300 * 24 * time.Hour) })
	short := sign(t, func(r *Record) { r.Version, r.Expires = 2, start.Add(time.Hour) })

	c := newCatalogue(&now)
	if errs := c.Apply([]string{long, short}); errs != nil {
		t.Fatal(errs)
	}
	rolledBack := func(c *Catalogue) {
		t.Helper()
		if diff := cmp.Diff([]Code{RolledBack}, codes(c.Apply([]string{long}))); diff != "" {
			t.Error(diff)
		}
	}
	rolledBack(c)

	now = start.Add(2 * time.Hour)
	rolledBack(c)
	if r, ok := c.Region("eu-central"); ok {
		t.Errorf("expired version %d is still in use", r.Version)
	}
	if rs := c.Regions(); len(rs) != 0 {
		t.Errorf("expired records listed: %v", rs)
	}

	again := newCatalogue(&now)
	if diff := cmp.Diff([]Code{Expired}, codes(again.Apply(c.Signed()))); diff != "" {
		t.Error(diff)
	}
	rolledBack(again)
	if errs := again.Apply([]string{sign(t, func(r *Record) { r.Version, r.Issued = 3, now })}); errs != nil {
		t.Error(errs)
	}
	if _, ok := again.Region("eu-central"); !ok {
		t.Error("the newest record is not in use")
	}
}

func TestApplyIsRepeatable(t *testing.T) {
	now := start
	c := newCatalogue(&now)
	us := sign(t, func(r *Record) { r.Region, r.Jurisdiction = "us-east", "US" })
	eu := sign(t, nil)
	for range 3 {
		if errs := c.Apply([]string{us, "garbage", eu}); len(errs) != 1 {
			t.Errorf("errors %v, want one", errs)
		}
	}
	if diff := cmp.Diff([]string{eu, us}, c.Signed()); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, r := range c.Regions() {
		names = append(names, r.Region)
	}
	if diff := cmp.Diff([]string{"eu-central", "us-east"}, names); diff != "" {
		t.Error(diff)
	}
	if _, ok := c.Region("ca-west"); ok {
		t.Error("an unknown region was found")
	}
}

func TestCatalogueRace(t *testing.T) {
	now := start
	c := newCatalogue(&now)
	var signed []string
	for v := range 10 {
		signed = append(signed, sign(t, func(r *Record) { r.Version = int64(v + 1) }))
	}
	var wg sync.WaitGroup
	for _, s := range signed {
		wg.Go(func() { c.Apply([]string{s}) })
		wg.Go(func() {
			var last int64
			for range 50 {
				r, _ := c.Region("eu-central")
				if r.Version < last {
					t.Errorf("version went from %d to %d", last, r.Version)
				}
				last = r.Version
			}
		})
	}
	wg.Wait()
	if r, _ := c.Region("eu-central"); r.Version != 10 {
		t.Errorf("version %d, want 10", r.Version)
	}
}

func TestRefusalSaysWhich(t *testing.T) {
	_, err := Verify(sign(t, nil), nil, start)
	if got, want := err.Error(), "region record eu-central: foreign_key: "; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q…", got, want)
	}
	// What a foreign record calls itself is shown only when it is a name.
	body, _ := json.Marshal(map[string]string{"region": "x\n<script>"})
	_, err = Verify(forge(`{"alg":"EdDSA","kid":"x","typ":"domicile-region+jwt"}`, string(body), foreign), roots, start)
	if strings.Contains(err.Error(), "script") {
		t.Errorf("the refusal repeats what a stranger wrote: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	good := sign(f, nil)
	f.Add(good)
	f.Add("")
	f.Add("..")
	f.Add(enc(`{"alg":"none"}`) + ".e30.")
	f.Add(forge(`{"alg":"EdDSA","kid":"`+KeyID(public(root))+`","typ":"domicile-region+jwt"}`, `{}`, root))
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Verify(s, roots, start)
		if err == nil && s != good {
			t.Errorf("accepted %q as %v", s, r)
		}
		var refusal *Refusal
		if err != nil && !errors.As(err, &refusal) {
			t.Errorf("%v is not a refusal", err)
		}
	})
}

func BenchmarkRegion(b *testing.B) {
	now := start
	c := newCatalogue(&now)
	c.Apply([]string{sign(b, nil)})
	for b.Loop() {
		if _, ok := c.Region("eu-central"); !ok {
			b.Fatal("lost")
		}
	}
}
