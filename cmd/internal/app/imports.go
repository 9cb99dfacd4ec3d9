package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// importEvery is how often a process looks for an import to work on: nobody who
// has started one waits longer.
const importEvery = time.Second

// imports works on lists of people that administrators add. Every process of a
// region does; which of them has an import in hand is noted in the database.
func (p *Portal) imports() error {
	lines := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "domicile_portal_import_lines_total",
		Help: "Lines of imported lists of people that this process has done, whatever became of them.",
	})
	if err := p.Registry.Register(lines); err != nil {
		return err
	}
	p.every(importEvery, "importing people", func(ctx context.Context) error {
		for ctx.Err() == nil {
			taken, n, err := p.store.RunImport(ctx)
			lines.Add(float64(n))
			if err != nil || !taken {
				return err
			}
		}
		return nil
	})
	return nil
}
