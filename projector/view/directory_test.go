package view

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A directory finds the last entry of every source, in order, and one that was there before
// stays what it was.
func TestADirectoryHasTheLastEntryOfEverySource(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, want := directory{}, map[draftKey]*entry{}
		for range rapid.IntRange(1, 6).Draw(t, "commits") {
			before, had := dir, len(flat(dir))
			changed, keys := map[uint32][]*entry{}, map[draftKey]bool{}
			for range rapid.IntRange(0, 8).Draw(t, "entries") {
				id := rapid.Uint32Range(0, 11).Draw(t, "source")
				key := draftKey{rapid.Uint32Range(1, 2).Draw(t, "type"), id}
				if keys[key] {
					continue
				}
				keys[key] = true
				e := &entry{origin: &origin{id: id, app: uint64(id % 3), about: about{object: []string{"", "b", "a"}[id/3%3]}}}
				changed[key.typeCode] = append(changed[key.typeCode], e)
				want[key] = e
			}
			dir = dir.replacing(changed)
			if len(flat(before)) != had {
				t.Fatal("the directory before has changed")
			}
		}
		for key, e := range want {
			if dir.find(key.typeCode, e.origin) != e {
				t.Errorf("%v is not there", key)
			}
		}
		if n := len(flat(dir)); n != len(want) {
			t.Errorf("%d entries of %d", n, len(want))
		}
		for _, all := range dir {
			if !slices.IsSortedFunc(all, compareOwned) {
				t.Errorf("out of order: %v", all)
			}
		}
	})
}

func flat(dir directory) (all []*entry) {
	for _, apps := range dir {
		for _, o := range apps {
			all = append(all, o.entries...)
		}
	}
	return all
}

// An app may save as many objects that are granted one by one as it likes. The view opens
// about as fast as their names are sorted.
func TestADirectoryOfManyObjectsIsMadeInOnePass(t *testing.T) {
	const objects = 100_000
	random := rand.New(rand.NewPCG(1, 2))
	var names []string
	entries := map[uint32][]*entry{}
	for i := range uint32(objects) {
		name := string(binary.BigEndian.AppendUint64(nil, random.Uint64()))
		names = append(names, name)
		entries[1] = append(entries[1], &entry{origin: &origin{id: i, app: 1, about: about{object: name}}})
	}
	begun := time.Now()
	slices.Sort(names)
	sorted := time.Since(begun)
	begun = time.Now()
	dir := directory{}.replacing(entries)
	if took := time.Since(begun); took > 20*sorted || len(dir[1]) != objects {
		t.Errorf("%d objects in %v; they were sorted in %v", len(dir[1]), took, sorted)
	}
}
