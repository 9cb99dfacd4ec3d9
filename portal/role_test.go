package portal_test

import (
	"os"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/portal"
)

// The table of the documentation is what the code says.
func TestRolesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/roles.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 2+len(portal.Roles()) {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		said[strings.Trim(cells[1], "`")] = strings.Join(cells[2:], " ")
	}
	var roles []string
	for _, r := range portal.Roles() {
		roles = append(roles, string(r))
	}
	if got := said["permission"]; got != strings.Join(roles, " ") {
		t.Errorf("the head of the table is %q, want %q", got, roles)
	}
	for _, p := range portal.Permissions() {
		var want []string
		for _, r := range portal.Roles() {
			want = append(want, map[bool]string{true: "yes", false: "–"}[r.May(p)])
		}
		if got := said[string(p)]; got != strings.Join(want, " ") {
			t.Errorf("docs/roles.md, %s: %q, want %q", p, got, strings.Join(want, " "))
		}
		delete(said, string(p))
	}
	delete(said, "permission")
	for p := range said {
		if strings.Trim(p, "-") != "" {
			t.Errorf("docs/roles.md has %q, which is no permission", p)
		}
	}
}
