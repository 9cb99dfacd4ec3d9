package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// policyPage is what a portal asks of those who sign in: S15, second factors,
// how long sessions last, how long passwords are.
type policyPage struct {
	page.Form
	Tabs                     []tab
	Notice                   string
	Version                  int64
	Keep                     bool
	Factor                   page.Field
	Without                  string // how many people a stricter policy asks to set up a factor
	Trust, Password          page.Field
	Idle, Absolute           page.Field
	KeptIdle, KeptAbsolute   page.Field
	KeepSaved, KeepDifferent bool // of a stale form: what is saved now, and that it is not what was ticked
}

var policyFields = []field{
	{"version", 20}, {"keep_signed", 3}, {"second_factor", 20}, {"trust_days", 10}, {"password_min", 10},
	{"session_idle", 10}, {"session_absolute", 10}, {"kept_idle", 10}, {"kept_absolute", 10},
}

func (s *Site) policy(v *visit) error {
	set, err := s.Store.Settings(v.r.Context(), v.portal.ID)
	if err != nil {
		return err
	}
	return s.showPolicy(v, http.StatusOK, set, policyValues(set), nil)
}

// policyValues is the form as it would look filled in with what is saved.
func policyValues(set portal.Settings) values {
	f := values{"second_factor": string(set.SecondFactor), "trust_days": strconv.Itoa(set.TrustDays), "password_min": strconv.Itoa(set.MinPassword())}
	if set.KeepSigned {
		f["keep_signed"] = "yes"
	}
	number := func(name string, d, unit time.Duration) {
		if d > 0 {
			f[name] = strconv.FormatInt(int64(d/unit), 10)
		}
	}
	number("session_idle", set.Lifetimes.Idle, time.Minute)
	number("session_absolute", set.Lifetimes.Absolute, time.Minute)
	number("kept_idle", set.Lifetimes.KeptIdle, time.Hour)
	number("kept_absolute", set.Lifetimes.KeptAbsolute, time.Hour)
	return f
}

func (s *Site) savePolicy(v *visit) error {
	f, err := v.form(policyFields...)
	if err != nil {
		return err
	}
	set, err := s.Store.Settings(v.r.Context(), v.portal.ID)
	if err != nil {
		return err
	}
	version, err := versionOf(f)
	if err != nil {
		return err
	}
	set.PolicyVersion = version
	if err = policyTyped(f, &set); err == nil {
		err = s.Store.PutPolicy(v.r.Context(), v.portal.ID, v.visitor(), set)
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		now, err := s.Store.Settings(v.r.Context(), v.portal.ID)
		if err != nil {
			return err
		}
		return s.showPolicy(v, e.Kind.Status(), now, f, e)
	}
	return v.backTo("/admin/policy", settingsSaved)
}

// policyTyped reads the form into settings. What the bounds are is not for us.
func policyTyped(f values, set *portal.Settings) error {
	set.KeepSigned = f["keep_signed"] == "yes"
	set.SecondFactor = portal.SecondFactorPolicy(f["second_factor"])
	for _, n := range []struct {
		name string
		set  func(int)
	}{
		{"trust_days", func(n int) { set.TrustDays = n }},
		{"password_min", func(n int) { set.PasswordMin = n }},
		{"session_idle", func(n int) { set.Lifetimes.Idle = time.Duration(n) * time.Minute }},
		{"session_absolute", func(n int) { set.Lifetimes.Absolute = time.Duration(n) * time.Minute }},
		{"kept_idle", func(n int) { set.Lifetimes.KeptIdle = time.Duration(n) * time.Hour }},
		{"kept_absolute", func(n int) { set.Lifetimes.KeptAbsolute = time.Duration(n) * time.Hour }},
	} {
		typed := strings.TrimSpace(f[n.name])
		number, err := strconv.Atoi(typed)
		if typed == "" {
			number, err = 0, nil
		}
		if err != nil || number < 0 || number > 1_000_000 {
			return badField(n.name, "number_unreadable", "Enter a whole number, in digits only.")
		}
		n.set(number)
	}
	return nil
}

func (s *Site) showPolicy(v *visit, status int, set portal.Settings, typed values, wrong *discovery.Error) error {
	p := s.policyForm(v, typed)
	p.Tabs, p.Version, p.Keep = v.consoleTabs("policy"), set.PolicyVersion, typed["keep_signed"] == "yes"
	fields := []*page.Field{&p.Factor, &p.Trust, &p.Password, &p.Idle, &p.Absolute, &p.KeptIdle, &p.KeptAbsolute}
	p.Form = withProblem(wrong, fields...)
	if wrong == nil {
		p.Factor.Focus = false
	}
	if wrong != nil && wrong.Code == "stale_version" {
		p.Form.Differences = v.differ(fields, policyValues(set))
		p.KeepSaved, p.KeepDifferent = set.KeepSigned, p.Keep != set.KeepSigned
	}
	without, err := s.Store.WithoutFactor(v.r.Context(), v.portal.ID)
	if err != nil {
		return fmt.Errorf("count factors: %w", err)
	}
	p.Without = v.t("%d people who can sign in have no second factor yet. If they need one, they are led to set it up at their next sign-in.", without)
	p.Notice = v.noticed(map[string]string{settingsSaved: v.t("The settings are saved.")})
	return v.render(status, "policy", p)
}

func (s *Site) policyForm(v *visit, typed values) policyPage {
	usual := portal.Lifetimes{}.Within(s.Store.Lifetimes)
	length := func(name, label, hint string) page.Field {
		return page.Field{Name: name, Label: label, Type: "text", InputMode: "numeric", Value: typed[name], Optional: true, Hint: hint}
	}
	minutes := func(d time.Duration) string {
		return v.t("At most, and if left empty: %d minutes.", int(d/time.Minute))
	}
	hours := func(d time.Duration) string { return v.t("At most, and if left empty: %d hours.", int(d/time.Hour)) }
	return policyPage{
		Factor: page.Field{Name: "second_factor", Label: v.t("Who needs a second factor"), Value: typed["second_factor"], Options: []page.Option{
			{Value: string(portal.FactorOptional), Text: v.t("Nobody has to: it is everybody’s own choice")},
			{Value: string(portal.FactorForPassword), Text: v.t("Whoever signs in with a portal password")},
			{Value: string(portal.FactorForEveryone), Text: v.t("Everybody, through the organisation’s own sign-in, too")},
		}},
		Trust: page.Field{Name: "trust_days", Label: v.t("Days that “trust this browser” holds"), Type: "text", InputMode: "numeric", Value: typed["trust_days"],
			Hint: v.t("From 0 to 90. With 0 it is not offered.")},
		Password: page.Field{Name: "password_min", Label: v.t("Characters of a new password, at least"), Type: "text", InputMode: "numeric", Value: typed["password_min"],
			Hint: v.t("From 10 to 64. Passwords that people have already stay as they are.")},
		Idle:         length("session_idle", v.t("Minutes without use after which a session ends"), minutes(usual.Idle)),
		Absolute:     length("session_absolute", v.t("Minutes after which a session ends in any case"), minutes(usual.Absolute)),
		KeptIdle:     length("kept_idle", v.t("Hours without use, if one stays signed in"), hours(usual.KeptIdle)),
		KeptAbsolute: length("kept_absolute", v.t("Hours in any case, if one stays signed in"), hours(usual.KeptAbsolute)),
	}
}
