package export

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// clinical is a clinical record with its resource.
type clinical struct {
	resource, id, version string
	// object it becomes; empty: there is no type for it.
	object string
	json   string
}

func (c clinical) file() string { return c.resource + "-" + strings.ToUpper(c.id) + ".json" }

var clinicals = []clinical{
	{"Condition", "c-1", "4.0.1", "conditionRecord", "{\n  \"resourceType\" : \"Condition\",\n  \"id\" : \"c-1\",\n  \"code\" : {\"text\" : \"Heuschnupfen\"}\n}"},
	{"Observation", "o-1", "4.0.1", "vitalSignRecord", `{"resourceType":"Observation","id":"o-1","category":[{"coding":[{"code":"vital-signs"}]}],"valueQuantity":{"value":36.60}}`},
	{"Observation", "o-2", "1.0.2", "labResultRecord", `{"id":"o-2","resourceType":"Observation","category":{"coding":[{"code":"laboratory"}]}}`},
	{"MedicationOrder", "m-1", "1.0.2", "medicationRecord", `{"resourceType":"MedicationOrder","id":"m-1","status":"active"}`},
	{"AllergyIntolerance", "a-1", "4.0.1", "allergyRecord", `{"resourceType":"AllergyIntolerance","id":"a-1"}`},
	{"Patient", "p-1", "4.0.1", "", `{"resourceType":"Patient","id":"p-1","name":[{"text":"Anna"}]}`},
}

// attachmentID names the file of a prescription.
const attachmentID = "5E1D2A44-0C1B-4E8C-9A57-3C0C9B6E7F10"

// language is how a phone prints an electrocardiogram.
type language struct {
	keys                 [10]string
	classification, hour string
	comma                bool
	quoted               bool
	known                bool
}

var languages = []language{
	{keys: [10]string{"Name", "Date of Birth", "Recorded Date", "Classification", "Symptoms", "Software Version", "Device", "Sample Rate", "Lead", "Unit"}, classification: "Sinus Rhythm", hour: "512 hertz", known: true},
	{keys: [10]string{"Name", "Geburtsdatum", "Aufzeichnungsdatum", "Klassifizierung", "Symptome", "Softwareversion", "Gerät", "Messrate", "Ableitung", "Einheit"}, classification: "Vorhofflimmern", hour: "512,844\u00a0Hertz", comma: true, known: true},
	{keys: [10]string{"姓名", "出生日期", "记录日期", "分类", "症状", "软件版本", "设备", "采样率", "导联", "单位"}, classification: "窦性心律", hour: "512赫兹", known: true},
	{keys: [10]string{"Nom", "Date de naissance", "Date d’enregistrement", "Classification", "Symptômes", "Version du logiciel", "Appareil", "Taux d’échantillonnage", "Dérivation", "Unité"}, classification: "Rythme sinusal", hour: "512 hertz", comma: true, quoted: true, known: true},
	{keys: [10]string{"Nimi", "Syntymäaika", "Tallennuspäivä", "Luokitus", "Oireet", "Ohjelmistoversio", "Laite", "Näytteenottotaajuus", "Kytkentä", "Yksikkö"}, classification: "Sana jota kukaan ei tunne", hour: "512 hertsiä", comma: true},
}

const voltages = 1200

// ECG returns the electrocardiogram with a number as a phone in one of five languages
// prints it.
func ECG(o Options, number int) []byte {
	o, err := o.withDefaults()
	if err != nil {
		return nil
	}
	return newGenerator(nil, o).ecg(number)
}

// ecg returns the file of an electrocardiogram, one in each language.
func (g *generator) ecg(i int) []byte {
	l := languages[i%len(languages)]
	recorded := g.days[i%(len(g.days)-1)] + 8*hour + int64(i)
	symptoms := ""
	if i%2 == 1 {
		symptoms = "Herzklopfen, Schwindel"
	}
	var b []byte
	value := func(k int, text string) {
		if strings.ContainsAny(text, ",") {
			text = `"` + text + `"`
		}
		b = fmt.Appendf(b, "%s,%s\n", l.keys[k], text)
	}
	value(0, "Anna")
	value(1, "29. Februar 1988")
	value(2, time.Unix(recorded, 0).In(g.o.ExportZone).Format("2006-01-02 15:04:05 -0700"))
	value(3, l.classification)
	value(4, symptoms)
	value(5, "1.90")
	value(6, "Watch6,10")
	value(7, l.hour)
	b = append(b, "\n\n"...)
	value(8, "Lead I")
	value(9, "µV")
	b = append(b, '\n')
	for k := range voltages {
		v := strconv.FormatFloat(math.Round(1e6*math.Sin(float64(k+i)/9))/1000, 'f', -1, 64)
		if l.comma {
			v = strings.ReplaceAll(v, ".", ",")
		}
		if l.quoted {
			v = `"` + v + `"`
		}
		b = append(append(b, v...), '\n')
	}
	return b
}

// cda returns the clinical document, with junk behind its end as real ones have it.
func (g *generator) cda() []byte {
	b := fmt.Appendf(nil, "<?xml version=\"1.0\"?>\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\">\n <title>Health Data Export</title>\n <effectiveTime value=\"%s\"/>\n <recordTarget><patientRole><patient><name>Anna</name></patient></patientRole></recordTarget>\n",
		time.Unix(g.days[len(g.days)-1]+9*hour+1234, 0).In(g.o.ExportZone).Format("20060102150405-0700"))
	for day := range len(g.days) - 1 {
		b = fmt.Appendf(b, " <entry><observation><effectiveTime value=\"%s\"/></observation></entry>\n", g.dates[day])
	}
	return append(b, "</ClinicalDocument>\n</ClinicalDocument>\n<ClinicalDocument/>"...)
}
