package page

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/domicile-sso/domicile/discovery/page/locale"
)

//go:embed layout/*.html
var layout embed.FS

//go:embed locales
var texts embed.FS

// Options of a [Set]. The zero value is usable.
type Options struct {
	Log       *slog.Logger // nil: nothing is logged
	Product   string       // what the whole is called; empty: Domicile
	FrontDoor string       // public URL of the global sign-in page; empty: never mentioned
	StandIn   StandIn      // zero: the site is served where it lives
	Locales   []fs.FS      // translations of the site's own texts; none: all of it is English

	// Reload is the local path by which a browser comes back to the page that is
	// the answer to a request, in another language; nil: the start page.
	Reload func(*http.Request) string
}

// A StandIn is a region whose processes serve a site in place of another one's.
// Every page says so.
type StandIn struct {
	Region       string // as people read it: "Dublin"
	For          string // "Frankfurt"; empty: nobody stands in for anybody
	Jurisdiction string // of both: "EU"
}

// A Set is the pages of one site, parsed once.
type Set struct {
	log       *slog.Logger
	frontDoor string
	product   string
	standIn   StandIn
	style     string
	icon      string
	reload    func(*http.Request) string

	book       *locale.Book
	translated bool
	pages      map[string]func() (parsed, error) // by language
}

// parsed are the pages in one language, by name.
type parsed map[string]*template.Template

// New parses pages/*.html of files, each on its own copy of the base layout. A
// file whose name starts with "_" is not a page: what it defines is shared by all.
func New(files fs.FS, o Options) (*Set, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Set{log: o.Log, frontDoor: o.FrontDoor, product: cmp.Or(o.Product, "Domicile"), standIn: o.StandIn,
		reload: o.Reload, translated: len(o.Locales) > 0, pages: map[string]func() (parsed, error){}}
	for _, a := range loadAssets() {
		switch a.name {
		case "style.css":
			s.style = a.url
		case "icon.svg":
			s.icon = a.url
		}
	}
	var err error
	if s.book, err = locale.Load(append([]fs.FS{texts}, o.Locales...)...); err != nil {
		return nil, fmt.Errorf("translations: %w", err)
	}
	for _, l := range locale.Languages() {
		if s.translated || l.Tag == locale.English {
			s.pages[l.Tag] = sync.OnceValues(func() (parsed, error) { return parse(files, s.book.Printer(l.Tag)) })
		}
	}
	// Whatever is wrong with a page is wrong with it in English. The others are
	// parsed when somebody reads them.
	if _, err = s.pages[locale.English](); err != nil {
		return nil, err
	}
	return s, nil
}

// parse reads all pages in one language.
func parse(files fs.FS, p *locale.Printer) (parsed, error) {
	base, err := template.New("base.html").Option("missingkey=error").Funcs(words(p)).ParseFS(layout, "layout/base.html", "layout/form.html")
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("list pages: %w", err)
	}
	own, shared := []string{}, []string{}
	for _, name := range names {
		if strings.HasPrefix(path.Base(name), "_") {
			shared = append(shared, name)
		} else {
			own = append(own, name)
		}
	}
	if len(shared) > 0 {
		if base, err = base.ParseFS(files, shared...); err != nil {
			return nil, fmt.Errorf("parse shared templates: %w", err)
		}
	}
	pages := parsed{}
	if pages["error"], err = parsePage(base, layout, "layout/error.html"); err != nil {
		return nil, err
	}
	for _, name := range own {
		if pages[strings.TrimSuffix(path.Base(name), ".html")], err = parsePage(base, files, name); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

func parsePage(base *template.Template, files fs.FS, file string) (*template.Template, error) {
	t, err := base.Clone()
	if err != nil {
		return nil, fmt.Errorf("copy layout for %s: %w", file, err)
	}
	if t, err = t.ParseFS(files, file); err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	for _, must := range []string{"title", "main"} {
		if t.Lookup(must) == nil {
			return nil, fmt.Errorf("parse %s: it does not define %q", file, must)
		}
	}
	return t, nil
}

// Template returns a parsed page, for tests that check it against its struct.
func (s *Set) Template(name string) *template.Template { return s.english()[name] }

func (s *Set) english() parsed {
	pages, _ := s.pages[locale.English]() // New has seen to it
	return pages
}

// Names lists the pages of the set, without the error page.
func (s *Set) Names() []string {
	names := []string{}
	for name := range s.english() {
		if name != "error" {
			names = append(names, name)
		}
	}
	return names
}

// envelope is what the base layout sees; Page is what the page's own templates see.
type envelope struct {
	Page      any
	Frame     Frame
	Error     bool
	Reference string // of a refusal that is shown in its form
	Style     string
	Icon      string
	FrontDoor string
	StandIn   StandIn

	Lang      string
	Languages []locale.Language // to choose from; none: there is one only
	Here      string            // local path of this page
}

// Render writes a whole page, or nothing and an error. data is the page's struct;
// when it says it has problems (see [Form]) the title begins with "Error:".
func (s *Set) Render(w http.ResponseWriter, r *http.Request, status int, name string, data any) error {
	lang := s.language(r)
	pages, err := s.pages[lang]()
	if err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	t, ok := pages[name]
	if !ok {
		return fmt.Errorf("render %s: no such page", name)
	}
	e := envelope{Lang: lang, Page: data, Frame: frame(r.Context()), Style: s.style, Icon: s.icon, FrontDoor: s.frontDoor, StandIn: s.standIn}
	e.Frame.product = s.product
	if s.translated {
		e.Languages, e.Here = locale.Languages(), s.here(r)
	}
	if f, ok := data.(interface{ HasProblems() bool }); ok {
		e.Error = f.HasProblems()
	}
	switch {
	case name == "error":
		e.Error = true // and it shows the reference itself
	case e.Error && (status == http.StatusForbidden || status == http.StatusTooManyRequests):
		e.Reference = Reference(r.Context())
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "base.html", e); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	s.speak(h, lang)
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(b.Bytes()) // a reader that has gone away is nobody's error
	}
	return nil
}

// here is the path by which a browser comes back to the page it is shown.
func (s *Set) here(r *http.Request) string {
	if s.reload == nil {
		return "/"
	}
	return LocalPath(s.reload(r))
}
