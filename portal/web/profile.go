package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/locale"
	"github.com/domicile-sso/domicile/portal"
)

// profilePage is what people see of their licence and say about themselves (S25
// to S28).
type profilePage struct {
	profileForm
	Tabs    []tab
	Notice  string
	Address string
	Licence licenceFacts
	Usage   usageFacts
	Months  []usageMonth
}

// profileForm is the form of a profile, one's own or that of somebody whom an
// administrator looks after.
type profileForm struct {
	page.Form
	Version                                           int64
	GivenName, FamilyName                             page.Field
	Zone, Culture, Language, Cell, Country, Protected page.Field
}

// profileFields are what a profile's form may hold.
var profileFields = []field{
	{"given_name", 800}, {"family_name", 800}, {"zone", 100}, {"culture", 20}, {"language", 20},
	{"cell", 100}, {"sms_country", 4}, {"return_protection", 20}, {"version", 20},
}

const profileSaved = "profile-saved"

// account leads to the first of one's own pages.
func (s *Site) account(v *visit) error { return v.redirect("/account/profile") }

func (s *Site) profile(v *visit) error {
	return s.showProfile(v, http.StatusOK, v.member.Account, v.member.Account.Profile(), nil)
}

func (s *Site) saveProfile(v *visit) error {
	a := v.member.Account
	p, err := v.profileTyped(a)
	if err != nil {
		return err
	}
	if p.Protection == portal.NoProtection && a.Protection != p.Protection && !v.isFresh() {
		return s.askConfirm(v) // it is taking a lock off
	}
	now, _, err := s.Store.SaveProfile(v.r.Context(), v.portal.ID, v.visitor(), a.ID, p)
	if err != nil {
		if _, err := v.shown(err); err != nil {
			return err
		}
		return s.showProfile(v, statusOf(err), cmp.Or(now, a), p, err)
	}
	return v.backTo("/account/profile", profileSaved)
}

// profileTyped reads a profile as somebody typed it. Choices that are none of
// those offered are mistakes of the form's maker, not of the person.
func (v *visit) profileTyped(a portal.Account) (portal.Profile, error) {
	f, err := v.form(profileFields...)
	if err != nil {
		return portal.Profile{}, err
	}
	version, err := strconv.ParseInt(f["version"], 10, 64)
	if err != nil || version < 1 {
		return portal.Profile{}, badField("version", "version_missing", "The form is not complete. Open the page again.")
	}
	p := portal.Profile{Version: version, GivenName: f["given_name"], FamilyName: f["family_name"], Zone: f["zone"], Culture: f["culture"],
		Language: f["language"], Cell: f["cell"], SMSCountry: f["sms_country"], Protection: a.Protection}
	if chosen, sent := f["return_protection"]; sent {
		p.Protection = portal.ReturnProtection(chosen)
	}
	if _, ok := locale.ParseCulture(p.Culture); !ok && p.Culture != "" {
		return p, badField("culture", "culture_unknown", "Choose one of the ways to write dates.")
	}
	if !locale.Known(p.Language) && p.Language != "" {
		return p, badField("language", "language_unknown", "Choose one of the languages.")
	}
	return p, nil
}

// statusOf is the status of the first thing that is wrong.
func statusOf(err error) int {
	var e *discovery.Error
	if errors.As(err, &e) {
		return e.Kind.Status()
	}
	return http.StatusServiceUnavailable
}

// showProfile shows what is typed; stored is what is saved now.
func (s *Site) showProfile(v *visit, status int, stored portal.Account, typed portal.Profile, wrong error) error {
	ctx := v.r.Context()
	l, err := s.Store.Licence(ctx, v.portal.ID, stored.ID)
	if err != nil {
		return err
	}
	p := profilePage{Tabs: v.accountTabs("profile"), Address: stored.Primary.Clear()}
	p.Notice = v.noticed(map[string]string{
		profileSaved:    v.t("Your profile is saved."),
		passwordChanged: v.t("Your password is changed. You stay signed in here and are signed out everywhere else."),
		licenceReleased: v.t("Your licence is released."),
	})
	texts, err := s.Store.HasTextFactor(ctx, v.portal.ID, stored.ID)
	if err != nil {
		return err
	}
	p.profileForm = v.profileFormOf(stored, typed, l, wrong)
	if texts {
		p.Cell.Hint += " " + v.t("Security codes keep going to the number that is set up under Security.")
	}
	p.Licence = v.licenceFactsOf(l)
	if p.Usage, p.Months, err = v.usageOf(l, stored.ID); err != nil {
		return fmt.Errorf("read usage: %w", err)
	}
	return v.render(status, "profile", p)
}

// profileFormOf is the form with what was typed and what is wrong with it.
func (v *visit) profileFormOf(stored portal.Account, typed portal.Profile, l portal.Licence, wrong error) profileForm {
	f := profileForm{
		Version:    stored.Version,
		GivenName:  page.Field{Name: "given_name", Label: v.t("First name"), Type: "text", Value: typed.GivenName, Autocomplete: "given-name", Optional: true},
		FamilyName: page.Field{Name: "family_name", Label: v.t("Last name"), Type: "text", Value: typed.FamilyName, Autocomplete: "family-name", Optional: true},
		Zone: page.Field{Name: "zone", Label: v.t("Time zone"), Type: "text", Value: typed.Zone, Optional: true, Options: v.zoneOptions(),
			Hint: v.t("Type a city and choose from the list. Empty: that of the portal, %s.", v.settings().Zone)},
		Culture:  page.Field{Name: "culture", Label: v.t("Date format"), Value: typed.Culture, Options: v.cultureOptions()},
		Language: page.Field{Name: "language", Label: v.t("Language"), Value: typed.Language, Options: v.languageOptions()},
		Cell: page.Field{Name: "cell", Label: v.t("Cell number"), Type: "tel", Value: cellShown(typed.Cell), Autocomplete: "tel", Optional: true,
			Hint: v.t("As you dial it in the country beside it, or beginning with a plus sign.")},
		Country:   page.Field{Name: "sms_country", Label: v.t("Default country for text messages"), Value: typed.SMSCountry, Options: v.countryOptions()},
		Protected: page.Field{Name: "return_protection", Label: v.t("Return protection"), Value: string(typed.Protection), Options: v.protectionOptions()},
	}
	f.Protected.Hint = v.t("What the recipients of your secure messages must pass before they can reply.")
	if !l.At(v.site.Now()).Has(portal.Pro) {
		f.Protected.Fixed = true
		f.Protected.Hint = v.t("Not available: it needs a Pro licence. Ask your administrator for one.")
	}
	fields := []*page.Field{&f.GivenName, &f.FamilyName, &f.Zone, &f.Culture, &f.Language, &f.Cell, &f.Country, &f.Protected}
	var rest []page.Problem
	for _, e := range mistakesIn(wrong) {
		say := v.say(e)
		if i := slices.IndexFunc(fields, func(f *page.Field) bool { return f.Name == e.Field }); i >= 0 {
			fields[i].Error = say
		} else {
			rest = append(rest, page.Problem{Say: say})
		}
	}
	f.Form = page.Check(fields...)
	f.Problems = append(rest, f.Problems...)
	if wrong == nil {
		f.GivenName.Focus = false // the licence comes first on the page
	}
	var e *discovery.Error
	if errors.As(wrong, &e) && e.Kind == discovery.Conflict {
		f.Differences = differences(fields, v.profileFormOf(stored, stored.Profile(), l, nil))
		for _, one := range fields { // the first that differs is looked at first
			one.Focus = len(f.Differences) > 0 && one.Name == f.Differences[0].Field
		}
	}
	return f
}

// mistakesIn are all that is wrong.
func mistakesIn(err error) portal.Mistakes {
	var all portal.Mistakes
	var e *discovery.Error
	switch {
	case errors.As(err, &all):
		return all
	case errors.As(err, &e):
		return portal.Mistakes{e}
	}
	return nil
}

// differences are the fields in which what was typed is not what is saved.
func differences(typed []*page.Field, saved profileForm) []page.Difference {
	var all []page.Difference
	for i, s := range []page.Field{saved.GivenName, saved.FamilyName, saved.Zone, saved.Culture, saved.Language, saved.Cell, saved.Country, saved.Protected} {
		if s.Value != typed[i].Value {
			all = append(all, page.Difference{Field: s.Name, Label: s.Label, Saved: chosen(s), Typed: chosen(*typed[i])})
		}
	}
	return all
}

// chosen is the value of a field as people read it.
func chosen(f page.Field) string {
	for _, o := range f.Options {
		if o.Value == f.Value && f.Type == "" {
			return cmp.Or(o.Text, o.Value)
		}
	}
	return f.Value
}

// cellShown is a stored number as people read it, and what was typed as typed.
func cellShown(s string) string {
	if strings.HasPrefix(s, "+") && strings.Trim(s[1:], "0123456789") == "" {
		return portal.CellText(s)
	}
	return s
}

func (v *visit) zoneOptions() []page.Option {
	var all []page.Option
	for _, name := range portal.Zones() {
		all = append(all, page.Option{Value: name, Text: portal.ZoneOffset(name, v.site.Now())})
	}
	return all
}

func (v *visit) languageOptions() []page.Option {
	all := []page.Option{{Text: v.t("As my browser asks for")}}
	for _, l := range locale.Languages() {
		all = append(all, page.Option{Value: l.Tag, Text: l.Name})
	}
	return all
}

// cultureOptions show today in every way to write it.
func (v *visit) cultureOptions() []page.Option {
	_, zone := v.culture()
	today := v.site.Now().In(zone)
	var all []page.Option
	for _, c := range locale.Cultures() {
		all = append(all, page.Option{Value: c.String(), Text: c.Name(v.lang()) + " – " + c.Date(today)})
	}
	v.sortOptions(all)
	return append([]page.Option{{Text: v.t("As my language has it") + " – " + locale.CultureOf(v.lang()).Date(today)}}, all...)
}

func (v *visit) countryOptions() []page.Option {
	names := display.Regions(language.Make(v.lang()))
	var all []page.Option
	for _, code := range portal.CellCountries() {
		region, err := language.ParseRegion(code)
		if err != nil {
			continue
		}
		all = append(all, page.Option{Value: code, Text: fmt.Sprintf("%s (+%d)", cmp.Or(names.Name(region), code), portal.CountryCallingCode(code))})
	}
	v.sortOptions(all)
	return append([]page.Option{{Text: v.t("None")}}, all...)
}

// sortOptions sorts as readers of the page's language expect.
func (v *visit) sortOptions(all []page.Option) {
	c := collate.New(language.Make(v.lang()), collate.IgnoreCase)
	slices.SortStableFunc(all, func(a, b page.Option) int { return c.CompareString(a.Text, b.Text) })
}

func (v *visit) protectionOptions() []page.Option {
	return []page.Option{
		{Value: string(portal.NoProtection), Text: v.t("Off")},
		{Value: string(portal.SMSProtection), Text: v.t("A code by text message")},
		{Value: string(portal.MicrosoftProtection), Text: v.t("A Microsoft sign-in")},
	}
}
