package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/locale"
	"github.com/domicile-sso/domicile/portal"
)

// notificationsPage is whom invitations come from (S14), and what the portal says
// and reckons in where nobody has chosen otherwise.
type notificationsPage struct {
	page.Form
	Tabs                            []tab
	Notice, Fallback                string
	Version                         int64
	Sender, Zone, Language, Contact page.Field
}

const settingsSaved = "settings-saved"

var notificationFields = []field{{"version", 20}, {"sender", 1024}, {"zone", 100}, {"language", 20}, {"contact", 900}}

func (s *Site) notifications(v *visit) error {
	set, err := s.Store.Settings(v.r.Context(), v.portal.ID)
	if err != nil {
		return err
	}
	typed, err := s.notificationsOf(v, set)
	if err != nil {
		return err
	}
	return s.showNotifications(v, http.StatusOK, set, typed, nil)
}

// notificationsOf is the form as it would look filled in with what is saved.
func (s *Site) notificationsOf(v *visit, set portal.Settings) (values, error) {
	f := values{"zone": set.Zone, "language": set.Language, "contact": set.Contact}
	if set.Sender == "" {
		return f, nil
	}
	a, ok, err := s.Store.AccountByID(v.r.Context(), v.portal.ID, set.Sender)
	if err != nil {
		return f, fmt.Errorf("read sender: %w", err)
	}
	if ok {
		f["sender"] = a.Primary.Clear()
	}
	return f, nil
}

func (s *Site) saveNotifications(v *visit) error {
	f, err := v.form(notificationFields...)
	if err != nil {
		return err
	}
	set, err := s.Store.Settings(v.r.Context(), v.portal.ID)
	if err != nil {
		return err
	}
	now := set
	if set.NotificationsVersion, err = versionOf(f); err != nil {
		return err
	}
	set.Zone, set.Language, set.Contact = strings.TrimSpace(f["zone"]), f["language"], strings.Join(strings.Fields(f["contact"]), " ")
	set.Sender, err = s.senderTyped(v, f["sender"], now)
	if err == nil {
		err = s.Store.PutNotifications(v.r.Context(), v.portal.ID, v.visitor(), set)
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		if now, err = s.Store.Settings(v.r.Context(), v.portal.ID); err != nil {
			return err
		}
		return s.showNotifications(v, e.Kind.Status(), now, f, e)
	}
	return v.backTo("/admin/notifications", settingsSaved)
}

// versionOf is the version that a form was about.
func versionOf(f values) (int64, error) {
	n, err := strconv.ParseInt(f["version"], 10, 64)
	if err != nil || n < 0 {
		return 0, badField("version", "version_missing", "The form is not complete. Open the page again.")
	}
	return n, nil
}

// senderTyped finds the person who was meant: by address, or by a name that only
// one person has.
func (s *Site) senderTyped(v *visit, typed string, now portal.Settings) (string, error) {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		return "", nil
	}
	if !strings.Contains(typed, "@") {
		return s.senderNamed(v, typed)
	}
	address, err := discovery.ParseAddress(typed)
	var e *discovery.Error
	if errors.As(err, &e) {
		e := *e
		e.Field = "sender"
		return "", &e
	}
	a, ok, err := s.Store.AccountByAddress(v.r.Context(), v.portal.ID, address)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", badField("sender", "sender_unknown", "There is no account with this address in this portal.")
	}
	return a.ID, nil
}

func (s *Site) senderNamed(v *visit, name string) (string, error) {
	found, err := s.Store.FindAccounts(v.r.Context(), v.portal.ID, portal.AccountFilter{Query: name, Status: portal.Active, Limit: 2})
	switch {
	case err != nil:
		return "", err
	case len(found.Accounts) == 0:
		return "", badField("sender", "sender_unknown", "There is nobody of this name in this portal. Enter the address.")
	case len(found.Accounts) > 1:
		return "", badField("sender", "sender_several", "Several people have this name. Enter the address of the one you mean.")
	}
	return found.Accounts[0].ID, nil
}

func (s *Site) showNotifications(v *visit, status int, set portal.Settings, typed values, wrong *discovery.Error) error {
	p := s.notificationForm(v, typed)
	p.Tabs, p.Version = v.consoleTabs("notifications"), set.NotificationsVersion
	fields := []*page.Field{&p.Sender, &p.Contact, &p.Zone, &p.Language}
	p.Form = withProblem(wrong, fields...)
	if wrong != nil && wrong.Code == "stale_version" {
		saved, err := s.notificationsOf(v, set)
		if err != nil {
			return err
		}
		p.Form.Differences = v.differ(fields, saved)
	}
	_, ok, why, err := s.Store.Sender(v.r.Context(), v.portal.ID)
	if err != nil {
		return err
	}
	var e *discovery.Error
	if !ok && errors.As(why, &e) {
		p.Fallback = v.say(e)
	}
	p.Notice = v.noticed(map[string]string{settingsSaved: v.t("The settings are saved.")})
	return v.render(status, "notifications", p)
}

func (s *Site) notificationForm(v *visit, typed values) notificationsPage {
	languages := []page.Option{}
	for _, l := range locale.Languages() {
		languages = append(languages, page.Option{Value: l.Tag, Text: l.Name})
	}
	return notificationsPage{
		Sender: page.Field{Name: "sender", Label: v.t("Invitations come from"), Type: "text", Value: typed["sender"], Optional: true,
			Hint: v.t("The address or the name of somebody with a professional licence in this portal. Empty: they come from the operator of this installation.")},
		Contact: page.Field{Name: "contact", Label: v.t("Whom to ask for an invitation"), Type: "text", Value: typed["contact"], Optional: true,
			Hint: v.t("One line on the sign-in pages and in mails: an address, a telephone number, or a name.")},
		Zone: page.Field{Name: "zone", Label: v.t("Time zone"), Type: "text", Value: typed["zone"], Options: v.zoneOptions(),
			Hint: v.t("For whoever has not chosen one. Months of usage begin in it.")},
		Language: page.Field{Name: "language", Label: v.t("Language"), Value: typed["language"], Options: languages,
			Hint: v.t("Of mails and pages, for whoever has not chosen one.")},
	}
}

// differ shows what is saved now beside what was typed, where that is something
// else. A choice is shown by its name.
func (v *visit) differ(fields []*page.Field, saved values) []page.Difference {
	var all []page.Difference
	for _, f := range fields {
		if f.Value != saved[f.Name] {
			all = append(all, page.Difference{Field: f.Name, Label: f.Label, Saved: chosenText(*f, saved[f.Name]), Typed: chosenText(*f, f.Value)})
		}
	}
	return all
}

func chosenText(f page.Field, value string) string {
	if f.Type == "" {
		for _, o := range f.Options {
			if o.Value == value && o.Text != "" {
				return o.Text
			}
		}
	}
	return value
}
