package locale

import (
	"slices"
	"strconv"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// A Culture is the way a country writes dates and times. The zero Culture writes
// them as [CultureOf] English does.
type Culture struct {
	tag        string // "fr-BE"; empty: not one to choose
	date, hour string // layouts of package time
	lang       string // months are named in this language; empty: they are numbers
}

const (
	hours24 = "15:04"
	hours12 = "3:04 PM"
)

// In the order of their tags; names are sorted by whoever lists them.
var cultures = []Culture{
	{tag: "de-AT", date: "02.01.2006", hour: hours24},
	{tag: "de-CH", date: "02.01.2006", hour: hours24},
	{tag: "de-DE", date: "02.01.2006", hour: hours24},
	{tag: "de-LU", date: "02.01.2006", hour: hours24},
	{tag: "en-AU", date: "02/01/2006", hour: hours12},
	{tag: "en-CA", date: "2006-01-02", hour: hours12},
	{tag: "en-GB", date: "02/01/2006", hour: hours24},
	{tag: "en-IE", date: "02/01/2006", hour: hours24},
	{tag: "en-US", date: "01/02/2006", hour: hours12},
	{tag: "fr-BE", date: "02/01/2006", hour: hours24},
	{tag: "fr-CA", date: "2006-01-02", hour: "15 h 04"},
	{tag: "fr-CH", date: "02.01.2006", hour: hours24},
	{tag: "fr-FR", date: "02/01/2006", hour: hours24},
	{tag: "fr-LU", date: "02/01/2006", hour: hours24},
	{tag: "sv-SE", date: "2006-01-02", hour: hours24},
}

// Cultures are those a person may choose from.
func Cultures() []Culture { return slices.Clone(cultures) }

// ParseCulture finds a culture by its tag, "fr-BE".
func ParseCulture(tag string) (Culture, bool) {
	i := slices.IndexFunc(cultures, func(c Culture) bool { return c.tag == tag })
	if tag == "" || i < 0 {
		return Culture{}, false
	}
	return cultures[i], true
}

// CultureOf is how dates are written for who has chosen a language and no
// culture: with the month by name, which nobody reads as a day.
func CultureOf(lang string) Culture {
	c := Culture{date: "2 ", hour: hours24, lang: lang}
	switch lang {
	case "de":
		c.date = "2. "
	case "fr":
	default:
		c.lang = English
	}
	return c
}

// String is the tag, "fr-BE"; "" for one that nobody chose.
func (c Culture) String() string { return c.tag }

// Name is what a culture is called in a language: "French (Belgium)".
func (c Culture) Name(lang string) string {
	tag, err := language.Parse(c.tag)
	if err != nil {
		return ""
	}
	in, err := language.Parse(lang)
	if err != nil {
		in = language.English
	}
	return display.Tags(in).Name(tag)
}

// Date is the day of t, in the time zone that t has.
func (c Culture) Date(t time.Time) string {
	if c.date == "" {
		c = CultureOf(English)
	}
	if c.lang == "" {
		return t.Format(c.date)
	}
	day := t.Format(c.date)
	if c.lang == "fr" && t.Day() == 1 {
		day = "1er "
	}
	return day + months[c.lang][t.Month()-1] + " " + strconv.Itoa(t.Year())
}

// DateTime is the day and the minute of t, with the zone that t has: a time
// without one is read in another.
func (c Culture) DateTime(t time.Time) string {
	if c.date == "" {
		c = CultureOf(English)
	}
	return c.Date(t) + ", " + t.Format(c.hour) + " " + t.Format("MST")
}

var months = map[string][12]string{
	English: {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	"fr":    {"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
	"de":    {"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
}
