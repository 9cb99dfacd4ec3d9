package config

import "slices"

// Redis is the shared cache and rate limiter; it may be lost at any time.
type Redis struct {
	Addresses []string // of one server, of the nodes of a cluster, or of Sentinels
	Cluster   bool     // one address is that of a cluster too

	SentinelMaster   string // what the Sentinels call the server; empty: addresses are no Sentinels
	SentinelUsername string
	SentinelPassword Secret

	Username string
	Password Secret
	TLS      bool
	CAFile   string // whom to believe; empty: the system's authorities
}

// Exposed is the first address that is reached over a network without TLS, or
// empty.
func (r *Redis) Exposed() string {
	for _, a := range r.Addresses {
		if a != "" && !r.TLS && !loopback(a) && !local(hostOf(a)) {
			return a
		}
	}
	return ""
}

// guarded says what is open to others on the way to Redis, and in it. The Internet is
// no way for a password; on a network of one's own, it is for the operator to say.
func (r *Redis) guarded(sub *section) {
	at, ok := sub.entries["addresses"]
	if !ok {
		return
	}
	far := slices.ContainsFunc(r.Addresses, func(a string) bool { return a != "" && !loopback(a) && !local(hostOf(a)) })
	open := ""
	if far && r.Password.Reveal() == "" {
		open = "whoever reaches it may read and change what is in it: give front doors a user with a password"
	}
	for _, a := range r.Addresses {
		if a != "" && !r.TLS && !local(hostOf(a)) && !private(hostOf(a)) {
			at.wrong("%s: want redis.tls: true; to go without is only for a private network", a)
			return
		}
	}
	switch exposed := r.Exposed(); {
	case exposed != "" && open != "":
		at.warn("%s is reached without TLS, and %s", exposed, open)
	case exposed != "":
		at.warn("%s is reached without TLS: set redis.tls: true", exposed)
	case open != "":
		at.warn("%s", open)
	}
}

func redis(s *section) *Redis {
	sub := s.sub("redis", false)
	if sub.absent {
		return nil
	}
	defer sub.done()
	password, _, _ := sub.secret("password", "the password", false)
	r := &Redis{
		Addresses:      need(sub, "addresses", "a list of host:port", list(hostPort)),
		Cluster:        get(sub, "cluster", boolean, false),
		SentinelMaster: get(sub, "sentinel_master", text, ""),
		Username:       get(sub, "username", text, ""),
		Password:       NewSecret(password),
		TLS:            get(sub, "tls", boolean, false),
		CAFile:         get(sub, "ca_file", authorities, ""),
	}
	r.SentinelUsername = get(sub, "sentinel_username", text, "")
	sentinel, _, _ := sub.secret("sentinel_password", "the password of the Sentinels", false)
	r.SentinelPassword = NewSecret(sentinel)
	if at, ok := sub.entries["addresses"]; ok && len(r.Addresses) == 0 && at.isList() {
		at.wrong("it is empty: want host:port of each server, or take the section out")
	}
	r.guarded(sub)
	if !r.TLS && sub.has("ca_file") {
		sub.keys["ca_file"].wrong("without tls: true it would not be used")
	}
	if r.SentinelMaster != "" && r.Cluster {
		sub.keys["cluster"].wrong("Sentinels watch over one server and its replicas: take cluster or sentinel_master out")
	}
	for _, key := range []string{"sentinel_username", "sentinel_password_file", "sentinel_password_env"} {
		if sub.has(key) && !sub.has("sentinel_master") {
			sub.keys[key].wrong("there is no sentinel_master, so it would not be used")
		}
	}
	return r
}
