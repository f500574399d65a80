package authz

import "slices"

// purposesSince are the purposes of a manifest and when it came, in microseconds since the
// Unix epoch.
type purposesSince struct {
	since    int64
	purposes []string
}

// PurposesIn returns what the app said from one microsecond to before another that it reads
// for: the purposes of all manifests that it had then. Before its first one came it said
// what that says.
func (a *App) PurposesIn(from, to int64) (all []string) {
	for i, p := range slices.Backward(a.purposes) {
		if i > 0 && p.since >= to {
			continue
		}
		for _, purpose := range p.purposes {
			if !slices.Contains(all, purpose) {
				all = append(all, purpose)
			}
		}
		// It was in force when the period began, or took the place of all before.
		if p.since <= from {
			break
		}
		to = min(to, p.since)
	}
	return all
}
