package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/config"
)

// redisClient makes the client of one server, of a cluster, or of the server that
// Sentinels name.
func redisClient(c *config.Redis) (redis.UniversalClient, error) {
	o := &redis.UniversalOptions{
		Addrs: c.Addresses, IsClusterMode: c.Cluster, MasterName: c.SentinelMaster,
		Username: c.Username, Password: c.Password.Reveal(),
		SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword.Reveal(),
		DialTimeout: time.Second, ReadTimeout: 500 * time.Millisecond, WriteTimeout: 500 * time.Millisecond,
		MaxRetries: -1, DialerRetries: 1, // trying again would take longer than asking the database

		ContextTimeoutEnabled: true, // or a lookup's short patience would end nothing

		// Neither is needed, and both would want more rights.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if c.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.CAFile != "" {
		var err error
		if o.TLSConfig.RootCAs, err = serve.Authorities(c.CAFile); err != nil {
			return nil, fmt.Errorf("redis.ca_file: %w", err)
		}
	}
	return redis.NewUniversalClient(o), nil
}

// LogRedis sends what the Redis client says of its connections to log. It says so
// to standard error otherwise, for the whole process: only main may call this.
func LogRedis(log *slog.Logger) { redis.SetLogger(redisLog{log}) }

type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "Redis client: "+fmt.Sprintf(format, args...))
}

// watchRedis looks after Redis, which lookups do without.
func (d *Discovery) watchRedis(client redis.UniversalClient) {
	if client == nil {
		return
	}
	state := d.depend("redis")
	d.every(2*time.Second, "reaching Redis", func(ctx context.Context) error {
		quick, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := client.Ping(quick).Err()
		if ctx.Err() == nil {
			state.tell(err)
		}
		return err
	})
}

// Why a Redis is not as it should be. Nothing in it can lead a person elsewhere,
// so none of this keeps a front door from running.
const (
	unsafeTLS      = "no_tls"
	unsafeCommands = "commands"
	unsafeKeys     = "keys"
)

// forbidden are commands that the user of a front door should not be allowed. Each
// stands for its like, and does no harm where it is allowed.
var forbidden = []struct {
	reason  string
	command []any
}{
	{unsafeCommands, []any{"config", "get", "maxmemory"}},
	{unsafeCommands, []any{"lastsave"}},
	{unsafeCommands, []any{"acl", "whoami"}},
	{unsafeKeys, []any{"scan", "0", "count", "1"}},
	{unsafeKeys, []any{"exists", "somebody-elses"}},
}

// examineRedis says what Redis should refuse and does not: whether its keys or
// those of others may be listed, its settings read and changed, everything
// deleted.
func (d *Discovery) examineRedis(client redis.UniversalClient, exposed string) {
	if client == nil {
		return
	}
	unsafe := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "domicile_redis_unsafe",
		Help: "1 for what makes Redis less safe than it should be: no_tls (reached over a network in clear), commands (its user may do what only an administrator should) or keys (its user may see keys that are not Domicile's).",
	}, []string{"reason"})
	d.Registry.MustRegister(unsafe)
	for _, reason := range []string{unsafeTLS, unsafeCommands, unsafeKeys} {
		unsafe.WithLabelValues(reason).Set(0)
	}
	if exposed != "" {
		unsafe.WithLabelValues(unsafeTLS).Set(1)
		d.Log.Warn("Redis is reached over a network without TLS: set redis.tls", "address", exposed)
	}
	said, next := "", time.Time{}
	d.every(10*time.Second, "examining Redis", func(ctx context.Context) error {
		if d.Now().Before(next) {
			return nil // Redis notes what it refuses, and need not note it all the time
		}
		allowed, err := examine(ctx, client)
		if err != nil {
			return nil // it is away, which is said elsewhere
		}
		next = d.Now().Add(time.Hour)
		reasons := map[string]float64{unsafeCommands: 0, unsafeKeys: 0}
		var names []string
		for _, f := range allowed {
			reasons[forbidden[f].reason] = 1
			names = append(names, fmt.Sprint(forbidden[f].command[0]))
		}
		for reason, v := range reasons {
			unsafe.WithLabelValues(reason).Set(v)
		}
		if now := strings.Join(names, ", "); now != said {
			said = now
			if now != "" {
				d.Log.Warn("Redis lets its user do more than a front door needs: give it a user of its own, with the rules in the operating guide", "allowed", now)
			}
		}
		return nil
	})
}

// examine returns which of the forbidden commands are allowed, or an error when
// Redis does not answer.
func examine(ctx context.Context, client redis.UniversalClient) (allowed []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for i, f := range forbidden {
		err := client.Do(ctx, f.command...).Err()
		switch {
		case err == nil, err == redis.Nil:
			allowed = append(allowed, i)
		case !refused(err):
			return nil, err
		}
	}
	return allowed, nil
}

// refused tells an answer that is a refusal from no answer.
func refused(err error) bool {
	_, answered := err.(redis.Error)
	return answered && !redis.HasErrorPrefix(err, "LOADING") && !redis.HasErrorPrefix(err, "CLUSTERDOWN")
}
