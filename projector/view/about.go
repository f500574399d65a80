package view

import (
	"encoding/binary"

	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// The samples of a type that is granted object by object lie under sources of their own, one
// for each object. So what is granted is a few ranges of keys, which are read, followed and
// looked up like any other source, and nothing else of the type is ever touched. A medication
// has few sources, and many doses under each; a prescription has one of its own.

// about is what tells such sources apart from others of the same app, name and device. It is
// empty for types that are granted as a whole.
type about struct {
	// object is its name: see pb.ObjectName.
	object string
	// period is that of an object that is named by its UUID, so that one of the same content
	// can be found by it.
	period string
}

func (a about) append(dst []byte) []byte { return appendText(appendText(dst, a.object), a.period) }

// kinOf is what a source shares with those in which an object of the same content can be, and
// with others that differ in the device.
func kinOf(app uint64, s *pb.Source, what about) string {
	if what.period != "" {
		what.object = ""
	}
	return string(appendKin(what.append(binary.AppendUvarint(nil, app)), s))
}

// aboutOf returns what the source of an object is about.
func (b *Batch) aboutOf(o *incoming) about {
	t, ok := catalog.ByCode(o.typeCode)
	if !ok || !t.PerObject {
		return about{}
	}
	id := b.view.uuidOf(b.column.request, b.column.app, o.typeCode, &o.sample)
	what := about{object: health.ObjectName(t, o.origin.source, id, o.body)}
	if !isNamed(t) {
		what.period = string(appendPeriod(nil, o.sample.Start, o.sample.End))
	}
	return what
}

// isNamed says whether objects of a type that is granted object by object go by a name of
// their own, and not by their UUID.
func isNamed(t *catalog.Type) bool { return t.GrantedThrough().Kind == catalog.UserAnnotated }

// uuidOf returns the UUID of a sample that a request brought.
func (v *View) uuidOf(request [16]byte, app uint64, typeCode uint32, s *Sample) [16]byte {
	if s.HasUUID {
		return s.UUID
	}
	deriver := health.NewDeriver(request, v.appKey(app), typeCode)
	return deriver.UUID(s.Index)
}

// sourceAbout returns the source under which an object lies.
func (b *Batch) sourceAbout(o *incoming) *origin {
	what := b.aboutOf(o)
	if what == (about{}) {
		return o.origin
	}
	return b.source(b.column.app, o.origin.source, what)
}

// alike returns where objects of a type lie among which one of the same content can be.
func (b *Batch) alike(typeCode uint32, o *incoming) []*draft {
	what := b.aboutOf(o)
	if what == (about{}) {
		return []*draft{b.draft(typeCode, o.origin)}
	}
	kin := kinOf(b.column.app, o.origin.source, what)
	var drafts []*draft
	for _, list := range [...][]*origin{b.view.kin[kin], b.kin[kin]} {
		for _, other := range list {
			if proto.Equal(other.source, o.origin.source) {
				drafts = append(drafts, b.draft(typeCode, other))
			}
		}
	}
	return drafts
}
