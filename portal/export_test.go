package portal_test

import (
	"testing"

	"github.com/domicile-sso/domicile/portal"
)

// ADM-13
func TestExportCellIsNoFormula(t *testing.T) {
	for in, want := range map[string]string{
		"Ada":                        `"Ada"`,
		"":                           `""`,
		`the "Countess"`:             `"the ""Countess"""`,
		"a;b,c":                      `"a;b,c"`,
		"=1+1":                       `"'=1+1"`,
		"+41 78":                     `"'+41 78"`,
		"-1":                         `"'-1"`,
		"@SUM(A1)":                   `"'@SUM(A1)"`,
		"\t=1":                       "\"'\t=1\"",
		"\r=1":                       "\"'\r=1\"",
		"\n=1":                       "\"'\n=1\"",
		"  =1":                       `"'  =1"`,
		"＝1":                         `"'＝1"`,
		"＋1":                         `"'＋1"`,
		"－1":                         `"'－1"`,
		"＠A1":                        `"'＠A1"`,
		"|calc":                      `"'|calc"`,
		`"=1`:                        `"""=1"`,
		"a;=cmd|'/c calc'!A0":        `"a;=cmd|'/c calc'!A0"`,
		"o’brien-smith@acme.example": `"o’brien-smith@acme.example"`,
	} {
		if got := portal.ExportCell(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	if got := portal.ExportLine("a", "b"); got != "\"a\",\"b\"\r\n" {
		t.Errorf("line: %q", got)
	}
}
