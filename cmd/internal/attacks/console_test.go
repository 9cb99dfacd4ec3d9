package attacks

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/portal"
)

// ADM-01: what is typed where the ID of something belongs is looked for and not
// found. Into the audit log, which nobody can clean, goes no word of it.
func TestNoIDsInTheConsole(t *testing.T) {
	w := newWorld(t)
	owner := w.administrator(t, acme, "typing@away.example", portal.Owner)
	target := w.person(t, acme, "typing@away.example")
	const typed = "somebody.secret@away.example"
	for name, do := range map[string]func() *answer{
		"person": func() *answer { return owner.get(acme + "/admin/audit?account=" + url.QueryEscape(typed)) },
		"export": func() *answer { return owner.get(acme + "/admin/audit/export.csv?account=" + url.QueryEscape(typed)) },
		"recovery": func() *answer {
			return owner.post(acme+"/admin/recoveries", url.Values{"recovery": {typed}, "decision": {"allow"}})
		},
		"move": func() *answer { return owner.post(acme+"/admin/connections/undo", url.Values{"move": {typed}}) },
		"factor": func() *answer {
			return owner.post(acme+"/account/security/remove", url.Values{"factor": {typed}})
		},
		"session":        func() *answer { return owner.post(acme+"/account/sessions/end", url.Values{"session": {typed}}) },
		"cursor":         func() *answer { return owner.get(acme + "/admin/users?after=" + url.QueryEscape(typed)) },
		"list of a plan": func() *answer { return owner.get(acme + "/admin/licences?plan=pro&after=" + url.QueryEscape(typed)) },
		"a domain without an end": func() *answer {
			return owner.get(acme + "/admin/connections/" + strings.Repeat("a.", 2000) + "example/move")
		},
	} {
		if a := do(); a.Status == http.StatusSeeOther && strings.HasPrefix(a.Header.Get("Location"), "/login") || a.Status >= 500 {
			t.Errorf("%s: %d to %s", name, a.Status, a.Header.Get("Location"))
		}
		rows, err := w.home(acme).DB.QueryContext(t.Context(), `SELECT action, target FROM audit WHERE portal = 'acme' AND (account = $1 OR actor = $1) AND target <> ''`, target.ID)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var action, about string
			if err := rows.Scan(&action, &about); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(about, "secret") || len(about) > 400 {
				t.Errorf("%s: the audit log has %d characters of it: %s %.60s", name, len(about), action, about)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
}
