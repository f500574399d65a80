//go:build !goexperiment.runtimesecret

package seal

// Erasing says whether [Do] erases what f leaves behind. This build was made
// without GOEXPERIMENT=runtimesecret: Secrets and the key schedules of segments
// are still wiped by hand, but traces of HPKE and signing keys may stay on the
// heap and on stacks until they are overwritten.
const Erasing = false

// Do runs f.
func Do(f func()) { f() }
