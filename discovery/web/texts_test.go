package web_test

import (
	"io/fs"
	"os"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page/locale/localetest"
)

func TestTexts(t *testing.T) {
	localetest.Check(t, localetest.Site{Files: os.DirFS("."), Templates: []string{"pages/*.html"},
		Sources: []string{".", ".."}, Shared: []fs.FS{os.DirFS("../page")}})
}
