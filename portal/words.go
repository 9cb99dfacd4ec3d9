package portal

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"github.com/domicile-sso/domicile/discovery"
)

// maxWords bounds what one account is found by.
const maxWords = 24

// Words are what an account is found by: the folded words of its names, its
// addresses, and their domains.
func Words(given, family string, addresses []discovery.Address) []string {
	words := FoldedWords(given + " " + family)
	for _, a := range addresses {
		words = append(words, a.Clear(), a.Domain())
	}
	slices.Sort(words)
	words = slices.Compact(words)
	return words[:min(len(words), maxWords)]
}

// FoldedWords splits a text into words as people search for them: without case
// and without accents, so that "muller" finds Müller.
func FoldedWords(s string) []string {
	plain := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(s))
	return strings.FieldsFunc(plain, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("@.-_+'", r)
	})
}

// maxSearch is how many words a search may have: each is a question to the
// database for everybody it looks at.
const maxSearch = 6

// SearchWords are the words that somebody has to be found by. One that another
// one begins with says nothing more, and is left out.
func SearchWords(s string) ([]string, error) {
	var out []string
	words := FoldedWords(s)
	slices.Sort(words)
	for i, w := range words {
		if i+1 == len(words) || !strings.HasPrefix(words[i+1], w) {
			out = append(out, w)
		}
	}
	if len(out) > maxSearch {
		return nil, &discovery.Error{Kind: discovery.Invalid, Field: "q", Code: "query_long",
			Say: "Search for no more than six words at a time."}
	}
	return out, nil
}

// NameKey sorts accounts as a list of people is expected to be sorted: by family
// name, given name, then address, whatever the language.
func NameKey(given, family string, addresses []discovery.Address) []byte {
	name := strings.TrimSpace(family + " " + given)
	if len(addresses) > 0 {
		name = strings.TrimSpace(name + " " + addresses[0].Clear())
	}
	var b collate.Buffer
	return slices.Clone(collate.New(language.Und, collate.IgnoreCase).KeyFromString(&b, name))
}
