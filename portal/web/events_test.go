package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A single letter before the dot is a table in a query, not the kind of an action.
var actionShape = regexp.MustCompile(`^[a-z_]{2,}\.[a-z_]+$`)

// writtenActions are all actions that the product writes into an audit log: the
// values of Action in an event, and of variables called action that become one.
func writtenActions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	note := func(files *token.FileSet, e ast.Expr) {
		ast.Inspect(e, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && actionShape.MatchString(s) {
					found[s] = files.Position(lit.Pos()).String()
				}
			}
			return true
		})
	}
	for _, folder := range []string{"..", "../../cmd"} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files := token.NewFileSet()
			f, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.KeyValueExpr:
					if name, ok := n.Key.(*ast.Ident); ok && (name.Name == "Action" || name.Name == "action") {
						note(files, n.Value)
					}
				case *ast.AssignStmt:
					for i, left := range n.Lhs {
						if name, ok := left.(*ast.Ident); ok && name.Name == "action" && i < len(n.Rhs) {
							note(files, n.Rhs[i])
						}
					}
				case *ast.CallExpr:
					// "keepOwner(…, "role.changed")" and the like name an action, too.
					for _, arg := range n.Args {
						if lit, ok := arg.(*ast.BasicLit); ok && strings.Contains(path, "store") {
							if s, err := strconv.Unquote(lit.Value); err == nil && actionShape.MatchString(s) {
								note(files, lit)
							}
						}
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// What happened is said in words, whatever happened.
func TestEveryActionHasWords(t *testing.T) {
	known, written := map[string]bool{}, writtenActions(t)
	for _, e := range events {
		if known[e.action] {
			t.Errorf("%s is in the list twice", e.action)
		}
		known[e.action] = true
		if written[e.action] == "" {
			t.Errorf("%s is in the list, and nobody writes it", e.action)
		}
	}
	for action, where := range written {
		if !known[action] {
			t.Errorf("%s (%s) has no words in events.go", action, where)
		}
	}
	grouped := map[string]int{}
	for _, g := range eventGroups {
		if len(actionsOf(g.name)) == 0 {
			t.Errorf("group %s is empty", g.name)
		}
		for _, a := range actionsOf(g.name) {
			grouped[a]++
		}
	}
	for action := range known {
		if grouped[action] != 1 {
			t.Errorf("%s is in %d groups", action, grouped[action])
		}
	}
}
