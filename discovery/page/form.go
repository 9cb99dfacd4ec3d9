package page

// A Field is one input of a form, with all that a screen reader, a password
// manager and a person who mistyped need to know about it. The layout renders it:
// "field" as an input, "select" as a list to choose one of, "textarea" as a text
// of several lines.
type Field struct {
	Name         string // also its id on the page
	Label        string
	Type         string // email | password | text | tel | search | date
	Value        string // never set for passwords
	Hint         string
	Describe     string   // id of text elsewhere on the page that is also about it
	Autocomplete string   // username | current-password | new-password | email
	InputMode    string   // of the keyboard on a telephone: numeric | tel; empty: as the type has it
	Optional     bool     // may be left empty
	Fixed        bool     // shown, cannot be changed and is not sent
	Rows         int      // of a textarea; 0: five
	Options      []Option // of a select; what a field suggests while one types
	Error        string   // what is wrong and how to put it right
	Focus        bool     // at most one on a page
}

// An Option is one thing to choose in a select, or to be suggested by a field.
type Option struct {
	Value string
	Text  string // empty: the value says it
}

// With returns the field with a problem to show beside it.
func (f Field) With(problem string) Field {
	f.Error = problem
	return f
}

// A Problem is one line of the summary above a form.
type Problem struct {
	Field string // id of the input it is about; empty: the form as a whole
	Say   string
}

// A Difference is what was saved by somebody else while a form was being filled
// in, beside what its person typed. The layout's "problems" shows it.
type Difference struct {
	Field string // id of the input
	Label string
	Saved string // what is there now; empty: nothing
	Typed string
}

// Form is embedded by the struct of a page that has a form.
type Form struct {
	Problems    []Problem
	Differences []Difference // of a save that somebody else's came before
}

// HasProblems reports whether the page asks the person to put something right.
func (f Form) HasProblems() bool { return len(f.Problems) > 0 }

// Check moves the focus to the first field with a problem and returns the Form
// that lists all of them. Without a problem the first field has the focus.
func Check(fields ...*Field) Form {
	var form Form
	for _, f := range fields {
		f.Focus = false
		if f.Error != "" {
			f.Focus = len(form.Problems) == 0
			form.Problems = append(form.Problems, Problem{Field: f.Name, Say: f.Error})
		}
	}
	if len(form.Problems) == 0 && len(fields) > 0 {
		fields[0].Focus = true
	}
	return form
}
