package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Check reads the module at root and returns what is wrong with it, a line per
// fault: file:line: what, and why.
func Check(root string) ([]string, error) {
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	m := regexp.MustCompile(`(?m)^module\s+(\S+)`).FindSubmatch(gomod)
	if m == nil {
		return nil, fmt.Errorf("go.mod names no module")
	}
	c := &checker{root: root, module: string(m[1]), comments: map[string][]string{}}
	if err := filepath.WalkDir(root, c.visit); err != nil {
		return nil, err
	}
	c.packageComments()
	sort.Strings(c.faults)
	return c.faults, nil
}

type checker struct {
	root, module string
	faults       []string
	comments     map[string][]string // folder → files with a package comment
}

func (c *checker) fault(file string, line int, format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf("%s:%d: %s", file, line, fmt.Sprintf(format, args...)))
}

// visit is called for every file and folder, as fs.WalkDirFunc.
func (c *checker) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(c.root, name)
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	if d.IsDir() {
		return c.folder(rel)
	}
	if !d.Type().IsRegular() || strings.HasSuffix(rel, ".test") || strings.HasSuffix(rel, ".out") || rel == "domicile" {
		return nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	c.text(rel, data)
	if path.Ext(rel) == ".go" && !strings.Contains("/"+rel, "/testdata/") {
		return c.source(rel, data)
	}
	return nil
}

// folder says whether to look inside.
func (c *checker) folder(rel string) error {
	base := path.Base(rel)
	switch {
	case rel == ".":
		return nil
	case rel == "cmd/internal/archtest/testdata": // the bad samples of our own test
		return fs.SkipDir
	case strings.HasPrefix(base, ".") && base != ".ci" && base != ".github": // .git, .cache
		return fs.SkipDir
	case base == "node_modules", rel == "bin":
		return fs.SkipDir
	}
	if vague.MatchString(base) && !strings.Contains(rel, "testdata") && slices.Contains(folders, top(rel)) {
		c.fault(rel, 0, "folder %q: name it after what it is", base)
	}
	return nil
}

// code is what mostLines is about; prose and data may be as long as they are.
var code = []string{".go", ".html", ".css", ".sql", ".mjs", ".js", ".sh", ""}

// text checks a file of any kind.
func (c *checker) text(rel string, data []byte) {
	if bytes.IndexByte(data, 0) >= 0 {
		return // not text
	}
	lines := strings.Split(string(data), "\n")
	if slices.Contains(code, path.Ext(rel)) && path.Base(rel) != "LICENSE" && len(lines)-1 > mostLines {
		c.fault(rel, mostLines+1, "%d lines: a file of more than %d has two subjects", len(lines)-1, mostLines)
	}
	if path.Base(rel) == "go.sum" {
		return
	}
	for i, line := range lines {
		for _, t := range texts {
			if found := t.bad.FindString(line); found != "" {
				c.fault(rel, i+1, "%q: %s", strings.TrimSpace(found), t.why)
			}
		}
		if path.Ext(rel) == ".txtar" && regexp.MustCompile(`^(\[[^]]*\] *)*skip\b`).MatchString(line) {
			c.fault(rel, i+1, skips)
		}
	}
}

const skips = "a test that skips is one nobody misses; only config/servertest skips, and never where CI=true"

// source checks a Go file.
func (c *checker) source(rel string, data []byte) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, rel, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	s := &source{
		checker: c, fset: fset, rel: rel, pkg: path.Dir(rel), file: file,
		test: strings.HasSuffix(rel, "_test.go"),
	}
	s.forTests = s.test || strings.HasSuffix(s.pkg, "test") || s.pkg == "cmd/bench"
	if !slices.Contains(folders, top(rel)) {
		c.fault(rel, 1, "code lives in %s and nowhere else", strings.Join(folders, ", "))
	}
	if vague.MatchString(file.Name.Name) {
		c.fault(rel, s.line(file.Name), "package %s: name it after what it is", file.Name.Name)
	}
	if !s.test {
		files := c.comments[s.pkg]
		if file.Doc != nil {
			files = append(files, rel)
		}
		c.comments[s.pkg] = files
	}
	for _, spec := range file.Imports {
		to, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		s.imported(s.line(spec), to)
	}
	ast.Inspect(file, s.node)
	return nil
}

// A source is one Go file under inspection.
type source struct {
	*checker
	fset     *token.FileSet
	rel, pkg string
	file     *ast.File
	test     bool // a _test.go file
	forTests bool // that, or part of a package of tests
}

func (s *source) line(n ast.Node) int { return s.fset.Position(n.Pos()).Line }

// imported checks one import.
func (s *source) imported(line int, to string) {
	if to == "testing" && !s.forTests {
		s.fault(s.rel, line, `imports "testing": it registers flags in the product; packages for tests are named …test`)
	}
	rest, ours := strings.CutPrefix(to, s.module+"/")
	if ours {
		to = rest
	}
	for _, r := range never {
		if r.when == product && s.forTests || !match(r.from, s.pkg, true) || !match(r.to, to, ours) {
			continue
		}
		if slices.ContainsFunc(r.but, func(p string) bool { return match(p, to, ours) }) {
			continue
		}
		s.mayNot(line, to, r.why)
	}
	if !ours {
		if strings.HasPrefix(to, "go.opentelemetry.io/") && top(s.pkg) != "cmd" && s.pkg != "discovery/span" {
			s.mayNot(line, to, onlySpan)
		}
		return
	}
	if top(to) == "config" && top(s.pkg) != "cmd" && top(s.pkg) != "config" &&
		!(s.forTests && slices.Contains(forTests, to)) {
		s.mayNot(line, to, onlyCmd)
	}
	if top(to) == "cmd" && top(s.pkg) != "cmd" {
		s.mayNot(line, to, onlyTop)
	}
}

func (s *source) mayNot(line int, to, why string) {
	s.fault(s.rel, line, "%s may not import %s: %s", s.pkg, to, why)
}

// node checks one node of the syntax tree.
func (s *source) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Recv == nil && n.Name.Name == "init" && !s.test {
			s.fault(s.rel, s.line(n), "func init: what happens before main cannot be held in a test")
		}
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			break
		}
		switch sel.Sel.Name {
		case "Skip", "Skipf", "SkipNow":
			if s.forTests && s.pkg != "config/servertest" {
				s.fault(s.rel, s.line(n), skips)
			}
		case "Now":
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && !s.forTests && slices.Contains(clockless, s.pkg) {
				s.fault(s.rel, s.line(n), "time.Now(): %s is given the time, so that its tests can say what time it is", s.pkg)
			}
		case "Sleep":
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && s.test {
				s.fault(s.rel, s.line(n), "time.Sleep: a test waits for what it needs, not for a while")
			}
		}
	}
	return true
}

// packageComments wants one per folder: none tells no story, two contradict
// each other some day.
func (c *checker) packageComments() {
	for pkg, files := range c.comments {
		switch len(files) {
		case 1:
		case 0:
			c.fault(pkg, 0, "no package comment: a package opens with its story")
		default:
			sort.Strings(files)
			c.fault(pkg, 0, "package comments in %s: one is enough", strings.Join(files, " and "))
		}
	}
}

// top is the first element of a path.
func top(p string) string {
	first, _, _ := strings.Cut(p, "/")
	return first
}
