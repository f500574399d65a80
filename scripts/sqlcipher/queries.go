package main

import (
	"database/sql"
	"fmt"
)

// query is one of the queries that are measured.
type query struct {
	Name string `json:"name"`
	Type int    `json:"type"`
	// Bounds of periods that follow each other; one more than there are periods.
	Bounds []int64 `json:"bounds"`
	// After this row.
	After int64 `json:"after"`
	// At most so many rows.
	Limit int `json:"limit"`
}

const (
	latestSQL  = "SELECT start, end, value, source FROM samples WHERE type = ? ORDER BY start DESC LIMIT ?"
	betweenSQL = "SELECT start, end, value, source FROM samples WHERE type = ? AND start >= ? AND start < ? ORDER BY start"
	changesSQL = "SELECT start, end, value, source FROM samples WHERE id > ? AND type = ? ORDER BY id LIMIT ?"
	// The days of a time zone are no expression in SQL; one statement a day needs none.
	dailySQL = "SELECT count(*), avg(value), min(value), max(value) FROM samples WHERE type = ? AND start >= ? AND start < ?"
	// Samples that began before the period are found from as long before it as one lasts
	// at most.
	overlapSQL = "SELECT start, end, value, source FROM samples WHERE type = ? AND start > ? AND start < ? AND end > ? ORDER BY start"
)

// longest is how long a sample of a cumulative type may last, in microseconds.
const longest = 96 * 3600 * 1_000_000

// run returns how many samples there were and the sum of their values, or three or one
// numbers for each period.
func (d *database) run(q *query) ([]float64, error) {
	first, last := int64(0), int64(0)
	if n := len(q.Bounds); n > 0 {
		first, last = q.Bounds[0], q.Bounds[n-1]
	}
	switch q.Name {
	case "latest":
		return d.sum(latestSQL, q.Type, q.Limit)
	case "samples":
		return d.sum(betweenSQL, q.Type, first, last)
	case "changes":
		return d.sum(changesSQL, q.After, q.Type, q.Limit)
	case "daily":
		return d.daily(q)
	case "merged":
		m := newMerge(q.Bounds)
		err := d.each(m.add, overlapSQL, q.Type, first-longest, last, first)
		return m.finish(), err
	}
	return nil, fmt.Errorf("no such query: %q", q.Name)
}

// sample as queries return it.
type sample struct {
	start, end int64
	value      float64
	source     int
}

func (d *database) each(use func(sample), statement string, args ...any) error {
	rows, err := d.Query(statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var s sample
		if err := rows.Scan(&s.start, &s.end, &s.value, &s.source); err != nil {
			return err
		}
		use(s)
	}
	return rows.Err()
}

func (d *database) sum(statement string, args ...any) ([]float64, error) {
	count, sum := 0.0, 0.0
	err := d.each(func(s sample) { count, sum = count+1, sum+s.value }, statement, args...)
	return []float64{count, sum}, err
}

func (d *database) daily(q *query) ([]float64, error) {
	statement, err := d.Prepare(dailySQL)
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	var result []float64
	for i := range len(q.Bounds) - 1 {
		var count float64
		var average, low, high sql.NullFloat64
		if err := statement.QueryRow(q.Type, q.Bounds[i], q.Bounds[i+1]).Scan(&count, &average, &low, &high); err != nil {
			return nil, err
		}
		result = append(result, count, low.Float64, high.Float64)
	}
	return result, nil
}
