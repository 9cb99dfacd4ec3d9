// Package e2e drives the real binary with a real browser, as people do, and
// signs people in through identity providers that none of us wrote.
//
// It has tests only. Each flow is walked with scripts off, and once more with
// scripts if a page on its way carries any. Every page that is reached is looked at once, wide and narrow, light and
// dark: axe-core must find nothing serious, and nothing may stick out at the
// side. With E2E_SHOTS=folder the pictures are kept there.
//
// What happens when a part of the product is lost (a process killed, a database
// gone, a record expired) and what must be nowhere afterwards is told by an HTTP
// client that keeps every header: a fleet of separate processes, made with the
// commands an operator types.
//
// Tests wait for what they need to see and never for a while. A request to
// anything but this machine, and a complaint of the browser about one of our
// pages (a policy that was violated, a script that failed), fails the test.
package e2e
