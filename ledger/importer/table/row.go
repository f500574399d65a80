package table

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"healthledger/ledger/importer/send"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// rows makes samples of lines.
type rows struct {
	mapping Mapping
	// at is the column of a field.
	at map[string]int
	// fields are the keys of at and the constants, in order.
	fields  []string
	header  []string
	columns int
	date    dateFunc
	zone    *time.Location
	checker send.Checker
}

// bind finds the columns of the mapping in the file.
func (in *reader) bind(m Mapping) (*rows, error) {
	r := &rows{mapping: m, at: map[string]int{}, header: in.header, columns: in.columns, date: DateFormats[m.dates()](), zone: m.Zone}
	if r.zone == nil {
		r.zone = time.UTC
	}
	for _, field := range slices.Sorted(maps.Keys(m.Columns)) {
		at, err := column(m.Columns[field], in.header, in.columns)
		if err != nil {
			return nil, err
		}
		r.at[field] = at
	}
	r.fields = slices.Sorted(maps.Keys(r.at))
	r.fields = append(r.fields, slices.Sorted(maps.Keys(m.Constants))...)
	return r, nil
}

// ignored are the columns that nothing is mapped to.
func (r *rows) ignored() (names []string) {
	mapped := slices.Collect(maps.Values(r.at))
	for i := range r.columns {
		if !slices.Contains(mapped, i) {
			names = append(names, r.name(i))
		}
	}
	return names
}

func (r *rows) name(column int) string {
	if column < len(r.header) && r.header[column] != "" {
		return r.header[column]
	}
	return "#" + strconv.Itoa(column+1)
}

// cell returns what a field says on a line.
func (r *rows) cell(field string, cells []string) string {
	if at, ok := r.at[field]; ok {
		return strings.TrimSpace(cells[at])
	}
	return r.mapping.Constants[field]
}

// flaw is the error of a field on a line.
func (r *rows) flaw(field string, cells []string, why string) error {
	e := &LineError{Value: shorten(r.cell(field, cells)), Why: why}
	if at, ok := r.at[field]; ok {
		e.Column = r.name(at)
	} else {
		e.Why = field + ": " + why
		e.Value = ""
	}
	return e
}

// shorten keeps an error readable.
func shorten(text string) string {
	const most = 40
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// sample makes the sample of a line. The error is a *LineError without a line.
func (r *rows) sample(cells []string) (*pb.Sample, error) {
	s := &pb.Sample{Type: r.cell("type", cells), Unit: r.cell("unit", cells), Label: r.cell("label", cells), Uuid: r.cell("uuid", cells)}
	t, ok := catalog.Lookup(s.Type)
	if !ok {
		return nil, r.flaw("type", cells, "no such type")
	}
	if !t.Kind.HasNumber() {
		return nil, r.flaw("type", cells, "only quantities and categories fit into a table")
	}
	if err := r.times(s, cells); err != nil {
		return nil, err
	}
	if err := r.value(t, s, cells); err != nil {
		return nil, err
	}
	r.provenance(s, cells)
	if err := r.metadata(s, cells); err != nil {
		return nil, err
	}
	return s, r.check(s, cells)
}

// times reads start, end or duration, and created.
func (r *rows) times(s *pb.Sample, cells []string) error {
	read := func(field string) (t time.Time, err error) {
		text := r.cell(field, cells)
		if text == "" {
			return t, nil
		}
		if t, err = r.date(text, r.zone); err != nil {
			return t, r.flaw(field, cells, err.Error())
		}
		return t, nil
	}
	start, err := read("start")
	if err != nil {
		return err
	}
	if r.cell("start", cells) == "" {
		return r.flaw("start", cells, "missing")
	}
	end, err := read("end")
	if err != nil {
		return err
	}
	created, err := read("created")
	if err != nil {
		return err
	}
	if text := r.cell("duration", cells); text != "" {
		d, err := duration(text, r.mapping.Decimal)
		if err != nil {
			return r.flaw("duration", cells, err.Error())
		}
		end = start.Add(d)
	}
	s.Start = health.Timestamp(start.UnixMicro())
	if !end.IsZero() {
		s.End = health.Timestamp(end.UnixMicro())
	}
	if !created.IsZero() {
		s.Created = health.Timestamp(created.UnixMicro())
	}
	return nil
}

// value reads the number of a quantity, or the number or name of a category's value.
func (r *rows) value(t *catalog.Type, s *pb.Sample, cells []string) error {
	text := r.cell("value", cells)
	if text == "" {
		if s.Label == "" {
			return r.flaw("value", cells, "missing")
		}
		return nil
	}
	v, err := number(text, r.mapping.Decimal)
	switch {
	case err != nil && t.Kind == catalog.Category && s.Label == "":
		s.Label = text
		return nil
	case err != nil:
		return r.flaw("value", cells, err.Error())
	case s.Unit == "percent":
		v, s.Unit = v/100, "%"
	}
	s.Value = &v
	return nil
}

// provenance reads who measured.
func (r *rows) provenance(s *pb.Sample, cells []string) {
	var source pb.Source
	var device pb.Device
	hasSource, hasDevice := false, false
	for field, into := range map[string]*string{
		"source": &source.Name, "source.version": &source.Version, "source.productType": &source.ProductType, "source.osVersion": &source.OsVersion,
		"device.name": &device.Name, "device.manufacturer": &device.Manufacturer, "device.model": &device.Model,
		"device.hardwareVersion": &device.HardwareVersion, "device.firmwareVersion": &device.FirmwareVersion, "device.softwareVersion": &device.SoftwareVersion,
	} {
		if *into = r.cell(field, cells); *into != "" {
			hasDevice = hasDevice || strings.HasPrefix(field, "device.")
			hasSource = true
		}
	}
	if hasDevice {
		source.Device = &device
	}
	if hasSource {
		s.Source = &source
	}
}

// check says what the ledger would refuse, by the column it came from.
func (r *rows) check(s *pb.Sample, cells []string) error {
	err := r.checker.Check(s)
	var refused *health.FieldError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &refused):
		return &LineError{Why: err.Error()}
	}
	field := refused.Field
	if key, ok := strings.CutPrefix(field, "metadata["); ok {
		field = metadataPrefix + strings.TrimSuffix(key, "]")
	}
	switch field {
	case "source.name":
		field = "source"
	case "end":
		if r.cell("duration", cells) != "" {
			field = "duration"
		}
	case "label":
		if r.cell("label", cells) == "" {
			field = "value"
		}
	}
	return r.flaw(field, cells, refused.Why)
}
