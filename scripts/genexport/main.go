// Command genexport writes an Apple Health export of an invented person, of any size.
//
//	genexport -records 1000000 -out export.zip
//	genexport -size 4GB -years 8 -quirks -dtd 12 -out export.xml
//
// It prints what it wrote as JSON; -manifest FILE adds the sums of every day.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata"

	"healthledger/scripts/genexport/export"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "genexport:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("genexport", flag.ExitOnError)
	var o export.Options
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of everything random")
	flags.Uint64Var(&o.Pointers, "pointers", 1, "seed of the addresses in device strings")
	flags.IntVar(&o.Records, "records", 0, "number of records at the top level")
	flags.Float64Var(&o.Years, "years", 0, "years of data (default: as many as the records need)")
	flags.BoolVar(&o.Imperial, "imperial", false, "write mi, Cal, lb and degF")
	flags.BoolVar(&o.Quirks, "quirks", false, "add the flaws of real files")
	dtd := flags.Int("dtd", 14, "version of the document type: 11, 12 (malformed), 14, or -1 for none")
	size := flags.String("size", "", "size of the XML to aim at instead of -records, as 4GB or 300MB")
	zone := flags.String("zone", "Europe/Berlin", "where the person lives")
	exportZone := flags.String("export-zone", "", "zone of the dates' offsets (default: -zone)")
	end := flags.String("end", "2025-06-01", "first day without data")
	out := flags.String("out", "export.zip", "file to write, *.zip or *.xml")
	manifestFile := flags.String("manifest", "", "file for the whole manifest")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.DTD = export.DTD(*dtd)
	var err error
	if o.Size, err = parseSize(*size); err != nil {
		return err
	}
	if o.Zone, err = time.LoadLocation(*zone); err != nil {
		return fmt.Errorf("-zone: %w", err)
	}
	if *exportZone != "" {
		if o.ExportZone, err = time.LoadLocation(*exportZone); err != nil {
			return fmt.Errorf("-export-zone: %w", err)
		}
	}
	if o.End, err = time.ParseInLocation(time.DateOnly, *end, o.Zone); err != nil {
		return fmt.Errorf("-end: %w", err)
	}
	manifest, err := write(*out, o)
	if err != nil {
		return err
	}
	if *manifestFile != "" {
		text, err := json.MarshalIndent(manifest, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*manifestFile, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	for _, t := range manifest.Types {
		t.Days = nil
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", " ")
	return encoder.Encode(manifest)
}

// write creates the file and fills it.
func write(name string, o export.Options) (export.Manifest, error) {
	file, err := os.Create(name)
	if err != nil {
		return export.Manifest{}, err
	}
	into := export.WriteXML
	if strings.HasSuffix(name, ".zip") {
		into = export.WriteZip
	}
	manifest, err := into(file, o)
	if closing := file.Close(); err == nil {
		err = closing
	}
	return manifest, err
}

// parseSize reads 4GB, 300MB, 20KB or a number of bytes.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	number, factor := strings.ToUpper(s), 1.0
	for unit, f := range map[string]float64{"KB": 1e3, "MB": 1e6, "GB": 1e9} {
		if bare, ok := strings.CutSuffix(number, unit); ok {
			number, factor = bare, f
			break
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || v <= 0 {
		return 0, fmt.Errorf("-size %q: want a number with KB, MB or GB", s)
	}
	return int64(v * factor), nil
}
