package web

import (
	"net/http"
	"strings"

	"github.com/domicile-sso/domicile/discovery/page"
)

// chooseLanguage is the form below every page. Nobody's tries are counted: the
// answer depends on nothing but the question.
func (s *Site) chooseLanguage(w http.ResponseWriter, r *http.Request) error {
	f, err := formValues(w, r, "language", "then")
	if err != nil {
		return err
	}
	if err := page.ChooseLanguage(w, f["language"]); err != nil {
		return err
	}
	to := page.LocalPath(f["then"])
	if path, _, _ := strings.Cut(to, "?"); !hasPage(path) {
		to = "/"
	}
	return seeOther(w, to)
}

// reload is the path of a page, or of the page behind the answer to a form. What
// strangers put into a query of the front page is repeated nowhere.
func reload(r *http.Request) string {
	switch path := r.URL.EscapedPath(); {
	case path == "/remember" && r.Method == http.MethodGet:
		return r.URL.RequestURI()
	case hasPage(path):
		return path
	}
	return "/"
}

// hasPage reports whether a path of this site is a page to look at.
func hasPage(path string) bool { return path == "/" || path == "/remember" }
