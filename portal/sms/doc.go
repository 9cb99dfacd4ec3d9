// Package sms sends text messages with codes.
//
// A message waits in the region's queue of letters, sealed, until one process
// takes it (portal/store, portal/mail). [Desk.Deliver] puts it into the person's
// language and hands it to a [Sender]: [HTTP] for the gateway of a provider,
// [Log] for the demo, where it lands in the mailbox page.
//
// A gateway is somebody outside the region's house. It learns the number and the
// code, and nothing else of the person; which provider in which territory that
// is, the operator decides. Neither stands in a log, an error or a metric here.
package sms
