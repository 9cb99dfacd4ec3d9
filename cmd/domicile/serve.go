package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/cmd/internal/app"
	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/config"
)

// stopTimeout is how long requests under way may take when a server is stopped.
const stopTimeout = 20 * time.Second

func serveCommand() *cobra.Command {
	return group("serve", "Run a server", serveDiscovery(), servePortal())
}

func serveDiscovery() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "discovery --config FILE",
		Short: "Run the front door: the global sign-in page and the intake of claims",
		Long: `Run the front door: the global sign-in page and the intake of claims.

SIGTERM and Ctrl-C stop it after the requests under way; SIGHUP reads the
catalogue of regions and the TLS certificates again. The database must be at this
binary's version: see domicile migrate.`,
		Example: "  domicile serve discovery --config discovery.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.LoadDiscovery(path)
			if err != nil {
				return err
			}
			log := logger(c.Log, "discovery", c.Warnings)
			app.LogRedis(log)
			o, err := app.DiscoverySettings(c, log)
			if err != nil {
				return err
			}
			d, err := app.NewDiscovery(cmd.Context(), o)
			if err != nil {
				return err
			}
			return keep(cmd.Context(), d, log, func() error {
				d.Reload()
				return errors.Join(o.Certificate.Reload(), o.InternalCertificate.Reload())
			})
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file, role discovery")
	return required(c, "config")
}

func servePortal() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "portal --config FILE",
		Short: "Run the portals of one region",
		Long: `Run the portals of one region, all on one listener, by host name.

SIGTERM and Ctrl-C stop it after the requests under way; SIGHUP reads the TLS
certificate again. The database must be at this binary's version: see domicile
migrate. What other commands change is noticed within a second.`,
		Example: "  domicile serve portal --config eu.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.LoadPortal(path)
			if err != nil {
				return err
			}
			log := logger(c.Log, c.Region.Name, c.Warnings)
			o, err := app.PortalSettings(c, log)
			if err != nil {
				return err
			}
			p, err := app.NewPortal(cmd.Context(), o)
			if err != nil {
				return err
			}
			return keep(cmd.Context(), p, log, func() error {
				return errors.Join(o.Certificate.Reload(), o.ClaimsTLS.Reload())
			})
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file, role portal")
	return required(c, "config")
}

func logger(c config.Log, role string, warnings config.Mistakes) *slog.Logger {
	log := serve.Logger(c.Format, c.Level).With("role", role)
	for _, w := range warnings {
		log.Warn("configuration", "at", fmt.Sprintf("%s:%d", w.File, w.Line), "setting", w.Path, "say", w.Say)
	}
	return log
}

// A role is a server that can be held.
type role interface {
	Start()
	Wait(context.Context) error
	Stop(context.Context) error
}

// keep serves until ctx ends, which a signal does, or a listener fails. On
// SIGHUP it calls reload, and goes on with what it had when that fails.
func keep(ctx context.Context, r role, log *slog.Logger, reload func() error) error {
	serve.Tune()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	r.Start()
	log.Info("ready")
	ended := make(chan error, 1)
	go func() { ended <- r.Wait(ctx) }()
	for {
		select {
		case <-hangup:
			if err := reload(); err != nil {
				log.Error("not everything could be read again; the old stays", "err", err)
			} else {
				log.Info("read again")
			}
		case err := <-ended:
			log.Info("stopping")
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			return errors.Join(err, r.Stop(stop))
		}
	}
}
