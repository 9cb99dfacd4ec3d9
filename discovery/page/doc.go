// Package page is the look of the whole product: the base layout, the style
// sheet, the form fields, the error page, and the one place where a failure
// becomes something a person or a program can read.
//
// A site embeds a folder pages/ whose files each define "title" and "main" on
// the base layout, and builds a [Set] from it once. A handler fills a struct and
// calls [Set.Render]; the page is complete in memory before its first byte goes
// out, so an answer is either a whole page or an error page, never half of one.
// A handler that fails returns its error to [Set.Handle], which answers with a
// dull page (or, for programs, with an RFC 9457 problem document), and writes one
// log line that carries the same reference as the page.
//
// Every text goes through the [locale] of the person: templates call "t", with the
// English words as the key, and package localetest finds those without a
// translation. What was chosen, or what the browser prefers, counts.
//
// What a request carries for every page is here too: its reference, its client,
// and the [Limiter] that counts what a client asks.
//
// Pages work without scripts and load nothing from anywhere else. The one script is
// for passkeys, which no browser shows without one: [AllowScript].
package page
