package web

import "fmt"

// t is a text in the visitor's language. The locale helper replaces this body.
func (v *visit) t(key string, args ...any) string {
	if len(args) == 0 {
		return key
	}
	return fmt.Sprintf(key, args...)
}
