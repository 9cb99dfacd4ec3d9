// Package pagetest holds what the tests of every site's pages need: a check of
// templates against the structs they are given, and selectors over the pages
// that come out.
package pagetest

import (
	"fmt"
	"html/template"
	"reflect"
	"slices"
	"testing"
	"text/template/parse"

	"github.com/domicile-sso/domicile/discovery/page"
)

// Templates fails the test when a page of the set has no struct, a struct has no
// page, or a template names a field its struct does not have, in any branch:
// executing a page would only find what the sample happens to reach.
func Templates(t testing.TB, set *page.Set, structs map[string]any) {
	t.Helper()
	for _, problem := range Check(set, structs) {
		t.Error(problem)
	}
}

// Check is Templates, with the problems as text.
func Check(set *page.Set, structs map[string]any) []string {
	var problems []string
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, name := range set.Names() {
		if _, ok := structs[name]; !ok {
			report("page %s: no struct to check it against", name)
		}
	}
	for name, data := range structs {
		page := set.Template(name)
		if page == nil {
			report("page %s: no such page", name)
			continue
		}
		for _, block := range []string{"title", "main", "shape"} {
			c := checker{report: report, set: page, page: name}
			c.template(block, reflect.TypeOf(data))
		}
	}
	return problems
}

type checker struct {
	report func(format string, args ...any)
	set    *template.Template
	page   string
	where  string
	depth  int
}

// scope is what the names in a template mean. A nil type is one that cannot be
// known without executing; nothing is said about it.
type scope struct {
	dot  reflect.Type
	vars map[string]reflect.Type
}

func (s scope) with(dot reflect.Type) scope {
	vars := make(map[string]reflect.Type, len(s.vars))
	for k, v := range s.vars {
		vars[k] = v
	}
	return scope{dot, vars}
}

func (c checker) template(name string, dot reflect.Type) {
	t := c.set.Lookup(name)
	if t == nil || t.Tree == nil {
		c.report("page %s: template %q is not defined", c.page, name)
		return
	}
	c.depth++
	if c.depth > 20 {
		return
	}
	c.where = name
	c.node(t.Tree.Root, scope{dot, map[string]reflect.Type{"$": dot}})
}

func (c checker) node(n parse.Node, s scope) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, child := range n.Nodes {
				c.node(child, s)
			}
		}
	case *parse.ActionNode:
		c.pipe(n.Pipe, s)
	case *parse.IfNode:
		in := s.with(s.dot)
		c.pipe(n.Pipe, in)
		c.node(n.List, in)
		c.node(n.ElseList, s)
	case *parse.WithNode:
		in := s.with(s.dot)
		in.dot = c.pipe(n.Pipe, in)
		c.node(n.List, in)
		c.node(n.ElseList, s)
	case *parse.RangeNode:
		in := s.with(s.dot)
		in.dot = element(c.pipe(n.Pipe, in))
		if d := n.Pipe.Decl; len(d) > 0 {
			in.vars[d[len(d)-1].Ident[0]] = in.dot
			if len(d) == 2 {
				in.vars[d[0].Ident[0]] = nil
			}
		}
		c.node(n.List, in)
		c.node(n.ElseList, s)
	case *parse.TemplateNode:
		var dot reflect.Type
		if n.Pipe != nil {
			dot = c.pipe(n.Pipe, s)
		}
		c.template(n.Name, dot)
	}
}

func (c checker) pipe(p *parse.PipeNode, s scope) reflect.Type {
	var last reflect.Type
	for _, cmd := range p.Cmds {
		last = c.command(cmd, s)
	}
	for _, v := range p.Decl {
		s.vars[v.Ident[0]] = last
	}
	return last
}

func (c checker) command(cmd *parse.CommandNode, s scope) reflect.Type {
	types := make([]reflect.Type, len(cmd.Args))
	for i, a := range cmd.Args {
		types[i] = c.value(a, s)
	}
	return types[0]
}

func (c checker) value(n parse.Node, s scope) reflect.Type {
	switch n := n.(type) {
	case *parse.DotNode:
		return s.dot
	case *parse.FieldNode:
		return c.fields(s.dot, n.Ident, n)
	case *parse.VariableNode:
		return c.fields(s.vars[n.Ident[0]], n.Ident[1:], n)
	case *parse.ChainNode:
		return c.fields(c.value(n.Node, s), n.Field, n)
	case *parse.PipeNode:
		return c.pipe(n, s)
	}
	return nil
}

func (c checker) fields(t reflect.Type, names []string, n parse.Node) reflect.Type {
	for _, name := range names {
		if t == nil || t.Kind() == reflect.Interface {
			return nil
		}
		if m, ok := t.MethodByName(name); ok {
			t = m.Type.Out(0)
			continue
		}
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() == reflect.Map {
			t = t.Elem()
			continue
		}
		if t.Kind() != reflect.Struct {
			c.report("page %s, template %s: %s: %s has no fields", c.page, c.where, n, t)
			return nil
		}
		f, ok := t.FieldByName(name)
		if !ok || !f.IsExported() {
			c.report("page %s, template %s: %s: %s has no field %s; it has %s", c.page, c.where, n, t, name, exported(t))
			return nil
		}
		t = f.Type
	}
	return t
}

func element(t reflect.Type) reflect.Type {
	if t == nil {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map, reflect.Pointer, reflect.Chan:
		return t.Elem()
	}
	return nil
}

func exported(t reflect.Type) string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return fmt.Sprint(names)
}
