package ticket

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/regions"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is one front door and two regions.
type world struct {
	frontDoor ed25519.PrivateKey
	eu, us    regions.Record
	euKey     Key
	usKey     Key
	now       time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{frontDoor: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)), now: start}
	// The same in every process: fuzzing runs in several.
	for i, k := range []*Key{&w.euKey, &w.usKey} {
		var err error
		*k, err = ParseKey(keyPrefix + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{byte(i + 1)}, 32)))
		if err != nil {
			t.Fatal(err)
		}
	}
	w.eu = regions.Record{Region: "eu-central", TicketKeys: []regions.TicketKey{w.euKey.Public()}}
	w.us = regions.Record{Region: "us-east", TicketKeys: []regions.TicketKey{w.usKey.Public()}}
	return w
}

func newTestKey(t testing.TB) Key {
	t.Helper()
	k, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (w *world) opener() *Opener {
	return &Opener{
		Region:     "eu-central",
		Keys:       []Key{w.euKey},
		FrontDoors: []ed25519.PublicKey{w.frontDoor.Public().(ed25519.PublicKey)},
		Now:        func() time.Time { return w.now },
	}
}

func (w *world) ticket() Ticket {
	return Ticket{ID: "T1", Portal: "acme", Connection: "acme-saml", Address: "ada@acme.example", Issued: start}
}

func (w *world) seal(t testing.TB) string {
	t.Helper()
	sealed, err := Seal(w.eu, w.frontDoor, w.ticket())
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func wantRefusal(t *testing.T, err error, code string) {
	t.Helper()
	var r *Refusal
	if !errors.Is(err, ErrRefused) || !errors.As(err, &r) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if code != "" && r.Code != code {
		t.Errorf("refused with %v, want code %s", r, code)
	}
}

func TestSealOpen(t *testing.T) {
	w := newWorld(t)
	sealed := w.seal(t)
	got, err := w.opener().Open(sealed, "acme")
	if err != nil {
		t.Fatal(err)
	}
	want := w.ticket()
	want.Region, want.Expires = "eu-central", start.Add(time.Minute)
	if diff := cmp.Diff(fields(want), fields(got)); diff != "" {
		t.Error(diff)
	}
	if sealed == w.seal(t) {
		t.Error("sealing the same ticket twice gave the same text")
	}
	if len(sealed) > 2500 {
		t.Errorf("a ticket of %d characters does not fit a URL comfortably", len(sealed))
	}
}

func fields(t Ticket) []string {
	return []string{t.ID, t.Region, t.Portal, t.Connection, t.Address, t.Issued.String(), t.Expires.String()}
}

func TestSealFillsIn(t *testing.T) {
	w := newWorld(t)
	tk := w.ticket()
	tk.ID = ""
	seen := map[string]bool{}
	for range 3 {
		sealed, err := Seal(w.eu, w.frontDoor, tk)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.opener().Open(sealed, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if got.ID == "" || seen[got.ID] || got.Expires.Sub(got.Issued) != Life {
			t.Errorf("got ID %q, life %s", got.ID, got.Expires.Sub(got.Issued))
		}
		seen[got.ID] = true
	}
}

func TestSealRefuses(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*regions.Record, *Ticket){
		"another region": func(_ *regions.Record, tk *Ticket) { tk.Region = "us-east" },
		"no portal":      func(_ *regions.Record, tk *Ticket) { tk.Portal = "" },
		"no time":        func(_ *regions.Record, tk *Ticket) { tk.Issued = time.Time{} },
		"no address":     func(_ *regions.Record, tk *Ticket) { tk.Address = "" },
		"no key":         func(r *regions.Record, _ *Ticket) { r.TicketKeys = nil },
		"a broken key":   func(r *regions.Record, _ *Ticket) { r.TicketKeys = []regions.TicketKey{{Public: []byte("x")}} },
		"a huge address": func(_ *regions.Record, tk *Ticket) { tk.Address = strings.Repeat("a", 5000) },
	} {
		r, tk := w.eu, w.ticket()
		change(&r, &tk)
		if _, err := Seal(r, w.frontDoor, tk); err == nil {
			t.Errorf("%s: sealed", name)
		} else if strings.Contains(err.Error(), "ada@") {
			t.Errorf("%s: the error names the person: %v", name, err)
		}
	}
	if _, err := Seal(w.eu, nil, w.ticket()); err == nil {
		t.Error("sealed without a front door's key")
	}
}

// The length of a ticket in a log must not tell one person from another.
func TestLengthSaysNothing(t *testing.T) {
	w := newWorld(t)
	short := w.ticket()
	short.Address = "a@b.co"
	long := w.ticket()
	long.Address = strings.Repeat("a", 64) + "@" + strings.Repeat("b", 60) + ".example"
	a, err := Seal(w.eu, w.frontDoor, short)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Seal(w.eu, w.frontDoor, long)
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != len(b) {
		t.Errorf("%d and %d characters", len(a), len(b))
	}
}

// DIS-21: whatever is done to a ticket on its way, it does not open. Every bit is
// tried where the parts are short; of the long parts, every few bytes.
func TestDIS21Altered(t *testing.T) {
	w := newWorld(t)
	s, o := w.sealer(t), w.opener()
	sealed := mustSeal(t, s, w.eu, w.ticket())
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, altered []byte) {
		t.Helper()
		if _, err := o.Open(base64.RawURLEncoding.EncodeToString(altered), "acme"); !errors.Is(err, ErrRefused) {
			t.Fatalf("%s: %v, want refused", what, err)
		}
	}
	at := 0
	for _, part := range []struct {
		name    string
		size    int
		flipped int // one byte in so many
	}{
		{"version", 1, 1},
		{"key ID", idSize, 1},
		{"encapsulated key", encSize, 7},
		{"end of the channel", lastSize, 1},
		{"signature", ed25519.SignatureSize, 1},
		{"nonce", nonceSize, 1},
		{"box", block, 5},
		{"tag", tagSize, 1},
	} {
		for i := 0; i < part.size; i += part.flipped {
			for bit := range 8 {
				if part.flipped > 1 && bit != i%8 {
					continue
				}
				altered := bytes.Clone(raw)
				altered[at+i] ^= 1 << bit
				refused(fmt.Sprintf("%s: byte %d bit %d flipped", part.name, i, bit), altered)
			}
		}
		at += part.size
	}
	if at != len(raw) {
		t.Errorf("the parts are %d bytes of %d", at, len(raw))
	}
	for i := range raw {
		refused(fmt.Sprintf("cut to %d bytes", i), raw[:i])
	}
	refused("a byte more", append(bytes.Clone(raw), 0))
	refused("a block more", append(bytes.Clone(raw), make([]byte, block)...))
	refused("a byte in front", append([]byte{version}, raw...))

	other, err := base64.RawURLEncoding.DecodeString(mustSeal(t, w.sealer(t), w.eu, w.ticket()))
	if err != nil {
		t.Fatal(err)
	}
	same, err := base64.RawURLEncoding.DecodeString(mustSeal(t, s, w.eu, w.ticket()))
	if err != nil {
		t.Fatal(err)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	id, enc := 1+idSize, 1+idSize+encSize
	refused("the head of another channel", join(other[:headSize], raw[headSize:]))
	refused("the encapsulated key of another channel", join(raw[:id], other[id:enc], raw[enc:]))
	refused("the signature of another channel", join(raw[:headSize-ed25519.SignatureSize], other[headSize-ed25519.SignatureSize:headSize], raw[headSize:]))
	refused("the nonce of another ticket", join(raw[:headSize], same[headSize:headSize+nonceSize], raw[headSize+nonceSize:]))
	refused("the key ID of another region", join(raw[:1], keyID(w.usKey.Public().Public), raw[id:]))

	for name, text := range map[string]string{
		"empty":           "",
		"blank in front":  " " + sealed,
		"line break":      sealed[:100] + "\n" + sealed[100:],
		"padding":         sealed + "=",
		"standard base64": base64.StdEncoding.EncodeToString(raw),
		"huge":            strings.Repeat("A", 1<<20),
		"not base64":      "%%%%",
	} {
		if _, err := o.Open(text, "acme"); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want refused", name, err)
		}
	}
	if _, err := o.Open(sealed, "acme"); err != nil {
		t.Errorf("the ticket itself: %v", err)
	}
}

// DIS-23: a ticket opens in its own region, for its own portal and purpose.
func TestDIS23Elsewhere(t *testing.T) {
	w := newWorld(t)
	sealed := w.seal(t)

	t.Run("another region", func(t *testing.T) {
		o := w.opener()
		o.Region, o.Keys = "us-east", []Key{w.usKey}
		_, err := o.Open(sealed, "acme")
		wantRefusal(t, err, "unknown_key")
	})
	t.Run("another region that shares the key", func(t *testing.T) {
		o := w.opener()
		o.Region = "us-east"
		_, err := o.Open(sealed, "acme")
		wantRefusal(t, err, "forged")
	})
	t.Run("another portal", func(t *testing.T) {
		_, err := w.opener().Open(sealed, "globex")
		wantRefusal(t, err, "forged")
	})
	t.Run("parts that run into each other", func(t *testing.T) {
		if bytes.Equal(info("ab", "c"), info("a", "bc")) {
			t.Error("info is ambiguous")
		}
	})
	t.Run("another purpose", func(t *testing.T) {
		other := bytes.Replace(info("eu-central", "acme"), []byte("\x07sign-in"), []byte("\x07sign-up"), 1)
		_, err := w.opener().Open(string(w.open(t, w.eu, other).append(nil, w.payload(t))), "acme")
		wantRefusal(t, err, "forged")
	})
	t.Run("a region passes it on", func(t *testing.T) {
		// The EU makes a channel to the US, with the best signature it has got.
		c := w.open(t, w.us, info("us-east", "acme"))
		signature := w.open(t, w.eu, info("eu-central", "acme")).head[headSize-ed25519.SignatureSize:]
		copy(c.head[headSize-ed25519.SignatureSize:], signature)
		c.spell()
		o := w.opener()
		o.Region, o.Keys = "us-east", []Key{w.usKey}
		_, err := o.Open(string(c.append(nil, w.payload(t))), "acme")
		wantRefusal(t, err, "forged")
	})
	t.Run("signed for here, sealed to there", func(t *testing.T) {
		// A front door that mixes things up makes nothing that opens.
		c := w.open(t, w.eu, info("us-east", "acme"))
		text := c.head[:headSize-ed25519.SignatureSize]
		copy(c.head[len(text):], ed25519.Sign(w.frontDoor, signedText(text, info("eu-central", "acme"))))
		c.spell()
		_, err := w.opener().Open(string(c.append(nil, w.payload(t))), "acme")
		wantRefusal(t, err, "sealed_otherwise")
	})
}

// open opens a channel outside any Sealer.
func (w *world) open(t testing.TB, to regions.Record, info []byte) *channel {
	t.Helper()
	c := &channel{last: start.Add(channelLife)}
	if err := c.open(w.frontDoor, to, info); err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) payload(t testing.TB) []byte {
	t.Helper()
	body, err := json.Marshal(payload{"T1", "ada@acme.example", "", start.Unix(), start.Add(Life).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// DIS-24: sixty seconds, and not from the future.
func TestDIS24Times(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name  string
		now   time.Duration // after start
		life  time.Duration
		wants string
	}{
		{"at once", 0, Life, ""},
		{"the last moment", Life - time.Nanosecond, Life, ""},
		{"a minute on", Life, Life, "expired"},
		{"a day on", 24 * time.Hour, Life, "expired"},
		{"the front door's clock a little ahead", -maxSkew, Life, ""},
		{"from the future", -maxSkew - time.Second, Life, "not_yet"},
		{"shorter", 0, time.Second, ""},
		{"too long-lived", 0, Life + time.Second, "too_long_lived"},
		{"backwards", 0, -time.Second, "expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tk := w.ticket()
			tk.Expires = start.Add(tt.life)
			sealed, err := Seal(w.eu, w.frontDoor, tk)
			if err != nil {
				t.Fatal(err)
			}
			w.now = start.Add(tt.now)
			_, err = w.opener().Open(sealed, "acme")
			if tt.wants == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantRefusal(t, err, tt.wants)
		})
	}
}

// REG-05: holding a region's public key is not enough to make a ticket, and nor
// is a key of one's own.
func TestREG05Forged(t *testing.T) {
	w := newWorld(t)
	foreign := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	sealed, err := Seal(w.eu, foreign, w.ticket())
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.opener().Open(sealed, "acme")
	wantRefusal(t, err, "forged")

	nobody := w.opener()
	nobody.FrontDoors = nil
	_, err = nobody.Open(w.seal(t), "acme")
	wantRefusal(t, err, "forged")

	rolled := w.opener()
	rolled.FrontDoors = append(rolled.FrontDoors, foreign.Public().(ed25519.PublicKey))
	if _, err := rolled.Open(sealed, "acme"); err != nil {
		t.Errorf("a second front-door key: %v", err)
	}
}

// A channel whose secret got out makes no tickets for later.
func TestREG05AfterTheChannel(t *testing.T) {
	w := newWorld(t)
	c := w.open(t, w.eu, info("eu-central", "acme"))
	for after, want := range map[time.Duration]string{0: "", channelLife: "", channelLife + time.Second: "forged", time.Hour: "forged"} {
		w.now = start.Add(after)
		body := fmt.Appendf(nil, `{"jti":"T2","address":"ada@acme.example","iat":%d,"exp":%d}`, w.now.Unix(), w.now.Add(Life).Unix())
		_, err := w.opener().Open(string(c.append(nil, body)), "acme")
		if want == "" && err != nil {
			t.Errorf("issued %s on: %v", after, err)
		} else if want != "" {
			wantRefusal(t, err, want)
		}
	}
}

// What is sealed must still be the one text of a payload.
func TestInnerForm(t *testing.T) {
	w := newWorld(t)
	c := w.open(t, w.eu, info("eu-central", "acme"))
	for name, change := range map[string]func(string) string{
		"duplicate member": func(s string) string { return strings.Replace(s, "{", `{"jti":"T0",`, 1) },
		"unknown member":   func(s string) string { return strings.Replace(s, "{", `{"admin":true,`, 1) },
		"other case":       func(s string) string { return strings.Replace(s, "address", "Address", 1) },
		"blank":            func(s string) string { return s + " " },
		"second value":     func(s string) string { return s + s },
		"no id":            func(s string) string { return strings.Replace(s, `"T1"`, `""`, 1) },
		"no address":       func(s string) string { return strings.Replace(s, "ada@acme.example", "", 1) },
		"time as text":     func(s string) string { return strings.Replace(s, `"iat":`, `"iat":"x`, 1) },
		"nothing":          func(string) string { return "" },
	} {
		_, err := w.opener().Open(string(c.append(nil, []byte(change(string(w.payload(t)))))), "acme")
		var r *Refusal
		if !errors.As(err, &r) || r.Code != "malformed" {
			t.Errorf("%s: %v, want malformed", name, err)
		}
	}
	for name, plain := range map[string][]byte{
		"length beyond the end": append([]byte{0xff, 0xff}, make([]byte, block-2)...),
		"dirt in the padding":   append(make([]byte, block-1), 1),
		"not a whole block":     make([]byte, block+1),
	} {
		_, err := w.opener().Open(string(c.append(nil, plain)), "acme")
		var r *Refusal
		if !errors.As(err, &r) || r.Code != "malformed" {
			t.Errorf("%s: %v, want malformed", name, err)
		}
	}
}

func TestOlderKeyStillOpens(t *testing.T) {
	w := newWorld(t)
	sealed := w.seal(t)
	newer := newTestKey(t)
	o := w.opener()
	o.Keys = []Key{newer, w.euKey}
	if _, err := o.Open(sealed, "acme"); err != nil {
		t.Error(err)
	}
	o.Keys = []Key{newer}
	_, err := o.Open(sealed, "acme")
	wantRefusal(t, err, "unknown_key")
}

func TestKeyText(t *testing.T) {
	k := newTestKey(t)
	again, err := ParseKey("# ticket key of eu-central\n\n  " + k.Text() + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(k.Public(), again.Public()); diff != "" {
		t.Error(diff)
	}
	if got := regions.KeyID(k.Public().Public); got != k.Public().ID {
		t.Errorf("ID %s, want %s", k.Public().ID, got)
	}
	code := strings.TrimPrefix(k.Text(), keyPrefix)
	for name, text := range map[string]string{
		"empty":        "",
		"only remarks": "# key",
		"two keys":     k.Text() + "\n" + k.Text(),
		"other kind":   "domicile-root-key:" + code,
		"too short":    keyPrefix + code[:20],
		"not base64":   keyPrefix + "****",
	} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("%s: parsed", name)
		} else if strings.Contains(err.Error(), code) {
			t.Errorf("%s: the error repeats the key", name)
		}
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	w := newWorld(t)
	w.euKey = newTestKey(t) // w's own is all ones, which other values contain
	k := w.euKey
	tk := w.ticket()
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
		fmt.Fprintf(&b, verb, k)
		fmt.Fprintf(&b, verb, &k)
		fmt.Fprintf(&b, verb, struct{ K Key }{k})
		fmt.Fprintf(&b, verb, struct{ k Key }{k})
		fmt.Fprintf(&b, verb, []struct{ in struct{ k *Key } }{{struct{ k *Key }{&k}}})
		if verb != "%p" { // an address is shown to whoever asks for the field
			fmt.Fprintf(&b, verb, tk)
			fmt.Fprintf(&b, verb, []Ticket{tk})
		}
	}
	log := slog.New(slog.NewJSONHandler(&b, nil))
	log.Info("x", "key", k, "ticket", tk, "ptr", &tk, "opener", w.opener())
	if err := json.NewEncoder(&b).Encode([]any{k, tk, struct{ K Key }{k}}); err != nil {
		t.Fatal(err)
	}
	seed := strings.TrimPrefix(k.Text(), keyPrefix)
	hexSeed := fmt.Sprintf("%x", (*k.pair).seed)
	for _, secret := range []string{seed, hexSeed, hexSeed[:16], fmt.Sprint((*k.pair).seed[:8])[1:20], "ada", fmt.Sprintf("%x", "ada@acme")} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%q was printed", secret)
		}
	}
}

func FuzzOpen(f *testing.F) {
	w := newWorld(f)
	good := w.seal(f)
	f.Add(good)
	f.Add("")
	f.Add(good[:len(good)-1])
	o := w.opener()
	f.Fuzz(func(t *testing.T, sealed string) {
		got, err := o.Open(sealed, "acme")
		want := w.ticket()
		want.Region, want.Expires = "eu-central", start.Add(Life)
		if err == nil && !cmp.Equal(fields(got), fields(want)) {
			t.Errorf("opened %q as %v", sealed, got)
		}
		if err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("error %v is not a refusal", err)
		}
	})
}

// What the first ticket of a channel costs; BenchmarkSealer is all others.
func BenchmarkSeal(b *testing.B) {
	w := newWorld(b)
	tk := w.ticket()
	for b.Loop() {
		if _, err := Seal(w.eu, w.frontDoor, tk); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	w := newWorld(b)
	sealed := w.seal(b)
	o := w.opener()
	for b.Loop() {
		if _, err := o.Open(sealed, "acme"); err != nil {
			b.Fatal(err)
		}
	}
}
