package app

// tellings tells people and the directory of domains that sign in another way now,
// where there are too many for one transaction. Every process of a region does; how
// far it has come is noted in the database.
func (p *Portal) tellings() { p.every(importEvery, "telling people of a move", p.store.RunTelling) }
