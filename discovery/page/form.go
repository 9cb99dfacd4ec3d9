package page

// A Field is one input of a form, with all that a screen reader, a password
// manager and a person who mistyped need to know about it. The layout's "field"
// template renders it.
type Field struct {
	Name         string // also its id on the page
	Label        string
	Type         string // email | password | text
	Value        string // never set for passwords
	Hint         string
	Describe     string // id of text elsewhere on the page that is also about it
	Autocomplete string // username | current-password | new-password | email
	Error        string // what is wrong and how to put it right
	Focus        bool   // at most one on a page
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

// Form is embedded by the struct of a page that has a form.
type Form struct {
	Problems []Problem
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
