package export

import (
	"bytes"
	"fmt"
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
	g.buf = append(g.buf, "\"/>\n"...)
	g.m.Elements["ExportDate"]++
	g.me()
}

// me writes the facts about the person: attributes, or elements as iOS 8 had them.
func (g *generator) me() {
	facts := [][2]string{
		{"DateOfBirth", "1988-02-29"}, {"BiologicalSex", "HKBiologicalSexFemale"}, {"BloodType", "HKBloodTypeAPositive"},
		{"FitzpatrickSkinType", "HKFitzpatrickSkinTypeII"},
	}
	if g.o.DTD != DTD11 && g.o.DTD != DTD8 {
		facts = append(facts, [2]string{"CardioFitnessMedicationsUse", "None"})
	}
	g.m.Elements["Me"]++
	g.buf = append(g.buf, " <Me"...)
	if g.o.DTD == DTD8 {
		g.buf = append(g.buf, ">\n"...)
	}
	for _, f := range facts {
		if g.o.DTD == DTD8 {
			g.buf = fmt.Appendf(g.buf, "  <HKCharacteristicTypeIdentifier%s value=%q/>\n", f[0], f[1])
			g.m.Elements["HKCharacteristicTypeIdentifier"+f[0]]++
		} else {
			g.buf = fmt.Appendf(g.buf, " HKCharacteristicTypeIdentifier%s=%q", f[0], f[1])
		}
		g.m.Objects[strings.ToLower(f[0][:1])+f[0][1:]]++
	}
	if g.o.DTD == DTD8 {
		g.buf = append(g.buf, " </Me>\n"...)
	} else {
		g.buf = append(g.buf, "/>\n"...)
	}
}

// unusables are records from which no sample can be made, with the reason.
var unusables = []struct{ reason, attributes string }{
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

// correlations writes the records of a pair of types once more, together: each blood
// pressure, each meal.
func (g *generator) correlations(pair string) {
	var members []*series
	list := allSeries(g.o)
	for i := range list {
		if list[i].pair == pair && g.m.Types[list[i].id] != nil {
			members = append(members, &list[i])
		}
	}
	if len(members) < 2 {
		return
	}
	count := g.m.Types[members[0].id].Records
	for day := range len(g.days) - 1 {
		n := g.share(int(count), day)
		var first []sample
		texts := make([][][]byte, len(members))
		for i, s := range members {
			g.newDay(s, day)
			g.each(s, day, n, func(x sample) {
				if i == 0 {
					first = append(first, x)
				}
				texts[i] = append(texts[i], g.nested(s, x))
			})
		}
		for k, x := range first {
			g.buf = append(g.buf, " <Correlation type=\"HKCorrelationTypeIdentifier"...)
			g.buf = append(append(g.buf, pair...), "\" "...)
			g.buf = append(append(g.buf, g.sourceAttribute()...), "=\""...)
			g.buf = append(g.buf, escape(g.sources[x.source].name)...)
			g.dates3(x)
			g.buf = append(g.buf, "\">\n"...)
			if pair == "Food" {
				g.entry("HKFoodType", "Mahlzeit")
			}
			for i := range members {
				g.buf = append(g.buf, texts[i][k]...)
				g.m.Nested++
			}
			g.buf = append(g.buf, " </Correlation>\n"...)
			g.m.Elements["Correlation"]++
			g.m.Objects[map[string]string{"Food": "food", "BloodPressure": "bloodPressure"}[pair]]++
			g.spill()
		}
	}
}

// nested returns a record as it stands inside of a correlation. The copy may lack the
// device, as it does in some real files.
func (g *generator) nested(s *series, x sample) []byte {
	g.spill()
	start := len(g.buf)
	if device := g.sources[x.source].device; g.o.Quirks && device != "" {
		whole := g.sources[x.source]
		g.sources[x.source].device = ""
		kept := g.prefix[x.source]
		g.prefix[x.source][1] = g.prefix[x.source][1][max(0, strings.Index(string(kept[1]), "\" unit=")):]
		g.prefix[x.source][0] = []byte(strings.TrimSuffix(string(kept[0]), "\" device=\"&lt;&lt;HKDevice: 0x"))
		g.record(s, x, "  ")
		g.sources[x.source], g.prefix[x.source] = whole, kept
	} else {
		g.record(s, x, "  ")
	}
	text := bytes.Clone(g.buf[start:])
	g.buf = g.buf[:start]
	return text
}

// sourceAttribute is how the name of a source is called.
func (g *generator) sourceAttribute() string {
	if g.o.DTD == DTD8 {
		return "source"
	}
	return "sourceName"
}

// spill writes what is gathered if it is much.
func (g *generator) spill() {
	if len(g.buf) > flushAt/2 {
		g.flush()
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
