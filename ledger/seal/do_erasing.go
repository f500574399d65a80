//go:build goexperiment.runtimesecret

package seal

import "runtime/secret"

// Erasing says whether [Do] erases what f leaves behind. It is true in builds
// with GOEXPERIMENT=runtimesecret, which is how the product is built.
const Erasing = true

// Do runs f and then erases the registers and the stack f used; what f
// allocated on the heap is erased when the collector finds it unreachable.
//
// Key schedules, HPKE operations, derivations and Argon2 outputs are made
// inside Do. A secret result is copied into a [Secret] before f ends, because
// an allocation of f lives on for as long as anything points to it. Goroutines
// that f starts are not covered.
func Do(f func()) { secret.Do(f) }
