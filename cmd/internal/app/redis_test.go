package app

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/discovery/store"
)

func testRedis(t *testing.T, c *config.Redis) redis.UniversalClient {
	t.Helper()
	client, err := redisClient(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// rules are those of the operating guide, for an operator to copy.
func rules(t *testing.T) []string {
	t.Helper()
	guide, err := os.ReadFile("../../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^user (domicile|default) .*$`).FindAllString(string(guide), -1)
	if len(found) != 2 {
		t.Fatalf("the operating guide has the users %q", found)
	}
	for i := range found {
		found[i] = strings.ReplaceAll(found[i], ">PASSWORD", ">secret")
	}
	return found
}

// use does all that a front door does with its Redis.
func use(t *testing.T, client redis.UniversalClient) {
	t.Helper()
	c, err := store.NewCache(store.CacheOptions{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}, Redis: client})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Listen(ctx) }()
	defer func() { cancel(); <-ended }()

	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("ping: %v", err)
	}
	if err := client.Set(t.Context(), "domicile:e1:x", "y", time.Minute).Err(); err != nil {
		t.Errorf("set: %v", err)
	}
	if got, err := client.GetRange(t.Context(), "domicile:e1:x", 0, 100).Result(); err != nil || got != "y" {
		t.Errorf("getrange: %q, %v", got, err)
	}
	if _, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Del(t.Context(), "domicile:e1:x")
		p.Del(t.Context(), "domicile:e1:z")
		return nil
	}); err != nil {
		t.Errorf("del: %v", err)
	}
	limiter := redis_rate.NewLimiter(client)
	for want := range 2 {
		res, err := limiter.Allow(t.Context(), "domicile:client:x", redis_rate.PerHour(1))
		if err != nil || res.Allowed != 1-want {
			t.Errorf("limit: %v, %v", res, err)
		}
	}
	line := client.Subscribe(t.Context(), "domicile:drops")
	defer line.Close()
	if _, err := line.Receive(t.Context()); err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	if _, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Publish(t.Context(), "domicile:drops", "x")
		return nil
	}); err != nil {
		t.Errorf("publish: %v", err)
	}
	if m, err := line.ReceiveMessage(t.Context()); err != nil || m.Payload != "x" {
		t.Errorf("receive: %v, %v", m, err)
	}
}

func TestCON06RedisUser(t *testing.T) {
	server := servertest.RedisWith(t, servertest.RedisOptions{Config: rules(t)})
	client := testRedis(t, &config.Redis{Addresses: []string{server.Addr}, Username: "domicile", Password: config.NewSecret("secret")})
	use(t, client)
	for _, command := range [][]any{
		{"keys", "*"}, {"scan", "0"}, {"randomkey"}, {"flushall"}, {"flushdb"}, {"config", "get", "*"}, {"config", "set", "maxmemory", "1"},
		{"acl", "list"}, {"acl", "setuser", "x"}, {"client", "list"}, {"monitor"}, {"shutdown"}, {"debug", "sleep", "0"}, {"info"}, {"save"},
		{"replicaof", "127.0.0.1", "1"}, {"module", "list"}, {"script", "flush"}, {"function", "flush"}, {"psubscribe", "*"},
		{"get", "another:key"}, {"set", "another:key", "x"}, {"publish", "another", "x"}, {"subscribe", "another"},
		{"eval", "return redis.call('get', 'another:key')", "0"}, {"eval", "return redis.call('flushall')", "0"},
		{"rename", "domicile:e1:x", "domicile:e1:z"}, {"dump", "domicile:e1:x"},
	} {
		err := client.Do(t.Context(), command...).Err()
		if err == nil || !regexp.MustCompile(`^NOPERM|executing the script can't|DEBUG command not allowed`).MatchString(err.Error()) {
			t.Errorf("%v: %v", command, err)
		}
	}
	if allowed, err := examine(t.Context(), client); err != nil || len(allowed) > 0 {
		t.Errorf("of what is forbidden, %v is allowed, %v", allowed, err)
	}
	stranger := testRedis(t, &config.Redis{Addresses: []string{server.Addr}})
	if err := stranger.Get(t.Context(), "domicile:e1:x").Err(); err == nil || err == redis.Nil {
		t.Errorf("without a user: %v", err)
	}
}

func TestCON06RedisThatAllowsEverything(t *testing.T) {
	server := servertest.ControlledRedis(t)
	client := testRedis(t, &config.Redis{Addresses: []string{server.Addr}})
	allowed, err := examine(t.Context(), client)
	if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, allowed); diff != "" || err != nil {
		t.Errorf("allowed (-want +got):\n%s%v", diff, err)
	}
	server.Kill()
	if _, err := examine(t.Context(), client); err == nil {
		t.Error("a Redis that is away refuses nothing")
	}
}

func TestRedisTLS(t *testing.T) {
	cert, key := certificateFor(t, "127.0.0.1")
	other, _ := certificateFor(t, "127.0.0.1")
	server := servertest.RedisWith(t, servertest.RedisOptions{CertFile: cert, KeyFile: key, Config: rules(t)})
	at := config.Redis{Addresses: []string{server.Addr}, Username: "domicile", Password: config.NewSecret("secret"), TLS: true, CAFile: cert}
	use(t, testRedis(t, &at))
	at.CAFile = other
	if err := testRedis(t, &at).Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another authority's certificate: %v", err)
	}
	at.CAFile = key
	if _, err := redisClient(&at); err == nil {
		t.Error("a file without certificates is taken")
	}
}

// certificateFor makes a certificate that is its own authority.
func certificateFor(t *testing.T, ip string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Redis"}, IPAddresses: []net.IP{net.ParseIP(ip)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "redis.pem"), filepath.Join(dir, "redis.key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestRedisCluster(t *testing.T) {
	server := servertest.RedisWith(t, servertest.RedisOptions{Config: append(rules(t), "cluster-enabled yes", "user root on nopass ~* &* +@all")})
	root := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "root", Password: "any"})
	defer root.Close()
	if err := root.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster does not come up", func() bool {
		info, err := root.ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	})
	use(t, testRedis(t, &config.Redis{Addresses: []string{server.Addr}, Cluster: true, Username: "domicile", Password: config.NewSecret("secret")}))
}

func TestRedisSentinel(t *testing.T) {
	first := servertest.ControlledRedis(t)
	host, port, _ := net.SplitHostPort(first.Addr)
	second := servertest.RedisWith(t, servertest.RedisOptions{Config: []string{"replicaof " + host + " " + port}})
	ready := redis.NewClient(&redis.Options{Addr: second.Addr})
	defer ready.Close()
	eventually(t, "the replica does not follow", func() bool {
		info, err := ready.Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	sentinel := servertest.RedisWith(t, servertest.RedisOptions{Sentinel: true, Config: []string{
		fmt.Sprintf("sentinel monitor front %s %s 1", host, port), "sentinel down-after-milliseconds front 500", "sentinel failover-timeout front 3000"}})
	client := testRedis(t, &config.Redis{Addresses: []string{sentinel.Addr}, SentinelMaster: "front"})
	use(t, client)
	seen := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr})
	defer seen.Close()
	eventually(t, "the Sentinel does not see the replica", func() bool {
		replicas, err := seen.Replicas(t.Context(), "front").Result()
		return err == nil && len(replicas) == 1 && replicas[0]["master-link-status"] == "ok"
	})
	first.Kill()
	eventually(t, "nobody takes over", func() bool {
		return client.Set(t.Context(), "domicile:e1:x", "y", time.Minute).Err() == nil
	})
	if n, err := ready.Exists(t.Context(), "domicile:e1:x").Result(); err != nil || n != 1 {
		t.Errorf("written elsewhere: %d, %v", n, err)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatal(what)
		case <-tick.C:
		}
	}
}

// A Redis that is reached in the clear and allows everything is said to, once, and
// used all the same.
func TestCON06FrontDoorWarns(t *testing.T) {
	w := newWorld(t)
	server := servertest.ControlledRedis(t)
	log := new(planttest.Log)
	client, err := redisClient(&config.Redis{Addresses: []string{server.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	w.at.Redis, w.at.RedisExposed, w.at.Log = client, "redis.internal:6379", slog.New(slog.NewTextHandler(log, nil))
	d := w.front()
	eventually(t, "it does not warn", func() bool { return strings.Contains(log.String(), "more than a front door needs") })
	if text := log.String(); !strings.Contains(text, "without TLS") || !strings.Contains(text, "config, lastsave, acl, scan, exists") {
		t.Errorf("the log says\n%s", text)
	}
	families, err := d.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	unsafe := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "domicile_redis_unsafe" {
			for _, m := range f.GetMetric() {
				unsafe[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{"no_tls": 1, "commands": 1, "keys": 1}, unsafe); diff != "" {
		t.Errorf("domicile_redis_unsafe (-want +got):\n%s", diff)
	}
}
