package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

func TestRepository(t *testing.T) {
	faults, err := Check(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// TestBadSample shows that each rule can fail: testdata/bad.txtar is a small
// module that breaks them all, and testdata/bad.want is what Check says of it.
func TestBadSample(t *testing.T) {
	dir := t.TempDir()
	sample, err := txtar.ParseFile(filepath.Join("testdata", "bad.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("-- one more\n", mostLines+1)
	sample.Files = append(sample.Files, txtar.File{Name: "portal/store/migrations/0001_long.sql", Data: []byte(long)})
	if err := txtar.Write(sample, dir); err != nil {
		t.Fatal(err)
	}
	faults, err := Check(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(faults, "\n") + "\n"
	want, err := os.ReadFile(filepath.Join("testdata", "bad.want"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestEveryRuleIsSampled keeps the sample complete when a rule is added.
func TestEveryRuleIsSampled(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "bad.want"))
	if err != nil {
		t.Fatal(err)
	}
	reasons := []string{onlyCmd, onlyTop, onlySpan, skips}
	for _, r := range never {
		reasons = append(reasons, r.why)
	}
	for _, x := range texts {
		reasons = append(reasons, x.why)
	}
	for _, why := range reasons {
		if !strings.Contains(string(want), why) {
			t.Errorf("testdata/bad.txtar breaks no rule with the reason %q", why)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, pkg string
		ours, want   bool
	}{
		{"discovery/...", "discovery", true, true},
		{"discovery/...", "discovery/store", true, true},
		{"discovery/...", "discoverystore", true, false},
		{"portal", "portal/store", true, false},
		{"…/store", "portal/store", true, true},
		{"…/store", "github.com/x/store", false, false},
		{"ours", "portal", true, true},
		{"ours", "fmt", false, false},
	} {
		if got := match(c.pattern, c.pkg, c.ours); got != c.want {
			t.Errorf("match(%q, %q, %v) = %v", c.pattern, c.pkg, c.ours, got)
		}
	}
}
