package mail

import (
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// What people read when their addresses change.
func TestAliasLetters(t *testing.T) {
	for kind, want := range map[portal.LetterKind]struct {
		path, says string
		token      bool
	}{
		portal.AliasLetter:         {"/account/addresses/confirm?token=t0k_en-1", "It can be used once, until 7 May 2026, 09:00 UTC.", true},
		portal.AliasAddedLetter:    {"/account/addresses", "new@consult.example", false},
		portal.AliasPromotedLetter: {"/account/addresses", "new@consult.example", false},
		portal.AliasRemovedLetter:  {"/account/addresses", "new@consult.example", false},
		portal.AliasMergedLetter:   {"/account/addresses", "new@consult.example", false},
	} {
		for _, by := range []string{"", "Ada\r\n<i>Lovelace</i>"} {
			l := letter(t, kind)
			l.About, l.By = address(t, "new@consult.example"), by
			if !want.token {
				l.Token = ""
			}
			m, err := Write("id1", from, l, time.Now())
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if m.Links[0] != "https://acme.eu.example.com"+want.path {
				t.Errorf("%s: leads to %s", kind, m.Links[0])
			}
			for part, text := range map[string]string{"text": m.Text, "html": m.HTML} {
				if !strings.Contains(text, want.says) || !strings.Contains(text, "You got this message because") || strings.Contains(text, "<no value>") || strings.Contains(text, "<address>") {
					t.Errorf("%s, %s: %s", kind, part, text)
				}
				for _, link := range target.FindAllString(text, -1) {
					if !strings.Contains(link, m.Links[0]) {
						t.Errorf("%s, %s: leads elsewhere: %s", kind, part, link)
					}
				}
			}
			if strings.Contains(m.HTML, "<i>") {
				t.Errorf("%s: a name is not escaped", kind)
			}
			if told := strings.Contains(m.Text, "Ada"); by != "" && !told && (kind == portal.AliasLetter || kind == portal.AliasAddedLetter) {
				t.Errorf("%s: does not say who added the address", kind)
			}
			if strings.Contains(m.Subject, "@") {
				t.Errorf("%s: an address in the subject", kind)
			}
		}
	}
}
