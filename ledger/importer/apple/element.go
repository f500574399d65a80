package apple

import (
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// element reads an element below the root as a whole and saves what it is; what cannot be
// stored as what it is, is kept raw.
func (r *reader) element(raw []byte) error {
	r.replaced = 0
	r.files.taken = r.files.taken[:0]
	n, err := parseElement(raw)
	if err != nil {
		r.report.keepRaw(raw, err.Error())
		return r.keepWhole(n, raw, err.Error())
	}
	why, err := r.object(n)
	if err != nil {
		return err
	}
	if why == "" {
		r.report.Replaced += r.replaced
		r.report.tree(n)
		return nil
	}
	r.files.release(0)
	n.all(func(n *node) { n.mapped = false })
	r.report.keepTree(n, why)
	return r.keepWhole(n, raw, why)
}

// object saves the object that an element is. It says why where there is none.
func (r *reader) object(n *node) (why string, err error) {
	var s *pb.Sample
	switch n.name {
	case "Record":
		s, why = r.recordOf(&r.nested, n)
	case "Correlation":
		s, why = r.correlation(n)
	case "Workout":
		s, why = r.workout(n)
	case "WorkoutRoute":
		s, why = r.route(n, nil)
	case "ActivitySummary":
		s, why = r.summary(n)
	case "ClinicalRecord":
		s, why, err = r.clinical(n)
	case "Audiogram":
		s, why = r.audiogram(n)
	case "VisionPrescription":
		s, why, err = r.prescription(n)
	case ownElement:
		s, why = r.own(n)
	case "Me":
		return r.me(n)
	case "ExportDate":
		return r.exportDate(n)
	default:
		return "unknown element", nil
	}
	if why != "" || err != nil {
		return why, err
	}
	s.Kept = append(s.Kept, r.leftovers(n)...)
	if why, err = r.add(s); why != "" || err != nil {
		return why, err
	}
	n.mapped = true
	return "", nil
}

// recordOf reads a record out of a tree.
func (r *reader) recordOf(x *record, n *node) (*pb.Sample, string) {
	x.reset()
	var a attributes
	for i := range n.fields {
		f := &n.fields[i]
		f.used = a.take(f.name, f.raw)
	}
	a.aggregate(n, r)
	if why := r.fill(x, &a); why != "" {
		return nil, why
	}
	for _, c := range n.children {
		if x.metadataOf(c) || x.beatsOf(c) {
			c.mapped = true
		}
	}
	if x.why == "" {
		x.why = r.check(x)
	}
	if x.why != "" {
		return nil, x.why
	}
	r.replaced += x.replaced()
	source := x.source.message
	if !a.hasField(nameField) && !a.hasField(versionField) && !a.hasField(deviceField) {
		source = nil // a member has that of the whole
	}
	return health.Sample(x.kind.Type, x.unit, source, x.row, nil), ""
}

// aggregate gives a record of iOS 8 that stands for several, with their minimum, maximum
// and mean but no value, the mean as its value, or the sum where its type has sums. The
// attributes themselves are kept.
func (a *attributes) aggregate(n *node, r *reader) {
	if a.hasField(valueField) || !a.hasField(typeField) {
		return
	}
	k := r.kind(a.raw[typeField])
	if k.Type == nil || k.Kind != catalog.Quantity {
		return
	}
	names := []string{"average", "avg"}
	if k.Aggregation == catalog.Cumulative {
		names = []string{"sum"}
	}
	for _, name := range names {
		if f := n.field(name); f != nil && !f.used {
			a.raw[valueField] = f.raw
			a.has |= 1 << valueField
			return
		}
	}
}

// metadataOf gathers a MetadataEntry that has a key, a value and nothing else.
func (x *record) metadataOf(n *node) bool {
	key, value, ok := n.entry()
	if ok {
		x.gather(key, value)
	}
	return ok
}

// entry returns key and value of a MetadataEntry that has nothing else.
func (n *node) entry() (key, value []byte, ok bool) {
	if n.name != "MetadataEntry" || len(n.fields) != 2 || len(n.children)+len(n.texts) > 0 {
		return nil, nil, false
	}
	return entryOf([]attribute{{n.fields[0].name, n.fields[0].raw}, {n.fields[1].name, n.fields[1].raw}})
}

// beatsOf gathers a list of readings that holds nothing else.
func (x *record) beatsOf(n *node) bool {
	if n.name != BeatsKey || len(n.fields)+len(n.texts) > 0 {
		return false
	}
	x.beats = x.beats[:0]
	for _, c := range n.children {
		if c.name != beatElement || len(c.children)+len(c.texts) > 0 {
			return false
		}
		reading := make([]attribute, len(c.fields))
		for i, f := range c.fields {
			reading[i] = attribute{f.name, f.raw}
		}
		if !x.beat(reading) {
			return false
		}
	}
	for _, c := range n.children {
		c.mapped = true
	}
	x.gather([]byte(BeatsKey), x.beats)
	return true
}

// sample reads what objects have in common: source, dates, creation date and metadata.
// Without dates of its own it has those of the whole that it belongs to.
func (r *reader) sample(n *node, typ string, whole *pb.Sample) (*pb.Sample, string) {
	s := &pb.Sample{Type: typ}
	start, ok := n.date("startDate")
	switch {
	case ok:
	case whole != nil && n.field("startDate") == nil:
		start, _ = health.Micros(whole.Start)
	default:
		return nil, "a start date that cannot be read"
	}
	end, ok := n.date("endDate")
	switch {
	case ok:
	case whole != nil && n.field("endDate") == nil:
		end, _ = health.Micros(whole.End)
	default:
		return nil, "an end date that cannot be read"
	}
	s.Start, s.End = health.Timestamp(start), health.Timestamp(end)
	if created, ok := n.date("creationDate"); ok {
		s.Created = health.Timestamp(created)
	}
	var why string
	if s.Source, why = r.sourceOf(n); why != "" {
		return nil, why
	}
	s.Metadata, why = r.metadata(n)
	return s, why
}

// sourceOf reads who measured; nil where nothing says so.
func (r *reader) sourceOf(n *node) (*pb.Source, string) {
	name, named := n.take("sourceName")
	if !named {
		name, named = n.take("source")
	}
	version, versioned := n.take("sourceVersion")
	device, hasDevice := n.take("device")
	if !named && !versioned && !hasDevice {
		return nil, ""
	}
	source := r.in.source(name, version, device)
	r.replaced += source.replaced
	return source.message, source.why
}

// metadata reads the entries among the children.
func (r *reader) metadata(n *node) ([]*pb.MetadataEntry, string) {
	var p pairs
	for _, c := range n.children {
		if key, value, ok := c.entry(); ok {
			p.add(key, value)
			c.mapped = true
			if p.count > health.MaxEntries || len(p.bytes) > maxRaw {
				return nil, whyMetadata
			}
		}
	}
	meta := r.in.metadataOf(&p)
	if meta == nil {
		return nil, ""
	}
	r.replaced += meta.replaced
	return meta.message.Entries, meta.why
}
