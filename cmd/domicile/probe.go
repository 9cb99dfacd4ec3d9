package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// probePatience is what a server has to answer a probe; its own checks take two
// seconds at most.
const probePatience = 3 * time.Second

func probeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "probe URL",
		Short: "Ask a server whether it is ready, for images without a shell",
		Long: `Ask a server whether it is ready, for images without a shell.

The exit code is 0 when the answer is 200, else 1 with the reason it gave. URL is
best the private listener's, which gives reasons.`,
		Example: "  domicile probe http://127.0.0.1:9090/readyz",
		Args:    takes("the address (URL)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if u, err := url.Parse(args[0]); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return misused("want a URL such as http://127.0.0.1:9090/readyz")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), probePatience)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], nil)
			if err != nil {
				return err
			}
			// No proxy: the question is about this very server.
			res, err := (&http.Client{Transport: &http.Transport{}}).Do(r)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			reason, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
			if err != nil {
				return err
			}
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(reason)))
			}
			fmt.Fprint(cmd.OutOrStdout(), string(reason))
			return nil
		},
	}
}
