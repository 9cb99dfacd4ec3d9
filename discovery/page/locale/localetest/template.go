package localetest

import (
	"html/template"
	"io/fs"
	"regexp"
	"strings"
	"text/template/parse"
	"unicode"
)

// templates reads files as html/template does, without escaping them.
func (u *uses) templates(files fs.FS, pattern string) {
	names, err := fs.Glob(files, pattern)
	if err != nil || len(names) == 0 {
		u.report("templates %s: none (%v)", pattern, err)
	}
	var all []*template.Template
	inside := map[string]bool{"shape": true} // templates that stand in a tag
	for _, name := range names {
		body, err := fs.ReadFile(files, name)
		if err != nil {
			u.report("%v", err)
			continue
		}
		said := func(string, ...any) string { return "" }
		t, err := template.New(name).Funcs(template.FuncMap{"t": said, "markup": said, "address": said}).Parse(string(body))
		if err != nil {
			u.report("%v", err)
			continue
		}
		for _, t := range t.Templates() {
			if t.Tree != nil && t.Tree.Root != nil {
				all = append(all, t)
				w := walker{uses: &uses{at: map[string]string{}}, inside: inside, plain: strings.HasSuffix(name, ".txt")}
				w.node(t.Tree.Root) // only to see what it calls from within a tag
			}
		}
	}
	for _, t := range all {
		w := walker{uses: u, where: t.Tree.ParseName, inside: inside, inTag: inside[t.Name()], plain: strings.HasSuffix(t.Tree.ParseName, ".txt")}
		w.node(t.Tree.Root)
	}
}

// A walker follows one template. inTag is whether the text so far ends inside a
// tag; branches that begin in one end in it.
type walker struct {
	*uses
	where  string
	inside map[string]bool
	plain  bool // text, without tags
	inTag  bool
}

func (w *walker) node(n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, child := range n.Nodes {
				w.node(child)
			}
		}
	case *parse.TextNode:
		w.text(string(n.Text))
	case *parse.ActionNode:
		w.pipe(n.Pipe)
	case *parse.IfNode:
		w.branch(&n.BranchNode)
	case *parse.WithNode:
		w.branch(&n.BranchNode)
	case *parse.RangeNode:
		w.branch(&n.BranchNode)
	case *parse.TemplateNode:
		w.pipe(n.Pipe)
		if w.inTag {
			w.inside[n.Name] = true
		}
	}
}

func (w *walker) branch(n *parse.BranchNode) {
	w.pipe(n.Pipe)
	before := w.inTag
	w.node(n.List)
	after := w.inTag
	w.inTag = before
	w.node(n.ElseList)
	w.inTag = after
}

func (w *walker) pipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	for i, c := range p.Cmds {
		for _, arg := range c.Args {
			if inner, ok := arg.(*parse.PipeNode); ok {
				w.pipe(inner)
			}
		}
		f, ok := c.Args[0].(*parse.IdentifierNode)
		if !ok || f.Ident != "t" && f.Ident != "markup" {
			continue
		}
		key, ok := (*parse.StringNode)(nil), false
		if len(c.Args) > 1 {
			key, ok = c.Args[1].(*parse.StringNode)
		}
		if !ok || i > 0 {
			w.report("%s: %s: the text is no literal", w.where, p)
			continue
		}
		if n := len(c.Args) - 2; n != len(places(key.Text)) {
			w.report("%s: %q takes %d arguments and gets %d", w.where, key.Text, len(places(key.Text)), n)
		}
		if f.Ident == "t" && tags.MatchString(key.Text) {
			w.report("%s: %q has tags, which t shows as text: use markup", w.where, key.Text)
		}
		w.add(key.Text, w.where)
	}
}

// spoken are attributes that a person hears or sees.
var spoken = regexp.MustCompile(`\b(?:aria-label|aria-description|title|alt|placeholder)="([^"]*)`)

var entity = regexp.MustCompile(`&#?\w+;`)

func (w *walker) text(s string) {
	for s != "" {
		sign := "<"
		if w.inTag {
			sign = ">"
		}
		piece, rest, found := strings.Cut(s, sign)
		if w.plain {
			piece, rest, found = s, "", false
		}
		if w.inTag {
			for _, m := range spoken.FindAllStringSubmatch(piece, -1) {
				w.bare(m[1])
			}
		} else {
			w.bare(entity.ReplaceAllString(piece, ""))
		}
		if found {
			w.inTag = !w.inTag
		}
		s = rest
	}
}

func (w *walker) bare(s string) {
	if strings.IndexFunc(s, unicode.IsLetter) >= 0 {
		w.report("%s: %q is said in English only", w.where, strings.TrimSpace(s))
	}
}
