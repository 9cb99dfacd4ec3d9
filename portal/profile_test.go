package portal_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

func TestParseCell(t *testing.T) {
	for _, tc := range []struct{ typed, country, e164, code string }{
		{"", "", "", ""},
		{"   ", "CH", "", ""},
		{"078 123 45 67", "CH", "+41781234567", ""},
		{"+41 78 123 45 67", "", "+41781234567", ""},
		{"+41 78 123 45 67", "US", "+41781234567", ""},
		{"0041 78 123 45 67", "CH", "+41781234567", ""},
		{"06 12 34 56 78", "FR", "+33612345678", ""},
		{"0151 23456789", "DE", "+4915123456789", ""},
		{"(514) 234-5678", "CA", "+15142345678", ""},
		{"07400 123456", "GB", "+447400123456", ""},
		{"078\u00a0123\u00a045\u00a067", "CH", "+41781234567", ""},
		{"078 123 45 67", "", "", "cell_country"},
		{"044 668 18 00", "CH", "", "cell_no_mobile"},
		{"0800 000 000", "CH", "", "cell_no_mobile"},
		{"12", "CH", "", "cell_invalid"},
		{"+999 123456", "", "", "cell_invalid"},
		{"+", "", "", "cell_invalid"},
		{"1-800-FLOWERS", "US", "", "cell_characters"},
		{"078 123 45 67;ext=5", "CH", "", "cell_characters"},
		{"078 123 45 67 x5", "CH", "", "cell_characters"},
		{"tel:+41781234567", "", "", "cell_characters"},
		{"<script>", "CH", "", "cell_characters"},
		{strings.Repeat("1", 41), "CH", "", "cell_characters"},
	} {
		got, err := portal.ParseCell(tc.typed, tc.country)
		if code(err) != tc.code || err == nil && got != tc.e164 {
			t.Errorf("%q in %q: %q, %v", tc.typed, tc.country, got, err)
		}
		if err != nil && got != strings.TrimSpace(tc.typed) {
			t.Errorf("%q is lost: %q", tc.typed, got)
		}
	}
	if got := portal.CellText("+41781234567"); got != "+41 78 123 45 67" {
		t.Errorf("shown as %q", got)
	}
}

// Whatever is accepted is E.164, and read again as itself.
func FuzzParseCell(f *testing.F) {
	for _, s := range []string{"078 123 45 67", "+1 (514) 234-5678", "+", "00", "++41", "+41 (0)78 123 45 67", "\u202f1"} {
		f.Add(s, "CH")
	}
	f.Fuzz(func(t *testing.T, typed, country string) {
		got, err := portal.ParseCell(typed, country)
		if err != nil || got == "" {
			return
		}
		if got[0] != '+' || len(got) > 16 || strings.Trim(got[1:], "0123456789") != "" {
			t.Fatalf("%q became %q", typed, got)
		}
		if again, err := portal.ParseCell(got, ""); err != nil || again != got {
			t.Fatalf("%q read again: %q, %v", got, again, err)
		}
		if again, err := portal.ParseCell(portal.CellText(got), ""); err != nil || again != got {
			t.Fatalf("%q as it is shown: %q, %v", portal.CellText(got), again, err)
		}
	})
}

func TestZones(t *testing.T) {
	all := portal.Zones()
	if len(all) < 400 {
		t.Fatalf("there are %d zones", len(all))
	}
	for _, name := range all {
		if _, err := time.LoadLocation(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, ok := portal.FindZone(name); !ok || got != name {
			t.Errorf("%s is found as %q", name, got)
		}
	}
	for typed, want := range map[string]string{
		"Europe/Zurich": "Europe/Zurich", "europe/zurich": "Europe/Zurich", " Zurich ": "Europe/Zurich", "new york": "America/New_York",
		"New_York": "America/New_York", "utc": "UTC", "buenos aires": "America/Argentina/Buenos_Aires", "Louisville": "America/Kentucky/Louisville",
		"": "", "Local": "", "../etc/passwd": "", "/etc/localtime": "", "Mars": "", "Europe": "", "Europe/": "", "/": "", "EST5EDT": "",
	} {
		if got, ok := portal.FindZone(typed); got != want || ok != (want != "") {
			t.Errorf("%q is %q %t, want %q", typed, got, ok, want)
		}
	}
	if got := portal.ZoneOffset("Asia/Kathmandu", time.Unix(0, 0)); got != "UTC+05:30" {
		t.Errorf("Kathmandu was at %s in 1970", got)
	}
	if got := portal.ZoneOffset("Europe/Zurich", time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)); got != "UTC+02:00" {
		t.Errorf("Zurich is at %s in summer", got)
	}
}

func TestProfileCheck(t *testing.T) {
	good := portal.Profile{Version: 1, GivenName: " Ada\t", FamilyName: "Lovelace", Zone: "london", Culture: "en-GB", Language: "en", Cell: "07400 123456", SMSCountry: "GB"}
	got, err := good.Check(portal.Licence{}, portal.Profile{})
	want := portal.Profile{Version: 1, GivenName: "Ada", FamilyName: "Lovelace", Zone: "Europe/London", Culture: "en-GB", Language: "en", Cell: "+447400123456", SMSCountry: "GB"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := (portal.Profile{}).Check(portal.Licence{}, portal.Profile{}); err != nil {
		t.Errorf("nothing at all: %v", err)
	}
	bad := portal.Profile{GivenName: strings.Repeat("a", 101), FamilyName: strings.Repeat("é", 101), Zone: "x", Culture: "x!", Language: "EN", SMSCountry: "XX", Cell: "1", Protection: "sms"}
	_, err = bad.Check(portal.Licence{}, portal.Profile{})
	var m portal.Mistakes
	if !errors.As(err, &m) {
		t.Fatalf("got %v", err)
	}
	var fields []string
	for _, e := range m {
		fields = append(fields, e.Field)
	}
	if got := strings.Join(fields, " "); got != "given_name family_name zone culture language sms_country return_protection" {
		t.Errorf("mistakes in %s", got)
	}
	// A choice that a licence no longer allows may rest.
	if _, err := (portal.Profile{Protection: "sms"}).Check(portal.Licence{}, portal.Profile{Protection: "sms"}); err != nil {
		t.Errorf("what is stored: %v", err)
	}
}
