//go:build race

package healthautoexport

const raceEnabled = true
