package export

import (
	"fmt"
	"strconv"
	"strings"
)

// head writes everything before the records.
func (g *generator) head() {
	g.buf = append(g.buf, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"...)
	g.buf = append(g.buf, documentType(g.o.DTD)...)
	locale := "de_DE"
	if g.o.Imperial {
		locale = "en_US"
	}
	g.buf = fmt.Appendf(g.buf, "<HealthData locale=%q>\n <ExportDate value=\"", locale)
	g.buf = g.clock.append(g.buf, g.days[len(g.days)-1]+9*hour+1234)
	g.buf = append(g.buf, "\"/>\n <Me HKCharacteristicTypeIdentifierDateOfBirth=\"1988-02-29\""+
		" HKCharacteristicTypeIdentifierBiologicalSex=\"HKBiologicalSexFemale\""+
		" HKCharacteristicTypeIdentifierBloodType=\"HKBloodTypeAPositive\""+
		" HKCharacteristicTypeIdentifierFitzpatrickSkinType=\"HKFitzpatrickSkinTypeII\""...)
	if g.o.DTD != DTD11 {
		g.buf = append(g.buf, " HKCharacteristicTypeIdentifierCardioFitnessMedicationsUse=\"None\""...)
	}
	g.buf = append(g.buf, "/>\n"...)
	g.m.Elements["ExportDate"]++
	g.m.Elements["Me"]++
}

// unusables are records from which no sample can be made, with the reason.
var unusables = []struct{ reason, attributes string }{
	{"type", `type="HKDataTypeSleepDurationGoal" sourceName="Health" unit="hr" startDate="%s" endDate="%s" value="8"`},
	{"type", `type="HKQuantityTypeIdentifierFromTheFuture" sourceName="Health" unit="count" startDate="%s" endDate="%s" value="1"`},
	{"type", `sourceName="Health" unit="count" startDate="%s" endDate="%s" value="1"`},
	{"value", `type="HKQuantityTypeIdentifierStepCount" sourceName="Health" unit="count" startDate="%s" endDate="%s"`},
	{"value", `type="HKQuantityTypeIdentifierStepCount" sourceName="Health" unit="count" startDate="%s" endDate="%s" value="many"`},
	{"value", `type="HKCategoryTypeIdentifierSleepAnalysis" sourceName="Health" startDate="%s" endDate="%s" value="HKCategoryValueSleepAnalysisLucid"`},
	{"unit", `type="HKQuantityTypeIdentifierHeartRate" sourceName="Health" startDate="%s" endDate="%s" value="61"`},
	{"unit", `type="HKQuantityTypeIdentifierHeartRate" sourceName="Health" unit="kg" startDate="%s" endDate="%s" value="61"`},
	{"date", `type="HKQuantityTypeIdentifierBodyMass" sourceName="Health" unit="kg" startDate="%s" endDate="yesterday" value="61"`},
	{"date", `type="HKQuantityTypeIdentifierBodyMass" sourceName="Health" unit="kg" startDate="%s" endDate="1999-01-01 00:00:00 +0000" value="61"`},
}

func (g *generator) unusable(i int) {
	u := unusables[i%len(unusables)]
	date := string(g.clock.append(nil, g.days[i%(len(g.days)-1)]+12*hour+int64(i%3600)))
	g.buf = append(g.buf, " <Record "...)
	g.buf = append(g.buf, strings.ReplaceAll(u.attributes, "%s", date)...)
	g.buf = append(g.buf, "/>\n"...)
	g.m.Records++
	g.m.Unusable[u.reason]++
	if len(g.buf) > flushAt {
		g.flush()
	}
}

// correlations writes each blood pressure once more, as a pair.
func (g *generator) correlations() {
	list := allSeries(g.o)
	var pair []*series
	for i := range list {
		if list[i].pair == "BloodPressure" {
			pair = append(pair, &list[i])
		}
	}
	systolic, diastolic := g.m.Types[pair[0].id], g.m.Types[pair[1].id]
	if systolic == nil || diastolic == nil {
		return
	}
	for day := range len(g.days) - 1 {
		n := g.share(int(systolic.Records), day)
		var members [2][]sample
		for i, s := range pair {
			g.each(s, day, n, func(x sample) { members[i] = append(members[i], x) })
		}
		for k := range n {
			x := members[0][k]
			g.buf = append(g.buf, " <Correlation type=\"HKCorrelationTypeIdentifierBloodPressure\" sourceName=\""...)
			g.buf = append(g.buf, escape(g.sources[x.source].name)...)
			g.dates3(x)
			g.buf = append(g.buf, "\">\n"...)
			for i, s := range pair {
				g.newDay(s, day)
				g.record(s, members[i][k], "  ")
				g.m.Nested++
			}
			g.buf = append(g.buf, " </Correlation>\n"...)
			g.m.Elements["Correlation"]++
		}
	}
}

// dates3 appends the three dates of a sample as attributes.
func (g *generator) dates3(x sample) {
	g.buf = append(g.buf, "\" creationDate=\""...)
	g.buf = g.clock.append(g.buf, x.created)
	g.buf = append(g.buf, "\" startDate=\""...)
	g.buf = g.clock.append(g.buf, x.start)
	g.buf = append(g.buf, "\" endDate=\""...)
	g.buf = g.clock.append(g.buf, x.end)
}

// others writes workouts, activity summaries and the rarer elements.
func (g *generator) others() {
	for day := range len(g.days) - 1 {
		g.values.seed(g.o.Seed, 'w', "Workout", day)
		if g.values.IntN(5) < 2 {
			g.workout(day)
		}
	}
	for day := range len(g.days) - 1 {
		g.values.seed(g.o.Seed, 'w', "ActivitySummary", day)
		g.buf = fmt.Appendf(g.buf, " <ActivitySummary dateComponents=%q activeEnergyBurned=\"%d.%d\" activeEnergyBurnedGoal=\"520\" activeEnergyBurnedUnit=\"kcal\" appleMoveTime=\"0\" appleMoveTimeGoal=\"0\" appleExerciseTime=\"%d\" appleExerciseTimeGoal=\"30\" appleStandHours=\"%d\" appleStandHoursGoal=\"12\"/>\n",
			g.dates[day], 250+g.values.IntN(600), g.values.IntN(1000), g.values.IntN(100), 4+g.values.IntN(14))
		g.m.Elements["ActivitySummary"]++
		if len(g.buf) > flushAt {
			g.flush()
		}
	}
	date := string(g.clock.append(nil, g.days[0]+10*hour))
	g.buf = fmt.Appendf(g.buf, " <ClinicalRecord type=\"Condition\" identifier=\"c-1\" sourceName=\"Charité\" sourceURL=\"https://fhir.example.org\" fhirVersion=\"4.0.1\" receivedDate=%q resourceFilePath=\"/clinical-records/Condition-1.json\"/>\n", date)
	g.buf = fmt.Appendf(g.buf, " <Audiogram type=\"HKDataTypeIdentifierAudiogram\" sourceName=\"Mimi\" startDate=%q endDate=%q>\n  <SensitivityPoint frequencyValue=\"1000\" frequencyUnit=\"Hz\" leftEarValue=\"12.5\" leftEarUnit=\"dBHL\" rightEarValue=\"10\" rightEarUnit=\"dBHL\"/>\n </Audiogram>\n", date, date)
	g.m.Elements["ClinicalRecord"]++
	g.m.Elements["Audiogram"]++
	g.m.Elements["SensitivityPoint"]++
	if g.o.DTD == DTD14 {
		g.buf = fmt.Appendf(g.buf, " <VisionPrescription type=\"Glasses\" dateIssued=%q>\n  <RightEye sphere=\"-1.25\" sphereUnit=\"D\"/>\n  <LeftEye sphere=\"-1.5\" sphereUnit=\"D\"/>\n </VisionPrescription>\n", date)
		g.m.Elements["VisionPrescription"]++
		g.m.Elements["RightEye"]++
		g.m.Elements["LeftEye"]++
	}
}

// workout writes a run or a ride in the evening, with a route.
func (g *generator) workout(day int) {
	start := g.days[day] + 17*hour + 1800
	minutes := 25 + g.values.Int64N(95)
	x := sample{source: watch, start: start, end: start + minutes*60, created: start + minutes*60 + 7}
	kind := [...]string{"Running", "Cycling", "Walking", "TraditionalStrengthTraining"}[g.values.IntN(4)]
	src := g.sources[watch]
	old := g.o.DTD == DTD11
	g.buf = fmt.Appendf(g.buf, " <Workout workoutActivityType=\"HKWorkoutActivityType%s\" duration=\"%d.%d\" durationUnit=\"min\"", kind, minutes-1, g.values.Int64N(1e14))
	kilometres := strconv.FormatFloat(float64(minutes)*0.17, 'f', -1, 64)
	energy := strconv.FormatInt(minutes*9, 10)
	if old {
		g.buf = fmt.Appendf(g.buf, " totalDistance=%q totalDistanceUnit=\"km\" totalEnergyBurned=%q totalEnergyBurnedUnit=\"kcal\"", kilometres, energy)
	}
	g.buf = fmt.Appendf(g.buf, " sourceName=\"%s\" sourceVersion=%q device=\"&lt;&lt;HKDevice: 0x3%08x&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,10, software:10.4&gt;", escape(src.name), src.versions[0], uint32(g.o.Pointers*31+uint64(day)))
	g.dates3(x)
	g.buf = append(g.buf, "\">\n"...)
	g.entry("HKIndoorWorkout", "0")
	g.entry("HKWeatherTemperature", strconv.Itoa(40+g.values.IntN(40))+" degF")
	g.entry("HKWeatherHumidity", strconv.Itoa(4000+g.values.IntN(5000))+" %")
	g.entry("HKAverageMETs", "6.43 kcal/hr·kg")
	g.entry("HKTimeZone", g.o.Zone.String())
	event := func(kind string, at int64) {
		g.buf = fmt.Appendf(g.buf, "  <WorkoutEvent type=\"HKWorkoutEventType%s\" date=\"", kind)
		g.buf = g.clock.append(g.buf, at)
		g.buf = append(g.buf, "\"/>\n"...)
		g.m.Elements["WorkoutEvent"]++
	}
	event("Pause", start+600)
	event("Resume", start+660)
	if !old {
		statistics := func(attributes string) {
			g.buf = append(g.buf, "  <WorkoutStatistics "...)
			g.buf = append(g.buf, attributes...)
			g.buf = append(g.buf, " startDate=\""...)
			g.buf = g.clock.append(g.buf, x.start)
			g.buf = append(g.buf, "\" endDate=\""...)
			g.buf = g.clock.append(g.buf, x.end)
			g.buf = append(g.buf, "\"/>\n"...)
			g.m.Elements["WorkoutStatistics"]++
		}
		statistics(fmt.Sprintf("type=\"HKQuantityTypeIdentifierDistanceWalkingRunning\" sum=%q unit=\"km\"", kilometres))
		statistics(fmt.Sprintf("type=\"HKQuantityTypeIdentifierActiveEnergyBurned\" sum=%q unit=\"kcal\"", energy))
		statistics("type=\"HKQuantityTypeIdentifierHeartRate\" average=\"131.5\" minimum=\"88\" maximum=\"171\" unit=\"count/min\"")
	}
	g.buf = fmt.Appendf(g.buf, "  <WorkoutRoute sourceName=\"%s", escape(src.name))
	g.dates3(x)
	g.buf = fmt.Appendf(g.buf, "\">\n   <FileReference path=\"/workout-routes/route_%s_5.30pm.gpx\"/>\n  </WorkoutRoute>\n </Workout>\n", g.dates[day])
	g.m.Elements["Workout"]++
	g.m.Elements["WorkoutRoute"]++
	g.m.Elements["FileReference"]++
	if len(g.buf) > flushAt {
		g.flush()
	}
}
