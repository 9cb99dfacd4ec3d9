package web

import "github.com/domicile-sso/domicile/discovery/page"

// Pages and Structs are what TestTemplates holds against each other.
func (s *Site) Pages() *page.Set { return s.pages }

func Structs() map[string]any {
	return map[string]any{"front": frontPage{}, "chooser": chooserPage{}, "neutral": neutralPage{}, "confirm": confirmPage{}, "down": downPage{}}
}
