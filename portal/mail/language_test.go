package mail

import (
	"bytes"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/domicile-sso/domicile/discovery/page/locale"
	"github.com/domicile-sso/domicile/portal"
)

var sampled = time.Date(2026, 2, 26, 15, 30, 0, 0, time.UTC)

// words are what a recipient reads of the HTML, and its language.
func words(t *testing.T, body string) (lang, text string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "html" {
			for _, a := range n.Attr {
				if a.Key == "lang" {
					lang = a.Val
				}
			}
		}
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
	}
	return lang, strings.Join(strings.Fields(b.String()), " ")
}

// What a recipient reads, in each language: subject, greeting, the words of the
// letter, the time it ends, why it came.
func TestLettersInTheRecipientsLanguage(t *testing.T) {
	for _, tt := range []struct {
		kind          portal.LetterKind
		lang, subject string
		says          []string
	}{
		{portal.InvitationLetter, "en", "You are invited to Example", []string{"Hello Camille Martin,", "Accept the invitation", "The invitation ends on 1 March 2026, 15:30 UTC.", "the administrator of Example invited this address."}},
		{portal.InvitationLetter, "fr", "Vous êtes invité à rejoindre Example", []string{"Bonjour Camille Martin,", "Accepter l’invitation", "L’invitation expire le 1er mars 2026, 15:30 UTC.", "parce que l’administrateur de Example a invité cette adresse."}},
		{portal.InvitationLetter, "de", "Sie sind zu Example eingeladen", []string{"Guten Tag Camille Martin,", "Einladung annehmen", "Die Einladung gilt bis 1. März 2026, 15:30 UTC.", "weil der Administrator von Example diese Adresse eingeladen hat."}},
		{portal.TemporaryLetter, "fr", "Votre mot de passe temporaire pour Example", []string{"Mot de passe temporaire :", "xxxxx-xxxxx-xxxxx-xxxxx-xxxxx", "jusqu’au 1er mars 2026"}},
		{portal.TemporaryLetter, "de", "Ihr vorläufiges Passwort für Example", []string{"Vorläufiges Passwort:", "xxxxx-xxxxx-xxxxx-xxxxx-xxxxx", "bis 1. März 2026"}},
		{portal.ResetLetter, "de", "Wählen Sie ein neues Passwort für Example", []string{"Neues Passwort wählen", "Ihr Passwort bleibt, wie es ist."}},
		{portal.SSOLetter, "fr", "Connexion à Example", []string{"Se connecter", "la connexion propre à votre organisation"}},
		{portal.ChangedLetter, "nl", "Your password for Example was changed", []string{"every other session was ended"}}, // nobody speaks it here
		{portal.ChangedLetter, "", "Your password for Example was changed", []string{"every other session was ended"}},
	} {
		m, err := Write("id", from, Sample(tt.kind, tt.lang, sampled), sampled)
		if err != nil {
			t.Fatal(err)
		}
		lang, read := words(t, m.HTML)
		want := tt.lang
		if !locale.Known(want) {
			want = "en"
		}
		if m.Subject != tt.subject || m.Lang != want || lang != want {
			t.Errorf("%s in %q: subject %q, language %q, of the HTML %q", tt.kind, tt.lang, m.Subject, m.Lang, lang)
		}
		plain := strings.Join(strings.Fields(m.Text), " ")
		for _, say := range tt.says {
			if !strings.Contains(read, say) {
				t.Errorf("%s in %q: the HTML does not say %q:\n%s", tt.kind, tt.lang, say, read)
			}
			if action := strings.Contains(m.HTML, ">"+say+"<"); !action && !strings.Contains(plain, say) {
				t.Errorf("%s in %q: the text does not say %q:\n%s", tt.kind, tt.lang, say, plain)
			}
		}
	}
}

// Every letter can be written in every language, is read in one language, and
// says the same in its two parts.
func TestEveryLetterInEveryLanguage(t *testing.T) {
	for _, kind := range Kinds() {
		for _, l := range locale.Languages() {
			m, err := Write("id", from, Sample(kind, l.Tag, sampled), sampled)
			if err != nil {
				t.Errorf("%s in %s: %v", kind, l.Tag, err)
				continue
			}
			_, read := words(t, m.HTML)
			for part, text := range map[string]string{"subject": m.Subject, "text": m.Text, "html": read} {
				if l.Tag != "en" && (strings.Contains(text, " the ") || strings.Contains(text, " your ")) {
					t.Errorf("%s in %s, %s: English is left: %s", kind, l.Tag, part, text)
				}
				if strings.Contains(text, "%!") || strings.Contains(text, "{{") {
					t.Errorf("%s in %s, %s: a text is not filled in: %s", kind, l.Tag, part, text)
				}
			}
			if !strings.Contains(m.Text, m.Links[0]) || !strings.Contains(m.HTML, m.Links[0]) {
				t.Errorf("%s in %s: the link is missing", kind, l.Tag)
			}
		}
	}
}

func TestTimesWhereAndAsThePersonReadsThem(t *testing.T) {
	for _, tt := range []struct{ lang, zone, culture, want string }{
		{"en", "", "", "1 March 2026, 15:30 UTC"},
		{"fr", "Europe/Paris", "", "1er mars 2026, 16:30 CET"},
		{"de", "Europe/Zurich", "de-CH", "01.03.2026, 16:30 CET"},
		{"fr", "America/Toronto", "fr-CA", "2026-03-01, 10 h 30 EST"},
		{"en", "Nowhere/At_All", "xx-XX", "1 March 2026, 15:30 UTC"},
	} {
		l := Sample(portal.ResetLetter, tt.lang, sampled)
		l.Zone, l.Culture = tt.zone, tt.culture
		m, err := Write("id", from, l, sampled)
		if err != nil || !strings.Contains(m.Text, tt.want) {
			t.Errorf("%+v: %v\n%s", tt, err, m.Text)
		}
	}
}

// The portal's own words are text, whatever is in them, and the rest stays ours.
func TestOwnWords(t *testing.T) {
	l := Sample(portal.InvitationLetter, "fr", sampled)
	l.Subject = "Bienvenue\r\nBcc: victim@x.example"
	l.Opening = "Notre messagerie <b>change</b>.\n\n{{.Secret}} & %s"
	m, err := Write("id", from, l, sampled)
	if err != nil {
		t.Fatal(err)
	}
	_, read := words(t, m.HTML)
	if m.Subject != "Bienvenue Bcc: victim@x.example" || strings.Contains(m.HTML, "<b>change") {
		t.Errorf("subject %q in\n%s", m.Subject, m.HTML)
	}
	for _, say := range []string{"Notre messagerie <b>change</b>.", "{{.Secret}} & %s", "Vous avez été invité à rejoindre Example.", "Accepter l’invitation"} {
		if !strings.Contains(read, say) {
			t.Errorf("the letter does not say %q: %s", say, read)
		}
	}
	msg, err := compose(m)
	if err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		t.Fatal(err)
	}
	parsed, err := netmail.ReadMessage(&raw)
	if err != nil || parsed.Header.Get("Content-Language") != "fr" || parsed.Header.Get("Bcc") != "" {
		t.Errorf("%v: headers %v", err, parsed.Header)
	}
}
