package mail

import (
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// What happened to somebody's second factors is told in words, with what it was
// called, and never with a code.
func TestFactorLetters(t *testing.T) {
	for what, want := range map[portal.FactorEvent]string{
		portal.FactorAdded:          "This was added",
		portal.FactorRemoved:        "This was removed",
		portal.FactorRemovedByOther: "An administrator has removed this",
		portal.FactorGuessed:        "five wrong codes",
		portal.CodesDrawn:           "The old ones are void",
		portal.CodeUsed:             "1 is left",
	} {
		l := letter(t, portal.FactorLetter)
		l.Token, l.Factor = "", portal.FactorNews{What: what, Left: 1}
		named := what == portal.FactorAdded || what == portal.FactorRemoved || what == portal.FactorRemovedByOther
		if named {
			l.Factor.Kind, l.Factor.Name = portal.TOTPFactor, "<i>Telephone</i>"
		}
		m, err := Write("id", from, l, time.Now())
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for part, text := range map[string]string{"text": m.Text, "html": m.HTML} {
			if !strings.Contains(text, want) || strings.Contains(text, "Authenticator app") != named || strings.Contains(text, "Passkey") {
				t.Errorf("%s, %s: %s", what, part, text)
			}
		}
		if strings.Contains(m.HTML, "<i>") || m.Links[0] != "https://acme.eu.example.com/account/security" {
			t.Errorf("%s: not escaped, or a link to %s", what, m.Links[0])
		}
		for _, lang := range []string{"fr", "de"} {
			l.Language = lang
			said, err := Write("id", from, l, time.Now())
			if err != nil || said.Subject == m.Subject || said.Text == m.Text {
				t.Errorf("%s in %s: %q, %v", what, lang, said.Subject, err)
			}
		}
	}
}
