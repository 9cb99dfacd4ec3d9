// Package locale holds what the product says in each language it speaks, and
// decides which of them a person reads.
//
// The English text is its own key: a page, a handler or a failure says
// "Sign in to %s", and whoever shows it asks the [Printer] of the reader's
// language. Translations lie beside the pages that use them, in
// locales/fr/*.json and locales/de/*.json: one JSON object of texts, in which a
// translation that depends on a number is an object of plural forms,
//
//	{"%d users": {"one": "%d utilisateur", "other": "%d utilisateurs"}}
//
// and locales/en/*.json hold English plurals in the same way. What has no
// translation is said in English: a missing text never breaks a page, only a
// test (see package localetest).
//
// Dates follow a [Culture], which people choose apart from their language.
package locale
