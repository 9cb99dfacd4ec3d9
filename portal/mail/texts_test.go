package mail

import (
	"os"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page/locale/localetest"
)

func TestTexts(t *testing.T) {
	localetest.Check(t, localetest.Site{Files: os.DirFS("."), Templates: []string{"letters/*.html", "letters/*.txt"}, Sources: []string{"."}})
}
