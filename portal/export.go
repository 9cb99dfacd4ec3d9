package portal

import "strings"

// ExportCell is one cell of a file for spreadsheets. Every cell is quoted, since
// in many countries programs also split at semicolons; and one that a program
// would take for a formula begins with an apostrophe: names and addresses were
// typed by people who may mean harm to whoever opens the list (ADM-13, CWE-1236).
func ExportCell(s string) string {
	if bare := strings.TrimLeft(s, " \u00a0\u3000"); bare != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠|%", []rune(bare)[0]) {
		s = "'" + s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// ExportLine is one line of such a file (RFC 4180).
func ExportLine(cells ...string) string {
	quoted := make([]string, len(cells))
	for i, c := range cells {
		quoted[i] = ExportCell(c)
	}
	return strings.Join(quoted, ",") + "\r\n"
}

// ExportMark begins a file of UTF-8 text for spreadsheets: without it, Excel
// reads names in the alphabet of the machine and mangles them. Other programs,
// and our own import, skip it.
const ExportMark = "\ufeff"
