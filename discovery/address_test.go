package discovery_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/net/idna"

	"github.com/domicile-sso/domicile/discovery"
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "ada@acme.example", "ada@acme.example"},
		{"case of ASCII", "Ada.LOVELACE@Acme.EXAMPLE", "ada.lovelace@acme.example"},
		{"pasted blanks", "  ada@acme.example ", "ada@acme.example"},
		{"DIS-14 tags stay", "ada+News@acme.example", "ada+news@acme.example"},
		{"DIS-14 dots stay", "a.d.a@acme.example", "a.d.a@acme.example"},
		{"odd but legal", "o'brien_{x}=y/z-`|~^$&*?#@acme.example", "o'brien_{x}=y/z-`|~^$&*?#@acme.example"},
		{"digits", "007@1-2.example", "007@1-2.example"},
		{"DIS-09 Cyrillic is its own domain", "ada@аpple.com", "ada@xn--pple-43d.com"},
		{"A-label", "ada@XN--pple-43d.com", "ada@xn--pple-43d.com"},
		{"umlaut", "ada@Bücher.example", "ada@xn--bcher-kva.example"},
		{"DIS-11 full width", "ada@ｅxample.com", "ada@example.com"},
		{"DIS-11 soft hyphen", "ada@exa\u00admple.com", "ada@example.com"},
		{"DIS-11 ideographic full stop", "ada@b.com。evil.com", "ada@b.com.evil.com"},
		{"longest local part", strings.Repeat("a", 64) + "@acme.example", strings.Repeat("a", 64) + "@acme.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := discovery.ParseAddress(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if a.Clear() != c.want {
				t.Errorf("got %q, want %q", a.Clear(), c.want)
			}
			if a.Local()+"@"+a.Domain() != c.want {
				t.Errorf("parts are %q and %q", a.Local(), a.Domain())
			}
		})
	}
}

func TestParseAddressRefuses(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct{ name, in string }{
		{"empty", ""}, {"blank", "   "}, {"no at", "acme.example"}, {"no local part", "@acme.example"}, {"no domain", "ada@"},
		{"two", "ada@acme.example,bob@acme.example"}, {"two at", "ada@bob@acme.example"},
		{"inner blank", "ada lovelace@acme.example"}, {"tab", "\tada@acme.example"}, {"newline at the end", "ada@acme.example\n"},
		{"DIS-10 not an A-label", "ada@xn--a.com"}, {"DIS-10 plain in disguise", "ada@xn--example-.com"}, {"DIS-10 ASCII only", "ada@xn--abc.com"},
		{"DIS-10 upper case within", "ada@xn--Example-.com"},
		{"DIS-11 joiner", "ada@exa\u200dmple.com"},
		{"DIS-12 Kelvin", "\u212Aate@acme.example"}, {"DIS-12 long s", "ſam@acme.example"}, {"DIS-12 dotless i", "mıke@acme.example"},
		{"DIS-12 dotted I", "İan@acme.example"}, {"DIS-12 sharp s", "groß@acme.example"}, {"DIS-12 ligature", "ﬀ@acme.example"},
		{"DIS-15 quoted", `"a@evil.test"@b.test`}, {"DIS-15 quoted blank", `"a b"@b.test`}, {"DIS-15 cut", "a@evil.test>\x00"},
		{"DIS-16 display name", "Ada <ada@acme.example>"}, {"DIS-16 comment", "ada(x)@acme.example"}, {"DIS-16 group", "g:ada@acme.example;"},
		{"DIS-16 list", "ada@acme.example bob@acme.example"}, {"DIS-16 percent", "a%b@c.example"}, {"DIS-16 bang", "a!b@c.example"},
		{"DIS-16 encoded word", "=?utf-8?q?ada?=@b.example"},
		{"DIS-17 CR", "ada\r@acme.example"}, {"DIS-17 LF", "ada@acme\n.example"}, {"DIS-17 NUL", "ada\x00@acme.example"},
		{"DIS-17 line separator", "ada@acme\u2028.example"}, {"DIS-17 escaped", "ada%0d%0aBcc:x@acme.example"},
		{"DIS-18 local part", strings.Repeat("a", 65) + "@acme.example"}, {"DIS-18 label", "ada@" + long + "a.example"},
		{"DIS-18 domain", "ada@" + long + "." + long + "." + long + "." + long + ".example"},
		{"DIS-18 address", strings.Repeat("a", 60) + "@" + long + "." + long + "." + long + ".example"},
		{"DIS-18 a megabyte", strings.Repeat("a", 1<<20) + "@acme.example"}, {"DIS-18 labels", "ada@" + strings.Repeat("a.", 10000) + "example"},
		{"DIS-19 literal", "ada@[127.0.0.1]"}, {"DIS-19 localhost", "ada@localhost"}, {"DIS-19 single label", "ada@acme"},
		{"DIS-19 trailing dot", "ada@acme.example."}, {"DIS-19 underscore", "ada@ac_me.example"}, {"DIS-19 IPv4", "ada@127.0.0.1"},
		{"DIS-19 circled", "ada@①②⑦.0.0.1"}, {"DIS-19 IPv6", "ada@[IPv6:::1]"}, {"DIS-19 hexadecimal", "ada@0x7f.0x1"},
		{"dots", ".ada@acme.example"}, {"dots at the end", "ada.@acme.example"}, {"double dot", "a..b@acme.example"},
		{"empty label", "ada@acme..example"}, {"leading dot", "ada@.acme.example"}, {"hyphen first", "ada@-acme.example"}, {"hyphen last", "ada@acme-.example"},
		{"broken UTF-8", "ada@\xff\xfe.example"}, {"broken UTF-8 in local part", "\xff@acme.example"}, {"slash", "ada@acme/example.com"}, {"port", "ada@acme.example:25"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := discovery.ParseAddress(c.in)
			var e *discovery.Error
			if !errors.As(err, &e) {
				t.Fatalf("accepted as %q", a.Clear())
			}
			if e.Kind != discovery.Invalid || e.Field != "email" || e.Say == "" || e.Code == "" {
				t.Errorf("refused with %+v", e)
			}
			if len(c.in) > 8 && strings.Contains(err.Error(), c.in) {
				t.Error("the error repeats the address")
			}
		})
	}
}

func TestAddressKeepsQuiet(t *testing.T) {
	a := must(t, "canary@acme.example")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("who", "address", a, "in", map[string]any{"a": a}, "list", []discovery.Address{a})
	text, _ := json.Marshal(struct{ A discovery.Address }{a})
	said := log.String() + string(text) + fmt.Sprint(a, &a, []any{a}) + fmt.Sprintf("%s %v %+v %#v %q %x %d", a, a, a, a, a, a, a)
	if strings.Contains(said, "canary") || strings.Contains(said, fmt.Sprintf("%x", "canary")) {
		t.Errorf("an address got out: %s", said)
	}
	if !strings.Contains(log.String(), "<address>") {
		t.Errorf("the log does not say that there was one: %s", log.String())
	}
	if (discovery.Address{}).Domain() != "" || (discovery.Address{}).Local() != "" || !(discovery.Address{}).IsZero() {
		t.Error("the zero Address is not empty")
	}
}

func TestParseRouteDomain(t *testing.T) {
	for in, want := range map[string]string{
		"Acme.Example": "acme.example", "*.acme.example": "*.acme.example", "*.BÜCHER.example": "*.xn--bcher-kva.example", " acme.example ": "acme.example",
		"*": "", "*.": "", "*.*.acme.example": "", "a.*.example": "", "*acme.example": "", "acme": "", "*.acme": "", "": "", "acme.example.": "",
	} {
		got, err := discovery.ParseRouteDomain(in)
		var e *discovery.Error
		if got != want || (want == "") != errors.As(err, &e) || e != nil && e.Field != "domain" {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
}

// Whatever is accepted stays what it is, is what UTS 46 says, and is safe to
// put into a key, a header or a page.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"ada@acme.example", "A.B+c@BÜCHER.example", "a@xn--pple-43d.com", "ａ@ｂ.ｃom", "a@b。c", "a@xn--a.b", "\"a\"@b.c", "a@1.2.3.4",
		"a@a--b.example", "a@ab--c.example", "a@xn--ls8h.la", "a@faß.de", "a@\u0130.com", "x@" + strings.Repeat("a.", 200) + "b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := discovery.ParseAddress(s)
		if err != nil {
			var e *discovery.Error
			if !errors.As(err, &e) || e.Kind != discovery.Invalid || e.Field != "email" || e.Say == "" || !a.IsZero() {
				t.Fatalf("refused with %#v and %q", err, a.Clear())
			}
			return
		}
		text := a.Clear()
		if again, err := discovery.ParseAddress(text); err != nil || again != a {
			t.Fatalf("%q is not its own normal form: %v", text, err)
		}
		if mapped, err := idna.Lookup.ToASCII(a.Domain()); err != nil || mapped != a.Domain() {
			t.Fatalf("UTS 46 makes %q of %q: %v", mapped, a.Domain(), err)
		}
		if len(text) > 254 || strings.Count(text, "@") != 1 || !strings.Contains(a.Domain(), ".") {
			t.Fatalf("%q is no address", text)
		}
		for i := range len(text) {
			if c := text[i]; c <= ' ' || c >= 0x7f || 'A' <= c && c <= 'Z' || strings.IndexByte(`"<>()[]\,:;%!`, c) >= 0 {
				t.Fatalf("%q holds %q", text, c)
			}
		}
	})
}

func must(t testing.TB, text string) discovery.Address {
	t.Helper()
	a, err := discovery.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
