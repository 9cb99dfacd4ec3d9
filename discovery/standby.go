package discovery

import "strings"

// StandbyText is standbys as they lie in a database and as operators read them,
// "eu-west=https://acme.eu-west.example.com", with a blank in between. Neither the
// name of a region nor a bare origin has one: Portal.Check sees to that.
func StandbyText(standbys []Standby) string {
	text := make([]string, len(standbys))
	for i, s := range standbys {
		text[i] = s.Region + "=" + s.URL
	}
	return strings.Join(text, " ")
}

// ParseStandbys is StandbyText backwards. It checks nothing.
func ParseStandbys(text string) []Standby {
	var standbys []Standby
	for s := range strings.FieldsSeq(text) {
		region, url, _ := strings.Cut(s, "=")
		standbys = append(standbys, Standby{Region: region, URL: url})
	}
	return standbys
}
