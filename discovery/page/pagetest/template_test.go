package pagetest_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/pagetest"
)

type person struct {
	Name  string
	Sites []struct{ Host string }
}

func (person) Greeting() string { return "" }

func TestCheck(t *testing.T) {
	for _, tc := range []struct{ main, finds string }{
		{`{{.Name}} {{.Greeting}} {{range .Sites}}{{.Host}}{{$.Name}}{{end}}`, ""},
		{`{{range $i, $s := .Sites}}{{$i}}{{$s.Host}}{{end}}`, ""},
		{`{{with $x := .Name}}{{$x}}{{end}}`, ""},
		{`{{.Nmae}}`, "no field Nmae"},
		{`{{if .Name}}{{else}}{{.Nmae}}{{end}}`, "no field Nmae"},
		{`{{range .Sites}}{{.Port}}{{end}}`, "no field Port"},
		{`{{range .Sites}}{{$.Port}}{{end}}`, "no field Port"},
		{`{{range $i, $s := .Sites}}{{$s.Port}}{{end}}`, "no field Port"},
		{`{{with .Name}}{{.Port}}{{end}}`, "has no fields"},
		{`{{template "other" .Name}}`, "has no fields"},
		{`{{t "Hello"}} {{t "Hello %s" .Name}} {{markup "<b>%s</b>" (t "Hello")}} {{if eq (len .Sites) 1}}{{t "%d sites" (len .Sites)}}{{end}}`, ""},
		{`{{t "Hello %s" .Nmae}}`, "no field Nmae"},
		{`{{markup "<b>%s</b>" (t "%s" .Nmae)}}`, "no field Nmae"},
	} {
		set, err := page.New(fstest.MapFS{"pages/p.html": {Data: []byte(
			`{{define "title"}}t{{end}}{{define "other"}}{{.Host}}{{end}}{{define "main"}}` + tc.main + `{{end}}`)}}, page.Options{})
		if err != nil {
			t.Fatal(err)
		}
		found := pagetest.Check(set, map[string]any{"p": person{}})
		if tc.finds == "" && len(found) > 0 || tc.finds != "" && !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, tc.finds) }) {
			t.Errorf("%s: found %q, want %q", tc.main, found, tc.finds)
		}
	}
	set, err := page.New(fstest.MapFS{"pages/p.html": {Data: []byte(`{{define "title"}}t{{end}}{{define "main"}}m{{end}}`)}}, page.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if found := pagetest.Check(set, map[string]any{"q": person{}}); len(found) != 2 {
		t.Errorf("a page without a struct and a struct without a page: found %q", found)
	}
}
