package app

import (
	"context"
	"time"
)

// tellPause lets whoever wants to sign in have the database between two parts of
// a long telling: SQLite's has one writer.
const tellPause = 50 * time.Millisecond

// tellings tells people and the directory of domains that sign in another way now,
// where there are too many for one transaction. Every process of a region does; how
// far it has come is noted in the database.
func (p *Portal) tellings() {
	p.every(importEvery, "telling people of a move", func(ctx context.Context) error {
		for {
			taken, err := p.store.RunTelling(ctx)
			if err != nil || !taken {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(tellPause):
			}
		}
	})
}
