package export

import (
	"fmt"
	"strconv"
)

// others writes workouts, activity summaries and the rarer elements.
func (g *generator) others() {
	for day := range len(g.days) - 1 {
		if g.hasWorkout(day) {
			g.workout(day)
		}
	}
	for day := range len(g.days) - 1 {
		g.values.seed(g.o.Seed, 'w', "ActivitySummary", day)
		g.buf = fmt.Appendf(g.buf, " <ActivitySummary dateComponents=%q activeEnergyBurned=\"%d.%d\" activeEnergyBurnedGoal=\"520\" activeEnergyBurnedUnit=\"kcal\" appleMoveTime=\"0\" appleMoveTimeGoal=\"0\" appleExerciseTime=\"%d\" appleExerciseTimeGoal=\"30\" appleStandHours=\"%d\" appleStandHoursGoal=\"12\"/>\n",
			g.dates[day], 250+g.values.IntN(600), g.values.IntN(1000), g.values.IntN(100), 4+g.values.IntN(14))
		g.count("ActivitySummary", "activitySummary")
		g.spill()
	}
	date := string(g.clock.append(nil, g.days[0]+10*hour))
	for _, c := range clinicals {
		g.buf = fmt.Appendf(g.buf, " <ClinicalRecord type=%q identifier=%q sourceName=\"Charité\" sourceURL=\"https://fhir.example.org/%s\" fhirVersion=%q receivedDate=%q resourceFilePath=\"/clinical-records/%s\"/>\n",
			c.resource, c.id, c.id, c.version, date, c.file())
		if c.object == "" {
			g.m.Elements["ClinicalRecord"]++
			g.m.Unknown["ClinicalRecord"]++
		} else {
			g.count("ClinicalRecord", c.object)
		}
	}
	g.buf = fmt.Appendf(g.buf, " <Audiogram type=\"HKDataTypeIdentifierAudiogram\" %s=\"Mimi\" startDate=%q endDate=%q>\n  <MetadataEntry key=\"HKExternalUUID\" value=\"a-1\"/>\n", g.sourceAttribute(), date, date)
	g.elements[metadataEntry]++
	for i, hertz := range []int{250, 500, 1000, 2000, 4000, 8000} {
		g.buf = fmt.Appendf(g.buf, "  <SensitivityPoint frequencyValue=\"%d\" frequencyUnit=\"Hz\" leftEarValue=\"%d.5\" leftEarUnit=\"dBHL\" leftEarMasked=\"NO\" leftEarClampingRangeLowerBound=\"-10\" leftEarClampingRangeUpperBound=\"85\" rightEarValue=\"%d\" rightEarUnit=\"dBHL\"/>\n", hertz, 10+i, 9+2*i)
		g.m.Elements["SensitivityPoint"]++
	}
	g.buf = append(g.buf, " </Audiogram>\n"...)
	g.count("Audiogram", "audiogram")
	if g.o.DTD == DTD14 || g.o.DTD == DTDNone {
		g.prescriptions(date)
	}
}

// count counts an element that becomes an object.
func (g *generator) count(element, object string) {
	g.m.Elements[element]++
	g.m.Objects[object]++
}

func (g *generator) prescriptions(date string) {
	g.buf = fmt.Appendf(g.buf, " <VisionPrescription type=\"HKVisionPrescriptionTypeGlasses\" dateIssued=%q>\n  <RightEye sphere=\"-1.25\" sphereUnit=\"D\" cylinder=\"0.5\" cylinderUnit=\"D\" axis=\"80\" axisUnit=\"deg\" vertex=\"12\" vertexUnit=\"mm\" prismAmount=\"0.25\" prismAmountUnit=\"pD\" prismAngle=\"90\" prismAngleUnit=\"deg\"/>\n  <LeftEye sphere=\"-1.5\" sphereUnit=\"D\" farPD=\"31\" farPDUnit=\"mm\" nearPD=\"29.5\" nearPDUnit=\"mm\"/>\n  <Attachment identifier=%q/>\n </VisionPrescription>\n", date, attachmentID)
	g.buf = fmt.Appendf(g.buf, " <VisionPrescription type=\"HKVisionPrescriptionTypeContacts\" dateIssued=%q expirationDate=%q brand=\"Acuvue\">\n  <RightEye sphere=\"-1.25\" sphereUnit=\"D\" baseCurve=\"8.6\" baseCurveUnit=\"mm\" diameter=\"14.2\" diameterUnit=\"mm\"/>\n  <LeftEye sphere=\"-1.5\" sphereUnit=\"D\" add=\"1.75\" addUnit=\"D\"/>\n </VisionPrescription>\n",
		date, string(g.clock.append(nil, g.days[len(g.days)-1]+10*hour)))
	g.count("VisionPrescription", "visionPrescription")
	g.count("VisionPrescription", "visionPrescription")
	g.m.Elements["RightEye"] += 2
	g.m.Elements["LeftEye"] += 2
	g.m.Elements["Attachment"]++
}

// hasWorkout says whether there was a workout on a day; the random numbers go on from there.
func (g *generator) hasWorkout(day int) bool {
	g.values.seed(g.o.Seed, 'w', "Workout", day)
	return g.values.IntN(5) < 2
}

// workoutStart is the evening.
func (g *generator) workoutStart(day int) int64 { return g.days[day] + 17*hour + 1800 }

// workout writes a run or a ride in the evening, with a route.
func (g *generator) workout(day int) {
	start := g.workoutStart(day)
	minutes := 25 + g.values.Int64N(95)
	x := sample{source: watch, start: start, end: start + minutes*60, created: start + minutes*60 + 7}
	kind := [...]string{"Running", "Cycling", "Walking", "TraditionalStrengthTraining"}[g.values.IntN(4)]
	src := g.sources[watch]
	old := g.o.DTD == DTD11 || g.o.DTD == DTD8
	g.buf = fmt.Appendf(g.buf, " <Workout workoutActivityType=\"HKWorkoutActivityType%s\" duration=\"%d.%d\" durationUnit=\"min\"", kind, minutes-1, g.values.Int64N(1e14))
	kilometres := strconv.FormatFloat(float64(minutes)*0.17, 'f', -1, 64)
	energy := strconv.FormatInt(minutes*9, 10)
	if old {
		g.buf = fmt.Appendf(g.buf, " totalDistance=%q totalDistanceUnit=\"km\" totalEnergyBurned=%q totalEnergyBurnedUnit=\"kcal\"", kilometres, energy)
	}
	g.buf = fmt.Appendf(g.buf, " %s=\"%s\" sourceVersion=%q device=\"&lt;&lt;HKDevice: 0x3%08x&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,10, software:10.4&gt;", g.sourceAttribute(), escape(src.name), src.versions[0], uint32(g.o.Pointers*31+uint64(day)))
	g.dates3(x)
	g.buf = append(g.buf, "\">\n"...)
	g.entry("HKIndoorWorkout", "0")
	g.entry("HKWeatherTemperature", strconv.Itoa(40+g.values.IntN(40))+" degF")
	g.entry("HKWeatherHumidity", strconv.Itoa(4000+g.values.IntN(5000))+" %")
	g.entry("HKAverageMETs", "6.43 kcal/hr·kg")
	g.entry("HKTimeZone", g.o.Zone.String())
	g.event("Pause", start+600, "")
	g.event("Resume", start+660, "")
	g.event("Segment", start, " duration=\"7.67\" durationUnit=\"min\"")
	if !old {
		g.activity(x, minutes, kilometres)
		g.statistics("DistanceWalkingRunning", x, fmt.Sprintf("sum=%q unit=\"km\"", kilometres))
		g.statistics("ActiveEnergyBurned", x, fmt.Sprintf("sum=%q unit=\"kcal\"", energy))
		g.statistics("HeartRate", x, "average=\"131.5\" minimum=\"88\" maximum=\"171\" unit=\"count/min\"")
		g.effort(x)
		if g.o.Quirks {
			g.zones()
		}
	}
	g.route(day, x)
	g.buf = append(g.buf, " </Workout>\n"...)
	g.count("Workout", "workout")
	g.spill()
}

func (g *generator) event(kind string, at int64, more string) {
	g.buf = fmt.Appendf(g.buf, "  <WorkoutEvent type=\"HKWorkoutEventType%s\" date=\"", kind)
	g.buf = g.clock.append(g.buf, at)
	g.buf = append(append(append(g.buf, '"'), more...), "/>\n"...)
	g.m.Elements["WorkoutEvent"]++
}

// period appends start and end as attributes.
func (g *generator) period(x sample) {
	g.buf = append(g.buf, " startDate=\""...)
	g.buf = g.clock.append(g.buf, x.start)
	g.buf = append(g.buf, "\" endDate=\""...)
	g.buf = g.clock.append(g.buf, x.end)
	g.buf = append(g.buf, '"')
}

func (g *generator) statistics(typ string, x sample, figures string) {
	g.buf = fmt.Appendf(g.buf, "  <WorkoutStatistics type=\"HKQuantityTypeIdentifier%s\"", typ)
	g.period(x)
	g.buf = append(append(append(g.buf, ' '), figures...), "/>\n"...)
	g.m.Elements["WorkoutStatistics"]++
}

// activity writes the one activity that a workout is.
func (g *generator) activity(x sample, minutes int64, kilometres string) {
	g.buf = fmt.Appendf(g.buf, "  <WorkoutActivity uuid=\"%08X-0000-4000-8000-%012X\"", uint32(x.start), uint64(x.start*7919)&0xffffffffffff)
	g.period(x)
	g.buf = fmt.Appendf(g.buf, " duration=\"%d\" durationUnit=\"min\">\n", minutes)
	g.event("Lap", x.start+60, " duration=\"1\" durationUnit=\"min\"")
	g.statistics("DistanceWalkingRunning", x, fmt.Sprintf("sum=%q unit=\"km\"", kilometres))
	g.entry("HKElevationAscended", "418 cm")
	g.buf = append(g.buf, "  </WorkoutActivity>\n"...)
	g.m.Elements["WorkoutActivity"]++
}

// effort writes a record that stands inside of the workout only.
func (g *generator) effort(x sample) {
	g.buf = fmt.Appendf(g.buf, "  <Record type=\"HKQuantityTypeIdentifierWorkoutEffortScore\" sourceName=\"%s\" unit=\"appleEffortScore\"", escape(g.sources[watch].name))
	g.period(x)
	g.buf = append(g.buf, " value=\"6\"/>\n"...)
	g.m.Nested++
}

// zones writes what iOS 27 has.
func (g *generator) zones() {
	g.buf = append(g.buf, "  <WorkoutZoneGroup type=\"HKQuantityTypeIdentifierHeartRate\" source=\"system\" unit=\"count/min\">\n   <WorkoutZone maximum=\"132\" duration=\"22.08\" durationUnit=\"min\"/>\n   <WorkoutZone minimum=\"132\" duration=\"2\" durationUnit=\"min\"/>\n  </WorkoutZoneGroup>\n"...)
	for name, n := range map[string]uint64{"WorkoutZoneGroup": 1, "WorkoutZone": 2} {
		g.m.Elements[name] += n
		g.m.Unknown[name] += n
	}
}

// unknown writes elements that nobody knows, with a name from the far future and with one
// that is known elsewhere.
func (g *generator) unknown() {
	date := string(g.clock.append(nil, g.days[0]+11*hour))
	g.buf = fmt.Appendf(g.buf, " <StateOfMind kind=\"dailyMood\" valence=\"0.25\" startDate=%q endDate=%q><Label>calm &amp; content</Label></StateOfMind>\n <WorkoutEvent type=\"HKWorkoutEventTypePause\" date=%q/>\n", date, date, date)
	for _, name := range []string{"StateOfMind", "Label", "WorkoutEvent"} {
		g.m.Elements[name]++
		g.m.Unknown[name]++
	}
}
