package page_test

import (
	"os"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page/locale/localetest"
)

// The layout, and what discovery itself says of addresses, which every site may
// have to show.
func TestTexts(t *testing.T) {
	localetest.Check(t, localetest.Site{Files: os.DirFS("."), Templates: []string{"layout/*.html"}, Sources: []string{".", ".."}})
}
