package apple

import (
	"bytes"
	"errors"
	"strings"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// ecgFormat of what is kept of an electrocardiogram.
const ecgFormat = "apple-health-ecg"

// Limits of an electrocardiogram; a real one has 15,000 voltages.
const (
	maxECG      = 16 << 20
	maxVoltages = 1 << 19
	maxHeader   = 64
)

// errNotECG says that a file is no electrocardiogram: it is kept as it is.
var errNotECG = errors.New("not an electrocardiogram that can be read")

// recording is what the CSV of an electrocardiogram holds.
type recording struct {
	sample *pb.Sample
	// person's name, which is not about the recording.
	name string
}

// line of the head, "Key,Value".
type line struct{ key, value string }

// The lines of the head come in this order in every language. Keys, values and decimal
// marks are those of the phone, so lines are told by their place and their shape: one is
// a date, and the fifth after it begins with a number.
const (
	beforeDate = 2 // name, date of birth
	afterDate  = 7 // classification, symptoms, version, device, rate, lead, unit
	rateLine   = 5 // after the date
)

// parseECG reads an electrocardiogram.
func parseECG(content []byte) (*recording, error) {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	head, rest := ecgHead(content)
	date := -1
	var start int64
	for i, l := range head {
		if at, _, ok := parseDate([]byte(l.value)); ok && validTime(at) {
			date, start = i, at
			break
		}
	}
	if date < 0 || len(head) <= date+rateLine {
		return nil, errNotECG
	}
	rate, ok := leadingNumber(head[date+rateLine].value)
	if !ok || rate <= 0 || rate > 1e6 {
		return nil, errNotECG
	}
	scale := 1.0
	if len(head) > date+afterDate {
		if scale, ok = voltUnits[head[date+afterDate].value]; !ok {
			return nil, errNotECG
		}
	}
	microvolts, err := voltages(rest, scale)
	if err != nil {
		return nil, err
	}
	e := &pb.Electrocardiogram{SamplingFrequency: rate}
	s := &pb.Sample{
		Type: "electrocardiogram", Start: health.Timestamp(start),
		End:    health.Timestamp(start + int64(float64(len(microvolts))/rate*1e6)),
		Object: &pb.Sample_Electrocardiogram{Electrocardiogram: e},
	}
	for len(microvolts) > 0 {
		n := min(len(microvolts), chunkBytes/8)
		s.Payload = append(s.Payload, &pb.Chunk{Microvolts: microvolts[:n:n]})
		microvolts = microvolts[n:]
	}
	describe(s, e, head, date)
	r := &recording{sample: s}
	if date == beforeDate {
		r.name = head[0].value
	}
	return r, nil
}

// describe sets what the head says beside date and rate; what is not understood is kept.
func describe(s *pb.Sample, e *pb.Electrocardiogram, head []line, date int) {
	keep := func(name, value string) {
		if value != "" {
			s.Kept = append(s.Kept, &pb.Kept{Format: ecgFormat, Name: name, Value: value})
		}
	}
	at := func(after int) string { return head[date+after].value }
	switch e.Classification = ecgClasses[strings.ToLower(at(1))]; {
	case at(1) == "":
		e.Classification = "notSet"
	case e.Classification == "":
		e.Classification = "unrecognized"
		keep("classification", at(1))
	}
	if at(2) != "" {
		e.Symptoms = "present"
		keep("symptoms", at(2)) // which, in the language of the phone
	}
	version, device := at(3), at(4)
	if version != "" || device != "" {
		s.Source = &pb.Source{Version: version}
		if device != "" {
			s.Source.Device = &pb.Device{HardwareVersion: device}
		}
	}
	for i, l := range head {
		switch after := i - date; {
		case after == 6 && strings.HasSuffix(l.value, "I") && !strings.HasSuffix(l.value, "II"):
			e.Lead = "appleWatchSimilarToLeadI"
		case after == 6:
			keep("lead", l.value)
		case after > afterDate, after < 0 && date != beforeDate:
			keep(l.key, l.value)
		}
	}
}

// ecgHead reads the lines before the first one that is a number.
func ecgHead(content []byte) (head []line, rest []byte) {
	for len(content) > 0 && len(head) < maxHeader {
		raw, after, _ := bytes.Cut(content, newline)
		text := strings.TrimSpace(strings.ToValidUTF8(string(raw), "\uFFFD"))
		if _, ok := localNumber(unquote(text)); ok {
			return head, content
		}
		if content = after; text == "" {
			continue
		}
		key, value := cutLine(text)
		head = append(head, line{key, value})
	}
	return head, content
}

// cutLine cuts a line at the first comma, semicolon or tab outside of quotes.
func cutLine(text string) (key, value string) {
	quoted := false
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ';' || c == '\t'):
			return unquote(text[:i]), unquote(text[i+1:])
		}
	}
	return unquote(text), ""
}

func unquote(text string) string {
	text = strings.TrimSpace(text)
	if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		text = strings.ReplaceAll(text[1:len(text)-1], `""`, `"`)
	}
	return strings.TrimSpace(text)
}

// voltages reads one number a line.
func voltages(content []byte, scale float64) ([]float64, error) {
	values := make([]float64, 0, min(maxVoltages, bytes.Count(content, newline)+1))
	for len(content) > 0 {
		raw, after, _ := bytes.Cut(content, newline)
		content = after
		text := unquote(strings.TrimRight(string(raw), ",;\t\r"))
		if text == "" {
			continue
		}
		v, ok := localNumber(text)
		if !ok || len(values) == maxVoltages {
			return nil, errNotECG
		}
		values = append(values, v*scale)
	}
	if len(values) == 0 {
		return nil, errNotECG
	}
	return values, nil
}

// voltUnits in microvolts.
var voltUnits = map[string]float64{
	"µV": 1, "μV": 1, "uV": 1, "mcV": 1, "mkV": 1, "мкВ": 1, "微伏": 1, "mV": 1000, "мВ": 1000, "V": 1e6,
}
