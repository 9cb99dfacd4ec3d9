package locale

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
)

// What is read of an Accept-Language header, whatever is sent: browsers send a
// handful of languages.
const (
	maxHeader    = 512
	maxLanguages = 16
)

var matcher = func() language.Matcher {
	tags := make([]language.Tag, len(languages))
	for i, l := range languages {
		tags[i] = language.MustParse(l.Tag)
	}
	return language.NewMatcher(tags)
}()

// Negotiate decides on a language: the one chosen, if the product speaks it;
// else the best of an Accept-Language header; else the fallback, as it is. What is
// not understood counts as not said.
func Negotiate(chosen, accept, fallback string) string {
	if Known(chosen) {
		return chosen
	}
	wanted := accepted(accept)
	if len(wanted) == 0 {
		return fallback
	}
	if len(wanted) == 1 && Known(wanted[0].String()) {
		return wanted[0].String()
	}
	_, i, confidence := matcher.Match(wanted...)
	if confidence == language.No {
		return fallback
	}
	return languages[i].Tag
}

// accepted reads the header (RFC 9110, 12.5.4), the language most wanted first.
// An entry that cannot be read is left out and spoils no other. "*" says nothing
// that the fallback does not know better, and what has a weight of zero is not
// wanted.
func accepted(header string) []language.Tag {
	if len(header) > maxHeader {
		cut := strings.LastIndexByte(header[:maxHeader], ',')
		header = header[:max(cut, 0)]
	}
	type weighed struct {
		tag    language.Tag
		weight float64
	}
	var all []weighed
	for entry := range strings.SplitSeq(header, ",") {
		if len(all) == maxLanguages {
			break
		}
		name, params, _ := strings.Cut(entry, ";")
		name = strings.TrimSpace(name)
		weight, ok := weightOf(params)
		if name == "" || name == "*" || !ok || weight <= 0 {
			continue
		}
		tag, err := language.Parse(name)
		if err != nil {
			continue
		}
		all = append(all, weighed{tag, weight})
	}
	slices.SortStableFunc(all, func(a, b weighed) int {
		switch {
		case a.weight > b.weight:
			return -1
		case a.weight < b.weight:
			return 1
		}
		return 0
	})
	tags := make([]language.Tag, len(all))
	for i, w := range all {
		tags[i] = w.tag
	}
	return tags
}

func weightOf(params string) (float64, bool) {
	params = strings.TrimSpace(params)
	if params == "" {
		return 1, true
	}
	name, value, _ := strings.Cut(params, "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return 0, false
	}
	value = strings.TrimSpace(value)
	if len(value) > 5 || strings.Trim(value, "0123456789.") != "" { // 0.123 at most; no NaN, no 1e9
		return 0, false
	}
	q, err := strconv.ParseFloat(value, 64)
	return q, err == nil && q <= 1
}
