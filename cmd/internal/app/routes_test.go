package app

import (
	"regexp"
	"slices"
	"testing"

	"github.com/domicile-sso/domicile/discovery/span"
	front "github.com/domicile-sso/domicile/discovery/web"
	"github.com/domicile-sso/domicile/portal/web"
)

// Every route that there is may stand in a trace.
func TestRoutesArePermitted(t *testing.T) {
	names := regexp.MustCompile(`\{[a-z]+\}`)
	for _, line := range slices.Concat(web.Routes(), front.Routes(), []string{"POST /claims", "GET /assets/{any}", "GET other"}) {
		if name := names.ReplaceAllString(line, "*"); !span.Known(name) {
			t.Errorf("%s is left out of traces", name)
		}
	}
}
