package portal

import (
	"slices"
	"strings"
	"testing"
)

func TestSearchWords(t *testing.T) {
	for q, want := range map[string][]string{
		"": nil, "g gi given G GIVEN": {"given"}, "Ann an Anna": {"anna"}, "b a": {"a", "b"}, "one two three four five six": {"five", "four", "one", "six", "three", "two"},
	} {
		if got, err := SearchWords(q); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", q, got, err)
		}
	}
	if got, err := SearchWords("a b c d e f g"); err == nil {
		t.Errorf("seven words: %q", got)
	}
	if got, err := SearchWords(strings.Repeat("g f ", 50)); err != nil || len(got) != 2 {
		t.Errorf("two words, often: %q, %v", got, err)
	}
}
