// Package mail writes the portal's letters and delivers them.
//
// The store queues a [portal.Letter], sealed, in the transaction that made the
// letter true; a [Worker] takes it, [Write] puts it into words as text and HTML,
// and a [Sender] hands it to a mail server. So a page answers in the same time
// whether or not a letter goes out, a crash loses none, and a mail server that
// is down delays them.
//
// It is written in the language of who reads it, with the times of their zone, and
// begins with the portal's own words where its administrators wrote some. Text
// messages wait in the same queue; package sms takes those.
//
// A letter says why one got it, holds nothing remote, and links to nothing but
// the portal's own URL with an opaque token. Neither addresses nor subjects are
// logged.
package mail
