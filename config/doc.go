// Package config reads the one file that a server is started with.
//
// A file belongs to one role and says so in its first line, "role: discovery"
// or "role: portal"; everything else is flat below it. [LoadDiscovery] and
// [LoadPortal] return values ready for use: parsed URLs, keys, durations and
// networks, so that other packages take values and never see this one.
//
// Reading is strict and reports everything at once: unknown and repeated keys,
// values that do not parse, files that are not there or that others can read,
// keys of the wrong kind, and settings that contradict each other, each with
// line and column, the path of the setting, and what to do. A file that is
// wrong in five places is mended in one go.
//
// No secret stands in the file. A setting x that is secret is given as x_file,
// the path of a file that only its owner can read (or that root lends to our
// group, see [Exposed]), or as x_env, the name of an environment variable. Paths
// are relative to the file they stand in.
//
// Key files are one line of text, "domicile-<kind>:" and base64url, so that a
// key of one kind is never taken for another; see [Kind].
package config
