package web

import (
	"errors"
	"fmt"
	"net/http"
	netmail "net/mail"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/locale"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/mail"
)

// mailsPage lists what mails there are, and which have words of the portal's own.
type mailsPage struct {
	Tabs      []tab
	Notice    string
	Languages []string
	Kinds     []mailRow
}

type mailRow struct {
	Name, Tells string
	Texts       []mailCell
}

type mailCell struct {
	Language, Path string
	Own            bool
}

// mailTextPage edits the words of one mail in one language, and shows it as its
// recipient will see it.
type mailTextPage struct {
	page.Form
	Tabs                []tab
	Name, Tells, In     string
	Path, Tag           string
	Version             int64
	Own                 bool
	Subject, Opening    page.Field
	ShownSubject, Shown string
}

const (
	mailSaved = "mail-saved"
	mailReset = "mail-reset"
)

var mailFields = []field{{"version", 20}, {"action", 10}, {"subject", 2000}, {"opening", 12 << 10}}

// mailPolicy is that of a mail on a page of its own: it may look as it wants to,
// and do nothing. It is not of this site as far as the browser is concerned.
const mailPolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// mailKind says what a mail is called, and when it goes out.
func (v *visit) mailKind(k portal.LetterKind) (name, tells string) {
	switch k {
	case portal.InvitationLetter:
		return v.t("Invitation"), v.t("To whoever is invited: the link that leads in.")
	case portal.TemporaryLetter:
		return v.t("Temporary password"), v.t("Apart from the invitation: the password for the first sign-in.")
	case portal.ResetLetter:
		return v.t("New password"), v.t("A link for a new password was asked for.")
	case portal.SSOLetter:
		return v.t("Organisation’s own sign-in"), v.t("A new password was asked for, but the organisation’s own sign-in is used.")
	case portal.NoResetLetter:
		return v.t("Nothing to reset"), v.t("A new password was asked for, but there is none to replace.")
	case portal.ChangedLetter:
		return v.t("Password changed"), v.t("The password of an account was changed.")
	case portal.ActivationLetter:
		return v.t("App activated"), v.t("An app or add-in may act for the account from now on.")
	case portal.FactorLetter:
		return v.t("Second factor"), v.t("Something about second factors was changed, or tried.")
	case portal.MovedLetter:
		return v.t("Another way to sign in"), v.t("The organisation’s own sign-in is used no more: a password is to be chosen.")
	case portal.AliasLetter:
		return v.t("Address to confirm"), v.t("To a new address: the link that confirms it.")
	case portal.AliasAddedLetter:
		return v.t("Address added"), v.t("To the primary address: another one was added and waits.")
	case portal.AliasPromotedLetter:
		return v.t("Primary address changed"), v.t("To the old and the new primary address.")
	case portal.AliasRemovedLetter:
		return v.t("Address removed"), v.t("To the primary address.")
	case portal.AliasMergedLetter:
		return v.t("Accounts joined"), v.t("To the primary addresses of both accounts.")
	case portal.RecoveryAskedLetter:
		return v.t("Recovery asked for"), v.t("Somebody who lost every second factor has asked for help; the link cancels that.")
	case portal.RecoveryAllowedLetter:
		return v.t("Recovery allowed"), v.t("The link that leads back in after a lost second factor.")
	case portal.RecoveryRefusedLetter:
		return v.t("Recovery refused"), v.t("An administrator has refused help with a lost second factor.")
	case portal.RecoveryDoneLetter:
		return v.t("Second factors removed"), v.t("Every second factor of the account was removed by the recovery.")
	}
	return string(k), ""
}

func (s *Site) mails(v *visit) error {
	own, err := s.Store.MailTexts(v.r.Context(), v.portal.ID)
	if err != nil {
		return err
	}
	p := mailsPage{Tabs: v.consoleTabs("mails")}
	for _, l := range locale.Languages() {
		p.Languages = append(p.Languages, l.Name)
	}
	for _, k := range mail.Kinds() {
		row := mailRow{}
		row.Name, row.Tells = v.mailKind(k)
		for _, l := range locale.Languages() {
			row.Texts = append(row.Texts, mailCell{Language: l.Name, Path: mailPath(k, l.Tag),
				Own: slices.ContainsFunc(own, func(m portal.MailText) bool { return m.Kind == k && m.Language == l.Tag })})
		}
		p.Kinds = append(p.Kinds, row)
	}
	p.Notice = v.noticed(map[string]string{mailSaved: v.t("The text is saved. Mails use it from now on."), mailReset: v.t("The mail has the standard text again.")})
	return v.render(http.StatusOK, "mails", p)
}

func mailPath(k portal.LetterKind, lang string) string {
	return "/admin/mails/" + string(k) + "/" + lang
}

// mailOf is the mail that the path names; any other is no page.
func (v *visit) mailOf() (portal.LetterKind, string, error) {
	vars := mux.Vars(v.r)
	k, lang := portal.LetterKind(vars["kind"]), vars["language"]
	if !slices.Contains(mail.Kinds(), k) || !locale.Known(lang) {
		return "", "", &discovery.Error{Kind: discovery.NotFound, Code: "mail_unknown"}
	}
	return k, lang, nil
}

func (s *Site) mailText(v *visit) error {
	k, lang, err := v.mailOf()
	if err != nil {
		return err
	}
	m, err := s.Store.MailText(v.r.Context(), v.portal.ID, k, lang)
	if err != nil {
		return err
	}
	return s.showMailText(v, http.StatusOK, m, m, nil)
}

// saveMailText saves, resets, or only shows what was typed.
func (s *Site) saveMailText(v *visit) error {
	k, lang, err := v.mailOf()
	if err != nil {
		return err
	}
	f, err := v.formUpTo(maxMailForm, mailFields...)
	if err != nil {
		return err
	}
	typed := portal.MailText{Portal: v.portal.ID, Kind: k, Language: lang, Subject: f["subject"], Opening: f["opening"]}
	if typed.Version, err = versionOf(f); err != nil {
		return err
	}
	notice := mailSaved
	switch f["action"] {
	case "save":
		err = s.Store.PutMailText(v.r.Context(), v.visitor(), typed)
	case "reset":
		err, notice = s.Store.ResetMailText(v.r.Context(), v.visitor(), typed), mailReset
	case "preview", "html":
		return s.previewMail(v, typed, f["action"] == "html")
	default:
		return badField("action", "action_unknown", "Choose what to do with the text.")
	}
	if err == nil {
		return v.backTo("/admin/mails", notice)
	}
	return s.refusedMailText(v, typed, err)
}

func (s *Site) refusedMailText(v *visit, typed portal.MailText, err error) error {
	e, err := v.shown(err)
	if err != nil {
		return err
	}
	now, err := s.Store.MailText(v.r.Context(), v.portal.ID, typed.Kind, typed.Language)
	if err != nil {
		return err
	}
	return s.showMailText(v, e.Kind.Status(), now, typed, e)
}

// maxMailForm has room for an opening in letters that take nine bytes each.
const maxMailForm = 48 << 10

// previewMail shows what was typed, as a page of ours or as the mail itself.
func (s *Site) previewMail(v *visit, typed portal.MailText, html bool) error {
	checked, err := typed.Check()
	var empty *discovery.Error
	if errors.As(err, &empty) && empty.Code == "text_empty" {
		err = nil // our own words
	}
	if err != nil {
		return s.refusedMailText(v, typed, err)
	}
	if !html {
		now, err := s.Store.MailText(v.r.Context(), v.portal.ID, typed.Kind, typed.Language)
		if err != nil {
			return err
		}
		now.Version = typed.Version
		return s.showMailText(v, http.StatusOK, now, checked, nil)
	}
	m, err := s.sampleMail(v, checked)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Security-Policy", mailPolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(m.HTML)))
	v.w.WriteHeader(http.StatusOK)
	_, err = v.w.Write([]byte(m.HTML))
	return err
}

// sampleMail is a mail with words of its own, to somebody who is nobody.
func (s *Site) sampleMail(v *visit, text portal.MailText) (mail.Message, error) {
	l := mail.Sample(text.Kind, text.Language, s.Now())
	l.Portal, l.URL, l.Contact, l.Zone = v.portal.Name, v.portal.URL, v.portal.Contact, v.settings().Zone
	l.Subject, l.Opening = text.Subject, text.Opening
	m, err := mail.Write("sample", netmail.Address{}, l, s.Now())
	if err != nil {
		return m, &discovery.Error{Kind: discovery.Internal, Code: "mail_sample", Err: fmt.Errorf("write sample: %w", err)}
	}
	return m, nil
}

func (s *Site) showMailText(v *visit, status int, now, typed portal.MailText, wrong *discovery.Error) error {
	p := mailTextPage{Tabs: v.consoleTabs("mails"), Path: mailPath(now.Kind, now.Language), Tag: now.Language, Version: now.Version,
		Own: now.Subject != "" || now.Opening != ""}
	p.Name, p.Tells = v.mailKind(now.Kind)
	for _, l := range locale.Languages() {
		if l.Tag == now.Language {
			p.In = l.Name
		}
	}
	shown, err := typed.Check()
	if err != nil {
		shown = portal.MailText{Kind: now.Kind, Language: now.Language} // what cannot be sent is not shown as sent
	}
	m, err := s.sampleMail(v, shown)
	if err != nil {
		return err
	}
	ours, err := s.sampleMail(v, portal.MailText{Kind: now.Kind, Language: now.Language})
	if err != nil {
		return err
	}
	p.ShownSubject, p.Shown = m.Subject, m.Text
	p.Subject = page.Field{Name: "subject", Label: v.t("Subject"), Type: "text", Value: typed.Subject, Optional: true,
		Hint: v.t("Up to 120 characters. Empty: “%s”.", ours.Subject)}
	p.Opening = page.Field{Name: "opening", Label: v.t("Opening"), Value: typed.Opening, Optional: true, Rows: 8,
		Hint: v.t("What comes before the standard text: plain text of up to 2,000 characters, with an empty line between paragraphs. You have used %d.", utf8.RuneCountInString(typed.Opening))}
	p.Form = withProblem(wrong, &p.Subject, &p.Opening)
	if wrong != nil && wrong.Code == "stale_version" {
		p.Form.Differences = v.differ([]*page.Field{&p.Subject, &p.Opening}, values{"subject": now.Subject, "opening": now.Opening})
	}
	return v.render(status, "mail_text", p)
}
