package faults

import (
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// A page is as much of one as a sign-in needs: its forms, and texts by ID.
type page struct {
	title string
	forms []form
	texts map[string]string

	standIn bool // says that another region serves it
}

type form struct {
	action string
	fields url.Values
}

// read takes a page apart in one go; hundreds of visitors read at once.
func read(text string) page {
	p := page{texts: map[string]string{}}
	z := html.NewTokenizer(strings.NewReader(text))
	id, title := "", false
	for {
		switch z.Next() {
		case html.ErrorToken:
			return p
		case html.TextToken:
			if title {
				p.title += string(z.Text())
			} else if id != "" {
				p.texts[id] += string(z.Text())
			}
		case html.EndTagToken:
			id, title = "", false
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			tag := string(name)
			if tag == "wbr" { // where a line may break
				continue
			}
			attributes := map[string]string{}
			for more {
				var key, value []byte
				key, value, more = z.TagAttr()
				attributes[string(key)] = string(value)
			}
			p.element(tag, attributes)
			id, title = attributes["id"], tag == "title"
		}
	}
}

func (p *page) element(tag string, attributes map[string]string) {
	switch {
	case tag == "aside" && attributes["class"] == "standin":
		p.standIn = true
	case tag == "form":
		p.forms = append(p.forms, form{action: attributes["action"], fields: url.Values{}})
	case tag == "input" && len(p.forms) > 0 && attributes["name"] != "" && attributes["type"] != "checkbox":
		p.forms[len(p.forms)-1].fields.Set(attributes["name"], attributes["value"])
	}
}

// with is the first form that has a field of the name.
func (p page) with(field string) (form, bool) {
	for _, f := range p.forms {
		if f.fields.Has(field) {
			return f, true
		}
	}
	return form{}, false
}
