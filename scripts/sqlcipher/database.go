package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	_ "github.com/mutecomm/go-sqlcipher/v4"
)

// database is the encrypted database, with one connection.
type database struct {
	*sql.DB
	path    string
	version string
	rows    *sql.Stmt
}

// The key is given as it is, not derived from a passphrase: opening is not measured.
// With this much cache (64 MiB, as the ledger's view has) and without wiping memory that
// is freed (SQLCipher's default since 4.5), it is as fast as it gets.
const options = "?_pragma_key=x'2dd29ca851e7b56e4697b0e1f08507293d761a05ce4d1b628663f411a8086d99'" +
	"&_journal_mode=WAL&_synchronous=FULL"

var settings = []string{
	"PRAGMA cipher_memory_security = OFF",
	"PRAGMA cache_size = -65536",
	// Sorting for an index would take as much memory as the samples.
	"PRAGMA temp_store = FILE",
	`CREATE TABLE samples (
		id     INTEGER PRIMARY KEY,
		type   INTEGER NOT NULL,
		source INTEGER NOT NULL,
		start  INTEGER NOT NULL,
		end    INTEGER NOT NULL,
		value  REAL NOT NULL
	)`,
}

// The first index holds all that queries over time need; the second is for what
// overlaps a period, and for orders by end. Changes go by id.
var indexes = []string{
	"CREATE INDEX samples_start ON samples (type, start, end, value, source)",
	"CREATE INDEX samples_end ON samples (type, end)",
	"ANALYZE",
}

func open(path string) (*database, error) {
	db, err := sql.Open("sqlite3", path+options)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	d := &database{DB: db, path: path}
	if err := d.prepare(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

// perInsert rows go in with one statement.
const perInsert = 100

func (d *database) prepare() error {
	var cipher, provider, journal string
	for _, pragma := range []struct {
		name string
		into *string
	}{{"cipher_version", &cipher}, {"cipher_provider", &provider}, {"journal_mode", &journal}} {
		if err := d.QueryRow("PRAGMA " + pragma.name).Scan(pragma.into); err != nil {
			return fmt.Errorf("%s: %w", pragma.name, err)
		}
	}
	if journal != "wal" {
		return fmt.Errorf("the journal is %q", journal)
	}
	d.version = fmt.Sprintf("SQLCipher %s with %s", cipher, provider)
	for _, statement := range settings {
		if _, err := d.Exec(statement); err != nil {
			return err
		}
	}
	var err error
	d.rows, err = d.Prepare("INSERT INTO samples (type, source, start, end, value) VALUES (?,?,?,?,?)" +
		strings.Repeat(",(?,?,?,?,?)", perInsert-1))
	return err
}

// insert stores rows in one transaction and returns the last id.
func (d *database) insert(rows [][5]float64) (last int64, err error) {
	tx, err := d.Begin()
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	many := tx.Stmt(d.rows)
	for ; len(rows) >= perInsert; rows = rows[perInsert:] {
		args := make([]any, 0, 5*perInsert)
		for i := range perInsert {
			args = appendRow(args, &rows[i])
		}
		if _, err := many.Exec(args...); err != nil {
			return 0, err
		}
	}
	for i := range rows {
		if _, err := tx.Exec("INSERT INTO samples (type, source, start, end, value) VALUES (?,?,?,?,?)", appendRow(nil, &rows[i])...); err != nil {
			return 0, err
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	return last, d.QueryRow("SELECT max(id) FROM samples").Scan(&last)
}

func appendRow(args []any, row *[5]float64) []any {
	return append(args, int64(row[0]), int64(row[1]), int64(row[2]), int64(row[3]), row[4])
}

// loaded builds the indexes, empties the write-ahead log into the database, and returns
// its size.
func (d *database) loaded() (int64, error) {
	for _, statement := range append(indexes, "PRAGMA wal_checkpoint(TRUNCATE)") {
		if _, err := d.Exec(statement); err != nil {
			return 0, err
		}
	}
	info, err := os.Stat(d.path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (d *database) close() {
	_ = d.rows.Close()
	_ = d.Close()
}
