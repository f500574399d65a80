package export

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Elements that are counted often, so not by name.
const (
	metadataEntry = iota
	hrvList
	beat
	elementCount
)

var elementNames = [elementCount]string{"MetadataEntry", "HeartRateVariabilityMetadataList", "InstantaneousBeatsPerMinute"}

// flushAt is how much is gathered before it is written.
const flushAt = 256 << 10

// generator writes one export.
type generator struct {
	o       Options
	w       io.Writer
	err     error
	buf     []byte
	m       Manifest
	sources []source
	clock   *clock
	// days are the person's midnights, one more than there are days.
	days  []int64
	dates []string

	elements [elementCount]uint64
	places   randomness
	values   randomness
	metas    randomness
	// prefixes of records by source: up to the pointer, and after it.
	prefix [8][2][]byte
	// serial counts records, for pointers and flaws.
	serial uint64
}

// randomness is a source of random numbers that can be started anew.
type randomness struct {
	pcg *rand.PCG
	*rand.Rand
}

func newRandomness() randomness {
	pcg := rand.NewPCG(0, 0)
	return randomness{pcg, rand.New(pcg)}
}

// seed starts anew for a purpose, a name and a day.
func (r randomness) seed(seed uint64, purpose byte, name string, day int) {
	h := fnv.New64a()
	h.Write([]byte{purpose})
	io.WriteString(h, name)
	r.pcg.Seed(seed^h.Sum64(), uint64(day)*0x9e3779b97f4a7c15+1)
}

// WriteXML writes export.xml.
func WriteXML(w io.Writer, o Options) (Manifest, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Manifest{}, err
	}
	return newGenerator(w, o).document()
}

// document writes the XML.
func (g *generator) document() (Manifest, error) {
	o := g.o
	g.head()
	g.records()
	g.correlations("BloodPressure")
	g.correlations("Food")
	g.others()
	if o.Quirks {
		g.unknown()
	}
	g.buf = append(g.buf, "</HealthData>\n"...)
	g.flush()
	if g.err != nil {
		return Manifest{}, fmt.Errorf("write export: %w", g.err)
	}
	for i, n := range g.elements {
		if n > 0 {
			g.m.Elements[elementNames[i]] += n
		}
	}
	return g.m, nil
}

func newGenerator(w io.Writer, o Options) *generator {
	n := o.days()
	g := &generator{
		o: o, w: w, sources: plainSources, clock: newClock(o.ExportZone),
		places: newRandomness(), values: newRandomness(), metas: newRandomness(),
	}
	g.clock.compact = o.DTD == DTD8
	if o.Quirks {
		g.sources = quirkySources()
	}
	year, month, day := o.End.In(o.Zone).Date()
	for i := -n; i <= 0; i++ {
		midnight := time.Date(year, month, day+i, 0, 0, 0, 0, o.Zone)
		g.days = append(g.days, midnight.Unix())
		g.dates = append(g.dates, midnight.Format(time.DateOnly))
	}
	g.m = Manifest{
		Seed: o.Seed, Zone: o.Zone.String(), First: g.dates[0], Last: g.dates[n-1],
		Unusable: map[string]uint64{}, Elements: map[string]uint64{},
		Types: map[string]*Type{}, Sources: map[string]uint64{}, Objects: map[string]uint64{},
		Unknown: map[string]uint64{},
	}
	return g
}

// flush writes what is gathered.
func (g *generator) flush() {
	if g.err == nil {
		_, g.err = g.w.Write(g.buf)
	}
	g.m.Bytes += int64(len(g.buf))
	g.buf = g.buf[:0]
}

// records writes the records of all types at the top level, type by type.
func (g *generator) records() {
	list := allSeries(g.o)
	unusable := 0
	if g.o.Quirks {
		unusable = min(g.o.Records/2, len(unusables)+g.o.Records/4000)
	}
	counts := quotas(list, g.o.Records-unusable)
	for i := range list {
		g.series(&list[i], counts[i])
		if g.err != nil {
			return
		}
	}
	for i := range unusable {
		g.unusable(i)
	}
}

// quotas shares a number of records among the series; the first takes the rest.
func quotas(list []series, records int) []int {
	total := 0.0
	for _, s := range list {
		total += s.perDay
	}
	counts := make([]int, len(list))
	rest := records
	for i, s := range list {
		counts[i] = int(float64(records) * s.perDay / total)
		rest -= counts[i]
	}
	counts[0] += rest
	return counts
}

// share is how many of count fall on a day.
func (g *generator) share(count, day int) int {
	n := len(g.days) - 1
	return (day+1)*count/n - day*count/n
}

// series writes the records of one type.
func (g *generator) series(s *series, count int) {
	if count == 0 {
		return
	}
	t := &Type{Unit: s.unit, Sources: map[string]uint64{}}
	if s.labels != nil {
		t.Labels = map[string]uint64{}
	} else {
		t.Days = map[string]Day{}
	}
	g.m.Types[s.id] = t
	var bySource [8]uint64
	labels := make([]uint64, len(s.labels))
	for day := range len(g.days) - 1 {
		g.newDay(s, day)
		var sum Day
		var mantissas int64
		g.each(s, day, g.share(count, day), func(x sample) {
			g.record(s, x, " ")
			bySource[x.source]++
			if s.labels != nil {
				labels[x.mantissa]++
				return
			}
			v := s.number(x.mantissa)
			if sum.Count == 0 || v < sum.Min {
				sum.Min = v
			}
			if sum.Count == 0 || v > sum.Max {
				sum.Max = v
			}
			sum.Count++
			sum.Sum += v
			mantissas += x.mantissa
		})
		if sum.Count > 0 {
			if s.factor == 0 {
				// Exact, since the decimals are summed as integers.
				sum.Sum = s.number(mantissas)
			}
			t.Days[g.dates[day]] = sum
		}
		if g.err != nil {
			return
		}
	}
	t.Records = uint64(count)
	g.m.Records += uint64(count)
	for i, n := range bySource {
		if n > 0 {
			t.Sources[g.sources[i].name] = n
			g.m.Sources[g.sources[i].name] += n
		}
	}
	for i, n := range labels {
		if n > 0 {
			t.Labels[s.labels[i]] = n
		}
	}
}

// newDay prepares what all records of a type on a day begin with.
func (g *generator) newDay(s *series, day int) {
	for i := range g.prefix {
		g.prefix[i] = [2][]byte{g.prefix[i][0][:0], g.prefix[i][1][:0]}
	}
	g.metas.seed(g.o.Seed, 'm', s.id, day)
	for _, i := range append([]int{phone}, s.sources...) {
		src := &g.sources[i]
		version := src.versions[min(day/91, 1<<20)%len(src.versions)]
		b := append(g.prefix[i][0][:0], "<Record type=\""...)
		b = append(b, s.id...)
		if g.o.DTD == DTD8 {
			b = append(b, "\" source=\""...)
		} else {
			b = append(b, "\" sourceName=\""...)
		}
		b = append(b, escape(src.name)...)
		b = append(b, "\" sourceVersion=\""...)
		b = append(b, version...)
		var after []byte
		if src.device != "" {
			b = append(b, "\" device=\"&lt;&lt;HKDevice: 0x"...)
			after = append(g.prefix[i][1][:0], "&gt;, "...)
			after = append(after, escape(strings.ReplaceAll(src.device, "%V", version))...)
			after = append(after, "&gt;"...)
		}
		if s.unit != "" {
			after = append(after, "\" unit=\""...)
			after = append(after, escape(s.unit)...)
		}
		g.prefix[i] = [2][]byte{b, append(after, "\" creationDate=\""...)}
	}
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\"", "&quot;")

func escape(s string) string { return escaper.Replace(s) }

// record writes one Record element.
func (g *generator) record(s *series, x sample, indent string) {
	g.serial++
	b := append(g.buf, indent...)
	b = append(b, g.prefix[x.source][0]...)
	if g.sources[x.source].device != "" {
		every := uint64(64)
		if g.o.Quirks {
			every = 1
		}
		pointer := (g.o.Pointers*0x9e3779b97f4a7c15 + g.serial/every*0xbf58476d1ce4e5b9) >> 32
		b = strconv.AppendUint(b, 0x300000000+pointer&0xffffff0, 16)
	}
	b = append(b, g.prefix[x.source][1]...)
	b = g.clock.append(b, x.created)
	b = append(b, "\" startDate=\""...)
	b = g.clock.append(b, x.start)
	b = append(b, "\" endDate=\""...)
	b = g.clock.append(b, x.end)
	switch {
	case g.o.DTD == DTD8 && s.place == pulse && g.serial%3 == 0:
		b = append(b, "\" recordCount=\"7\" minimum=\"0.9\" maximum=\"3.1\" average=\""...)
		b = s.appendValue(b, x.mantissa)
	case s.labels != nil:
		b = append(b, "\" value=\""...)
		b = append(b, s.labels[x.mantissa]...)
	default:
		b = append(b, "\" value=\""...)
		b = s.appendValue(b, x.mantissa)
	}
	b = append(b, '"')
	if g.o.Quirks && g.serial%1009 == 0 && s.pair == "" {
		b = append(b, " Heart Rate Context=\"2\""...)
		g.m.OddAttributes++
	}
	g.buf = append(b, '>', '\n')
	open := len(g.buf)
	if s.meta != nil {
		s.meta(g, g.metas.Rand, x.start)
	}
	if g.o.Quirks && g.serial%211 == 0 && s.pair == "" {
		g.flawed(g.serial / 211)
	}
	if len(g.buf) == open {
		g.buf = append(g.buf[:open-2], "/>\n"...)
	} else {
		g.buf = append(g.buf, indent...)
		g.buf = append(g.buf, "</Record>\n"...)
	}
	if len(g.buf) > flushAt {
		g.flush()
	}
}
