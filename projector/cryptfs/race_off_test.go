//go:build !race

package cryptfs

// effort divides the work of the long tests.
const effort = 1
