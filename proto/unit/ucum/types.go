package ucum

import (
	"errors"
	"fmt"

	"healthledger/proto/catalog"
	"healthledger/proto/unit"
)

// form is how values of a type are exchanged, where that is not the UCUM code of its
// canonical unit.
type form struct {
	// unit and code say the same to the reader, whatever UCUM thinks of them.
	unit, code string
	// molarMass in grams per mole of what is measured.
	molarMass float64
}

// forms follow the vital signs profiles of FHIR (spec 5.2). The body mass index is a
// bare count in HealthKit. Glucose has the molar mass of HealthKit's own constant.
var forms = map[string]form{
	"heartRate":       {unit: "count/min", code: "/min"},
	"respiratoryRate": {unit: "count/min", code: "/min"},
	"bodyMassIndex":   {unit: "count", code: "kg/m2"},
	"bloodGlucose":    {unit: "mg/dL", code: "mg/dL", molarMass: 180.15588000005408},
}

// formOf returns the form of a type with its unit, and that unit in UCUM.
func formOf(t *catalog.Type) (form, unit.Unit, written, error) {
	f := forms[t.Short()]
	if f.unit == "" {
		f.unit = t.Unit
	}
	u, err := unit.Parse(f.unit)
	if err != nil {
		return form{}, unit.Unit{}, written{}, fmt.Errorf("%s has no unit: %w", t.Short(), err)
	}
	w, err := write(u)
	if err != nil {
		return form{}, unit.Unit{}, written{}, fmt.Errorf("%s: %w", t.Short(), err)
	}
	if f.code == "" {
		f.code = w.code
	}
	return f, u, w, nil
}

// OfType writes a value of a quantity type, given in u, in the UCUM unit in which FHIR
// wants the type: heart rates in /min, oxygen saturation in %, the body mass index in
// kg/m2. It converts with unit.Exact. It fails for types without a unit, with
// unit.ErrIncompatible or with ErrValue.
func OfType(t *catalog.Type, v float64, u unit.Unit) (Quantity, error) {
	f, own, w, err := formOf(t)
	if err != nil {
		return Quantity{}, err
	}
	if v, err = unit.Exact.Convert(v, u, own); err != nil {
		return Quantity{}, err
	}
	w.code = f.code
	return w.quantity(v)
}

// InType expresses a quantity of a type in u. Amounts of substance become masses by
// the molar mass of what the type measures. It fails like In, and with
// unit.ErrIncompatible where u is not of the type.
func (q Quantity) InType(t *catalog.Type, u unit.Unit) (float64, error) {
	f, own, w, err := formOf(t)
	if err != nil {
		return 0, err
	}
	exchanged := w
	exchanged.code = f.code
	v, err := q.in(exchanged, f.molarMass)
	if errors.Is(err, unit.ErrIncompatible) { // a body mass index that came as a bare number
		v, err = q.in(w, f.molarMass)
	}
	if err != nil {
		return 0, err
	}
	return unit.Exact.Convert(v, own, u)
}
