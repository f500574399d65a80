// Package csv exports samples as comma-separated values (RFC 4180), a table for each type.
//
// All tables have the same columns, in this order:
//
//	start, end, created     RFC 3339, UTC, to the microsecond where it needs it
//	value, unit, label      quantities have a value and a unit, categories a value and its name
//	source_name, source_app, source_version, product_type, os_version
//	device_name, manufacturer, model, hardware_version, firmware_version, software_version,
//	local_identifier, udi   of the device
//	device_other            its other properties, a JSON array of texts
//	uuid
//	metadata                a JSON array of entries in the schema's names
//	object                  what other kinds consist of, as JSON in the schema's names: a
//	                        workout, a day's summary, …, and the members and what an import
//	                        kept; empty for most quantities and categories
//
// An empty field is an absent one. Nothing is lost but payloads (voltages, routes,
// documents), which a table is no place for; the report counts them. Texts are written as
// they are, so one that begins with "=" is a formula to a spreadsheet.
package csv

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/projector/export"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// Header names the columns.
var Header = []string{"start", "end", "created", "value", "unit", "label",
	"source_name", "source_app", "source_version", "product_type", "os_version",
	"device_name", "manufacturer", "model", "hardware_version", "firmware_version", "software_version",
	"local_identifier", "udi", "device_other", "uuid", "metadata", "object"}

// Write exports one type as a table, which has a header also where there are no samples.
func Write(ctx context.Context, w io.Writer, r export.Reader, sel export.Selection, t *catalog.Type, report *export.Report) error {
	table := table{out: bufio.NewWriterSize(w, 1<<20), report: report}
	table.row(Header)
	for s, err := range sel.Samples(ctx, r, t) {
		if err == nil {
			err = table.sample(s)
		}
		if err != nil {
			return err
		}
	}
	return table.out.Flush()
}

// WriteArchive exports every type that has samples as a table of its own in a ZIP archive.
func WriteArchive(ctx context.Context, w io.Writer, r export.Reader, sel export.Selection, report *export.Report) error {
	archive := zip.NewWriter(w)
	for _, t := range sel.All() {
		file := lazy{open: func() (io.Writer, error) { return archive.Create(t.Short() + ".csv") }}
		table := table{out: bufio.NewWriterSize(&file, 1<<20), report: report}
		for s, err := range sel.Samples(ctx, r, t) {
			if err == nil && table.rows == 0 {
				table.row(Header)
			}
			if err == nil {
				err = table.sample(s)
			}
			if err != nil {
				return err
			}
		}
		if err := table.out.Flush(); err != nil {
			return err
		}
	}
	return archive.Close()
}

// lazy is a file that is made when something is written to it.
type lazy struct {
	open func() (io.Writer, error)
	file io.Writer
}

func (l *lazy) Write(b []byte) (n int, err error) {
	if l.file == nil {
		if l.file, err = l.open(); err != nil {
			return 0, err
		}
	}
	return l.file.Write(b)
}

type table struct {
	out    *bufio.Writer
	report *export.Report
	rows   int
	json   bytes.Buffer
}

func (t *table) sample(s *pb.Sample) error {
	if s.GetPayloadToken() != "" {
		t.report.LeftOut["payload of "+s.GetType()]++
	}
	fields, err := t.fields(s)
	if err != nil {
		return err
	}
	t.row(fields)
	t.report.Wrote(s.GetType())
	return nil
}

func (t *table) fields(s *pb.Sample) ([]string, error) {
	source, device := s.GetSource(), s.GetSource().GetDevice()
	value, other := "", ""
	if s.Value != nil {
		value = strconv.FormatFloat(s.GetValue(), 'g', -1, 64)
	}
	if len(device.GetOther()) > 0 {
		text, err := json.Marshal(device.Other)
		if err != nil {
			return nil, err
		}
		other = string(text)
	}
	metadata, err := t.metadata(s.GetMetadata())
	if err != nil {
		return nil, err
	}
	object, err := t.object(s)
	if err != nil {
		return nil, err
	}
	return []string{stamp(s.GetStart()), stamp(s.GetEnd()), stamp(s.GetCreated()), value, s.GetUnit(), s.GetLabel(),
		source.GetName(), source.GetApp(), source.GetVersion(), source.GetProductType(), source.GetOsVersion(),
		device.GetName(), device.GetManufacturer(), device.GetModel(), device.GetHardwareVersion(), device.GetFirmwareVersion(),
		device.GetSoftwareVersion(), device.GetLocalIdentifier(), device.GetUdiDeviceIdentifier(), other,
		s.GetUuid(), metadata, object}, nil
}

func stamp(ts *timestamppb.Timestamp) string {
	if ts == nil {
		return ""
	}
	return ts.AsTime().Format(time.RFC3339Nano)
}

func (t *table) metadata(entries []*pb.MetadataEntry) (string, error) {
	if len(entries) == 0 {
		return "", nil
	}
	t.json.Reset()
	for i, e := range entries {
		t.json.WriteByte("[,"[min(i, 1)])
		if err := export.AppendJSON(&t.json, e); err != nil {
			return "", err
		}
	}
	t.json.WriteByte(']')
	return t.json.String(), nil
}

// object is what a sample has beyond its columns, but for the payload.
func (t *table) object(s *pb.Sample) (string, error) {
	if s.Object == nil && len(s.Members) == 0 && len(s.Kept) == 0 {
		return "", nil
	}
	for _, m := range s.Members {
		m.PayloadToken = "" // for this reader only, and not for long
	}
	t.json.Reset()
	err := export.AppendJSON(&t.json, &pb.Sample{Object: s.Object, Members: s.Members, Kept: s.Kept})
	return t.json.String(), err
}

// row writes a record. What goes wrong shows in the flush.
func (t *table) row(fields []string) {
	t.rows++
	for i, field := range fields {
		if i > 0 {
			t.out.WriteByte(',')
		}
		if strings.ContainsAny(field, ",\"\r\n") || strings.TrimSpace(field) != field {
			field = `"` + strings.ReplaceAll(field, `"`, `""`) + `"`
		}
		t.out.WriteString(field)
	}
	t.out.WriteString("\r\n")
}
