package regions

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStandbysAreSigned(t *testing.T) {
	signed := sign(t, func(r *Record) { r.Standbys = []string{"eu-west", "eu-north"} })
	got, err := Verify(signed, roots, start)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"eu-west", "eu-north"}, got.Standbys); diff != "" {
		t.Error(diff)
	}
	// A record without standbys keeps the text it always had.
	if none := sign(t, func(r *Record) { r.Standbys = []string{} }); none != sign(t, nil) {
		t.Error("an empty list of standbys is another text")
	}
}

func TestStandbyRules(t *testing.T) {
	for name, standbys := range map[string][]string{
		"itself":       {"eu-central"},
		"twice":        {"eu-west", "eu-north", "eu-west"},
		"no name":      {"EU West"},
		"empty":        {""},
		"a process":    {StandIn("eu-west", "eu-central")},
		"far too many": {"a", "b", "c", "d", "e"},
	} {
		r := good()
		r.Standbys = standbys
		if _, err := Sign(r, root); err == nil || !strings.Contains(err.Error(), "standbys") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, list := range map[string]string{"empty list": `[]`, "null": `null`} {
		_, body, err := split(sign(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(body), `,"ticket_keys"`, `,"standbys":`+list+`,"ticket_keys"`, 1)
		forged := forge(`{"alg":"EdDSA","kid":"`+KeyID(public(root))+`","typ":"domicile-region+jwt"}`, text, root)
		if _, err := Inspect(forged, roots); err == nil || err.(*Refusal).Code != Malformed {
			t.Errorf("%s: a second text of one record: %v", name, err)
		}
	}
}

// Who stands in is decided by two records, each signed apart.
func TestStandsInFor(t *testing.T) {
	home := good()
	home.Standbys = []string{"eu-west", "us-east"}
	for _, tt := range []struct {
		region, jurisdiction string
		want                 bool
	}{
		{"eu-west", "EU", true},
		{"eu-north", "EU", false},   // not named
		{"us-east", "US", false},    // named by mistake, and elsewhere
		{"eu-central", "EU", false}, // itself
		{"eu-west", "EU-2", false},
	} {
		standby := Record{Region: tt.region, Jurisdiction: tt.jurisdiction}
		if got := standby.StandsInFor(home); got != tt.want {
			t.Errorf("%s (%s): %v", tt.region, tt.jurisdiction, got)
		}
	}
	if home.StandsInFor(Record{Region: "eu-west", Jurisdiction: "EU"}) {
		t.Error("standing in goes both ways")
	}
}
