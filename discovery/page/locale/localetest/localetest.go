// Package localetest finds the texts of a site, in its templates and in the Go
// sources behind it, and holds its catalogues against them: what is said in
// English and in no other language, what nobody says any more, a translation
// that an argument would break.
//
// In Go a text is the first argument of t and T; what stands in a field or a
// parameter of the name Say; and every sentence in a declaration that is marked
//
//	//locale:texts
//
// which is for tables of words.
package localetest

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page/locale"
)

// A Site is what one book of texts is for.
type Site struct {
	Files     fs.FS    // holds locales/ and the templates
	Templates []string // patterns of Files; layouts first
	Sources   []string // folders of Go files
	Shared    []fs.FS  // catalogues that are loaded too, and belong to others
}

// Check fails the test for every text that would be shown wrongly.
func Check(t testing.TB, s Site) {
	t.Helper()
	for _, problem := range Problems(s) {
		t.Error(problem)
	}
}

// Problems is Check, with the problems as text.
func Problems(s Site) []string {
	u := &uses{at: map[string]string{}}
	for _, pattern := range s.Templates {
		u.templates(s.Files, pattern)
	}
	for _, folder := range s.Sources {
		u.sources(folder)
	}
	own, all := map[string]map[string]locale.Entry{}, map[string]map[string]locale.Entry{}
	for _, l := range locale.Languages() {
		own[l.Tag], all[l.Tag] = map[string]locale.Entry{}, map[string]locale.Entry{}
		for i, folder := range append([]fs.FS{s.Files}, s.Shared...) {
			entries, err := locale.Read(folder, l.Tag)
			if err != nil {
				u.report("%v", err)
			}
			for _, e := range entries {
				if before, ok := all[l.Tag][e.Key]; ok && (before.Text != e.Text || fmt.Sprint(before.Plural) != fmt.Sprint(e.Plural)) {
					u.report("%s: %q is something else in %s", e.File, e.Key, before.File)
				}
				all[l.Tag][e.Key] = e
				if i == 0 {
					own[l.Tag][e.Key] = e
				}
			}
		}
	}
	for key, where := range u.at {
		for _, l := range locale.Languages() {
			if _, ok := all[l.Tag][key]; !ok && l.Tag != locale.English {
				u.report("%s: nothing in %s for %q", where, l.Tag, key)
			}
		}
	}
	for lang, entries := range own {
		for _, e := range entries {
			if _, ok := u.at[e.Key]; !ok {
				u.report("%s: nobody says %q", e.File, e.Key)
			}
			u.entry(lang, e)
			if _, ok := all[locale.English][e.Key]; e.Plural != nil && !ok {
				u.report("%s: %q has a plural, but not in English", e.File, e.Key)
			}
		}
	}
	slices.Sort(u.problems)
	return slices.Compact(u.problems)
}

// uses are the texts found, and where.
type uses struct {
	at       map[string]string
	problems []string
}

func (u *uses) report(format string, args ...any) {
	u.problems = append(u.problems, fmt.Sprintf(format, args...))
}

func (u *uses) add(key, where string) {
	if key != "" && u.at[key] == "" {
		u.at[key] = where
	}
}

var tags = regexp.MustCompile(`<[^>]*>`)

// entry checks one translation against its key.
func (u *uses) entry(lang string, e locale.Entry) {
	forms := e.Plural
	if forms == nil {
		forms = map[string]string{"": e.Text}
	}
	counted := locale.CountedArg(e.Key)
	for form, text := range forms {
		where := e.File + ": " + e.Key
		if form != "" {
			where += " (" + form + ")"
		}
		if strings.TrimSpace(text) == "" {
			u.report("%s: empty", where)
		}
		want, got := verbs(e.Key, 0), verbs(text, 0)
		if form == "one" || strings.HasPrefix(form, "=") {
			// One of a thing may be said without the number.
			want, got = verbs(e.Key, counted), verbs(text, counted)
		}
		if want != got {
			u.report("%s: takes %s, the English text %s", where, got, want)
		}
		if want, got := sorted(tags.FindAllString(e.Key, -1)), sorted(tags.FindAllString(text, -1)); want != got {
			u.report("%s: has the tags %s, the English text %s", where, got, want)
		}
		if strings.Contains(text, "${") {
			u.report("%s: has %q, which catalogues read as a name", where, "${")
		}
	}
}

// verbs are what fills in a text, but for one argument, in the order of the
// arguments.
func verbs(text string, except int) string {
	var all []string
	for _, v := range locale.Verbs(text) {
		if v.Arg != except {
			all = append(all, fmt.Sprintf("%%[%d]%c", v.Arg, v.Verb))
		}
	}
	return sorted(all)
}

func sorted(list []string) string {
	slices.Sort(list)
	return fmt.Sprint(list)
}
