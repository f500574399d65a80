package health

import (
	"cmp"
	"strconv"

	pb "healthledger/proto/healthledger/v1"
)

// maxPoints is how many sensitivity points HealthKit takes.
const maxPoints = 30

func (s subject) audiogram(a *pb.Audiogram) *FieldError {
	if n := len(a.Points); n < 1 || n > maxPoints {
		return refuse("points", strconv.Itoa(n), "not from 1 to "+strconv.Itoa(maxPoints))
	}
	return each("points", a.Points, s.point)
}

func (s subject) point(p *pb.SensitivityPoint) *FieldError {
	switch {
	case p.Frequency == nil:
		return refuse("frequency", "", "missing")
	case !(p.Frequency.Value > 0):
		return refuse("frequency.value", decimal(p.Frequency.Value), "not above 0")
	case len(p.Tests) == 0:
		return refuse("tests", "", "missing; the threshold of at least one ear")
	}
	return cmp.Or(
		amount("frequency", p.Frequency, "Hz"),
		each("tests", p.Tests, normalTest),
		checkKept(p.Kept, s.policy),
	)
}

func normalTest(t *pb.SensitivityTest) *FieldError {
	if t.Sensitivity == nil {
		return refuse("sensitivity", "", "missing")
	}
	if err := cmp.Or(
		needWord("side", "ear", &t.Side),
		amount("sensitivity", t.Sensitivity, "dBHL"),
		amount("clampingLower", t.ClampingLower, "dBHL"),
		amount("clampingUpper", t.ClampingUpper, "dBHL"),
	); err != nil {
		return err
	}
	// All in dBHL, of which there is but one unit.
	if lower, upper := t.ClampingLower, t.ClampingUpper; lower != nil && upper != nil && lower.Value > upper.Value {
		return refuse("clampingUpper.value", decimal(upper.Value), "below the lower bound")
	}
	return nil
}
