package healthautoexport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	pb "healthledger/proto/healthledger/v1"
)

// series is a metric while it is read: its points follow its name and its units, or wait.
type series struct {
	name, units       string
	hasName, hasUnits bool
	metric            *metric
	waiting           *waiting
	// rest is what it has beyond name, units and points.
	rest object
}

// metric reads one element of data.metrics point by point.
func (p *parser) metric() error {
	t, err := p.dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return p.other("metrics", t)
	}
	s := &series{}
	if err := p.fields(func(key string) error { return p.seriesField(s, key) }); err != nil {
		return err
	}
	if s.waiting != nil {
		s.settle()
		if err := s.waiting.each(func(raw []byte) error { return p.point(s, raw) }); err != nil {
			return err
		}
	}
	if len(s.rest.fields) == 0 {
		return nil
	}
	// What concerns the whole metric has no sample to stay with.
	raw := []byte("{")
	for i, f := range s.rest.fields {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = append(append(append(raw, quote(f.key)...), ':'), f.value...)
	}
	return p.element(element{kind: p.report.bounded("metrics: " + s.name), name: "metrics", raw: append(raw, '}'), wrap: s.wrap},
		func(*parser, *object) ([]*pb.Sample, error) { return nil, errMetricField })
}

var errMetricField = errors.New("a field of a metric beside name, units and data")

func (p *parser) seriesField(s *series, key string) error {
	t, err := p.dec.Token()
	if err != nil {
		return err
	}
	text, isText := t.(string)
	switch {
	case key == "name" && isText && !s.hasName:
		s.name, s.hasName = text, true
	case key == "units" && isText && !s.hasUnits:
		s.units, s.hasUnits = text, true
	case key == "data" && t == json.Delim('['):
		return p.points(s)
	case t == nil:
	default:
		raw, err := p.remaining(t)
		if err != nil {
			return err
		}
		s.rest.fields = append(s.rest.fields, field{key: key, value: raw})
	}
	return nil
}

// points reads the array of points. The app does not order its fields, so name and units
// may come later.
func (p *parser) points(s *series) error {
	if s.hasName && s.hasUnits && s.waiting == nil {
		s.settle()
	}
	for p.dec.More() {
		p.in.mark = p.in.total
		raw, err := p.value()
		if err != nil {
			return err
		}
		if s.metric != nil {
			err = p.point(s, raw)
		} else {
			err = s.wait(raw)
		}
		if err != nil {
			return err
		}
	}
	_, err := p.dec.Token()
	return err
}

func (s *series) settle() { s.metric = metricOf(s.name, s.units) }

func (p *parser) point(s *series, raw []byte) error {
	kind := "metrics: " + s.name
	if s.metric.read == nil {
		kind = "unknown: " + kind
	}
	return p.element(element{kind: p.report.bounded(kind), name: "metrics", raw: raw, wrap: func(raw []byte) []byte {
		return s.wrap(append(append([]byte(`{"data":[`), raw...), ']', '}'))
	}}, s.metric.point)
}

// wrap adds name and units to what is kept of a metric, so that it says all by itself.
func (s *series) wrap(raw []byte) []byte {
	b := fmt.Appendf(nil, `{"name":%s,"units":%s`, quote(s.name), quote(s.units))
	if raw = bytes.TrimPrefix(raw, []byte("{")); len(raw) > 1 {
		b = append(b, ',')
	}
	return append(b, raw...)
}

func quote(text string) []byte {
	raw, err := json.Marshal(text)
	if err != nil {
		return []byte(`""`) // a string always has a form
	}
	return raw
}

// maxWaiting bounds the points that wait, compressed.
const maxWaiting = 64 << 20

// waiting holds points whose metric is not known yet. They are compressed: points are alike,
// so that a gigabyte of them takes some 50 MB.
type waiting struct {
	compressed bytes.Buffer
	zip        *zstd.Encoder
}

func (s *series) wait(raw []byte) error {
	if s.waiting == nil {
		w := &waiting{}
		zip, err := zstd.NewWriter(&w.compressed, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			return err
		}
		w.zip, s.waiting = zip, w
	}
	w := s.waiting
	if w.compressed.Len() > maxWaiting {
		return fmt.Errorf("more than %d MiB of compressed points come before the name of their metric: export fewer days at once", maxWaiting>>20)
	}
	if _, err := w.zip.Write(binary.AppendUvarint(nil, uint64(len(raw)))); err != nil {
		return err
	}
	_, err := w.zip.Write(raw)
	return err
}

// each calls fn with every point in order.
func (w *waiting) each(fn func(raw []byte) error) error {
	if err := w.zip.Close(); err != nil {
		return err
	}
	unzip, err := zstd.NewReader(&w.compressed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer unzip.Close()
	in := bufio.NewReader(unzip)
	for {
		size, err := binary.ReadUvarint(in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		raw := make([]byte, size)
		if _, err := io.ReadFull(in, raw); err != nil {
			return err
		}
		if err := fn(raw); err != nil {
			return err
		}
	}
}
