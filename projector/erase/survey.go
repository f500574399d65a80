package erase

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// survey is what a first look at the log finds.
type survey struct {
	touched segments
	erased  uint64
	// deleting are segments in which apps deleted, deleters those that took something that is
	// to be erased.
	deleting, deleters segments

	// identities are of samples that are to be erased, places where such lie that are named by
	// UUID. Hashes are good enough: they decide only about rows of which nothing is there.
	seed       maphash.Seed
	identities map[uint64]struct{}
	places     map[uint64]struct{}
	// others are rows that are not named and not there, and that have an identity.
	others []other
	// gone are the rows that are to be erased without being named.
	gone map[rowID]struct{}

	uploads map[upload]*uploadUse
	// objects are those that go by a name of their own and of which a row remains.
	objects map[authz.Object]struct{}
	// named are ghosts of such objects.
	named []namedGhost
}

// namedGhost is where an erasure before has left the name of an object.
type namedGhost struct {
	sequence uint64
	object   authz.Object
}

// rowID is a row of the log.
type rowID struct {
	sequence        uint64
	event           uint32
	typeCode, index uint32
}

func idOf(r *view.Row) rowID { return rowID{r.Sequence, r.Event, r.Type, r.Index} }

// other is a row that goes if one that has its identity does.
type other struct {
	identity uint64
	id       rowID
	fate     view.Fate
	remainder
}

// remainder is what depends on whether a row remains.
type remainder struct {
	upload *uploadUse   // nil: it names none
	object authz.Object // without a name: it goes by none
}

type upload struct {
	app uint64
	id  [16]byte
}

// uploadUse says who names an upload, and where its parts are.
type uploadUse struct {
	erased, kept int
	parts        []uint64
}

func newSurvey() survey {
	return survey{
		seed: maphash.MakeSeed(), identities: map[uint64]struct{}{}, places: map[uint64]struct{}{},
		gone: map[rowID]struct{}{}, uploads: map[upload]*uploadUse{}, objects: map[authz.Object]struct{}{},
	}
}

// segments is a set of sequences.
type segments struct{ bits []uint64 }

func (s *segments) add(sequence uint64) {
	for uint64(len(s.bits)) <= sequence/64 {
		s.bits = append(s.bits, make([]uint64, len(s.bits)+1)...)
	}
	s.bits[sequence/64] |= 1 << (sequence % 64)
}

func (s *segments) has(sequence uint64) bool {
	return sequence/64 < uint64(len(s.bits)) && s.bits[sequence/64]&(1<<(sequence%64)) != 0
}

// addCommon adds what two sets share.
func (s *segments) addCommon(a, b *segments) {
	for i := range min(len(a.bits), len(b.bits)) {
		for bit := range uint64(64) {
			if a.bits[i]&b.bits[i]&(1<<bit) != 0 {
				s.add(uint64(i)*64 + bit)
			}
		}
	}
}

// Survey looks at the events of a segment: all segments of the log come once, in order.
func (r *Rewriter) Survey(sequence uint64, events []*pb.Event) error {
	for i, event := range events {
		var err error
		switch body := event.GetBody().(type) {
		case *pb.Event_SamplesSaved:
			err = r.surveySaved(sequence, i, body.SamplesSaved)
		case *pb.Event_PartSaved:
			r.surveyPart(sequence, body.PartSaved)
		case *pb.Event_SamplesDeleted:
			if body.SamplesDeleted.GetOutcome() == nil {
				r.deleting.add(sequence)
			}
		}
		if err != nil {
			return fmt.Errorf("erase: survey event %d of segment %d: %w", i, sequence, err)
		}
	}
	return nil
}

func (r *Rewriter) surveyPart(sequence uint64, p *pb.PartSaved) {
	if len(p.GetUpload()) == 16 && !p.GetErased() && sequence < r.order.Before {
		use := r.use(p.GetApp(), p.GetUpload())
		use.parts = append(use.parts, sequence)
	}
}

func (r *Rewriter) use(app uint64, id []byte) *uploadUse {
	key := upload{app, [16]byte(id)}
	use := r.uploads[key]
	if use == nil {
		use = &uploadUse{}
		r.uploads[key] = use
	}
	return use
}

func (r *Rewriter) surveySaved(sequence uint64, event int, saved *pb.SamplesSaved) error {
	w, err := newWalker(saved, sequence, event)
	if err != nil {
		return err
	}
	for _, c := range saved.GetColumns() {
		first := w.begin(c)
		if len(c.GetBody()) == 0 && !r.chosen.isPossible(saved.GetApp(), c.GetType()) {
			continue
		}
		for i, s := range health.Rows(c) {
			if err := w.sample(c, first+uint32(i), i, &s); err != nil {
				return err
			}
			if isErased(c, i) {
				r.surveyGhost(&w.row)
			} else if err := r.surveyRow(&w.row); err != nil {
				return err
			}
			for _, m := range w.row.Body.GetMembers() {
				row, err := w.member(c, m)
				if err != nil {
					return err
				}
				if m.GetGhost() != nil {
					continue
				}
				if err := r.surveyRow(row); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *Rewriter) surveyGhost(row *view.Row) {
	if name := row.Body.GetGhost().GetObject(); name != "" {
		r.named = append(r.named, namedGhost{row.Sequence, authz.Object{App: row.App, Name: name}})
	}
}

func (r *Rewriter) surveyRow(row *view.Row) error {
	rest := r.remainderOf(row)
	if row.Sequence >= r.order.Before || !r.chosen.isPossible(row.App, row.Type) {
		r.keep(rest)
		return nil
	}
	if !r.chosen.holds(row) {
		return r.surveyOther(row, rest)
	}
	v, err := r.condemn(row)
	if err != nil {
		return err
	}
	r.take(row.Sequence, v.fate, rest)
	if !v.fate.Stored || !r.chosen.isPartial(row.App, row.Type) {
		return nil
	}
	if key, ok := r.identity(row); ok {
		r.identities[key] = struct{}{}
	}
	if r.chosen.byUUID(row.App, row.Type) {
		r.places[r.place(row)] = struct{}{}
	}
	return nil
}

func (r *Rewriter) remainderOf(row *view.Row) (rest remainder) {
	if row.Body == nil {
		return rest
	}
	if id := row.Body.GetUpload().GetId(); len(id) == 16 {
		rest.upload = r.use(row.App, id)
	}
	if t, ok := catalog.ByCode(row.Type); ok && view.GoesByName(t) {
		rest.object = authz.Object{App: row.App, Name: r.fates.Object(row)}
	}
	return rest
}

// keep notes that a row remains.
func (r *Rewriter) keep(rest remainder) {
	if rest.upload != nil {
		rest.upload.kept++
	}
	if rest.object.Name != "" {
		r.objects[rest.object] = struct{}{}
	}
}

// take notes that a row goes.
func (r *Rewriter) take(sequence uint64, fate view.Fate, rest remainder) {
	r.touched.add(sequence)
	if fate.Stored {
		r.erased++
		r.deleters.add(fate.Gone)
	}
	if rest.upload != nil {
		rest.upload.erased++
	}
}

// surveyOther looks at a row that is not named: whether it would come back, or hold the same,
// when another one is erased. That are other versions of an object, and what repeats one.
func (r *Rewriter) surveyOther(row *view.Row, rest remainder) error {
	identity, versioned := uint64(0), false
	if r.chosen.isPartial(row.App, row.Type) {
		identity, versioned = r.identity(row)
	}
	repeated := r.repeats(row)
	if !versioned && !repeated {
		r.keep(rest)
		return nil
	}
	fate, err := r.fates.Of(row)
	switch {
	case err != nil:
		return err
	case fate.Stored && fate.Gone == 0:
		r.keep(rest)
	case repeated:
		r.gone[idOf(row)] = struct{}{}
		r.take(row.Sequence, fate, rest)
	default:
		r.others = append(r.others, other{identity, idOf(row), fate, rest})
	}
	return nil
}

// repeats says whether a row lies where one does that is named by UUID, so that it may have
// been left out because that was there.
func (r *Rewriter) repeats(row *view.Row) bool {
	if len(r.places) == 0 || !r.chosen.byUUID(row.App, row.Type) {
		return false
	}
	_, ok := r.places[r.place(row)]
	return ok
}

// identity returns a hash of what makes a row a version of others.
func (r *Rewriter) identity(row *view.Row) (uint64, bool) {
	if row.Metadata == nil && row.Body == nil {
		return 0, false
	}
	hash, ok := r.fates.Identity(row)
	if !ok {
		return 0, false
	}
	return r.hash(row, hash[:]), true
}

// place returns a hash of who measured, and when.
func (r *Rewriter) place(row *view.Row) uint64 {
	b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(row.Start)), uint64(row.End))
	return r.hash(row, append(b, view.Kin(row.App, row.Source)...))
}

func (r *Rewriter) hash(row *view.Row, what []byte) uint64 {
	b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, row.App), uint64(row.Type))
	return maphash.Bytes(r.seed, append(b, what...))
}

// settle ends the survey.
func (r *Rewriter) settle() {
	if r.settled {
		return
	}
	r.settled = true
	for _, o := range r.others {
		if _, ok := r.identities[o.identity]; !ok {
			r.keep(o.remainder)
			continue
		}
		r.gone[o.id] = struct{}{}
		r.take(o.id.sequence, o.fate, o.remainder)
	}
	r.others, r.identities, r.places = nil, nil, nil
	r.touched.addCommon(&r.deleting, &r.deleters)
	for _, g := range r.named {
		if !r.keeps(g.object) {
			r.touched.add(g.sequence)
		}
	}
	for key, use := range r.uploads {
		if !r.goes(key.app, use) {
			continue
		}
		for _, sequence := range use.parts {
			r.touched.add(sequence)
		}
	}
}

// goes says whether the parts of an upload go: nothing that remains names it, and something
// that is erased does, or nothing of the app remains.
func (r *Rewriter) goes(app uint64, use *uploadUse) bool {
	return use.kept == 0 && (use.erased > 0 || r.chosen.isEverything(app))
}
