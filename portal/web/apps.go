package web

import (
	"fmt"
	"slices"

	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// An activationRow is an activated app as its owner reads about it.
type activationRow struct {
	ID, App, Kind, Device  string
	Created, Used, Removed moment
	UsedAgo                string
}

var (
	fieldApp        = field{"app", 40}
	fieldDevice     = field{"device", 400}
	fieldActivation = field{"activation", 64}
)

// listApps puts what may act for the account onto the page, and what could.
func (s *Site) listApps(v *visit, p *sessionsPage) error {
	ctx := v.r.Context()
	apps, err := s.Store.Apps(ctx, v.portal.ID)
	if err != nil {
		return fmt.Errorf("read apps: %w", err)
	}
	all, err := s.Store.Activations(ctx, v.portal.ID, v.member.Account.ID)
	if err != nil {
		return fmt.Errorf("read activations: %w", err)
	}
	for _, a := range all {
		row := activationRow{ID: a.ID, App: a.App.Name, Kind: v.appKind(a.App.Kind), Device: a.Device,
			Created: v.day(a.Created), Used: v.when(a.Used), Removed: v.when(a.Removed)}
		if !a.Used.IsZero() {
			row.UsedAgo = v.ago(a.Used)
		}
		if a.Removed.IsZero() {
			p.Apps = append(p.Apps, row)
		} else {
			p.Gone = append(p.Gone, row)
		}
	}
	slices.Reverse(p.Gone) // the one removed last is the one most likely wanted back
	p.Offered = len(apps) > 0
	p.App = page.Field{Name: "app", Label: v.t("App or add-in")}
	for _, a := range apps {
		p.App.Options = append(p.App.Options, page.Option{Value: a.ID, Text: v.t("%s (%s)", a.Name, v.appKind(a.Kind))})
	}
	p.Device = page.Field{Name: "device", Label: v.t("Name of the device"), Type: "text", Autocomplete: "off",
		Hint: v.t("By which you will know it again, such as “Laptop at the office”.")}
	return nil
}

func (v *visit) appKind(k portal.AppKind) string {
	if k == portal.AddIn {
		return v.t("add-in")
	}
	return v.t("app")
}

// activate lets an app on a device act for the account, once the person has
// signed in from there.
func (s *Site) activate(v *visit) error {
	f, err := v.form(fieldApp, fieldDevice)
	if err != nil {
		return err
	}
	_, err = s.Store.Activate(v.r.Context(), v.portal.ID, v.visitor(), v.member.Account.ID, f["app"], f["device"])
	if err == nil {
		return v.backTo("/account/sessions", activationMade)
	}
	return s.showSessions(v, err, f)
}

// showSessions shows the page once more, with what is wrong and what was typed.
func (s *Site) showSessions(v *visit, cause error, f values) error {
	wrong, err := v.shown(cause)
	if err != nil {
		return err
	}
	p, err := s.sessionsPage(v)
	if err != nil {
		return err
	}
	p.App.Value, p.Device.Value = f["app"], f["device"]
	p.Form = withProblem(wrong, &p.App, &p.Device)
	return v.render(wrong.Kind.Status(), "sessions", p)
}

// chosenActivation is the one that a button of the page names.
func (v *visit) chosenActivation() (string, error) {
	f, err := v.form(fieldActivation)
	if err == nil && f["activation"] == "" {
		err = badField("activation", "field_missing", "Choose the app that this is about.")
	}
	return f["activation"], err
}

func (s *Site) removeApp(v *visit) error {
	id, err := v.chosenActivation()
	if err != nil {
		return err
	}
	if err := s.Store.RemoveActivation(v.r.Context(), v.portal.ID, v.visitor(), v.member.Account.ID, id); err != nil {
		return fmt.Errorf("remove activation: %w", err)
	}
	return v.backTo("/account/sessions", activationRemoved)
}

func (s *Site) restoreApp(v *visit) error {
	id, err := v.chosenActivation()
	if err != nil {
		return err
	}
	err = s.Store.RestoreActivation(v.r.Context(), v.portal.ID, v.visitor(), v.member.Account.ID, id)
	if err == nil {
		return v.backTo("/account/sessions", activationRestored)
	}
	return s.showSessions(v, err, values{})
}
