package web

import (
	"io/fs"
	"os"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page/locale/localetest"
)

// The pages of the portal, and what its rules, its store and its federation say
// on them.
func TestTexts(t *testing.T) {
	localetest.Check(t, localetest.Site{Files: os.DirFS("."), Templates: []string{"pages/*.html"},
		Sources: []string{".", "..", "../store", "../../federation"}, Shared: []fs.FS{os.DirFS("../../discovery/page")}})
}
