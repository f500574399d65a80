//go:build race

package query

const raced = true
