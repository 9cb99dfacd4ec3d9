package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/cmd/internal/demo"
	"github.com/domicile-sso/domicile/cmd/internal/serve"
)

func demoCommand() *cobra.Command {
	var o demo.Options
	var verbose bool
	c := &cobra.Command{
		Use:   "demo [--addr ADDRESS] [--data FOLDER]",
		Short: "Run everything in one process, with people to try",
		Long: `Run everything in one process, with people to try.

A front door, three regions in three jurisdictions with databases of their own,
four organisations, their identity providers and everybody's mailbox, on one port
of this machine and by host name. Nothing is needed besides, and nothing leaves
the machine. Ctrl-C ends it and leaves nothing behind; with --data, the folder
stays and the next start goes on from there.`,
		Example: `  domicile demo
  domicile demo --addr 127.0.0.1:9000 --data /tmp/domicile`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelInfo
			}
			o.Log = serve.Logger("text", level)
			// A terminal that is closed must not leave a folder behind either.
			ctx, done := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer done()
			begin := time.Now()
			d, err := demo.New(ctx, o)
			if err != nil {
				return err
			}
			stop := func() error {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				defer cancel()
				return d.Stop(ctx)
			}
			if err := d.Start(ctx); err != nil {
				return errors.Join(err, stop())
			}
			introduce(cmd.OutOrStdout(), d, o.Data, time.Since(begin))
			err = d.Wait(ctx)
			return errors.Join(err, stop())
		},
	}
	f := c.Flags()
	f.StringVar(&o.Addr, "addr", "127.0.0.1:8080", "address to listen on")
	f.StringVar(&o.Data, "data", "", "folder that keeps everything for the next start")
	f.BoolVarP(&verbose, "verbose", "v", false, "log every request")
	return c
}

// introduce says where everything is and who there is to be, in one piece: the
// log may be on the same terminal.
func introduce(terminal io.Writer, d *demo.Demo, data string, took time.Duration) {
	out := new(bytes.Buffer)
	defer func() { _, _ = out.WriteTo(terminal) }()
	fmt.Fprintf(out, "\nDomicile is open at %s (after %.1f s). Type one of these addresses there:\n\n", d.URL, took.Seconds())
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "  ADDRESS\tPASSWORD\tWHAT HAPPENS")
	for _, p := range d.People {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", p.Address, p.Password, p.Story)
	}
	_ = w.Flush()
	fmt.Fprintln(out, "\nEach portal can be reached directly as well, also without the front door:")
	fmt.Fprintln(out)
	for _, p := range d.Portals {
		fmt.Fprintf(w, "  %s\t%s\tdata kept in %s, %s\n", p.Name, p.URL, p.Jurisdiction, p.Way)
	}
	_ = w.Flush()
	fmt.Fprintf(out, "\nAll mail arrives at %s (try “Forgotten password” at Initech).\n", d.MailURL)
	if data != "" {
		fmt.Fprintf(out, "Everything is kept in %s.\n", data)
	}
	fmt.Fprintln(out, "Ctrl-C ends the demo.")
}
