package discovery_test

import (
	"encoding/base64"
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

// printed is x in every way that fmt has, on its own and inside of things whose
// unexported fields fmt prints without asking their methods.
func printed[T any](x T) string {
	type inner struct{ hidden T }
	type outer struct {
		Shown  T
		hidden T
		in     inner
		many   []T
		by     map[string]T
		at     *T
		any    any
	}
	all := outer{x, x, inner{x}, []T{x}, map[string]T{"x": x}, &x, x}
	var b strings.Builder
	for _, verb := range "vsqxXdbocOUteEfFgGpTwz" {
		for _, flag := range []string{"", "+", "#", "-", " ", "0", "40", ".3"} {
			format := "%" + flag + string(verb) + "\n"
			for _, v := range []any{x, &x, []T{x}, [1]T{x}, map[string]T{"x": x}, []any{x}, all, &all, []outer{all}, inner{x}, oops[T]{x}, &oops[T]{x}} {
				fmt.Fprintf(&b, format, v)
			}
			b.WriteString(fmt.Errorf("wrapped: "+format, oops[T]{x}).Error())
			fmt.Fprintf(&b, format, fmt.Errorf("wrapped: %w, %v", oops[T]{x}, x))
		}
	}
	fmt.Fprintln(&b, x, &x, all)
	log := slog.New(slog.NewJSONHandler(&b, nil))
	log.Info("json", "it", x, "in", all, "list", []T{x}, "map", map[string]any{"x": x}, "err", oops[T]{x})
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", "it", x, "in", all, "list", []T{x}, "err", oops[T]{x})
	text, _ := json.Marshal([]any{x, &x, all, inner{x}, map[string]T{"x": x}})
	b.Write(text)
	return b.String()
}

// oops is an error that carries something.
type oops[T any] struct{ about T }

func (o oops[T]) Error() string { return fmt.Sprintf("about %v", o.about) }

// leaks reports in which spelling a secret stands in what was printed.
func leaks(said, secret string) string {
	list := strings.Trim(fmt.Sprint([]byte(secret)), "[]")
	for _, s := range []string{secret, strings.ToUpper(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("% x", secret), list,
		strings.Trim(fmt.Sprintf("%x", []uint16{uint16(secret[0]), uint16(secret[1]), uint16(secret[2])}), "[]"), base64.StdEncoding.EncodeToString([]byte(secret))[:6]} {
		if strings.Contains(said, s) {
			return s
		}
	}
	return ""
}

// What methods alone would not keep.
type naked struct{ text string }

func (naked) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("<address>")) }

func TestAddressKeepsQuiet(t *testing.T) {
	a := must(t, "canary@acme.example")
	if leaks(printed(naked{"canary"}), "canary") == "" {
		t.Error("this test would not notice")
	}
	said := printed(a)
	for _, secret := range []string{"canary", "acme.example"} {
		if s := leaks(said, secret); s != "" {
			t.Errorf("an address got out as %q", s)
		}
	}
	if !strings.Contains(said, `"it":"<address>"`) || !strings.Contains(said, `["<address>"`) {
		t.Error("the log and JSON do not say that there was one")
	}
	if again := must(t, "Canary@ACME.example"); again != a || map[discovery.Address]bool{a: true}[again] != true || !a.Equal(again) {
		t.Error("one address is two")
	}
	if other := must(t, "canary2@acme.example"); other == a {
		t.Error("two addresses are one")
	}
	zero := discovery.Address{}
	if zero.Clear() != "" || zero.Domain() != "" || zero.Local() != "" || !zero.IsZero() || a.IsZero() {
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
