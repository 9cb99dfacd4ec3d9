package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds a configuration file. The parser takes quadratic time on a file
// of many keys.
const maxFile = 64 << 10

// A reader walks one file and collects what is wrong with it. Decoding into a
// struct would stop at the first mistake and forget where each value stood.
type reader struct {
	file     string
	dir      string // relative paths start here
	env      func(string) (string, bool)
	mistakes Mistakes
	warnings Mistakes
}

// A value is one node of the file and where it stands. A section is a value
// whose keys are being taken one by one; what nobody takes is unknown.
type value struct {
	r    *reader
	path string
	node ast.Node
}

type section struct {
	value
	entries map[string]value
	keys    map[string]value // where each key stands
	asked   map[string]bool
	absent  bool // not in the file: nothing in it is missing either
}

func (v value) wrong(format string, args ...any) { v.r.add(&v.r.mistakes, v, format, args...) }
func (v value) warn(format string, args ...any)  { v.r.add(&v.r.warnings, v, format, args...) }

func (r *reader) add(to *Mistakes, v value, format string, args ...any) {
	m := Mistake{File: r.file, Line: 1, Column: 1, Path: v.path, Say: fmt.Sprintf(format, args...)}
	if v.node != nil {
		tk := v.node.GetToken()
		// The token of a mapping is its first colon; it begins at its first key.
		if mapping, ok := v.node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
			tk = mapping.Values[0].Key.GetToken()
		} else if pair, ok := v.node.(*ast.MappingValueNode); ok {
			tk = pair.Key.GetToken()
		}
		if tk != nil && tk.Position != nil {
			m.Line, m.Column = tk.Position.Line, tk.Position.Column
		}
	}
	*to = append(*to, m)
}

// root parses the file and returns its top section, or false when there is no
// sense in going on.
func (r *reader) root(data []byte) (s *section, ok bool) {
	whole := value{r: r}
	defer func() {
		// A parser that panics on a file has found it wrong too.
		if recover() != nil {
			whole.wrong("this is not YAML")
			s, ok = nil, false
		}
	}()
	if len(data) > maxFile {
		whole.wrong("the file has more than %d bytes", maxFile)
		return nil, false
	}
	f, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil, false
	}
	docs := slices.DeleteFunc(f.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	switch len(docs) {
	case 0:
		whole.wrong("the file is empty: begin with \"role: discovery\" or \"role: portal\"")
		return nil, false
	case 1:
	default:
		value{r, "", docs[1].Body}.wrong("a second document begins here: want one in a file")
	}
	whole.node = docs[0].Body
	s = whole.section()
	return s, !s.absent
}

func (r *reader) syntax(err error) {
	m := Mistake{File: r.file, Line: 1, Column: 1, Say: "this is not YAML"}
	var at yaml.Error
	if errors.As(err, &at) {
		m.Say = "this is not YAML: " + at.GetMessage()
		if tk := at.GetToken(); tk != nil && tk.Position != nil {
			m.Line, m.Column = tk.Position.Line, tk.Position.Column
		}
	}
	r.mistakes = append(r.mistakes, m)
}

// section reads v as a mapping.
func (v value) section() *section {
	s := &section{value: v, entries: map[string]value{}, keys: map[string]value{}, asked: map[string]bool{}}
	var pairs []*ast.MappingValueNode
	switch n := v.node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	case nil:
		s.absent = true
		return s
	default:
		v.wrong("want settings of the form \"name: value\" here")
		s.absent = true
		return s
	}
	for _, pair := range pairs {
		key, ok := pair.Key.(*ast.StringNode)
		if !ok {
			value{v.r, v.path, pair.Key}.wrong("want a plain name before the colon")
			continue
		}
		at := value{v.r, v.at(key.Value), key}
		if first, twice := s.keys[key.Value]; twice {
			at.wrong("set twice: the first is on line %d", first.node.GetToken().Position.Line)
			continue
		}
		s.keys[key.Value] = at
		s.entries[key.Value] = value{v.r, at.path, pair.Value}
	}
	return s
}

func (v value) at(key string) string {
	if v.path == "" {
		return key
	}
	return v.path + "." + key
}

// take returns the value of a key, if it is there and has one.
func (s *section) take(key string) (value, bool) {
	s.asked[key] = true
	v, ok := s.entries[key]
	if !ok {
		return value{}, false
	}
	if _, null := v.node.(*ast.NullNode); null || v.node == nil {
		s.keys[key].wrong("it has no value: give one, or take the line out")
		return value{}, false
	}
	return v, true
}

// has reports whether the key is there, with or without a value.
func (s *section) has(key string) bool {
	_, ok := s.keys[key]
	return ok
}

// sub is a section below a key. Where it is not in the file and need not be, its
// settings keep their defaults.
func (s *section) sub(key string, required bool) *section {
	v, ok := s.take(key)
	if !ok {
		if required {
			s.missing(key, "the settings below it")
		}
		return value{r: s.r, path: s.at(key)}.section()
	}
	return v.section()
}

// missing says that a required setting is not there.
func (s *section) missing(key, want string) {
	if s.absent || s.has(key) {
		return // either nothing of it is there, or an empty value has been reported
	}
	value{s.r, s.at(key), s.node}.wrong("missing: want %s", want)
}

// done reports the keys that nobody asked for.
func (s *section) done() {
	for _, key := range slices.Sorted(maps.Keys(s.keys)) {
		if s.asked[key] {
			continue
		}
		at := s.keys[key]
		if near := nearest(key, s.asked); near != "" {
			at.wrong("unknown setting; did you mean %s?", near)
			continue
		}
		at.wrong("unknown setting; here one may set %s", strings.Join(slices.Sorted(maps.Keys(s.asked)), ", "))
	}
}

// nearest is the known name that is at most two typing mistakes away, or with a
// suffix that says where a secret is.
func nearest(key string, known map[string]bool) string {
	best, distance := "", 3
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if d := typos(key, name); d < distance && d < len(key) {
			best, distance = name, d
		}
	}
	for _, suffix := range []string{"_file", "_env", "s", "_files"} {
		if best == "" && known[key+suffix] {
			best = key + suffix
		}
	}
	return best
}

// typos is the Levenshtein distance.
func typos(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// get reads an optional setting.
func get[T any](s *section, key string, read func(value) T, otherwise T) T {
	if v, ok := s.take(key); ok {
		return read(v)
	}
	return otherwise
}

// need reads a required setting; want says what it is.
func need[T any](s *section, key, want string, read func(value) T) T {
	v, ok := s.take(key)
	if !ok {
		s.missing(key, want)
		var zero T
		return zero
	}
	return read(v)
}

// list reads each element of a sequence.
func list[T any](read func(value) T) func(value) []T {
	return func(v value) []T {
		seq, ok := v.node.(*ast.SequenceNode)
		if !ok {
			v.wrong("want a list: lines that begin with \"- \", or [a, b]")
			return nil
		}
		var out []T
		for i, n := range seq.Values {
			at := value{v.r, fmt.Sprintf("%s[%d]", v.path, i), n}
			if _, null := n.(*ast.NullNode); null || n == nil {
				value{v.r, at.path, seq}.wrong("it has no value: give one, or take the line out")
				continue
			}
			out = append(out, read(at))
		}
		return out
	}
}

// absolute is a path as seen from the file it stands in.
func (r *reader) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.dir, path)
}

func newReader(path string) *reader {
	return &reader{file: path, dir: filepath.Dir(path), env: os.LookupEnv}
}
