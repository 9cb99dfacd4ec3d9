package mail

import (
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// What the owner of an account reads when an app was activated for it, and when
// it needs a password that it has not got yet.
func TestActivationAndMovedLetters(t *testing.T) {
	for _, tt := range []struct {
		kind          portal.LetterKind
		subject, link string
		says          []string
	}{
		{portal.ActivationLetter, "Outlook <b> was activated for your account at Acme & Sons", "https://acme.eu.example.com/account/sessions",
			[]string{"Outlook <b>", "“Ada’s laptop Subject: x”", "If it was not you"}},
		{portal.MovedLetter, "You now sign in to Acme & Sons with a password of its own", "https://acme.eu.example.com/password/forgot",
			[]string{"You have no such password yet", "max@consult.example", "stay as they are"}},
	} {
		l := letter(t, tt.kind)
		l.Token, l.Temporary, l.App, l.Device = "", "", "Outlook <b>", "Ada’s laptop\r\nSubject: x"
		m, err := Write("id", from, l, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != tt.subject || m.Links[0] != tt.link || strings.Contains(m.HTML, "Outlook <b>") {
			t.Errorf("%s: subject %q, link %q", tt.kind, m.Subject, m.Links[0])
		}
		for _, words := range tt.says {
			if !strings.Contains(m.Text, words) {
				t.Errorf("%s does not say %q:\n%s", tt.kind, words, m.Text)
			}
		}
	}
}
