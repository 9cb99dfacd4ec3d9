package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestBehaviourTable: docs/behaviour.md has every row there is, and each test it
// names is one of this package.
func TestBehaviourTable(t *testing.T) {
	tests := map[string]bool{}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				tests[fn.Name.Name] = true
			}
		}
	}
	text, err := os.ReadFile("../../../docs/behaviour.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([SF]\d\d) \|[^|]*\| (.*) \|$`).FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = m[2]
	}
	for n := 1; n <= 34; n++ {
		if rows[fmt.Sprintf("S%02d", n)] == "" {
			t.Errorf("row S%02d is missing", n)
		}
	}
	for row, shown := range rows {
		for _, name := range regexp.MustCompile(`Test\w+`).FindAllString(shown, -1) {
			if !tests[name] {
				t.Errorf("row %s names %s, which does not exist", row, name)
			}
		}
	}
}
