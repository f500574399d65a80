package apple

// ecgClasses are the classifications of an electrocardiogram as phones print them, in
// lower case. Words that are not here are kept.
var ecgClasses = func() map[string]string {
	classes := map[string]string{}
	for class, words := range map[string][]string{
		"sinusRhythm": {
			"sinus rhythm", "sinusrhythmus", "rythme sinusal", "ritmo sinusal", "ritmo sinusale", "sinusritme",
			"sinusrytm", "sinusrytme", "sinusrytmi", "sínusový rytmus", "sinusový rytmus", "rytm zatokowy",
			"szinuszritmus", "ritm sinuzal", "sinüs ritmi", "синусовый ритм", "синусовий ритм", "φλεβοκομβικός ρυθμός",
			"洞調律", "窦性心律", "竇性心律", "동리듬", "동율동", "ritme sinusal", "sinusni ritam",
		},
		"atrialFibrillation": {
			"atrial fibrillation", "vorhofflimmern", "fibrillation atriale", "fibrillation auriculaire",
			"fibrilación auricular", "fibrillazione atriale", "atriumfibrilleren", "boezemfibrilleren",
			"förmaksflimmer", "atrieflimren", "atrieflimmer", "eteisvärinä", "fibrilace síní", "fibrilácia predsiení",
			"migotanie przedsionków", "pitvarfibrilláció", "fibrilație atrială", "atriyal fibrilasyon",
			"фибрилляция предсердий", "мерцательная аритмия", "κολπική μαρμαρυγή", "心房細動", "心房颤动", "房颤",
			"心房顫動", "심방세동", "fibrilação atrial", "fibrilhação auricular", "fibril·lació auricular",
		},
		"inconclusiveLowHeartRate": {
			"low heart rate", "heart rate under 50", "inconclusive low heart rate", "niedrige herzfrequenz",
			"fréquence cardiaque basse", "frecuencia cardiaca baja", "frequenza cardiaca bassa", "lage hartslag",
		},
		"inconclusiveHighHeartRate": {
			"high heart rate", "heart rate over 120", "heart rate over 150", "inconclusive high heart rate",
			"hohe herzfrequenz", "fréquence cardiaque élevée", "frecuencia cardiaca alta", "frequenza cardiaca alta",
			"hoge hartslag",
		},
		"inconclusivePoorReading": {
			"poor recording", "poor reading", "inconclusive poor reading", "inconclusive poor recording",
			"schlechte aufzeichnung", "enregistrement de mauvaise qualité", "registro deficiente", "slechte opname",
		},
		"inconclusiveOther": {
			"inconclusive", "inconclusive other", "nicht eindeutig", "non concluant", "no concluyente", "non conclusivo",
			"niet doorslaggevend", "unklassifizierbar", "ohne eindeutiges ergebnis", "判定不能", "不确定", "不確定",
		},
	} {
		for _, word := range words {
			classes[word] = class
		}
	}
	return classes
}()
