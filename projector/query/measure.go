package query

import (
	"fmt"

	"healthledger/proto/catalog"
	"healthledger/proto/unit"
)

// measure expresses values in the unit of an answer.
type measure struct {
	unit  string
	known converter
}

// parseMeasure chooses the unit of the answer: the type's own unless the request names one.
func parseMeasure(t *catalog.Type, text string) (*measure, error) {
	if text == "" {
		return &measure{unit: t.Unit}, nil
	}
	u, err := unit.Parse(text)
	if err != nil {
		return nil, refuse("unit", text, "no such unit")
	}
	canonical, err := unit.Parse(t.Unit)
	if err != nil {
		return nil, fmt.Errorf("unit of type %s: %w", t, err)
	}
	if !canonical.Compatible(u) {
		return nil, refuse("unit", text, fmt.Sprintf("not compatible with %s", t.Unit))
	}
	return &measure{unit: text}, nil
}

// of returns a value in the unit of the answer, which that of a sample can be expressed in;
// it is infinite if it does not fit.
func (m *measure) of(value float64, unit string) float64 {
	value, _ = m.known.convert(value, unit, m.unit)
	return value
}
