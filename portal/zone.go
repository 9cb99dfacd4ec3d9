package portal

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"time"
)

// The zones of zone.tab of the IANA time zone database, release 2025b, and UTC:
// one for every place that people name, without the names of old.
//
//go:embed zones.txt
var zoneNames string

// Zones are the names of the time zones that one can choose.
func Zones() []string { return strings.Fields(zoneNames) }

// zones are the locations of Zones: reading them takes a while the first time.
var zones = sync.OnceValue(func() map[string]*time.Location {
	all := map[string]*time.Location{}
	for _, name := range Zones() {
		if l, err := time.LoadLocation(name); err == nil {
			all[name] = l
		}
	}
	return all
})

// ZoneOffset is how far a zone is ahead of UTC at a time: "UTC+05:30".
func ZoneOffset(name string, at time.Time) string {
	l := zones()[name]
	if l == nil {
		return ""
	}
	return "UTC" + at.In(l).Format("-07:00")
}

// FindZone is the zone that somebody means who typed its name, in any case, with
// blanks, or only the place in it when that is the only one of its name.
func FindZone(typed string) (name string, ok bool) {
	typed = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(typed), " ", "_"))
	var places []string
	for _, name := range Zones() {
		lower := strings.ToLower(name)
		if lower == typed {
			return name, zones()[name] != nil
		}
		if strings.HasSuffix(lower, "/"+typed) {
			places = append(places, name)
		}
	}
	if typed == "" || len(slices.Compact(places)) != 1 {
		return "", false
	}
	return places[0], zones()[places[0]] != nil
}
