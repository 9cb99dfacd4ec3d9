package locale

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/message/catalog"
)

// A Language is one the product speaks.
type Language struct {
	Tag  string // as in lang attributes: "fr"
	Name string // as its own speakers write it
}

// English is the language of keys, and what is spoken where nothing else fits.
const English = "en"

// Languages the product speaks, in the order in which they are offered.
func Languages() []Language { return slices.Clone(languages) }

var languages = []Language{{English, "English"}, {"fr", "Français"}, {"de", "Deutsch"}}

// Known reports whether the product speaks the language of a tag.
func Known(tag string) bool {
	return slices.ContainsFunc(languages, func(l Language) bool { return l.Tag == tag })
}

// A Book is the texts of one site or one kind of mail, in all languages.
type Book struct{ printers map[string]*Printer }

// A Printer says texts in one language. It may be used by many at once.
type Printer struct {
	tag     string
	plain   map[string]string // texts without plural forms, as they are
	message *message.Printer
}

// Load reads locales/<language>/*.json of all folders. The zero number of folders
// gives a book that says everything in English.
func Load(folders ...fs.FS) (*Book, error) {
	b := &Book{map[string]*Printer{}}
	// One catalogue per language: what is missing in one is said by its English
	// key, never in a neighbouring language.
	for _, l := range languages {
		tag := language.MustParse(l.Tag)
		texts := catalog.NewBuilder(catalog.Fallback(tag))
		p := &Printer{tag: l.Tag, plain: map[string]string{}, message: message.NewPrinter(tag, message.Catalog(texts))}
		for _, folder := range folders {
			entries, err := Read(folder, l.Tag)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if err := p.add(texts, tag, e); err != nil {
					return nil, fmt.Errorf("%s: %q: %w", e.File, e.Key, err)
				}
			}
		}
		b.printers[l.Tag] = p
	}
	return b, nil
}

func (p *Printer) add(texts *catalog.Builder, tag language.Tag, e Entry) error {
	if e.Plural == nil {
		p.plain[e.Key] = typeset(p.tag, e.Text)
		return texts.SetString(tag, e.Key, typeset(p.tag, e.Text))
	}
	arg := CountedArg(e.Key)
	if arg == 0 {
		return errors.New("there is a plural, but no %d to count")
	}
	var cases []any
	for _, form := range []string{"=0", "=1", "one", "many", "other"} {
		if text, ok := e.Plural[form]; ok {
			cases = append(cases, form, typeset(p.tag, text))
		}
	}
	if len(cases) != 2*len(e.Plural) || e.Plural["other"] == "" {
		return errors.New(`plural forms are =0, =1, one, many and other; "other" is required`)
	}
	return texts.Set(tag, e.Key, plural.Selectf(arg, "%d", cases...))
}

// French sets a blank before some signs, at which no line may break. Nobody can
// see which blank a catalogue has, so that catalogues need not care.
var french = strings.NewReplacer(" ?", "\u00a0?", " !", "\u00a0!", " :", "\u00a0:", " ;", "\u00a0;", "« ", "«\u00a0", " »", "\u00a0»")

func typeset(tag, text string) string {
	if tag == "fr" {
		return french.Replace(text)
	}
	return text
}

// Printer is the one of a language; English for a language nobody speaks here.
func (b *Book) Printer(tag string) *Printer {
	if p := b.printers[tag]; p != nil {
		return p
	}
	return b.printers[English]
}

// Lang is the language of the printer, as in a lang attribute.
func (p *Printer) Lang() string { return p.tag }

// T is the translation of an English text, filled in with args as by fmt.Sprintf,
// numbers written as the language does. A text without args is never formatted:
// its "%" is a "%".
func (p *Printer) T(key string, args ...any) string {
	if len(args) == 0 {
		if text, ok := p.plain[key]; ok {
			return text
		}
		return key
	}
	for i, a := range args {
		if part, ok := a.(phrase); ok {
			args = slices.Clone(args)
			args[i] = part.In(p.T)
		}
	}
	return p.message.Sprintf(message.Key(key, key), args...)
}

// A phrase is part of a text and translated with it: [discovery.Phrases].
type phrase interface {
	In(t func(key string, args ...any) string) string
}

// An Entry is one text of a catalogue file.
type Entry struct {
	File   string
	Key    string
	Text   string
	Plural map[string]string // instead of Text, by plural form
}

// Read lists the texts of one language, file by file in their own order.
func Read(folder fs.FS, tag string) ([]Entry, error) {
	files, err := fs.Glob(folder, path.Join("locales", tag, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list texts: %w", err)
	}
	var all []Entry
	for _, file := range files {
		body, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, fmt.Errorf("read texts: %w", err)
		}
		entries, err := parse(body)
		if err != nil {
			return nil, fmt.Errorf("read texts: %s: %w", file, err)
		}
		for _, e := range entries {
			e.File = file
			all = append(all, e)
		}
	}
	return all, nil
}

// parse reads one object by its tokens: a map would keep the last of two equal
// keys and say nothing.
func parse(body []byte) ([]Entry, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not one JSON object")
	}
	var entries []Entry
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		e := Entry{Key: t.(string)} // a member's name always is
		if seen[e.Key] {
			return nil, fmt.Errorf("%q is there twice", e.Key)
		}
		seen[e.Key] = true
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, fmt.Errorf("%q: %w", e.Key, err)
		}
		into := any(&e.Text)
		if raw[0] == '{' {
			into = &e.Plural
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return nil, fmt.Errorf("%q: a text, or an object of plural forms: %w", e.Key, err)
		}
		entries = append(entries, e)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the JSON object")
	}
	return entries, nil
}

// CountedArg is the number, from 1, of the argument that a text counts: its first
// %d. 0 means that it counts nothing.
func CountedArg(text string) int {
	for _, v := range Verbs(text) {
		if v.Verb == 'd' {
			return v.Arg
		}
	}
	return 0
}

// A Verb is one place of a text that an argument fills.
type Verb struct {
	Arg  int // from 1
	Verb byte
}

// Verbs are the places of a text, in their order.
func Verbs(text string) []Verb {
	var verbs []Verb
	for next := 1; ; {
		i := strings.IndexByte(text, '%')
		if i < 0 || i+1 == len(text) {
			return verbs
		}
		text = text[i+1:]
		if text[0] == '%' {
			text = text[1:]
			continue
		}
		if text[0] == '[' {
			close := strings.IndexByte(text, ']')
			if close < 0 {
				return verbs
			}
			next = 0
			for _, c := range text[1:close] {
				next = next*10 + int(c-'0')
			}
			text = text[close+1:]
		}
		text = strings.TrimLeft(text, "+-# 0123456789.")
		if text == "" {
			return verbs
		}
		verbs = append(verbs, Verb{next, text[0]})
		next++
		text = text[1:]
	}
}
