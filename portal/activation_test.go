package portal_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func codeOf(err error) string {
	var e *discovery.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return "ok"
}

// ADM-06: what an app holds counts only while activation and account are as they
// were when it was given.
func TestActivationLive(t *testing.T) {
	now := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	ada := portal.Account{ID: "ada", Portal: "acme", Status: portal.Active}
	good := portal.Activation{ID: "x", Portal: "acme", Account: "ada", Generation: 3}
	for name, tt := range map[string]struct {
		change     func(*portal.Activation, *portal.Account)
		generation int64
		want       string
	}{
		"as it was given":        {func(*portal.Activation, *portal.Account) {}, 3, "ok"},
		"of a generation before": {func(*portal.Activation, *portal.Account) {}, 2, "activation_over"},
		"of one to come":         {func(*portal.Activation, *portal.Account) {}, 4, "activation_over"},
		"removed":                {func(a *portal.Activation, _ *portal.Account) { a.Removed = now }, 3, "activation_over"},
		"disabled":               {func(_ *portal.Activation, o *portal.Account) { o.Status = portal.Disabled }, 3, "activation_over"},
		"invited":                {func(_ *portal.Activation, o *portal.Account) { o.Status = portal.Invited }, 3, "activation_over"},
		"merged":                 {func(_ *portal.Activation, o *portal.Account) { o.MergedInto = "grace" }, 3, "activation_over"},
		"moved to another":       {func(a *portal.Activation, _ *portal.Account) { a.Account = "grace" }, 3, "activation_over"},
		"of another portal":      {func(a *portal.Activation, _ *portal.Account) { a.Portal = "other" }, 3, "activation_over"},
		"there is no such thing": {func(a *portal.Activation, o *portal.Account) { *a, *o = portal.Activation{}, portal.Account{} }, 0, "activation_over"},
	} {
		a, o := good, ada
		tt.change(&a, &o)
		if got := codeOf(a.Live(tt.generation, o)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestActivate(t *testing.T) {
	app := portal.App{Portal: "acme", ID: "outlook", Name: "Outlook", Kind: portal.AddIn}
	mine := []portal.Activation{
		{App: app, Device: "Laptop"},
		{App: app, Device: "Old laptop", Removed: time.Now()},
	}
	full := make([]portal.Activation, portal.MaxActivations)
	for name, tt := range map[string]struct {
		device string
		others []portal.Activation
		want   string
	}{
		"the first":             {"Laptop", nil, "ok"},
		"another device":        {"Telephone", mine, "ok"},
		"the same device":       {"laptop", mine, "activation_exists"},
		"one that was removed":  {"Old laptop", mine, "ok"},
		"one more than allowed": {"Laptop", full, "activations_many"},
	} {
		if got := codeOf(portal.Activate(app, tt.device, tt.others)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	for typed, want := range map[string]string{
		"": "device_missing", " \t": "device_missing", strings.Repeat("x", 61): "device_long", strings.Repeat("é", 60): "ok", "My  laptop\n": "ok",
	} {
		if _, err := portal.DeviceName(typed); codeOf(err) != want {
			t.Errorf("device %q: %s, want %s", typed, codeOf(err), want)
		}
	}
	if name, _ := portal.DeviceName(" My\u202e  laptop\n"); name != "My laptop" {
		t.Errorf("device is called %q", name)
	}
	for _, bad := range []portal.App{{ID: "Outlook", Name: "x", Kind: "app"}, {ID: "x", Name: "", Kind: "app"}, {ID: "x", Name: "a\nb", Kind: "app"}, {ID: "x", Name: "x", Kind: "web"}} {
		if portal.CheckApp(bad) == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
