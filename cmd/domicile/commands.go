package main

import "github.com/spf13/cobra"

// commands is everything the binary can be asked to do.
func commands() []*cobra.Command {
	ofRegion := []*cobra.Command{
		portalCommand(), connectionCommand(), domainCommand(), accountCommand(), publishCommand(),
	}
	for _, c := range ofRegion {
		c.PersistentFlags().String("config", "", "configuration file of the region's portals")
	}
	return append([]*cobra.Command{
		demoCommand(),
		serveCommand(),
		checkCommand(),
		migrateCommand(),
		regionCommand(),
	}, ofRegion...)
}
