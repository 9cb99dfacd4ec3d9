package config

import "net/url"

// Consul carries region records to front doors, and tells them which processes
// are ready.
type Consul struct {
	Address    *url.URL // of an agent, which should be the one on this machine
	Token      Secret   // ACL token; empty: none
	Prefix     string   // of keys and services
	Datacenter string   // empty: the agent's own
	CAFile     string   // whom to believe; empty: the system's authorities
	Advertise  string   // host:port where operators find this process; role portal alone

	DangerouslyAllowOpen bool // Consul may let anybody do anything
}

// consul reads the section, or returns nil when there is none.
func consul(s *section, advertises bool) *Consul {
	sub := s.sub("consul", false)
	if sub.absent {
		return nil
	}
	defer sub.done()
	token, _, _ := sub.secret("token", "an ACL token", false)
	c := &Consul{
		Address:              need(sub, "address", "the origin of a Consul agent, such as http://127.0.0.1:8500", origin),
		Token:                NewSecret(token),
		Prefix:               get(sub, "prefix", word(plainName, "lower-case letters, digits and hyphens, at most 40"), "domicile"),
		Datacenter:           get(sub, "datacenter", text, ""),
		CAFile:               get(sub, "ca_file", authorities, ""),
		DangerouslyAllowOpen: get(sub, "dangerously_allow_open_consul", boolean, false),
	}
	if advertises {
		c.Advertise = need(sub, "advertise", "host:port where operators find this process", hostPort)
	}
	switch tokenless := c.Token.IsZero() && !sub.has("token_file") && !sub.has("token_env") && !sub.has("token"); {
	case c.DangerouslyAllowOpen:
		sub.entries["dangerously_allow_open_consul"].warn("whoever reaches Consul may take regions out of rotation: never in production")
	case tokenless:
		sub.missing("token_file", "an ACL token in a file (or token_env); Consul must refuse who has none")
	}
	if c.Address != nil && c.Address.Scheme == "http" && c.CAFile != "" {
		sub.entries["ca_file"].wrong("address does not begin with https://, so it would not be used")
	}
	return c
}
