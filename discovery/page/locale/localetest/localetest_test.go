package localetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// Every mistake that the check is for is found, and what is right is not.
func TestProblems(t *testing.T) {
	dir := t.TempDir()
	source := `package x

const refused = "You cannot."

// words are shown.
//
//locale:texts
var words = map[string]string{"a.b": "In a table", "c": "single"}

func bad(field, say string, args ...any) error { return &E{Say: say, Args: args} }

func f(v *V, name string) {
	_ = v.t("Hello %s", name)
	_ = v.t("Two %s")
	_ = set.T(r.Context(), "With context")
	_ = E{Say: "Said", Label: "Bare label"}
	_ = E{Say: refused, Label: v.t("A label")}
	e.Say = "Assigned"
	_ = bad("x", "By a helper")
	_ = bad("x", "Put " + name + " together")
	_ = v.t(fmt.Sprintf("Formatted %s", name))
	_ = v.t(e.Say, e.Args...)
}
`
	if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"pages/a.html": {Data: []byte(`{{define "shape"}}wide{{end}}{{define "main"}}<p class="words in a class">{{t "In a page"}} &nbsp; {{markup "A <b>%s</b>" .N}} {{t "%d users" .N}}</p>
<a href="/x" title="Bare title"{{if .N}} aria-label="{{t "Spoken"}}"{{end}}>Bare link</a>{{t .Name}} {{t "Tags <b>here</b>"}} {{t "Too few %s"}}{{end}}`)},
		"locales/en/a.json": {Data: []byte(`{"%d users": {"one": "%d user", "other": "%d users"}}`)},
		"locales/fr/a.json": {Data: []byte(`{"Hello %s": "Bonjour", "With context": "", "%d users": {"one": "un", "other": "%d"}, "Nobody says": "x", "A <b>%s</b>": "<i>%s</i>",
			"In a page": "Dans", "Said": "Dit"}`)},
		"locales/fr/b.json": {Data: []byte(`{"Said": "Autre"}`)},
	}
	found := Problems(Site{Files: files, Templates: []string{"pages/*.html"}, Sources: []string{dir}})
	all := strings.Join(found, "\n")
	for _, want := range []string{
		`nothing in fr for "In a table"`, `nothing in de for "Said"`, `nothing in fr for "You cannot."`, `nothing in fr for "Assigned"`, `nothing in fr for "By a helper"`,
		`nothing in fr for "A label"`, `nothing in fr for "Spoken"`, `nothing in de for "In a page"`,
		`"Two %s" takes 1 arguments and gets 0`, `"Too few %s" takes 1 arguments and gets 0`, `Label: "Bare label" is said in English only`,
		`a text is put together here`, `a text is formatted before`, `"Bare link" is said in English only`, `"Bare title" is said in English only`,
		`the text is no literal`, `has tags, which t shows as text`, `nobody says "Nobody says"`, `Hello %s: takes [], the English text [%[1]s]`,
		`With context: empty`, `has the tags [</i> <i>]`, `"Said" is something else in locales/fr/a.json`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("not found: %s", want)
		}
	}
	for _, wrong := range []string{"single", "words in a class", "wide", "nbsp", `fr for "In a page"`, "(one): takes", "%d users: takes"} {
		if strings.Contains(all, wrong) {
			t.Errorf("found without a reason: %s", wrong)
		}
	}
	if t.Failed() {
		t.Log("\n" + all)
	}
}
