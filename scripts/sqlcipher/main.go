// Command sqlcipher does the work of "healthledger bench query" in an encrypted SQLite
// database, as somebody would who knows SQL well. It is a module of its own, so that
// neither cgo nor SQLCipher comes near the product.
//
// It reads requests from standard input and writes an answer to standard output for
// each, both as lines of JSON, until the input ends. Times are microseconds since the
// Unix epoch; types and sources are numbers.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// request is one of a number of things, the first field that is there.
type request struct {
	// Rows to insert in one transaction: type, source, start, end, value.
	Rows [][5]float64 `json:"rows"`
	// Loaded builds the indexes after the first rows.
	Loaded bool `json:"loaded"`
	// Query is run again and again, for so long and so often at most.
	Query   *query  `json:"query"`
	Seconds float64 `json:"seconds"`
	Runs    int     `json:"runs"`
}

// answer to a request.
type answer struct {
	Error string `json:"error,omitempty"`
	// Version of SQLCipher and its cryptography, in the first answer.
	Version string `json:"version,omitempty"`
	// Bytes of the database, to Loaded.
	Bytes int64 `json:"bytes,omitempty"`
	// Last row there is, to Rows.
	Last int64 `json:"last,omitempty"`
	// Result of a query, and how long each run took in nanoseconds.
	Result []float64 `json:"result,omitempty"`
	Nanos  []int64   `json:"nanos,omitempty"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: sqlcipher FILE")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sqlcipher:", err)
		os.Exit(1)
	}
}

func serve(path string, in io.Reader, out io.Writer) error {
	encoder := json.NewEncoder(out)
	db, err := open(path)
	if err != nil {
		return errors.Join(err, encoder.Encode(answer{Error: err.Error()}))
	}
	defer db.close()
	if err := encoder.Encode(answer{Version: db.version}); err != nil {
		return err
	}
	for requests := json.NewDecoder(bufio.NewReaderSize(in, 1<<20)); ; {
		var r request
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := db.answer(&r)
		if err != nil {
			a = answer{Error: err.Error()}
		}
		if err := encoder.Encode(a); err != nil {
			return err
		}
	}
}

func (d *database) answer(r *request) (a answer, err error) {
	switch {
	case r.Rows != nil:
		a.Last, err = d.insert(r.Rows)
	case r.Loaded:
		a.Bytes, err = d.loaded()
	case r.Query != nil:
		return d.measure(r)
	default:
		err = errors.New("a request for nothing")
	}
	return a, err
}

// few runs are made however long they take.
const few = 5

// measure runs a query once to warm up, then as often as time allows.
func (d *database) measure(r *request) (answer, error) {
	result, err := d.run(r.Query)
	a := answer{Result: result}
	for began := time.Now(); err == nil && len(a.Nanos) < r.Runs; {
		if len(a.Nanos) >= few && time.Since(began).Seconds() > r.Seconds {
			break
		}
		started := time.Now()
		var again []float64
		again, err = d.run(r.Query)
		a.Nanos = append(a.Nanos, time.Since(started).Nanoseconds())
		if err == nil && !slices.Equal(again, result) {
			err = errors.New("a query's results differ from run to run")
		}
	}
	return a, err
}
