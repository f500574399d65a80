package export

import (
	"math"
	"math/rand/v2"
	"strconv"
)

// source is an app or a device of the person.
type source struct {
	name string
	// versions that were current one after the other, a quarter of a year each.
	versions []string
	// device is what follows the pointer in a device string, with %V for the version;
	// empty: none.
	device string
}

// Indexes into the table of sources.
const (
	phone = iota
	watch
	scale
	manual
	cuff
	meter
	diary
	brush
)

var plainSources = []source{
	phone:  {name: "Anna's iPhone", versions: []string{"16.5", "16.6.1", "17.0.3", "17.4.1", "17.6.1", "18.1", "18.5"}, device: "name:iPhone, manufacturer:Apple Inc., model:iPhone, hardware:iPhone14,5, software:%V"},
	watch:  {name: "Anna's Apple Watch", versions: []string{"9.5.2", "9.6.3", "10.0.2", "10.4", "10.6.1", "11.1", "11.5"}, device: "name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,10, software:%V"},
	scale:  {name: "Health Mate", versions: []string{"2160040", "2180011"}},
	manual: {name: "Health", versions: []string{"16.6.1", "17.6.1", "18.5"}},
	cuff:   {name: "OMRON connect", versions: []string{"010.003.00001"}, device: "name:HEM-7361T, manufacturer:OMRON HEALTHCARE Co., Ltd., model:M7 Intelli IT"},
	meter:  {name: "Dexcom G6", versions: []string{"1.10.1.2"}, device: "name:CGM, manufacturer:Dexcom, model:G6, localIdentifier:8H2KQ9"},
	diary:  {name: "MyFitnessPal", versions: []string{"41022", "42010"}},
	brush:  {name: "Oral-B", versions: []string{"9.2.0"}},
}

// quirkySources have the names that phones really give: a curly apostrophe, a
// no-break space, an ampersand; and devices with a creation date.
func quirkySources() []source {
	s := append([]source(nil), plainSources...)
	s[phone].name = "Anna’s iPhone"
	s[watch].name = "Anna’s Apple\u00a0Watch"
	s[watch].device += ", creation date:2024-08-24 17:12:03 +0000"
	s[scale].name = "Waage & Co <Küche>"
	s[meter].device += ", FDA UDI:00386270000385, radio:2.4 GHz"
	return s
}

// placement says when on a day the samples of a series lie.
type placement int

const (
	allDay  placement = iota // midnight to midnight
	waking                   // 07:00 to 22:30
	nightly                  // 00:30 to 06:30
	morning                  // 06:30 to 09:00
	hourly                   // on the hour, from 06:00
	pulse                    // every five minutes, five seconds while training
	asleep                   // one stage after the other, from 22:50
)

// series is one type of record in an export.
type series struct {
	id   string
	unit string
	// perDay is its share of RecordsPerDay.
	perDay float64
	place  placement
	// sources take turns; two of them count the same thing at the same time.
	sources []int
	// length of a sample in seconds, at most; it never reaches the next one's day.
	length int
	// value is the mantissa with so many decimals, at an hour of the day.
	value    func(r *rand.Rand, hour float64) int64
	decimals int
	// factor converts to another unit; the product has the long tail of a double.
	factor float64
	// labels of a category.
	labels []string
	// meta appends metadata; tz tells whether the recording zone is among them.
	meta func(g *generator, r *rand.Rand, at int64)
	// pair names a placement shared with another series.
	pair string
}

func between(low, high int64) func(*rand.Rand, float64) int64 {
	return func(r *rand.Rand, _ float64) int64 { return low + r.Int64N(high-low+1) }
}

// heartRate follows the day: slow at night, fast in the evening's training.
func heartRate(r *rand.Rand, hour float64) int64 {
	base := 66 + 12*math.Sin((hour-8)/24*2*math.Pi)
	if hour >= 17.5 && hour < 19.5 {
		base = 128
	}
	return int64(base) + r.Int64N(16) - 7
}

// steps of a bout, mostly few.
func steps(r *rand.Rand, _ float64) int64 { return 4 + r.Int64N(60)*r.Int64N(12) }

const (
	quantity = "HKQuantityTypeIdentifier"
	category = "HKCategoryTypeIdentifier"
	catValue = "HKCategoryValue"
)

var plain = []string{catValue + "NotApplicable"}

// allSeries lists what the person records.
func allSeries(o Options) []series {
	flow := catValue + "VaginalBleeding"
	if o.DTD == DTD11 || o.DTD == DTD12 {
		flow = catValue + "MenstrualFlow"
	}
	list := []series{
		{id: quantity + "HeartRate", unit: "count/min", perDay: 500, place: pulse, sources: []int{watch}, value: heartRate, meta: motionContext},
		{id: quantity + "StepCount", unit: "count", perDay: 170, place: waking, sources: []int{phone, watch}, length: 500, value: steps},
		{id: quantity + "DistanceWalkingRunning", unit: "km", perDay: 190, place: waking, sources: []int{phone, watch}, length: 500, decimals: 6, value: between(300, 610_000)},
		{id: quantity + "ActiveEnergyBurned", unit: "kcal", perDay: 410, place: allDay, sources: []int{watch}, length: 60, decimals: 3, value: between(20, 9_500)},
		{id: quantity + "BasalEnergyBurned", unit: "kcal", perDay: 190, place: allDay, sources: []int{watch}, length: 600, decimals: 3, value: between(700, 19_000)},
		{id: quantity + "PhysicalEffort", unit: "kcal/hr·kg", perDay: 60, place: waking, sources: []int{watch}, length: 300, decimals: 1, value: between(10, 82), meta: effortMeta},
		{id: quantity + "AppleExerciseTime", unit: "min", perDay: 35, place: waking, sources: []int{watch}, length: 60, value: between(1, 1)},
		{id: quantity + "AppleStandTime", unit: "min", perDay: 70, place: waking, sources: []int{watch}, length: 300, value: between(1, 5)},
		{id: quantity + "FlightsClimbed", unit: "count", perDay: 9, place: waking, sources: []int{phone, watch}, length: 20, value: between(1, 4)},
		{id: quantity + "DistanceCycling", unit: "km", perDay: 12, place: waking, sources: []int{watch}, length: 120, decimals: 6, value: between(3_000, 450_000)},
		{id: quantity + "EnvironmentalAudioExposure", unit: "dBASPL", perDay: 48, place: waking, sources: []int{watch}, length: 1500, decimals: 4, value: between(380_000, 880_000)},
		{id: quantity + "HeadphoneAudioExposure", unit: "dBASPL", perDay: 6, place: waking, sources: []int{phone}, length: 600, decimals: 4, value: between(500_000, 850_000), meta: audioMeta},
		{id: quantity + "OxygenSaturation", unit: "%", perDay: 14, place: allDay, sources: []int{watch}, decimals: 2, value: between(93, 100), meta: pressureMeta},
		{id: quantity + "RespiratoryRate", unit: "count/min", perDay: 24, place: nightly, sources: []int{watch}, decimals: 1, value: between(120, 190), meta: zoneMeta},
		{id: quantity + "RestingHeartRate", unit: "count/min", perDay: 1, place: waking, sources: []int{watch}, length: 36000, value: between(52, 68)},
		{id: quantity + "WalkingHeartRateAverage", unit: "count/min", perDay: 1, place: waking, sources: []int{watch}, length: 36000, decimals: 1, value: between(860, 1150)},
		{id: quantity + "HeartRateVariabilitySDNN", unit: "ms", perDay: 5, place: allDay, sources: []int{watch}, length: 60, decimals: 4, value: between(180_000, 1_300_000), meta: beats},
		{id: quantity + "VO2Max", unit: "mL/min·kg", perDay: 0.3, place: waking, sources: []int{watch}, decimals: 2, value: between(3500, 4400), meta: vo2Meta},
		{id: quantity + "WalkingSpeed", unit: "km/hr", perDay: 22, place: waking, sources: []int{phone}, length: 60, decimals: 2, value: between(320, 560)},
		{id: quantity + "WalkingStepLength", unit: "cm", perDay: 22, place: waking, sources: []int{phone}, length: 60, value: between(55, 82)},
		{id: quantity + "WalkingDoubleSupportPercentage", unit: "%", perDay: 12, place: waking, sources: []int{phone}, length: 60, decimals: 3, value: between(240, 330)},
		{id: quantity + "WalkingAsymmetryPercentage", unit: "%", perDay: 7, place: waking, sources: []int{phone}, length: 60, decimals: 2, value: between(0, 12)},
		{id: quantity + "TimeInDaylight", unit: "min", perDay: 8, place: waking, sources: []int{watch}, length: 300, value: between(1, 5), meta: lightMeta},
		{id: quantity + "AppleSleepingWristTemperature", unit: "degC", perDay: 1, place: nightly, sources: []int{watch}, length: 18000, decimals: 4, value: between(352_000, 366_000)},
		{id: quantity + "BodyTemperature", unit: "degC", perDay: 0.05, place: morning, sources: []int{manual}, decimals: 1, value: between(362, 391), meta: userEntered},
		{id: quantity + "BodyMass", unit: "kg", perDay: 0.8, place: morning, sources: []int{scale, manual}, decimals: 2, value: between(6_900, 7_350), meta: userEntered},
		{id: quantity + "BodyMassIndex", unit: "count", perDay: 0.8, place: morning, sources: []int{scale}, decimals: 4, value: between(221_000, 238_000)},
		{id: quantity + "BodyFatPercentage", unit: "%", perDay: 0.5, place: morning, sources: []int{scale}, decimals: 3, value: between(215, 262)},
		{id: quantity + "LeanBodyMass", unit: "kg", perDay: 0.5, place: morning, sources: []int{scale}, decimals: 2, value: between(5_300, 5_520)},
		{id: quantity + "Height", unit: "cm", perDay: 0.004, place: morning, sources: []int{manual}, value: between(174, 176), meta: userEntered},
		{id: quantity + "BloodPressureSystolic", unit: "mmHg", perDay: 1.2, place: morning, sources: []int{cuff}, value: between(108, 142), pair: "BloodPressure"},
		{id: quantity + "BloodPressureDiastolic", unit: "mmHg", perDay: 1.2, place: morning, sources: []int{cuff}, value: between(64, 92), pair: "BloodPressure"},
		{id: quantity + "BloodGlucose", unit: "mmol<180.1558800000541>/L", perDay: 12, place: allDay, sources: []int{meter}, decimals: 2, value: between(410, 890), meta: mealMeta},
		{id: quantity + "InsulinDelivery", unit: "IU", perDay: 0.6, place: waking, sources: []int{meter}, length: 1, decimals: 1, value: between(10, 80), meta: insulinMeta},
		{id: quantity + "DietaryEnergyConsumed", unit: "kcal", perDay: 4, place: waking, sources: []int{diary}, value: between(80, 940), meta: foodMeta, pair: "Food"},
		{id: quantity + "DietaryCarbohydrates", unit: "g", perDay: 4, place: waking, sources: []int{diary}, decimals: 1, value: between(30, 1200), meta: foodMeta, pair: "Food"},
		{id: quantity + "DietaryProtein", unit: "g", perDay: 4, place: waking, sources: []int{diary}, decimals: 1, value: between(20, 600), meta: foodMeta, pair: "Food"},
		{id: quantity + "DietaryCaffeine", unit: "mg", perDay: 2, place: waking, sources: []int{diary}, value: between(30, 180)},
		{id: quantity + "DietaryWater", unit: "mL", perDay: 5, place: waking, sources: []int{diary, manual}, value: between(100, 500)},
		{id: "HKDataTypeSleepDurationGoal", unit: "hr", perDay: 0.02, place: morning, sources: []int{manual}, decimals: 1, value: between(65, 90)},
		{id: category + "SleepAnalysis", perDay: 26, place: asleep, sources: []int{watch}, meta: zoneMeta,
			labels: []string{catValue + "SleepAnalysisAsleepCore", catValue + "SleepAnalysisAsleepDeep", catValue + "SleepAnalysisAsleepREM", catValue + "SleepAnalysisAwake", catValue + "SleepAnalysisAsleepUnspecified", catValue + "SleepAnalysisInBed"}},
		{id: category + "AppleStandHour", perDay: 17, place: hourly, sources: []int{watch}, length: 3600, labels: []string{catValue + "AppleStandHourStood", catValue + "AppleStandHourIdle"}},
		{id: category + "HandwashingEvent", perDay: 6, place: waking, sources: []int{watch}, length: 40, labels: plain},
		{id: category + "MindfulSession", perDay: 0.4, place: waking, sources: []int{watch, manual}, length: 900, labels: plain},
		{id: category + "ToothbrushingEvent", perDay: 2, place: waking, sources: []int{brush}, length: 130, labels: plain},
		{id: category + "HighHeartRateEvent", perDay: 0.05, place: waking, sources: []int{watch}, length: 600, labels: plain, meta: thresholdMeta},
		{id: category + "AudioExposureEvent", perDay: 0.1, place: waking, sources: []int{watch}, length: 300, labels: []string{catValue + "EnvironmentalAudioExposureEventMomentaryLimit"}},
		{id: category + "MenstrualFlow", perDay: 0.17, place: waking, sources: []int{manual}, length: 60, labels: []string{flow + "Light", flow + "Medium", flow + "Heavy", flow + "Unspecified"}, meta: cycleMeta},
	}
	if o.DTD == DTD8 {
		list[0].unit, list[0].factor = "count/s", 1.0/60
	}
	if o.Imperial {
		for i := range list {
			imperial(&list[i])
		}
	}
	return list
}

// imperial changes a series to the units of an American phone.
func imperial(s *series) {
	to := func(unit string, factor float64) { s.unit, s.factor = unit, factor }
	switch {
	case s.unit == "km":
		to("mi", 1/1.609344)
	case s.unit == "kg":
		to("lb", 1/0.45359237)
	case s.unit == "km/hr":
		to("mi/hr", 1/1.609344)
	case s.unit == "cm":
		to("in", 1/2.54)
	case s.unit == "kcal":
		to("Cal", 1)
	case s.unit == "mL":
		to("fl_oz_us", 1/29.5735295625)
	case s.unit == "mmol<180.1558800000541>/L":
		to("mg/dL", 18.01558800000541)
	case s.unit == "degC":
		// Not a factor alone: given as tenths of a degree Fahrenheit.
		s.unit, s.decimals, s.value = "degF", 1, between(952, 1024)
	}
}

// number is the value of a mantissa.
func (s *series) number(mantissa int64) float64 {
	v := float64(mantissa) / pow10[s.decimals]
	if s.factor != 0 {
		v *= s.factor
	}
	return v
}

var pow10 = [...]float64{1, 10, 100, 1e3, 1e4, 1e5, 1e6}

// appendValue prints a mantissa the way the export does: no trailing zeros.
func (s *series) appendValue(b []byte, mantissa int64) []byte {
	if s.factor != 0 {
		return strconv.AppendFloat(b, s.number(mantissa), 'f', -1, 64)
	}
	scale := int64(pow10[s.decimals])
	b = strconv.AppendInt(b, mantissa/scale, 10)
	rest := mantissa % scale
	if rest == 0 {
		return b
	}
	b = append(b, '.')
	for scale /= 10; rest > 0; scale /= 10 {
		b = append(b, byte('0'+rest/scale))
		rest %= scale
	}
	return b
}
