package portal

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/domicile-sso/domicile/discovery"
)

// Limits of a mail's own words, in characters.
const (
	MaxSubject = 120
	MaxOpening = 2000
)

// A MailText is an administrator's own words for a kind of mail in one language:
// its subject, and how it opens. The rest of a mail stays ours: what it is about,
// its link, and why one got it.
type MailText struct {
	Portal   string
	Kind     LetterKind
	Language string
	Version  int64 // 0: there is none yet
	Subject  string
	Opening  string // paragraphs, with an empty line between two
}

// MailLanguages are those that mails are written in.
func MailLanguages() []string { return []string{"en", "fr", "de"} }

// Check tidies what was typed and reports what is wrong with it. Text is text:
// nothing in it is taken for HTML or for a field.
func (m MailText) Check() (MailText, error) {
	m.Subject = strings.Join(strings.Fields(printable(m.Subject, false)), " ")
	m.Opening = strings.Trim(printable(strings.ReplaceAll(m.Opening, "\r\n", "\n"), true), "\n ")
	switch {
	case m.Subject == "" && m.Opening == "":
		return m, unfit("subject", "text_empty", "Write a subject or an opening, or use the standard text.")
	case utf8.RuneCountInString(m.Subject) > MaxSubject:
		return m, unfit("subject", "subject_long", "A subject has 120 characters at most.")
	case utf8.RuneCountInString(m.Opening) > MaxOpening:
		return m, unfit("opening", "opening_long", "The opening has 2,000 characters at most.")
	case !slices.Contains(MailLanguages(), m.Language):
		return m, &discovery.Error{Kind: discovery.NotFound, Code: "language_unknown"}
	}
	return m, nil
}

// printable drops what no mail should hold: control characters, and what makes
// text read otherwise than it is written.
func printable(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lines:
			return r
		case r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// Paragraphs are the pieces of an opening.
func Paragraphs(opening string) []string {
	var out []string
	for _, p := range strings.Split(opening, "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}
