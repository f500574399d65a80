package export

import (
	"math/rand/v2"
	"strconv"
)

// entry appends a MetadataEntry. The value is already escaped.
func (g *generator) entry(key, value string) {
	g.buf = append(g.buf, "  <MetadataEntry key=\""...)
	g.buf = append(g.buf, key...)
	g.buf = append(g.buf, "\" value=\""...)
	g.buf = append(g.buf, value...)
	g.buf = append(g.buf, "\"/>\n"...)
	g.elements[metadataEntry]++
}

func motionContext(g *generator, r *rand.Rand, _ int64) {
	if n := r.IntN(3); n > 0 {
		g.entry("HKMetadataKeyHeartRateMotionContext", strconv.Itoa(n-1))
	}
}

func effortMeta(g *generator, r *rand.Rand, _ int64) {
	g.entry("HKPhysicalEffortEstimationType", strconv.Itoa(1+r.IntN(2)))
}

func audioMeta(g *generator, _ *rand.Rand, _ int64) {
	g.entry("HKMetadataKeyAudioExposureDuration", "300 s")
}

func pressureMeta(g *generator, r *rand.Rand, _ int64) {
	g.entry("HKMetadataKeyBarometricPressure", strconv.Itoa(9800+r.IntN(400))+" kPa")
}

func zoneMeta(g *generator, _ *rand.Rand, _ int64) {
	g.entry("HKTimeZone", g.o.Zone.String())
}

func vo2Meta(g *generator, _ *rand.Rand, _ int64) {
	g.entry("HKVO2MaxTestType", "2")
}

func lightMeta(g *generator, r *rand.Rand, _ int64) {
	g.entry("HKMetadataKeyMaximumLightIntensity", strconv.Itoa(900+r.IntN(16000))+" lx")
}

func userEntered(g *generator, r *rand.Rand, _ int64) {
	g.entry("HKWasUserEntered", strconv.Itoa(r.IntN(2)))
}

func mealMeta(g *generator, r *rand.Rand, _ int64) {
	if r.IntN(4) == 0 {
		g.entry("HKBloodGlucoseMealTime", strconv.Itoa(1+r.IntN(2)))
	}
	g.entry("com.dexcom.transmitter", "8H2KQ9")
}

func insulinMeta(g *generator, r *rand.Rand, _ int64) {
	g.entry("HKInsulinDeliveryReason", strconv.Itoa(1+r.IntN(2)))
}

func foodMeta(g *generator, r *rand.Rand, at int64) {
	g.entry("HKFoodType", [...]string{"Müsli", "Salat &amp; Brot", "Pasta", "Apfel"}[r.IntN(4)])
	g.entry("meal", [...]string{"Breakfast", "Lunch", "Dinner"}[r.IntN(3)])
	g.entry("HKExternalUUID", strconv.FormatInt(at^0x5eed, 36))
}

func thresholdMeta(g *generator, _ *rand.Rand, _ int64) {
	g.entry("HKHeartRateEventThreshold", "120 count/min")
}

func cycleMeta(g *generator, r *rand.Rand, _ int64) {
	g.entry("HKMenstrualCycleStart", strconv.Itoa(r.IntN(2)))
}

// beats appends the readings behind a heart rate variability. Their times are clock
// text of the exporting phone, without a date.
func beats(g *generator, r *rand.Rand, at int64) {
	g.buf = append(g.buf, "  <HeartRateVariabilityMetadataList>\n"...)
	g.elements[hrvList]++
	hundredth := int64(0)
	for range 24 + r.IntN(20) {
		bpm := 48 + r.Int64N(40)
		hundredth += 6000 / bpm
		local := g.clock.local(at+hundredth/100) % 86400
		hour, half := local/3600, "AM"
		if hour >= 12 {
			hour, half = hour-12, "PM"
		}
		if hour == 0 {
			hour = 12
		}
		g.buf = append(g.buf, "   <InstantaneousBeatsPerMinute bpm=\""...)
		g.buf = strconv.AppendInt(g.buf, bpm, 10)
		g.buf = append(g.buf, "\" time=\""...)
		g.buf = strconv.AppendInt(g.buf, hour, 10)
		g.buf = append(g.buf, ':')
		g.buf = appendTwo(g.buf, local/60%60)
		g.buf = append(g.buf, ':')
		g.buf = appendTwo(g.buf, local%60)
		g.buf = append(g.buf, '.')
		g.buf = appendTwo(g.buf, hundredth%100)
		g.buf = append(g.buf, ' ')
		g.buf = append(g.buf, half...)
		g.buf = append(g.buf, "\"/>\n"...)
		g.elements[beat]++
	}
	g.buf = append(g.buf, "  </HeartRateVariabilityMetadataList>\n"...)
}

// flaws are metadata as real files have them. Each says how many of its characters
// XML 1.0 forbids, as a reader sees it that takes every bad byte for one.
var flaws = []struct {
	key, value string
	replaced   uint64
}{
	{"note", "line one\x0bline two", 1},
	{"note", "line one&#11;line two", 1},
	{"note", "caf\xe9 \xff", 2},
	{"note", "cut off \xe2\x82", 2},
	{"note", "null &#0; and &#xFFFF; and &#xD800;", 3},
	{"fine", "tab &#9; line &#10; &#x1F600; &quot;&apos;&lt;&gt;&amp;amp;", 0},
	{"fine", "nbsp\u00a0thin\u2009 &nbsp; &unknown;", 0},
}

// flawed appends flawed metadata, one key twice.
func (g *generator) flawed(n uint64) {
	flaw := flaws[n%uint64(len(flaws))]
	g.entry(flaw.key, flaw.value)
	g.entry(flaw.key, "again")
	g.m.Replaced += flaw.replaced
}
