package localetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/domicile-sso/domicile/discovery/page/locale"
)

// directive marks a declaration whose sentences are texts.
const directive = "//locale:texts"

// ready are fields of pages: what they hold has been translated.
var ready = []string{"Label", "Hint", "Notice"}

// sources reads the Go files of one package, without its tests.
func (u *uses) sources(folder string) {
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(names) == 0 {
		u.report("sources %s: none (%v)", folder, err)
	}
	p := &source{uses: u, files: token.NewFileSet(), consts: map[string]string{}, says: map[string]int{}}
	var parsed []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		body, err := os.ReadFile(name)
		if err != nil {
			u.report("%v", err)
			continue
		}
		f, err := parser.ParseFile(p.files, name, body, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			u.report("%v", err)
			continue
		}
		parsed = append(parsed, f)
	}
	for _, f := range parsed {
		ast.Inspect(f, p.declared)
	}
	for _, f := range parsed {
		p.marked(f)
		ast.Inspect(f, p.used)
	}
}

// A source is one package.
type source struct {
	*uses
	files  *token.FileSet
	consts map[string]string // of text
	says   map[string]int    // functions with a parameter "say": which one it is
}

// declared notes constants and the functions that carry a text.
func (p *source) declared(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if i < len(n.Values) {
				if text, ok := p.literal(n.Values[i]); ok {
					p.consts[name.Name] = text
				}
				if f, ok := n.Values[i].(*ast.FuncLit); ok {
					p.carries(name.Name, f.Type)
				}
			}
		}
	case *ast.FuncDecl:
		p.carries(n.Name.Name, n.Type)
	case *ast.AssignStmt:
		for i, right := range n.Rhs {
			if f, ok := right.(*ast.FuncLit); ok && i < len(n.Lhs) {
				if name, ok := n.Lhs[i].(*ast.Ident); ok {
					p.carries(name.Name, f.Type)
				}
			}
		}
	}
	return true
}

func (p *source) carries(name string, f *ast.FuncType) {
	at := 0
	for _, group := range f.Params.List {
		for _, param := range group.Names {
			if param.Name == "say" {
				p.says[name+"/"+strconv.Itoa(f.Params.NumFields())] = at
				p.says[name] = at
			}
			at++
		}
	}
}

// marked collects the sentences of marked declarations.
func (p *source) marked(f *ast.File) {
	for _, d := range f.Decls {
		var doc *ast.CommentGroup
		switch d := d.(type) {
		case *ast.GenDecl:
			doc = d.Doc
		case *ast.FuncDecl:
			doc = d.Doc
		}
		if doc == nil || !slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return c.Text == directive }) {
			continue
		}
		ast.Inspect(d, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if text, ok := p.literal(e); ok {
					if sentence(text) {
						p.add(text, p.where(n))
					}
					return false
				}
			}
			return true
		})
	}
}

// sentence tells a text from the names beside it: it begins with a capital, or
// has more than one word.
func sentence(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	return unicode.IsUpper(first) || strings.Contains(s, " ")
}

func (p *source) used(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		p.call(n)
	case *ast.KeyValueExpr:
		name, ok := n.Key.(*ast.Ident)
		switch {
		case !ok:
		case name.Name == "Say":
			p.say(n.Value, -1)
		case slices.Contains(ready, name.Name):
			if text, ok := p.literal(n.Value); ok && text != "" {
				p.report("%s: %s: %q is said in English only", p.where(n), name.Name, text)
			}
		}
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			if to, ok := left.(*ast.SelectorExpr); ok && to.Sel.Name == "Say" && len(n.Rhs) == len(n.Lhs) {
				p.say(n.Rhs[i], -1)
			}
		}
	}
	return true
}

func (p *source) call(n *ast.CallExpr) {
	name := ""
	switch f := n.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
	}
	at, carries := p.says[name]
	switch {
	case (name == "t" || name == "T") && len(n.Args) > 0:
		// page.Set.T has the context first.
		if x, ok := n.Args[0].(*ast.CallExpr); ok && strings.HasSuffix(exprName(x.Fun), "Context") || exprName(n.Args[0]) == "ctx" {
			if len(n.Args) > 1 {
				p.say(n.Args[1], given(n, 2))
			}
			return
		}
		p.say(n.Args[0], given(n, 1))
	case carries && at < len(n.Args):
		p.say(n.Args[at], -1)
	}
}

func exprName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// given counts the arguments after the text; -1 where they cannot be counted.
func given(n *ast.CallExpr, from int) int {
	if n.Ellipsis.IsValid() {
		return -1
	}
	return len(n.Args) - from
}

// say notes a text. What is no literal comes from somewhere else, where it is one;
// but a text put together on the spot can never be found in a catalogue.
func (p *source) say(e ast.Expr, args int) {
	text, ok := p.literal(e)
	if !ok {
		switch e := e.(type) {
		case *ast.BinaryExpr:
			p.report("%s: a text is put together here: use a verb and an argument", p.where(e))
		case *ast.CallExpr:
			if name := exprName(e.Fun); strings.HasPrefix(name, "Sprint") {
				p.report("%s: a text is formatted before it is translated", p.where(e))
			}
		}
		return
	}
	if args >= 0 && args != len(places(text)) {
		p.report("%s: %q takes %d arguments and gets %d", p.where(e), text, len(places(text)), args)
	}
	p.add(text, p.where(e))
}

// places are the arguments a text takes.
func places(text string) map[int]bool {
	args := map[int]bool{}
	for _, v := range locale.Verbs(text) {
		args[v.Arg] = true
	}
	return args
}

// literal is the value of a string literal, of literals joined, or of a constant
// of the package.
func (p *source) literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.ParenExpr:
		return p.literal(e.X)
	case *ast.BinaryExpr:
		left, ok := p.literal(e.X)
		right, also := p.literal(e.Y)
		return left + right, ok && also && e.Op == token.ADD
	case *ast.Ident:
		s, ok := p.consts[e.Name]
		return s, ok
	}
	return "", false
}

func (p *source) where(n ast.Node) string {
	at := p.files.Position(n.Pos())
	return filepath.Base(filepath.Dir(absolute(at.Filename))) + "/" + filepath.Base(at.Filename) + ":" + strconv.Itoa(at.Line)
}

func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}
