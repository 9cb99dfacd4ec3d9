package locale_test

import (
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page/locale"
)

func TestNegotiate(t *testing.T) {
	for _, tc := range []struct{ name, chosen, accept, want string }{
		{"nothing said", "", "", "(fallback)"},
		{"chosen", "de", "fr", "de"},
		{"chosen is garbage", "<script>", "fr", "fr"},
		{"chosen is not spoken", "nl", "", "(fallback)"},
		{"one", "", "fr", "fr"},
		{"country", "", "fr-CA", "fr"},
		{"lower case country", "", "de-ch", "de"},
		{"upper case", "", "FR", "fr"},
		{"script", "", "de-Latn-AT", "de"},
		{"order", "", "de, fr", "de"},
		{"weights", "", "en;q=0.5, de;q=0.7, fr;q=0.9", "fr"},
		{"as a browser sends it", "", "fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", "fr"},
		{"blanks", "", "  de ;  q=0.2 ,fr ;q = 0.8 ", "fr"},
		{"unknown first", "", "nl, de;q=0.5", "de"},
		{"close relative", "", "gsw", "de"},
		{"nothing spoken", "", "ja, ko", "(fallback)"},
		{"anything", "", "*", "(fallback)"},
		{"not wanted", "", "fr;q=0", "(fallback)"},
		{"not wanted, another is", "", "fr;q=0, de;q=0.1", "de"},
		{"not wanted at all", "", "fr;q=0.000", "(fallback)"},
		{"weight is garbage", "", "fr;q=x, de", "de"},
		{"weight is no number", "", "fr;q=NaN, de;q=1", "de"},
		{"weight is negative", "", "fr;q=-1, de;q=0.1", "de"},
		{"weight is huge", "", "fr;q=1e9, de;q=0.1", "de"},
		{"weight above one", "", "fr;q=9, de;q=0.1", "de"},
		{"garbage", "", "\x00\xff<>;;;,,,", "(fallback)"},
		{"garbage, then a language", "", "!!!, ---, fr", "fr"},
		{"many subtags", "", strings.Repeat("a-", 200) + "a, de", "de"},
		{"10 kB of one tag", "", strings.Repeat("a-", 5000), "(fallback)"},
		{"10 kB of languages", "", "de," + strings.Repeat("nl,", 3500), "de"},
		{"10 kB of commas", "", strings.Repeat(",", 10000) + "de", "(fallback)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := locale.Negotiate(tc.chosen, tc.accept, "(fallback)"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// What a hostile header costs is bounded, however long it is.
func TestNegotiateBounds(t *testing.T) {
	cost := func(header string) float64 {
		return testing.AllocsPerRun(20, func() { locale.Negotiate("", header, "en") })
	}
	for _, entry := range []string{"a-", "de-1996-x-a,", "en;q=0.1,", "zh-Hant-TW-u-co-stroke;q=0.3,", "\x80,"} {
		long, longer := cost(strings.Repeat(entry, 10<<10/len(entry))), cost(strings.Repeat(entry, 100<<10/len(entry)))
		if long != longer {
			t.Errorf("%q: 10 kB cost %v allocations, 100 kB cost %v", entry, long, longer)
		}
	}
}

func FuzzNegotiate(f *testing.F) {
	f.Add("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5")
	f.Fuzz(func(t *testing.T, header string) {
		if got := locale.Negotiate("", header, "en"); !locale.Known(got) {
			t.Errorf("%q: got %q", header, got)
		}
	})
}
