//go:build race

package cryptfs

// effort divides the work of the long tests, which the race detector makes
// a dozen times slower.
const effort = 12
