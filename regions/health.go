package regions

import "strings"

// Health is what is known of a region's processes. It is hearsay of a carrier:
// it may take a region out of rotation, and it can send nobody anywhere but to
// a standby that the region's signed record names.
type Health int

const (
	Unknown Health = iota // nobody says: treated as up
	Up                    // at least one process is ready
	Down                  // processes are known, and none of them is ready
)

// StandIn is what the processes of region standby are known by that stand in
// for region home: health is reported of them apart, since that a region's own
// processes are ready says nothing of these. No region can have that name.
func StandIn(standby, home string) string { return standby + "/" + home }

// CutStandIn undoes StandIn; false: name is a region's own.
func CutStandIn(name string) (standby, home string, ok bool) { return strings.Cut(name, "/") }

func (h Health) String() string {
	switch h {
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return "unknown"
}
