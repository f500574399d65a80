package view

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// modelSample is a stored sample as the model has it and as a reader gets it.
type modelSample struct {
	typeCode uint32
	app      uint64
	source   string
	// object is the name by which it is granted alone.
	object   string
	sample   Sample
	unit     string
	metadata string
	// body in text, the places of members that are there, and the items of the payload.
	body    string
	members []string
	items   string
}

// modelObject is a sample in the model with what makes it a duplicate or a successor.
type modelObject struct {
	// from is the app that an import says it came from.
	from string
	modelSample
	kin    string // app and source without the device
	uuid   [16]byte
	member bool
	refs   []modelRef
	pairs  []uint32
	// pairEnds is when the last member of a pair ended as it came.
	pairEnds map[uint32]int64
	identity string
	implied  bool
	version  float64
}

// modelRef is a member: the one, or whichever has the identity.
type modelRef struct {
	object   *modelObject
	identity string
}

func (o *modelObject) key() string { return fmt.Sprint(o.typeCode, o.sample.Place) }

// content is everything in which two objects must agree to be duplicates, but for who measured.
func (o *modelObject) content() string {
	var refs []string
	for _, r := range o.refs {
		if r.object != nil {
			refs = append(refs, r.object.key())
		} else {
			refs = append(refs, r.identity)
		}
	}
	keyEnd := o.sample.End
	if len(o.pairs) > 0 {
		keyEnd = max(keyEnd, o.pairEnds[slices.Min(o.pairs)])
	}
	return fmt.Sprint(o.typeCode, o.sample.Start, o.sample.End, keyEnd, math.Float64bits(o.sample.Value), o.sample.HasCreated, o.sample.Created,
		len(o.unit), o.unit, o.metadata, o.body, refs, o.items)
}

// model applies a log the slow and obvious way.
type model struct {
	objects    []*modelObject
	identities map[string]*modelObject
	uuids      map[string]*modelObject
	requests   map[string]bool
	parts      map[string]*pb.Chunk
	sources    []string // in order of appearance
	deletions  []string
	outcomes   map[named]Outcome
	counts     Counts
	// of the event
	saved *pb.SamplesSaved
	place Place
	next  map[uint32]uint32
}

func newModel(log []logged) *model {
	m := &model{identities: map[string]*modelObject{}, uuids: map[string]*modelObject{}, requests: map[string]bool{}, parts: map[string]*pb.Chunk{}, outcomes: map[named]Outcome{}}
	for _, l := range log {
		switch body := l.body.GetBody().(type) {
		case *pb.Event_PartSaved:
			p := body.PartSaved
			if key := fmt.Sprint(p.GetApp(), p.GetUpload(), p.GetNumber()); m.parts[key] == nil {
				m.parts[key] = p.GetChunk()
			}
		case *pb.Event_SamplesSaved:
			m.saved, m.place, m.next = body.SamplesSaved, Place{Sequence: l.sequence, Event: uint32(l.event)}, map[uint32]uint32{}
			before, known := m.counts, len(m.objects)
			m.save()
			stored := uint64(len(m.objects)-known) + m.counts.Replaced - before.Replaced
			m.finish(body.SamplesSaved.GetApp(), body.SamplesSaved.GetRequestId(), Outcome{
				Stored: stored, Duplicates: m.counts.Duplicates - before.Duplicates, Incomplete: m.counts.Incomplete - before.Incomplete,
			})
		case *pb.Event_SamplesDeleted:
			m.place = Place{Sequence: l.sequence, Event: uint32(l.event)}
			before := m.counts
			m.remove(body.SamplesDeleted)
			m.finish(body.SamplesDeleted.GetApp(), body.SamplesDeleted.GetRequestId(), Outcome{Deleted: m.counts.Deleted - before.Deleted})
		}
	}
	return m
}

// finish notes what a request did the first time.
func (m *model) finish(app uint64, request []byte, o Outcome) {
	id := named{app, [16]byte(request)}
	if _, ok := m.outcomes[id]; !ok {
		m.outcomes[id] = o
	}
	m.requests[fmt.Sprint(app, request)] = true
}

func (m *model) remove(deleted *pb.SamplesDeleted) {
	if m.requests[fmt.Sprint(deleted.GetApp(), deleted.GetRequestId())] {
		return
	}
	for _, d := range deleted.GetDeletions() {
		for _, o := range slices.Clone(m.objects) {
			switch s := &o.sample; {
			case o.typeCode != d.GetType() && !d.GetAllTypes() || deleted.GetApp() != 0 && deleted.GetApp() != o.app:
			case d.GetApp() != 0 && d.GetApp() != o.app:
			case len(d.GetUuids()) > 0:
				if slices.ContainsFunc(d.GetUuids(), func(id []byte) bool { return [16]byte(id) == o.uuid }) {
					m.delete(o)
				}
			case d.EndedBefore != nil && s.End >= *d.EndedBefore:
			case d.From != nil && s.End < *d.From, d.From != nil && s.End == *d.From && s.Start < s.End:
			case d.To != nil && s.Start >= *d.To, d.From != nil && d.To != nil && *d.From >= *d.To:
			default:
				m.delete(o)
			}
		}
	}
}

func (m *model) delete(o *modelObject) {
	m.gone(o)
	m.counts.Deleted++
	if m.identities[o.identity] == o {
		delete(m.identities, o.identity)
	}
}

// gone takes an object out and notes its deletion under each code that it lies under.
func (m *model) gone(o *modelObject) {
	m.objects = slices.DeleteFunc(m.objects, func(other *modelObject) bool { return other == o })
	codes := []uint32{o.typeCode}
	if o.pairs != nil {
		codes = nil
		for _, p := range o.pairs {
			codes = append(codes, Pair(o.typeCode, p))
		}
	}
	for _, code := range codes {
		m.deletions = append(m.deletions, fmt.Sprintf("segment %d, code %d, app %d, %q, %x, %q", m.place.Sequence, code, o.app, o.source, o.uuid, o.metadata))
	}
}

func (m *model) save() {
	request := fmt.Sprint(m.saved.GetApp(), m.saved.GetRequestId())
	for _, c := range m.saved.GetColumns() {
		m.next[c.GetType()] += uint32(len(c.GetStart()))
	}
	own := map[uint32]uint32{}
	for _, c := range m.saved.GetColumns() {
		for i, row := range health.Rows(c) {
			body, err := health.ParseBody(row.Body)
			if err != nil {
				panic(err)
			}
			index := own[c.GetType()]
			own[c.GetType()]++
			if m.requests[request] {
				m.counts.Duplicates += 1 + uint64(len(body.GetMembers()))
				continue
			}
			hasValue := c.GetMantissa() != nil || c.GetReal() != nil
			if row.Metadata != nil && c.GetMetadataIndex()[i] == 0 {
				row.Metadata = nil
			}
			m.add(m.object(c.GetType(), c.GetUnit(), c.GetSource(), row, body, index, hasValue), body)
		}
	}
}

func (m *model) object(typeCode uint32, unit string, source *pb.Source, row health.Row, body *pb.Sample, index uint32, hasValue bool) *modelObject {
	o := &modelObject{}
	o.typeCode, o.app, o.from, o.unit = typeCode, m.saved.GetApp(), source.GetApp(), unit
	o.source, o.kin = string(appendSource(nil, source)), fmt.Sprint(o.app, string(appendKin(nil, source)))
	o.sample.Place = m.place
	o.sample.Start, o.sample.End, o.sample.Index = row.Start, row.End, index
	o.sample.Value, o.sample.HasValue, o.sample.Created, o.sample.HasCreated = row.Value, hasValue, row.Created, row.HasCreated
	o.sample.UUID, o.sample.HasUUID = row.UUID, row.HasUUID
	if o.uuid = row.UUID; !row.HasUUID {
		o.uuid = health.DeriveUUID([16]byte(m.saved.GetRequestId()), keyOf(o.app), typeCode, index)
	}
	switch typeCode {
	case mustType("visionPrescription"):
		o.object = string(o.uuid[:]) + source.GetApp()
	case mustType("medicationDoseEvent"), mustType("userAnnotatedMedication"):
		o.object = body.GetMedicationDoseEvent().GetMedication() + body.GetMedication().GetConcept()
	}
	if id := fmt.Sprint(o.app, o.source); !slices.Contains(m.sources, id) {
		m.sources = append(m.sources, id)
	}
	if row.Metadata != nil {
		o.metadata = string(appendMetadata(nil, row.Metadata))
	}
	o.identify(source, row.Metadata, body, m.saved.GetByContent())
	return o
}

func (o *modelObject) identify(source *pb.Source, metadata *pb.Metadata, body *pb.Sample, byContent bool) {
	name := ""
	if c := body.GetCharacteristic(); c != nil {
		name, o.implied = "characteristic", true
	} else if s := body.GetActivitySummary(); s != nil {
		name, o.implied = "day"+s.GetDay(), true
	} else if c := body.GetMedication().GetConcept(); c != "" {
		name, o.implied = "concept"+c, true
	} else {
		var versions []float64
		for _, e := range metadata.GetEntries() {
			switch e.GetKey() {
			case "HKSyncIdentifier", "HKMetadataKeySyncIdentifier":
				name = "sync" + e.GetText()
			case "HKSyncVersion", "HKMetadataKeySyncVersion":
				number := e.GetNumber()
				if e.GetText() != "" {
					_, _ = fmt.Sscan(e.GetText(), &number)
				}
				if number != 2.5 {
					versions = append(versions, number)
				}
			}
		}
		if name == "" || versions == nil {
			return
		}
		o.version = versions[0]
	}
	if byContent || o.implied || source.GetApp() != "" {
		name += fmt.Sprint(" of ", source.GetApp(), " ", source.GetName())
	}
	o.identity = fmt.Sprint(o.app, " ", o.typeCode, " ", name)
}

// add returns what there is now of an object: itself, or what was there before.
func (m *model) add(o *modelObject, body *pb.Sample) (modelRef, bool) {
	items, complete := m.items(o.app, body)
	if !complete {
		m.counts.Incomplete++
		m.passMembers(body)
		return modelRef{}, false
	}
	o.items = items
	before, uuid := m.identities[o.identity], fmt.Sprintf("%d %q %x", o.app, o.from, o.sample.UUID)
	same := o.sample.HasUUID && m.uuids[uuid] != nil
	if same || before != nil && !o.implied && o.version <= before.version {
		m.counts.Duplicates += 1 + uint64(len(body.GetMembers()))
		m.passMembers(body)
		if o.identity != "" {
			return modelRef{identity: o.identity}, true
		}
		return modelRef{object: m.uuids[uuid]}, m.uuids[uuid].typeCode == o.typeCode && len(m.uuids[uuid].pairs) == 0
	}
	m.addMembers(o, body)
	if o.sample.HasUUID && m.uuids[uuid] != nil {
		m.counts.Duplicates++
		return modelRef{}, false
	}
	if o.typeCode == 2001 && len(o.pairs) == 0 {
		m.counts.Incomplete++
		return modelRef{}, false
	}
	o.body = bodyText(body, len(items)/itemSize)
	if o.identity != "" {
		if before != nil && o.implied && before.content() == o.content() && before.source == o.source {
			m.counts.Duplicates++
			return modelRef{identity: o.identity}, true
		}
		if before != nil {
			m.gone(before)
			m.counts.Replaced++
		}
		m.identities[o.identity] = o
	} else if m.saved.GetByContent() {
		if there := m.sameContent(o); there != nil {
			m.counts.Duplicates++
			return modelRef{object: there}, true
		}
	}
	if o.sample.HasUUID {
		m.uuids[uuid] = o
	}
	m.objects = append(m.objects, o)
	if o.identity != "" {
		return modelRef{identity: o.identity}, true
	}
	return modelRef{object: o}, true
}

func (m *model) passMembers(body *pb.Sample) {
	for _, member := range body.GetMembers() {
		m.next[mustType(member.GetType())]++
		if member.GetSource() == nil {
			continue
		}
		if id := fmt.Sprint(m.saved.GetApp(), string(appendSource(nil, member.GetSource()))); !slices.Contains(m.sources, id) {
			m.sources = append(m.sources, id)
		}
	}
}

func (m *model) addMembers(o *modelObject, body *pb.Sample) {
	for _, member := range body.GetMembers() {
		t, unit, source, row, err := health.Member(member)
		if err != nil {
			panic(err)
		}
		index := m.next[t.Code]
		m.next[t.Code]++
		if source == nil {
			source, _ = readSource([]byte(o.source))
		}
		inner, err := health.ParseBody(row.Body)
		if err != nil {
			panic(err)
		}
		c := m.object(t.Code, unit, source, row, inner, index, t.Kind.HasNumber())
		c.member = true
		if ref, ok := m.add(c, inner); ok {
			o.refs = append(o.refs, ref)
			if o.typeCode != 2001 {
				continue
			}
			if !slices.Contains(o.pairs, t.Code) {
				o.pairs = append(o.pairs, t.Code)
			}
			if o.pairEnds == nil {
				o.pairEnds = map[uint32]int64{}
			}
			if end, ok := o.pairEnds[t.Code]; !ok || end < c.sample.End {
				o.pairEnds[t.Code] = c.sample.End
			}
		}
	}
}

// sameContent prefers the same source, then the oldest source, then the first place.
func (m *model) sameContent(o *modelObject) *modelObject {
	var found *modelObject
	rank := func(other *modelObject) int {
		if other.source == o.source {
			return -1
		}
		return slices.Index(m.sources, fmt.Sprint(other.app, other.source))
	}
	for _, other := range m.objects {
		alike := other.source == o.source || other.kin == o.kin && (o.member || other.member)
		if other.identity != "" || other.app != o.app || !alike || other.content() != o.content() {
			continue
		}
		if found == nil || rank(other) < rank(found) ||
			rank(other) == rank(found) && other.sample.Place.Compare(&found.sample.Place) < 0 {
			found = other
		}
	}
	return found
}

const itemSize = 24

// items renders the items of a payload of quantities or beats.
func (m *model) items(app uint64, body *pb.Sample) (string, bool) {
	chunks := body.GetPayload()
	for number := range body.GetUpload().GetParts() {
		c := m.parts[fmt.Sprint(app, body.GetUpload().GetId(), number)]
		if c.GetBeats() == nil {
			return "", false
		}
		chunks = append(chunks, c)
	}
	return renderItems(chunks), true
}

func renderItems(chunks []*pb.Chunk) string {
	var b strings.Builder
	for _, c := range chunks {
		for i, offset := range c.GetBeats().GetOffset() {
			fmt.Fprintf(&b, "%*d", itemSize, offset*2+int64(len(c.Beats.AfterGap))*int64(1-min(i, 1)))
		}
	}
	return b.String()
}

// bodyText is a body without members and payload, with the count of the ledger.
func bodyText(body *pb.Sample, count int) string {
	if body == nil {
		return ""
	}
	rest := proto.CloneOf(body)
	rest.Members, rest.Payload, rest.Upload = nil, nil, nil
	if s := rest.GetHeartbeatSeries(); s != nil {
		s.Count = uint64(count)
	}
	b, err := health.AppendBody(nil, rest)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// samples returns what a reader gets of everything, members resolved.
func (m *model) samples() []modelSample {
	var all []modelSample
	for _, o := range m.objects {
		s := o.modelSample
		for _, r := range o.refs {
			there := r.object
			if there == nil {
				there = m.identities[r.identity]
			}
			if there != nil && slices.Contains(m.objects, there) {
				s.members = append(s.members, there.key())
			}
		}
		if o.pairs == nil {
			all = append(all, s)
		}
		for _, p := range o.pairs {
			s.typeCode = Pair(2001, p)
			all = append(all, s)
		}
	}
	sortSamples(all)
	return all
}
